"""How good an answer is, as a number a row: what shares of inputs and the damage of corruptions are
measured in.
"""

import numpy as np

from multimodal_tf.config import Config
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.metrics.multi_label import THRESHOLD

ACCURACY, LABELS, ERROR = "accuracy", "share of labels right", "negative absolute error"


def unit_of(config: Config, head: str) -> str:
    """What the mean of `values` is: accuracy, the share of labels that are right, or the negative
    absolute error in the label's unit.

    Raises:
        ValueError: the head has no label, so there is nothing to compare its answers with.
    """
    kind = config.heads[head]
    if kind.target_type is None:
        raise ValueError(
            f"head {head!r}: a head of type {kind.type} has no label to compare with: choose one of {labelled_heads(config)}"
        )
    return {"class": ACCURACY, "classes": LABELS}.get(kind.target_type, ERROR)


def labelled_heads(config: Config) -> list[str]:
    """The heads that a report can be about."""
    return [name for name, head in config.heads.items() if head.target_type is not None]


def values(eval_split: EvalSplit, answers: dict[str, np.ndarray]) -> np.ndarray:
    """How good each answer is, float `(rows,)`, higher is better; only those of `eval_split.known`
    rows mean anything.

    A hit (1 or 0) for a head that chooses one class; for a multi-label head the share of its labels
    that are right; for numbers the negative absolute error, of a quantile head that of its middle
    quantile.
    """
    answer, unit = answers[eval_split.head], unit_of(eval_split.config, eval_split.head)
    if unit == ACCURACY:
        return (answer.argmax(axis=1) == eval_split.labels).astype(float)
    if unit == LABELS:
        return ((answer >= THRESHOLD) == (eval_split.labels >= THRESHOLD)).mean(axis=1)
    middle = getattr(eval_split.config.heads[eval_split.head], "point_index", 0)
    return -np.abs(answer[:, middle] - np.asarray(eval_split.labels).reshape(len(answer)))
