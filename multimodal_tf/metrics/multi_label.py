"""Metrics of heads that choose any number of labels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn import metrics

from multimodal_tf.metrics import bootstrap, per_class
from multimodal_tf.metrics.bootstrap import Samples
from multimodal_tf.metrics.known_rows import known_groups, known_rows
from multimodal_tf.metrics.metric import (
    CLASS_METRICS,
    ONE_SIDED,
    RANKED,
    HeadMetrics,
    named_metrics,
)
from multimodal_tf.scoring import ranking

METRICS = (*RANKED, "exact_match", *CLASS_METRICS)
# a label is predicted from this probability on, where the head has no other threshold
THRESHOLD = 0.5


def multi_label(
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str],
    known: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
    threshold: ArrayLike = THRESHOLD,
) -> HeadMetrics:
    """Metrics of a head that chooses any number of labels: those of a probability >= `threshold`.

    `average_precision_macro` (mean over the labels that have both kinds of rows),
    `average_precision_micro` (over all decisions together), `exact_match` (rows whose labels are
    all right), `accuracy` (right decisions, one per row and label), `balanced_accuracy` (mean of
    recall and specificity, over the labels that have both kinds of rows), `precision_*`, `recall_*`
    and `f1_*` (macro, micro, weighted), `auroc` (mean over the same labels), `log_loss` (nats per
    decision).

    Args:
        labels: 0 or 1, `(rows, classes)`.
        probabilities: float `(rows, classes)`.
        classes: names of the labels.
        known, resamples, seed, groups: as in `classification`.
        threshold: float, of all labels, `(classes,)`, or `(rows, classes)`.

    Returns:
        `HeadMetrics`; without known rows all metrics are None. A label's own metrics are None
        where no row bears it; its `auroc` and `average_precision` where all rows bear it, too.

    Raises:
        ValueError: there is no label, the shapes disagree, or a probability is NaN.

    Example:
        >>> rows = [[0.9, 0.1], [0.2, 0.8]]
        >>> head = multi_label([[1, 0], [1, 1]], rows, ["red", "round"], resamples=0)
        >>> [head.metrics[name].value for name in ("accuracy", "exact_match", "recall_micro")]
        [0.75, 0.5, 0.6666666666666666]
        >>> head = multi_label([[1, 0], [1, 1]], rows, ["red", "round"], threshold=[0.2, 0.5])
        >>> head.metrics["exact_match"].value, head.classes["round"].average_precision
        (1.0, 1.0)
    """
    shape = (len(classes),)
    targets, scores = known_rows(labels, shape, probabilities, shape, known)
    truth = targets > 0
    predicted = scores >= _of_known_rows(threshold, known, shape)
    counts = bootstrap.label_counts(truth, predicted, np.arange(len(truth)))
    codes = known_groups(groups, known, len(np.asarray(labels)))
    samples = label_samples(truth, scores, predicted, resamples, seed, codes)
    values = _values(truth, scores, predicted, np.flatnonzero(counts[1] + counts[2]))
    return HeadMetrics(
        type="multi_label",
        n=len(truth),
        metrics=named_metrics(METRICS, len(truth), values, samples, ONE_SIDED),
        classes=per_class.class_metrics(classes, counts, _ranked(truth, scores)),
        confusion=_confusion(truth, predicted),
    )


def _ranked(truth: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
    """How well each label's rows are told from the others."""
    return {
        "auroc": ranking.by_class(ranking.auroc, truth, scores),
        "average_precision": ranking.by_class(ranking.average_precision, truth, scores),
    }


def label_samples(
    truth: np.ndarray,
    scores: np.ndarray,
    predicted: np.ndarray,
    resamples: int,
    seed: int,
    groups: np.ndarray | None = None,
) -> Samples:
    """The metrics of `multi_label` on resamples of known rows, by name.

    Args:
        truth: bool `(rows, classes)`.
        scores: float `(rows, classes)`.
        predicted: bool `(rows, classes)`.
        resamples, seed, groups: as in `bootstrap.resample`.
    """
    means = bootstrap.row_means(_row_scores(truth, scores, predicted))

    def statistic(index: np.ndarray) -> dict[str, float]:
        counts = bootstrap.label_counts(truth, predicted, index)
        return {
            "balanced_accuracy": bootstrap.balanced_accuracy(counts, len(index)),
            **bootstrap.averaged(*counts),
            **means(index),
        }

    samples = bootstrap.resample(statistic, len(truth), resamples, seed, groups)
    samples |= per_class.auroc_samples(truth, scores, resamples, seed, groups)
    return samples | per_class.precision_samples(truth, scores, resamples, seed, groups)


def _of_known_rows(
    threshold: ArrayLike, known: ArrayLike | None, shape: tuple[int, ...]
) -> np.ndarray:
    """The threshold of each label, and of each known row where rows have their own."""
    given = np.asarray(threshold, dtype=float)
    if given.shape not in ((), shape) and given.shape[1:] != shape:
        raise ValueError(
            f"threshold must be a number or have the shape {shape}, received {given.shape}"
        )
    return given if given.ndim < 2 or known is None else given[np.asarray(known) > 0]


def _row_scores(
    truth: np.ndarray, scores: np.ndarray, predicted: np.ndarray
) -> dict[str, np.ndarray]:
    right = truth == predicted
    losses = -np.log(per_class.clipped(np.where(truth, scores, 1 - scores)))
    return {
        "exact_match": right.all(axis=1),
        "accuracy": right.mean(axis=1),
        "log_loss": losses.mean(axis=1),
    }


def _values(
    truth: np.ndarray, scores: np.ndarray, predicted: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    if not len(truth):
        return {}
    rows = _row_scores(truth, scores, predicted)
    return (
        {name: float(of_rows.mean()) for name, of_rows in rows.items()}
        | {
            "average_precision_macro": ranking.mean(ranking.average_precision, truth, scores),
            "average_precision_micro": ranking.micro(ranking.average_precision, truth, scores),
            "balanced_accuracy": _balanced_accuracy(truth, predicted),
            "auroc": ranking.mean(ranking.auroc, truth, scores),
        }
        | per_class.averages(_wide(truth), _wide(predicted), labels)
    )


def _balanced_accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    found = [
        metrics.balanced_accuracy_score(truth[:, column], predicted[:, column])
        for column in per_class.two_sided(truth)
    ]
    return float(np.mean(found)) if found else np.nan


def _wide(flags: np.ndarray) -> np.ndarray:
    """With an empty label added: scikit-learn takes one column for a binary classification."""
    return np.pad(flags, ((0, 0), (0, 1)))


def _confusion(truth: np.ndarray, predicted: np.ndarray) -> list[list[list[int]]]:
    # scikit-learn refuses an empty array
    if not len(truth):
        return [[[0, 0], [0, 0]] for _ in range(truth.shape[1])]
    matrices = metrics.multilabel_confusion_matrix(_wide(truth), _wide(predicted))
    found: list[list[list[int]]] = matrices[:-1].tolist()
    return found
