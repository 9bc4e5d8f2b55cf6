"""Metrics of heads that choose one class: classification and ordinal heads."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn import metrics

from multimodal_tf.metrics import bootstrap, per_class
from multimodal_tf.metrics.bootstrap import Samples
from multimodal_tf.metrics.known_rows import known_groups, known_rows
from multimodal_tf.metrics.metric import (
    CLASS_METRICS,
    ONE_CLASS,
    HeadMetrics,
    mean_metrics,
    named_metrics,
)
from multimodal_tf.scoring import ranking


def classification(
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str],
    known: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> HeadMetrics:
    """Metrics of a head that chooses one class: the most probable, of equal ones the first.

    `accuracy`, `balanced_accuracy` (mean recall of the classes that have rows), `precision_*`,
    `recall_*` and `f1_*` (macro, micro, weighted), `auroc` (one class against the rest, mean over
    the classes that have rows), `log_loss` (nats).

    Args:
        labels: int `(rows,)`, index in `classes`.
        probabilities: float `(rows, classes)`.
        classes: names of the classes.
        known: `(rows,)`, 0 where the label is unknown. None: all are known.
        resamples: int. Bootstrap resamples; 0: no intervals.
        seed: int. The same seed gives the same intervals.
        groups: `(rows,)` of any type: rows of one value depend on each other, and resamples draw
            whole groups. None: independent rows.

    Returns:
        `HeadMetrics`; without known rows all metrics are None.

    Raises:
        ValueError: there is no class, the shapes disagree, a label is outside `classes`, or a
            probability is NaN.

    Example:
        >>> rows = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]
        >>> head = classification([0, 1, 1], rows, ["cat", "dog"], resamples=0)
        >>> round(head.metrics["accuracy"].value, 3), head.confusion
        (0.667, [[1, 0], [1, 1]])
    """
    targets, scores = known_rows(labels, (), probabilities, (len(classes),), known)
    truth, size = targets.astype(int), len(classes)
    if len(truth) and not 0 <= truth.min() <= truth.max() < size:
        raise ValueError(
            f"a label must be an index from 0 to {size - 1}, "
            f"received {truth.min()} to {truth.max()}"
        )
    predicted = scores.argmax(axis=1)
    counts = bootstrap.class_counts(truth, predicted, size, np.arange(len(truth)))
    codes = known_groups(groups, known, len(np.asarray(labels)))
    samples = class_samples(truth, scores, resamples, seed, codes)
    values = _values(truth, scores)
    return HeadMetrics(
        type="classification",
        n=len(truth),
        metrics=named_metrics(CLASS_METRICS, len(truth), values, samples, ONE_CLASS),
        classes=per_class.class_metrics(classes, counts),
        confusion=_confusion(truth, predicted, size),
    )


def class_samples(
    truth: np.ndarray,
    scores: np.ndarray,
    resamples: int,
    seed: int,
    groups: np.ndarray | None = None,
) -> Samples:
    """The metrics of `classification` on resamples of known rows, by name.

    Args:
        truth: int `(rows,)`.
        scores: float `(rows, classes)`.
        resamples, seed, groups: as in `bootstrap.resample`.
    """
    predicted, one_hot = scores.argmax(axis=1), truth[:, None] == np.arange(scores.shape[1])
    means = bootstrap.row_means(
        {
            "accuracy": truth == predicted,
            "log_loss": -np.log(per_class.clipped(scores[one_hot])),
        }
    )

    def statistic(index: np.ndarray) -> dict[str, float]:
        hits, actual, chosen = bootstrap.class_counts(truth, predicted, scores.shape[1], index)
        balanced = bootstrap.mean(bootstrap.ratio(hits, actual)[actual > 0])
        return {
            "balanced_accuracy": balanced,
            **bootstrap.averaged(hits, actual, chosen),
            **means(index),
        }

    samples = bootstrap.resample(statistic, len(truth), resamples, seed, groups)
    return samples | per_class.auroc_samples(one_hot, scores, resamples, seed, groups)


def ordinal(
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str],
    known: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> HeadMetrics:
    """Metrics of a head that chooses one of several ordered classes.

    Those of `classification`, and `rank_mae`: the mean number of steps between the predicted class
    and the right one.

    Args, returns, raises: as `classification`, with `classes` in their order.

    Example:
        >>> rows = [[0.1, 0.2, 0.7], [0.1, 0.2, 0.7]]
        >>> head = ordinal([0, 2], rows, ["S", "M", "L"], resamples=0)
        >>> head.metrics["accuracy"].value, head.metrics["rank_mae"].value
        (0.5, 1.0)
    """
    head = classification(labels, probabilities, classes, known, resamples, seed, groups)
    truth, scores = known_rows(labels, (), probabilities, (len(classes),), known)
    codes = known_groups(groups, known, len(np.asarray(labels)))
    ranks = mean_metrics(rank_errors(truth, scores), resamples, seed, codes)
    return head.model_copy(update={"type": "ordinal", "metrics": head.metrics | ranks})


def rank_errors(truth: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
    """By metric, the errors whose mean `ordinal` adds, float `(rows,)`."""
    return {"rank_mae": np.abs(scores.argmax(axis=1) - truth)}


def _values(truth: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    if not len(truth):
        return {}
    predicted, one_hot = scores.argmax(axis=1), truth[:, None] == np.arange(scores.shape[1])
    present = np.unique(truth)
    return {
        "accuracy": metrics.accuracy_score(truth, predicted),
        "auroc": ranking.mean(ranking.auroc, one_hot, scores),
        "log_loss": float(-np.log(per_class.clipped(scores[one_hot])).mean()),
        "balanced_accuracy": metrics.recall_score(
            truth, predicted, labels=present, average="macro", zero_division=0
        ),
    } | per_class.averages(truth, predicted, np.union1d(truth, predicted))


def _confusion(truth: np.ndarray, predicted: np.ndarray, size: int) -> list[list[int]]:
    # scikit-learn refuses an empty array
    if not len(truth):
        return [[0] * size for _ in range(size)]
    found: list[list[int]] = metrics.confusion_matrix(
        truth, predicted, labels=np.arange(size)
    ).tolist()
    return found
