"""Folds: training and validation rows of ingested records, split k ways for cross-validation.

Each fold is a folder of records like one of `ingest`'s, in which that fold's rows are held out.
Whatever trains or evaluates on records does so on a fold. The rows are copied once, into files
that all folds share; test rows are left out.
"""

import contextlib
import dataclasses
import hashlib
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pandas as pd
import tensorflow as tf

from multimodal_tf.config import Config, labelled
from multimodal_tf.data import atomic, filesystem, manifest, record_files
from multimodal_tf.data.filesystem import Path, PathLike
from multimodal_tf.data.ingest.record_settings import CONFIG
from multimodal_tf.data.manifest import Manifest, Shard
from multimodal_tf.data.split import column_codes, stratified_folds
from multimodal_tf.data.table import Table

# read at a time
_ROWS = 256
# a file with the digest of the folds that a folder holds
_MARK = "folds.txt"

Ints = np.ndarray[Any, np.dtype[np.int64]]


def make_folds(
    records: PathLike,
    out: str | pathlib.Path,
    folds: int = 5,
    table: Table | None = None,
    group: str | None = None,
    held_out_as: Literal["validation", "test"] = "validation",
    seed: int | None = None,
) -> list[pathlib.Path]:
    """Splits the training and validation rows of `ingest` into stratified folds, by group.

    All rows with one value of `group` are in one fold; a row without a value is its own group. The
    values of `split.stratify`, or else the classes of the first head with classes, keep their
    proportions as far as possible. `schema_for` learns from the training rows of each fold alone.

    Args:
        records: folder that `ingest` wrote.
        out: gets `fold-0` and so on, and `rows`. Folds that it already holds are reused.
        folds: int >= 2.
        table: what was ingested. Needed for groups and for strata that are no head's column.
        group: a column of the table; None: `split.group`.
        held_out_as: the split that the held-out rows become. With "test", the other rows stay in
            training or validation, so that early stopping does not see the held-out rows.
        seed: int; None: the configuration's.

    Returns:
        The folders of the folds, each with `manifest.json` and `config.yaml`.

    Raises:
        FileNotFoundError: ingest has not finished in `records`.
        ValueError: there are more folds than rows or groups; the table is needed and missing, is
            another one, or lacks the column; a fold would have no training rows; `out` holds other
            folds.

    Example:
        >>> for fold in make_folds("records", "folds", folds=5):  # doctest: +SKIP
        ...     fit(config, schema_for(config, fold), fold, fold / "run")

    Source: Kohavi 1995, "A study of cross-validation and bootstrap for accuracy estimation and
    model selection".
    """
    source = _Source.load(records, table)
    if not 2 <= folds <= len(source.rows):
        raise ValueError(
            f"folds must be from 2 to the {len(source.rows)} rows that are for training and "
            f"validation, received {folds}"
        )
    part = _assign_parts(source, folds, group, held_out_as, seed)
    splits = _splits(folds, held_out_as, set(part.tolist()))
    out = pathlib.Path(out)
    digest = hashlib.sha256(f"{source.manifest.hash} {part.tolist()}".encode()).hexdigest()
    if not _is_written(out, digest):
        _write(source, out, splits, part, digest)
    return [out / f"fold-{number}" for number in range(folds)]


@dataclasses.dataclass(frozen=True)
class _Source:
    """The records that are split.

    `rows` are the rows' numbers in the table, in the order of the shards; `labels` are the labels
    of heads with classes, by column.
    """

    folder: Path
    manifest: Manifest
    config: Config
    table: Table | None
    rows: Ints
    labels: dict[str, list[bytes]]

    @classmethod
    def load(cls, records: PathLike, table: Table | None) -> "_Source":
        """Reads the rows' numbers and labels of records."""
        folder = filesystem.to_path(records)
        content, config = Manifest.load(folder), Config.load(folder / CONFIG)
        rows, labels = _read_rows(config, content)
        return cls(folder, content, config, table, rows, labels)

    def codes(self, column: str, missing_alone: bool) -> Ints:
        """An integer for each distinct value of a column of the table; int64 `(rows,)`.

        Rows without a value share one integer, or have one each if `missing_alone`.
        """
        if self.table is None:
            raise ValueError(
                f"folds need the column {column!r}, which records do not hold: "
                "pass the table that was ingested, too"
            )
        if column not in self.table.columns:
            raise ValueError(
                f"{self.table.name} has no column {column!r}, by which rows are split into folds"
            )
        codes = column_codes(self.table, column, missing_alone=missing_alone)
        if len(codes) != self.manifest.table_rows:
            raise ValueError(
                f"the table must be what was ingested, of {self.manifest.table_rows} rows, "
                f"received {self.table.name} of {len(codes)}"
            )
        return np.asarray(codes[self.rows])


def _serialized(content: Manifest) -> Iterator[tf.Tensor]:
    paths = [
        filesystem.readable(path)
        for split in ("train", "validation")
        for path in content.shards(split)
    ]
    yield from record_files.read(paths, _ROWS)


def _read_rows(config: Config, content: Manifest) -> tuple[Ints, dict[str, list[bytes]]]:
    columns = {
        name: config.column(name)
        for name, head in labelled(config.heads).items()
        if head.target_type == "class"
    }
    numbers: list[Ints] = []
    labels: dict[str, list[bytes]] = {column: [] for column in columns.values()}
    for serialized in _serialized(content):
        rows, cells = record_files.parse_labels(config, serialized)
        numbers.append(rows.numpy())
        for name, column in columns.items():
            labels[column].extend(cells[name].numpy())
    return np.concatenate(numbers), labels


def _assign_parts(
    source: _Source, folds: int, group: str | None, held_out_as: str, seed: int | None
) -> Ints:
    """The part of each row, int64 `(rows,)`.

    A part is a fold. With `held_out_as="test"`, the validation rows of a fold are a part of their
    own, whose number is higher by `folds`.
    """
    group = source.config.split.group if group is None else group
    groups = None if group is None else source.codes(group, missing_alone=True)
    strata = _strata(source)
    validating = np.arange(len(source.rows)) >= source.manifest.rows("train")
    if held_out_as == "test":
        # each fold gets its share of the rows with which the others stop early
        strata = validating + 2 * strata
    if groups is not None and len(np.unique(groups)) < folds:
        raise ValueError(
            f"folds must be at most the {len(np.unique(groups))} groups of column {group!r}, "
            f"received {folds}"
        )
    seed = source.config.seed if seed is None else seed
    part = np.empty(len(source.rows), np.int64)
    for number, chosen in enumerate(stratified_folds(strata, groups, folds, seed)):
        part[chosen] = number
    return part if held_out_as == "validation" else part + folds * validating


def _strata(source: _Source) -> Ints:
    """An integer for each class, int64 `(rows,)`; all 0 if no head has classes."""
    column = source.config.split.stratify
    if column is None:
        column = next(iter(source.labels), None)
    if column is None:
        return np.zeros(len(source.rows), np.int64)
    if column in source.labels:
        # a missing label counts as a class
        return pd.factorize(np.array(source.labels[column]))[0]
    return source.codes(column, missing_alone=False)


def _splits(folds: int, held_out_as: str, parts: set[int]) -> list[dict[str, list[int]]]:
    """For each fold the parts of each split, without parts that have no rows."""
    layouts = []
    for fold in range(folds):
        others = [other for other in range(folds) if other != fold]
        if held_out_as == "validation":
            layout = {"train": others, "validation": [fold], "test": []}
        else:
            validation = [other + folds for other in others]
            layout = {"train": others, "validation": validation, "test": [fold, fold + folds]}
        layouts.append(
            {split: [part for part in own if part in parts] for split, own in layout.items()}
        )
        if not layouts[-1]["train"]:
            raise ValueError(
                f"every fold must leave training rows to the others, but fold {fold} of {folds} "
                "has them all: lower folds"
            )
    return layouts


def _is_written(out: pathlib.Path, digest: str) -> bool:
    """Whether a folder holds these folds already.

    Raises:
        ValueError: it holds others.
    """
    mark = out / _MARK
    if mark.is_file() and mark.read_text() != digest:
        raise ValueError(
            f"{out} holds folds of other rows, or other folds of these rows: delete it, or choose "
            "another directory"
        )
    return mark.is_file()


def _write(
    source: _Source,
    out: pathlib.Path,
    splits: list[dict[str, list[int]]],
    part: Ints,
    digest: str,
) -> None:
    """Copies the rows, writes the folds, and last the mark that they are complete."""
    parts = _write_parts(source, out / "rows", part)
    for number, layout in enumerate(splits):
        fold = out / f"fold-{number}"
        fold.mkdir(exist_ok=True)
        atomic.write_text(fold / CONFIG, (source.folder / CONFIG).read_text(encoding="utf-8"))
        content = source.manifest.model_copy(
            update={
                "splits": {split: [parts[one] for one in own] for split, own in layout.items()},
                "kept": len(part),
                "hash": hashlib.sha256(f"{digest} {number}".encode()).hexdigest(),
            }
        )
        atomic.write_text(fold / manifest.FILE, content.model_dump_json(indent=1))
    atomic.write_text(out / _MARK, digest)


def _write_parts(source: _Source, folder: pathlib.Path, part: Ints) -> dict[int, Shard]:
    """Writes a shard for each part, and returns them by the part's number."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    paths = {int(number): folder / f"part-{number}.tfrecord" for number in np.unique(part)}
    with contextlib.ExitStack() as stack:
        writers = {
            number: stack.enter_context(tf.io.TFRecordWriter(str(path)))
            for number, path in paths.items()
        }
        row = 0
        for serialized in _serialized(source.manifest):
            for record in serialized.numpy():
                writers[part[row]].write(record)
                row += 1
    return {
        number: Shard(
            file=f"../rows/{path.name}",
            rows=int((part == number).sum()),
            bytes=path.stat().st_size,
            sha256=record_files.sha256(path),
        )
        for number, path in paths.items()
    }
