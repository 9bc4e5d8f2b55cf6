"""Metrics per class and their averages, as classification and multi-label heads share them."""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn import metrics

from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.bootstrap import Samples
from multimodal_tf.metrics.metric import AVERAGES, ClassMetrics

# resamples x classes: above 20 classes an AUROC's interval has fewer than 1000 resamples, but at
# least 100
AUROC_WORK = 20_000


def clipped(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities kept from 0 and 1 by the rounding of float32, so that logarithms are finite.

    scikit-learn does the same for float32.
    """
    rounding = np.finfo(np.float32).eps
    return np.asarray(np.clip(probabilities, rounding, 1 - rounding))


def averages(truth: np.ndarray, predicted: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    """Macro, micro and weighted averages of precision, recall and F1; NaN without a class.

    Args:
        truth, predicted: int `(rows,)`, or bool `(rows, labels)`.
        classes: int, the classes or labels that take part.
    """
    if not len(classes):
        return dict.fromkeys(AVERAGES, np.nan)
    values: dict[str, float] = {}
    for average in ("macro", "micro", "weighted"):
        found = metrics.precision_recall_fscore_support(
            truth, predicted, labels=classes, average=average, zero_division=0
        )
        names = ("precision", "recall", "f1")
        values |= {f"{name}_{average}": value for name, value in zip(names, found)}
    return values


def class_metrics(
    classes: Sequence[str], counts: np.ndarray, ranked: Mapping[str, np.ndarray] | None = None
) -> dict[str, ClassMetrics]:
    """Metrics by class; None for a class that no row bears.

    Args:
        classes: their names.
        counts: from `bootstrap.class_counts` or `label_counts`.
        ranked: float `(classes,)` by `auroc` and `average_precision`, NaN where not defined.
    """
    found = dict(zip(("precision", "recall", "f1"), bootstrap.precision_recall_f1(*counts)))
    columns = {**found, **(ranked or {})}
    return {
        name: ClassMetrics(
            n=int(counts[1][index]),
            **{
                metric: float(values[index])
                for metric, values in columns.items()
                if counts[1][index] and not np.isnan(values[index])
            },
        )
        for index, name in enumerate(classes)
    }


def two_sided(positive: np.ndarray) -> list[int]:
    """The columns of bool `(rows, labels)` that hold both True and False."""
    counts = positive.sum(axis=0)
    return [column for column, count in enumerate(counts) if 0 < count < len(positive)]


def auroc_samples(
    positive: np.ndarray,
    scores: np.ndarray,
    resamples: int,
    seed: int,
    groups: np.ndarray | None,
) -> Samples:
    """`auroc` on resamples, fewer where there are many labels."""
    statistic, affordable = bootstrap.auroc(positive, scores), affordable_resamples(positive)
    return bootstrap.resample(statistic, len(positive), min(resamples, affordable), seed, groups)


def precision_samples(
    positive: np.ndarray,
    scores: np.ndarray,
    resamples: int,
    seed: int,
    groups: np.ndarray | None,
) -> Samples:
    """`average_precision_macro` and `_micro` on resamples, fewer where there are many labels."""
    statistic = bootstrap.average_precision(positive, scores)
    affordable = affordable_resamples(positive)
    return bootstrap.resample(statistic, len(positive), min(resamples, affordable), seed, groups)


def affordable_resamples(positive: np.ndarray) -> int:
    """How often scores of bool `(rows, labels)` are ranked."""
    return max(100, AUROC_WORK // int(positive.shape[1]))
