"""How good an answer is, as a number a row: what shares of inputs and the damage of corruptions are measured in."""

import numpy as np

from multimodal_tf.config import Config
from multimodal_tf.evaluation.metrics import THRESHOLD
from multimodal_tf.evaluation.perception.examined import Examined

ACCURACY, LABELS, ERROR = "accuracy", "share of labels right", "negative absolute error"


def unit_of(config: Config, head: str) -> str:
    """What the mean of `values` is: accuracy, the share of labels that are right, or the negative absolute error in the label's unit.

    Raises:
        ValueError: the head has no label, so there is nothing to compare its answers with.
    """
    kind = config.heads[head]
    if kind.label is None:
        raise ValueError(f"head {head!r}: a head of type {kind.type} has no label to compare with: choose one of {labelled_heads(config)}")
    return {"class": ACCURACY, "classes": LABELS}.get(kind.label, ERROR)


def labelled_heads(config: Config) -> list[str]:
    """The heads that a report can be about."""
    return [name for name, head in config.heads.items() if head.label is not None]


def values(examined: Examined, answers: dict[str, np.ndarray]) -> np.ndarray:
    """How good each answer is, float `(rows,)`, higher is better; only those of `examined.known` rows mean anything.

    A hit (1 or 0) for a head that chooses one class; for a multi-label head the share of its labels that are right; for numbers the
    negative absolute error, of a quantile head that of its middle quantile.
    """
    answer, unit = answers[examined.head], unit_of(examined.config, examined.head)
    if unit == ACCURACY:
        return (answer.argmax(axis=1) == examined.labels).astype(float)
    if unit == LABELS:
        return ((answer >= THRESHOLD) == (examined.labels >= THRESHOLD)).mean(axis=1)
    middle = getattr(examined.config.heads[examined.head], "middle", 0)
    return -np.abs(answer[:, middle] - np.asarray(examined.labels).reshape(len(answer)))
