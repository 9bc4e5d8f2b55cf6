"""Compares several runs on the same rows of a split."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from multimodal_tf.config import Head, labelled
from multimodal_tf.data.ingest.record_settings import check_records
from multimodal_tf.data.pipeline import load_raw
from multimodal_tf.data.predictions import HeadPredictions, Predicted
from multimodal_tf.data.table import Table
from multimodal_tf.data.targets import Targets
from multimodal_tf.evaluation.eval_split import columns_of
from multimodal_tf.evaluation.paired import HeadComparison, compare_head
from multimodal_tf.evaluation.predictor import BATCH, Model, Predictor, predictor_of
from multimodal_tf.metrics.clustered import group_codes
from multimodal_tf.schema import thresholds

# a run, a Keras model, the folder of a SavedModel, or predictions as plain arrays
Run: TypeAlias = Model | Predicted
SourceTable: TypeAlias = Table


@dataclasses.dataclass(frozen=True)
class RunComparison:
    """Several runs on the same rows.

    Args:
        heads: `HeadComparison` by head.
        rows: int `(rows,)`, numbers of the rows in the table.
        predictions: by run.
        columns: the table's columns for these rows; None without the table.
        groups: number of groups that were drawn as a whole; None: rows were drawn.
        ungrouped: the column that should have been drawn as a whole, if the table is missing.
    """

    heads: dict[str, HeadComparison]
    rows: np.ndarray
    predictions: dict[str, Predicted]
    columns: pd.DataFrame | None
    groups: int | None
    ungrouped: str | None


def compare_runs(
    runs: Mapping[str, Run],
    records: str | os.PathLike[str] | None,
    split: str = "test",
    table: Table | None = None,
    group: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> RunComparison:
    """Compares all metrics of all heads of several runs, without writing a page.

    Arguments and errors are those of `report.compare.compare`.
    """
    if len(runs) < 2:
        raise ValueError(f"a comparison needs two runs or more, received {list(runs) or 'none'}")
    if resamples < 0:
        raise ValueError(f"resamples must be 0 or more, received {resamples}")
    if group is not None and table is None:
        raise ValueError(
            "group needs the table that was ingested, since records do not hold its columns, "
            f"received {group!r} without it"
        )
    opened = {
        name: run if isinstance(run, Predicted) else predictor_of(run) for name, run in runs.items()
    }
    _check_heads({name: _head_facts(one) for name, one in opened.items()})
    _check_records(opened, records)
    predictions = {
        name: one if isinstance(one, Predicted) else predict_split(one, records or "", split)
        for name, one in opened.items()
    }
    _check_rows(predictions)
    first = next(iter(predictions.values()))
    columns, group = _columns(table, first.rows), group or _configured_group(opened)
    codes = None if columns is None else _codes(columns, group, first.rows)
    return RunComparison(
        _compared_heads(predictions, codes, resamples, seed),
        first.rows,
        predictions,
        columns,
        None if codes is None else int(codes.max()) + 1,
        group if codes is None else None,
    )


def predict_split(
    predictor: Predictor, records: str | os.PathLike[str], split: str = "test"
) -> Predicted:
    """The predictions of a model on the rows of a split, for heads that have a label.

    Args:
        predictor: `predictor_of` a run or a SavedModel.
        records: folder of the ingested records.
        split: "train", "validation" or "test".

    Raises:
        ValueError: the split has no rows, or a prediction is NaN.
    """
    config, schema = predictor.config, predictor.schema
    targets, rows, batches = Targets(config, schema, is_centred=False), [], []
    for numbers, cells, labels in load_raw(config, records, split, BATCH):
        predictions = predictor.predict({name: cell.numpy() for name, cell in cells.items()})
        wanted, weights = targets(labels)
        rows.append(numbers.numpy())
        batches.append(
            {
                name: (wanted[name].numpy(), weights[name].numpy() > 0, predictions[name])
                for name in labelled(config.heads)
            }
        )
    heads = {}
    for name, head in labelled(config.heads).items():
        of_head = zip(*(batch[name] for batch in batches))
        truth, known, outputs = (np.concatenate(column) for column in of_head)
        classes = tuple(getattr(schema.heads[name], "names", ()))
        least = thresholds(name, head, schema.heads[name])
        heads[name] = HeadPredictions(
            head, classes, truth, known, outputs, np.array(least) if least else None
        )
    return Predicted(np.concatenate(rows), heads)


def _compared_heads(
    predictions: Mapping[str, Predicted], codes: np.ndarray | None, resamples: int, seed: int
) -> dict[str, HeadComparison]:
    heads = {}
    for head in next(iter(predictions.values())).heads:
        of_head = {name: one.heads[head] for name, one in predictions.items()}
        try:
            heads[head] = compare_head(of_head, codes, resamples, seed)
        except ValueError as error:
            raise ValueError(f"head {head!r}: {error}") from error
    return heads


def _head_facts(run: Predictor | Predicted) -> dict[str, dict[str, Any]]:
    """By head, what makes predictions comparable: its type, and its classes or quantiles."""
    if isinstance(run, Predicted):
        return {name: _facts(one.head, one.classes) for name, one in run.heads.items()}
    return {
        name: _facts(head, getattr(run.schema.heads[name], "names", ()))
        for name, head in labelled(run.config.heads).items()
    }


def _facts(head: Head, classes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "type": head.type,
        "classes": list(classes),
        "quantiles": getattr(head, "quantiles", None),
    }


def _check_heads(facts: Mapping[str, dict[str, dict[str, Any]]]) -> None:
    (first, expected), *others = facts.items()
    if not expected:
        raise ValueError(
            f"a comparison needs a head with a label, received {first!r} without one: compare "
            "heads that learn without labels by cross-validate --against, or evaluate each run"
        )
    for name, heads in others:
        if heads.keys() != expected.keys():
            raise ValueError(
                f"runs must have the same heads, received {first!r} with {sorted(expected)} and "
                f"{name!r} with {sorted(heads)}"
            )
        for head, of_head in heads.items():
            for fact, value in of_head.items():
                if value != expected[head][fact]:
                    raise ValueError(
                        f"the head {head!r} must have the same {fact} in all runs, "
                        f"received {expected[head][fact]} in {first!r} and {value} in {name!r}"
                    )


def _check_records(
    runs: Mapping[str, Predictor | Predicted], records: str | os.PathLike[str] | None
) -> None:
    for name, one in runs.items():
        if isinstance(one, Predicted):
            continue
        if records is None:
            raise ValueError(
                f"records must be given where a run is a model, received none for {name!r}"
            )
        try:
            check_records(one.config, records)
        except ValueError as error:
            raise ValueError(f"run {name!r}: {error}") from error


def _check_rows(predictions: Mapping[str, Predicted]) -> None:
    (first, expected), *others = predictions.items()
    if not any(of_head.known.any() for of_head in expected.heads.values()):
        raise ValueError(
            f"a row or more must have a known label of {sorted(expected.heads)}, "
            f"received none in {len(expected.rows)} rows"
        )
    for name, one in others:
        if not np.array_equal(one.rows, expected.rows):
            raise ValueError(
                "runs must predict the same rows of one table, received "
                f"{len(expected.rows)} rows of {first!r} and {len(one.rows)} of {name!r}, "
                "which are not the same"
            )
        for head, of_head in one.heads.items():
            if not _same_labels(of_head, expected.heads[head]):
                raise ValueError(
                    f"runs must predict the same table, received other labels of {head!r} in "
                    f"{name!r} than in {first!r}"
                )


def _same_labels(one: HeadPredictions, other: HeadPredictions) -> bool:
    known = other.known
    return np.array_equal(one.known, known) and np.array_equal(
        one.targets[known], other.targets[known]
    )


def _columns(table: Table | None, rows: np.ndarray) -> pd.DataFrame | None:
    if table is None:
        return None
    length = sum(len(chunk) for chunk in table.chunks())
    if rows.max() >= length:
        raise ValueError(
            f"table: must be the one that was ingested, with a row {rows.max()}, "
            f"received {table.name} of {length} rows"
        )
    return columns_of(table, rows)


def _configured_group(runs: Mapping[str, Predictor | Predicted]) -> str | None:
    """The `split.group` of the first run that has one."""
    named = [one.config.split.group for one in runs.values() if isinstance(one, Predictor)]
    return next((group for group in named if group is not None), None)


def _codes(columns: pd.DataFrame, group: str | None, rows: np.ndarray) -> np.ndarray | None:
    if group is None:
        return None
    if group not in columns:
        raise ValueError(
            f"table: must have the column {group!r}, whose values are drawn as a whole, "
            f"received {list(columns)[:20]}"
        )
    return group_codes(columns[group].to_numpy(), len(rows))
