"""The score of a prediction, one number per row, as contributions and robustness measure it."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from multimodal_tf.config import Config
from multimodal_tf.config.heads import labelled
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.metrics.average_precision_rows import average_precision_rows
from multimodal_tf.metrics.metric import ONE_SIDED, Metric
from multimodal_tf.metrics.per_class import clipped, two_sided

ACCURACY, PRECISION, ERROR = "accuracy", "average precision", "negative absolute error"
# of a split whose rows tell no label from another
UNDEFINED = f"Average precision is not defined: {ONE_SIDED}."
_UNITS = {"class": ACCURACY, "classes": PRECISION, "number": ERROR}


def unit_of(config: Config, head: str) -> str:
    """What the mean of `values` measures.

    Accuracy, the macro average precision, or the negative absolute error in the label's unit.

    Raises:
        ValueError: the head has no label to compare its predictions with.
    """
    target_type = config.heads[head].target_type
    if target_type not in _UNITS:
        raise ValueError(
            f"head {head!r}: a head of type {config.heads[head].type} has no label to compare "
            f"with: choose one of {list(labelled(config.heads))}"
        )
    return _UNITS[target_type]


def values(eval_split: EvalSplit, predictions: Mapping[str, np.ndarray]) -> np.ndarray:
    """The score of each prediction, float `(rows,)`, higher is better.

    A hit (1 or 0) for a head that chooses one class; for a multi-label head a pseudo-value of the
    macro average precision of the known rows, which is what ranks labels whatever the threshold,
    NaN in all rows where it is not defined (`is_defined`); for numbers the negative absolute error,
    of a quantile head that of the quantile nearest to the median. Only the rows of
    `eval_split.known` have a meaning.

    Args:
        eval_split: the rows and their labels.
        predictions: by head, as `EvalSplit.predictions`.
    """
    outputs, unit = predictions[eval_split.head], _unit(eval_split)
    labels = np.asarray(eval_split.labels)
    if unit == ACCURACY:
        return np.asarray(outputs.argmax(axis=1) == labels).astype(float)
    if unit == PRECISION:
        known, found = np.asarray(eval_split.known, bool), np.zeros(len(outputs))
        if not is_defined(eval_split):
            return np.full(len(outputs), np.nan)
        found[known] = average_precision_rows(labels[known] > 0, outputs[known])
        return found
    return -_errors(eval_split, outputs)


def is_defined(eval_split: EvalSplit) -> bool:
    """Whether the labels of the known rows define the score that `values` gives.

    An average precision needs a label that some of these rows bear and others do not.
    """
    if _unit(eval_split) != PRECISION:
        return True
    known = np.asarray(eval_split.known, bool)
    return bool(two_sided(np.asarray(eval_split.labels)[known] > 0))


def with_unit(metric: Metric, unit: str) -> Metric:
    """A mean of `values` with its unit; the interval of a share ends at 0 and 1."""
    if unit == ERROR or metric.low is None or metric.high is None:
        return dataclasses.replace(metric, unit=unit)
    low, high = (min(max(bound, 0.0), 1.0) for bound in (metric.low, metric.high))
    return dataclasses.replace(metric, unit=unit, low=low, high=high)


def losses(eval_split: EvalSplit, predictions: Mapping[str, np.ndarray]) -> np.ndarray:
    """How wrong each prediction is, float `(rows,)`, 0 or more.

    The log loss in nats of a head of classes or labels (the mean over labels), the absolute error
    of numbers. Only the rows of `eval_split.known` have a meaning.

    Args:
        eval_split, predictions: as of `values`.
    """
    outputs, unit = predictions[eval_split.head], _unit(eval_split)
    labels = np.asarray(eval_split.labels)
    if unit == ACCURACY:
        # an unknown label is -1
        chances = outputs[np.arange(len(outputs)), np.maximum(labels, 0)]
        return np.asarray(-np.log(np.maximum(chances, np.finfo(np.float32).tiny)))
    if unit == PRECISION:
        chances = np.where(labels > 0, outputs, 1 - outputs)
        return np.asarray(-np.log(clipped(chances)).mean(axis=1))
    return _errors(eval_split, outputs)


def right(eval_split: EvalSplit) -> np.ndarray | None:
    """Whether each prediction is right, in all its labels; None for a head of numbers."""
    outputs, unit = eval_split.predictions[eval_split.head], _unit(eval_split)
    labels = np.asarray(eval_split.labels)
    if unit == ACCURACY:
        return np.asarray(outputs.argmax(axis=1) == labels)
    if unit == PRECISION:
        return np.asarray(((outputs >= eval_split.thresholds) == (labels > 0)).all(axis=1))
    return None


def _unit(eval_split: EvalSplit) -> str:
    return unit_of(eval_split.config, eval_split.head)


def _errors(eval_split: EvalSplit, outputs: np.ndarray) -> np.ndarray:
    point = outputs[:, eval_split.config.heads[eval_split.head].point_index]
    return np.asarray(np.abs(point - np.asarray(eval_split.labels).reshape(len(outputs))))
