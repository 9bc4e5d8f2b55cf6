"""`compare`: two or more runs side by side on the same rows, as one page."""

import dataclasses
import datetime
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from multimodal_tf.config import labelled
from multimodal_tf.data.ingest.record_settings import check_records
from multimodal_tf.data.pipeline import load_raw
from multimodal_tf.data.predictions import HeadPredictions, Predicted
from multimodal_tf.data.table import Table
from multimodal_tf.data.targets import Targets
from multimodal_tf.evaluation.eval_split import columns_of
from multimodal_tf.evaluation.paired import HeadComparison, compare_head
from multimodal_tf.evaluation.predictor import BATCH, Model, Predictor, predictor_of
from multimodal_tf.metrics.clustered import group_codes
from multimodal_tf.report import comparison_page, page


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Several runs: the page, and what it is made of, by head."""

    page: page.Page
    heads: dict[str, HeadComparison]


def compare(
    runs: Mapping[str, Model | Predicted],
    directory: str | os.PathLike | None,
    out: str | pathlib.Path,
    split: str = "test",
    table: Table | None = None,
    group: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Puts runs side by side: every figure of every head with its interval, and its difference from
    the first run's with the interval of a paired bootstrap; the share that is rightly told by
    class; the rows on which the runs differ.

    Args:
        runs: by a name to call it: what `training.load_run` gives, the folder of a SavedModel that
            `export_model` wrote, or answers as plain arrays, `Predicted`. The others are compared
            with the first one.
        directory: where ingest wrote the shards; None where all runs are answers.
        out: folder for `index.html`, `report.json` and `data/`; an earlier page there is replaced.
        split: "train", "validation" or "test".
        table: what was ingested: its columns then stand beside the rows on which the runs differ,
        and resamples can draw groups.
        group: a column of `table`, whose values are drawn as a whole; None: the `split.group` of
        the first run that has one.
        resamples: int. Bootstrap resamples; 0: no intervals.
        seed: int. Of the resamples.

    Returns:
        `Comparison`.

    Raises:
        FileNotFoundError: ingest has not ended in `directory`, or there is no such SavedModel.
        FileExistsError: `out` holds something else than an earlier page.
        ValueError: there are fewer than two runs, their heads, classes, rows or labels differ, one
            was made for other records, `table` is another or lacks the column, no row has a known
            label, or an answer is NaN. Nothing has been written then.

    Example:
        >>> compare({"plain": load_run("runs/plain"), "gated": load_run("runs/gated")}, "records", "compare")  # doctest: +SKIP
    """
    place = page.check_place(out)
    if len(runs) < 2:
        raise ValueError(f"a comparison needs two runs or more, received {list(runs) or 'none'}")
    if resamples < 0:
        raise ValueError(f"resamples must be 0 or more, received {resamples}")
    if group is not None and table is None:
        raise ValueError(
            f"group needs the table that was ingested, since records do not hold its columns, received {group!r} without it"
        )
    subjects = {
        name: run if isinstance(run, Predicted) else predictor_of(run) for name, run in runs.items()
    }
    _check_heads({name: _asked(one) for name, one in subjects.items()})
    _check_records(subjects, directory)
    said = {
        name: one if isinstance(one, Predicted) else answers_of(one, directory, split)
        for name, one in subjects.items()
    }
    _check_rows(said)
    first = next(iter(said.values()))
    columns, group = _columns(table, first.rows), group or _group(subjects)
    codes = None if columns is None else _codes(columns, group, first.rows)
    heads = {}
    for head in first.heads:
        try:
            heads[head] = compare_head(
                {name: one.heads[head] for name, one in said.items()}, codes, resamples, seed
            )
        except ValueError as error:
            raise ValueError(f"head {head!r}: {error}") from error
    ungrouped = group if codes is None else None
    written = comparison_page.page_of(
        heads, said, columns, ungrouped, _made(directory, split, first, codes, resamples, seed)
    )
    page.save(written, place)
    return Comparison(written, heads)


def answers_of(
    predictor: Predictor, directory: str | os.PathLike | None, split: str = "test"
) -> Predicted:
    """What a model says of the rows of a split, heads that have a label.

    Args:
        subject: `perception.subject.predictor_of` of a run or a SavedModel.
        directory: where ingest wrote the shards.
        split: "train", "validation" or "test".

    Raises:
        ValueError: the split has no rows, or an answer is NaN.
    """
    targets, rows, parts = Targets(predictor.config, predictor.schema), [], []
    for numbers, cells, labels in load_raw(predictor.config, str(directory), split, BATCH):
        answers = predictor.predict({name: cell.numpy() for name, cell in cells.items()})
        wanted, weights = targets(labels)
        rows.append(numbers.numpy())
        parts.append(
            {
                name: (wanted[name].numpy(), weights[name].numpy() > 0, answers[name])
                for name in labelled(predictor.config.heads)
            }
        )
    heads = {}
    for name, head in labelled(predictor.config.heads).items():
        arrays = [np.concatenate(column) for column in zip(*(part[name] for part in parts))]
        heads[name] = HeadPredictions(
            head, tuple(getattr(predictor.schema.heads[name], "names", ())), *arrays
        )
    return Predicted(np.concatenate(rows), heads)


def _asked(run):
    """By head what makes its answers comparable: its type, and its classes or quantiles."""
    if isinstance(run, Predicted):
        return {name: _kind(one.head, one.classes) for name, one in run.heads.items()}
    heads = labelled(run.config.heads)
    return {
        name: _kind(head, getattr(run.schema.heads[name], "names", ()))
        for name, head in heads.items()
    }


def _kind(head, classes):
    return {
        "type": head.type,
        "classes": list(classes),
        "quantiles": getattr(head, "quantiles", None),
    }


def _check_heads(asked):
    (first, wanted), *others = asked.items()
    if not wanted:
        raise ValueError(f"a comparison needs a head with a label, received {first!r} without one")
    for name, heads in others:
        if heads.keys() != wanted.keys():
            raise ValueError(
                f"runs must have the same heads, received {first!r} with {sorted(wanted)} and {name!r} with {sorted(heads)}"
            )
        for head, kind in heads.items():
            for part, value in kind.items():
                if value != wanted[head][part]:
                    raise ValueError(
                        f"the head {head!r} must have the same {part} in all runs, received {wanted[head][part]} in {first!r} and "
                        f"{value} in {name!r}"
                    )


def _check_records(subjects, directory):
    for name, one in subjects.items():
        if isinstance(one, Predicted):
            continue
        if directory is None:
            raise ValueError(
                f"records must be given where a run is a model, received none for {name!r}"
            )
        try:
            check_records(one.config, directory)
        except ValueError as error:
            raise ValueError(f"run {name!r}: {error}") from error


def _check_rows(said):
    (first, wanted), *others = said.items()
    if not any(predicted.known.any() for predicted in wanted.heads.values()):
        raise ValueError(
            f"a row or more must have a known label of {sorted(wanted.heads)}, received none in {len(wanted.rows)} rows"
        )
    for name, one in others:
        if not np.array_equal(one.rows, wanted.rows):
            raise ValueError(
                f"runs must answer the same rows of one table, received {len(wanted.rows)} rows of {first!r} and {len(one.rows)} of "
                f"{name!r}, which are not the same"
            )
        for head, predicted in one.heads.items():
            theirs = wanted.heads[head]
            known = theirs.known
            same = np.array_equal(predicted.known, known) and np.array_equal(
                predicted.targets[known], theirs.targets[known]
            )
            if not same:
                raise ValueError(
                    f"runs must answer the same table, received other labels of {head!r} in {name!r} than in {first!r}"
                )


def _columns(table, rows):
    if table is None:
        return None
    length = sum(len(chunk) for chunk in table.chunks())
    if rows.max() >= length:
        raise ValueError(
            f"table: must be the one that was ingested, with a row {rows.max()}, received {table.name} of {length} rows"
        )
    return columns_of(table, rows)


def _group(subjects):
    named = [one.config.split.group for one in subjects.values() if not isinstance(one, Predicted)]
    return next((group for group in named if group is not None), None)


def _codes(columns, group, rows):
    if group is None:
        return None
    if group not in columns:
        raise ValueError(
            f"table: must have the column {group!r}, whose values are drawn together, received {list(columns)[:20]}"
        )
    return group_codes(columns[group].to_numpy(), len(rows))


def _made(directory, split, first, codes, resamples, seed):
    drawn = "rows" if codes is None else f"groups, {codes.max() + 1:,}"
    records = {} if directory is None else {"records": str(directory), "split": split}
    return {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        **records,
        "rows": f"{len(first.rows):,}",
        "resamples": f"{resamples:,} of {drawn}, seed {seed}",
    }
