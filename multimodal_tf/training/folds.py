"""The training and validation rows of an ingested table, dealt into k folds that take turns as the
rows that are held out.

Each turn is a directory of records like one of `ingest`'s, so whatever trains or evaluates on
records does it on a turn. The rows are copied once, a shard a fold, which all turns share; the test
rows are left out.
"""

import contextlib
import hashlib
import os
import pathlib
import shutil
from typing import Literal

import numpy as np
import pandas as pd
import tensorflow as tf

from multimodal_tf.config import Config, labelled
from multimodal_tf.data import atomic, filesystem, manifest, record_files
from multimodal_tf.data.ingest.record_settings import CONFIG
from multimodal_tf.data.manifest import Manifest, Shard
from multimodal_tf.data.split import column_codes, stratified_folds
from multimodal_tf.data.table import Table

# read at a time
_ROWS = 256


def make_folds(
    directory: str | os.PathLike,
    out: str | pathlib.Path,
    folds: int = 5,
    table: Table | None = None,
    group: str | None = None,
    held: Literal["validation", "test"] = "validation",
    seed: int | None = None,
) -> list[pathlib.Path]:
    """Deals the training and validation rows of `ingest` into folds; the same ones for the same
    records, folds and seed.

    No value of the column that `split.group` named, or `group`, stands in two folds; a row without
    one is a group of its own. The values of the column that `split.stratify` named, or else the
    classes of the first head with classes, keep their proportions as well as greedy dealing allows.
    What a training row teaches (vocabularies, means, classes) is learned anew in each turn, from
    its training rows alone.

    Args:
        directory: where `ingest` wrote.
        out: is made where it is not there; gets `turn-0` and so on, and `rows`. What stands there
        already is used again.
        folds: int, at least 2.
        table: what was ingested. Needed for groups, and for strata that are no head's column, since
        records do not hold them.
        group: a column, where the split was given by a column; None: `split.group`.
        held: what the fold whose turn it is stands for. `test`: the other folds' rows stay what
            `ingest` made them, training or validation rows, so that a training can stop early
            without looking at the fold.
        seed: int; None: the configuration's.

    Returns:
        The turns' directories, each with `manifest.json` and `config.yaml`: in the i-th, fold i is
        `validation` and the others are `train`, or with `held="test"` fold i is `test`.

    Raises:
        FileNotFoundError: ingest has not ended in `directory`.
        ValueError: there are more folds than rows or groups, the table is wanted and not given, is
            another one, or lacks the column; a turn would have no training rows; `out` has folds of
            other rows.

    Example:
        >>> for turn in make_folds("records", "folds", folds=5):  # doctest: +SKIP
        ...     fit(config, schema_for(config, turn), turn, turn / "run")

    Source: Kohavi 1995, «A study of cross-validation and bootstrap for accuracy estimation and
    model selection».
    """
    place, out = filesystem.to_path(directory), pathlib.Path(out)
    content, config = Manifest.load(place), Config.load(place / CONFIG)
    rows, labels = _rows_and_labels(content, config)
    if not 2 <= folds <= len(rows):
        raise ValueError(
            f"folds must be from 2 to the {len(rows)} rows that are for training and validation, received {folds}"
        )
    group = config.split.group if group is None else group
    groups = None if group is None else _codes(table, group, rows, content, alone=True)
    stratify = config.split.stratify
    strata = (
        _strata(labels, stratify)
        if stratify in (None, *labels)
        else _codes(table, stratify, rows, content, alone=False)
    )
    seed = config.seed if seed is None else seed
    validating = np.arange(len(rows)) >= content.rows("train")
    # each fold gets its share of what the others need to stop early
    if held == "test":
        strata = validating + 2 * (0 if strata is None else strata)
    fold = _dealt(rows, strata, groups, folds, seed, group)
    part = fold if held == "validation" else fold + folds * validating
    splits = _splits(folds, held, set(part.tolist()))
    digest = hashlib.sha256(f"{content.hash} {part.tolist()}".encode()).hexdigest()
    turns = [out / f"turn-{number}" for number in range(folds)]
    if not _made(out, digest):
        _write(content, place, out, splits, part, digest)
    return turns


def _splits(folds, held, parts):
    """By turn the parts of each split, those of `parts` that have rows. A part is a fold; with
    `held="test"` its training rows, and under a number higher by `folds` its validation rows."""
    turns = []
    for number in range(folds):
        others = [other for other in range(folds) if other != number]
        if held == "validation":
            turn = {"train": others, "validation": [number], "test": []}
        else:
            turn = {
                "train": others,
                "validation": [other + folds for other in others],
                "test": [number, number + folds],
            }
        turns.append(
            {split: [part for part in chosen if part in parts] for split, chosen in turn.items()}
        )
        if not turns[-1]["train"]:
            raise ValueError(
                f"every fold must leave training rows to the others, but fold {number} of {folds} has them all: lower folds"
            )
    return turns


def _rows_and_labels(content, config):
    """The rows' numbers in the table, int64 `(rows,)`, in the order of the shards, and by column
    the labels of heads with a class.
    """
    heads = {
        name: head for name, head in labelled(config.heads).items() if head.target_type == "class"
    }
    few = config.model_copy(update={"inputs": {}})
    numbers: list = []
    labels: dict[str, list] = {config.column(name): [] for name in heads}
    for serialized in _serialized(content):
        rows, _, cells = record_files.parse(few, serialized)
        numbers.append(rows.numpy())
        for name in heads:
            labels[config.column(name)].extend(cells[name].numpy())
    return np.concatenate(numbers), labels


def _serialized(content):
    paths = [
        filesystem.readable(path)
        for split in ("train", "validation")
        for path in content.shards(split)
    ]
    return record_files.read(paths, _ROWS)


def _strata(labels, column):
    """Codes of the classes in a head's column, None: the first head's; a missing label is a class,
    too. None where no head has classes.
    """
    cells = next(iter(labels.values()), None) if column is None else labels[column]
    return None if cells is None else pd.factorize(np.array(cells))[0]


def _codes(table, column, rows, content, alone):
    """A number for each distinct value of a column of the table; a row without a value has, with
    `alone`, a number of its own.
    """
    if table is None:
        raise ValueError(
            f"folds need the column {column!r}, which records do not hold: give the table that was ingested, too"
        )
    if column not in table.columns:
        raise ValueError(
            f"{table.name} has no column {column!r}, by which rows are dealt into folds"
        )
    codes = column_codes(table, column, missing_alone=alone)
    if len(codes) != content.table_rows:
        raise ValueError(
            f"the table must be what was ingested, of {content.table_rows} rows, received {table.name} of {len(codes)}"
        )
    return codes[rows]


def _dealt(rows, strata, groups, folds, seed, group):
    """The fold of each row, int64 `(rows,)`."""
    if groups is not None and len(np.unique(groups)) < folds:
        raise ValueError(
            f"folds must be at most the {len(np.unique(groups))} groups of column {group!r}, received {folds}"
        )
    strata = np.zeros(len(rows), np.int64) if strata is None else strata
    fold = np.empty(len(rows), np.int64)
    for number, chosen in enumerate(stratified_folds(strata, groups, folds, seed)):
        fold[chosen] = number
    return fold


def _made(out, digest):
    """Whether these folds stand there.

    Raises:
        ValueError: others do.
    """
    mark = out / "folds.txt"
    if mark.is_file() and mark.read_text() != digest:
        raise ValueError(
            f"{out} holds folds of other rows, or others of these: delete it, or choose another directory"
        )
    return mark.is_file()


def _write(content, directory, out, splits, part, digest):
    """Copies the rows, writes the turns, and then the mark that they are whole."""
    kept = out / "rows"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    paths = {int(number): kept / f"fold-{number}.tfrecord" for number in np.unique(part)}
    with contextlib.ExitStack() as stack:
        writers = {
            number: stack.enter_context(tf.io.TFRecordWriter(str(path)))
            for number, path in paths.items()
        }
        row = 0
        for serialized in _serialized(content):
            for record in serialized.numpy():
                writers[part[row]].write(record)
                row += 1
    listed = {
        number: Shard(
            file=f"../rows/{path.name}",
            rows=int((part == number).sum()),
            bytes=path.stat().st_size,
            sha256=record_files.sha256(path),
        )
        for number, path in paths.items()
    }
    for number, parts in enumerate(splits):
        turn = out / f"turn-{number}"
        turn.mkdir(exist_ok=True)
        atomic.write_text(turn / CONFIG, (directory / CONFIG).read_text(encoding="utf-8"))
        shards = {split: [listed[one] for one in chosen] for split, chosen in parts.items()}
        hashed = hashlib.sha256(f"{digest} {number}".encode()).hexdigest()
        turned = content.model_copy(update={"splits": shards, "kept": len(part), "hash": hashed})
        atomic.write_text(turn / manifest.FILE, turned.model_dump_json(indent=1))
    atomic.write_text(out / "folds.txt", digest)
