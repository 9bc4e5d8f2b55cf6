"""The score of a prediction, one number per row, as contributions and robustness measure it."""

from collections.abc import Mapping

import numpy as np

from multimodal_tf.config import Config
from multimodal_tf.config.heads import labelled
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.metrics.multi_label import THRESHOLD

ACCURACY, LABELS, ERROR = "accuracy", "share of labels right", "negative absolute error"
_UNITS = {"class": ACCURACY, "classes": LABELS, "number": ERROR}


def unit_of(config: Config, head: str) -> str:
    """What the mean of `values` measures.

    Accuracy, the share of right labels, or the negative absolute error in the label's unit.

    Raises:
        ValueError: the head has no label to compare its predictions with.
    """
    target_type = config.heads[head].target_type
    if target_type is None:
        raise ValueError(
            f"head {head!r}: a head of type {config.heads[head].type} has no label to compare "
            f"with: choose one of {list(labelled(config.heads))}"
        )
    return _UNITS[target_type]


def values(eval_split: EvalSplit, predictions: Mapping[str, np.ndarray]) -> np.ndarray:
    """The score of each prediction, float `(rows,)`, higher is better.

    A hit (1 or 0) for a head that chooses one class; for a multi-label head the share of right
    labels; for numbers the negative absolute error, of a quantile head that of the quantile nearest
    to the median. Only the rows of `eval_split.known` have a meaning.

    Args:
        eval_split: the rows and their labels.
        predictions: by head, as `EvalSplit.predictions`.
    """
    outputs, unit = predictions[eval_split.head], unit_of(eval_split.config, eval_split.head)
    labels = np.asarray(eval_split.labels)
    if unit == ACCURACY:
        return np.asarray(outputs.argmax(axis=1) == labels).astype(float)
    if unit == LABELS:
        return np.asarray(((outputs >= THRESHOLD) == (labels >= THRESHOLD)).mean(axis=1))
    point = outputs[:, eval_split.config.heads[eval_split.head].point_index]
    return np.asarray(-np.abs(point - labels.reshape(len(outputs))))
