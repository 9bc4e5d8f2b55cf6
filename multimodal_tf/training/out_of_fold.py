"""Out-of-fold predictions: those of all folds' models, combined in the table's order."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal_tf.config import Config, labelled
from multimodal_tf.config.heads import LabelledHead, objectives
from multimodal_tf.data.predictions import HeadPredictions, ObjectivePredictions, OutOfFold
from multimodal_tf.schema import Schema

# the held-out rows of one fold: ROWS holds their numbers in the table, and for each head there are
# `{head}/targets`, `{head}/known` and `{head}/predictions`; without labels all rows are known
Arrays = Mapping[str, np.ndarray]
ROWS = "rows"
# and of a multi-label head `{head}/thresholds`, float `(classes,)`
THRESHOLDS = "thresholds"


def combine(
    config: Config, schemas: Sequence[Schema], held_out: Sequence[Arrays], folds: int
) -> OutOfFold:
    """Rows in the table's order, with one order of classes for all folds.

    Args:
        config: of the cross-validation.
        schemas: of each fold, repetition by repetition.
        held_out: the held-out rows of each fold, likewise.
        folds: number of folds in a repetition.
    """
    heads = {
        name: _combine_head(name, head, [one.heads[name] for one in schemas], held_out, folds)
        for name, head in labelled(config.heads).items()
    }
    without_labels = {
        name: tuple(
            ObjectivePredictions(
                head,
                *(
                    np.concatenate([arrays[f"{name}/{part}"] for arrays in held_out[chosen]])[order]
                    for part in ("targets", "predictions")
                ),
            )
            for chosen, order in _repetitions(held_out, folds)
        )
        for name, head in objectives(config.heads).items()
    }
    rows, fold = fold_of_rows(held_out, folds)
    return OutOfFold(rows, fold, heads, without_labels)


def fold_of_rows(held_out: Sequence[Arrays], folds: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows in the table's order, int64 `(rows,)`, and their folds, `(repeats, rows)`."""
    numbers = []
    for chosen, order in _repetitions(held_out, folds):
        sizes = [len(arrays[ROWS]) for arrays in held_out[chosen]]
        numbers.append(np.repeat(np.arange(folds), sizes)[order])
    rows = np.concatenate([arrays[ROWS] for arrays in held_out[:folds]])
    return np.sort(rows, kind="stable"), np.stack(numbers)


def _repetitions(held_out: Sequence[Arrays], folds: int) -> list[tuple[slice, np.ndarray]]:
    """For each repetition the slice of its folds, and the order that sorts their rows."""
    found = []
    for start in range(0, len(held_out), folds):
        chosen = slice(start, start + folds)
        rows = np.concatenate([arrays[ROWS] for arrays in held_out[chosen]])
        found.append((chosen, np.argsort(rows, kind="stable")))
    return found


def _combine_head(
    name: str, head: LabelledHead, stats: Sequence[Any], held_out: Sequence[Arrays], folds: int
) -> tuple[HeadPredictions, ...]:
    """The predictions of one head in each repetition.

    `stats` are the head's entries in the schemas of all folds.
    """
    classes, repeated = _classes(head, stats), []
    for chosen, order in _repetitions(held_out, folds):
        aligned = [
            _align(classes, head, own, arrays, name)
            for own, arrays in zip(stats[chosen], held_out[chosen])
        ]
        columns = [np.concatenate(column)[order] for column in zip(*aligned)]
        repeated.append(HeadPredictions(head, classes, *columns))
    return tuple(repeated)


def _classes(head: LabelledHead, stats: Sequence[Any]) -> tuple[str, ...]:
    """The classes that the training rows of any fold have, in the head's order."""
    if head.target_type == "number":
        return ()
    return tuple(head.class_order(set().union(*(one.names for one in stats))))


def _align(
    classes: tuple[str, ...], head: LabelledHead, stats: Any, arrays: Arrays, name: str
) -> tuple[np.ndarray, ...]:
    """A fold's targets, known rows and predictions, in terms of the classes of all folds.

    Classes that the fold's training rows do not have get probability 0. Of a multi-label head the
    last array holds each row's thresholds.
    """
    targets, known = arrays[f"{name}/targets"], arrays[f"{name}/known"]
    predictions = arrays[f"{name}/predictions"]
    if head.target_type == "number":
        return targets, known, predictions
    indices = np.array([classes.index(one) for one in stats.names])
    wide = np.zeros((len(predictions), len(classes)), np.float32)
    wide[:, indices] = predictions
    if head.target_type == "class":
        return indices[targets], known, wide
    labels = np.zeros_like(wide)
    labels[:, indices] = targets
    thresholds = np.ones(wide.shape)
    thresholds[:, indices] = arrays[f"{name}/{THRESHOLDS}"]
    return labels, known, wide, thresholds


def prediction_table(found: OutOfFold) -> pd.DataFrame:
    """A line for each row and repetition: true labels, empty if not known, and predictions."""
    tables = []
    for repeat, fold in enumerate(found.fold):
        columns = {"repeat": np.full(len(fold), repeat), "fold": fold, "row": found.rows}
        for name, repeated in found.heads.items():
            columns |= _columns(name, repeated[repeat])
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables)


def _columns(name: str, predicted: HeadPredictions) -> dict[str, np.ndarray]:
    """The columns of one head.

    A head `label` with one class per row has `true_label`, `label` and probabilities such as
    `label=cat`. A head with several has `true_label=cat` and `label=cat`. A head `price` with
    numbers has `true_price`, and `price` or quantiles such as `price@0.5`.
    """
    targets, known, classes = predicted.targets, predicted.known, predicted.classes
    outputs = predicted.head.output_columns(name, classes)
    if predicted.head.target_type == "class":
        names = np.array(classes, dtype=object)
        columns = {
            f"true_{name}": np.where(known, names[targets], None),
            name: names[predicted.predictions.argmax(axis=1)],
        }
    elif predicted.head.target_type == "classes":
        columns = {
            f"true_{column}": np.where(known, labels, np.nan)
            for column, labels in zip(outputs, targets.T)
        }
    else:
        columns = {f"true_{name}": np.where(known, targets, np.nan)}
    return columns | dict(zip(outputs, predicted.predictions.T))
