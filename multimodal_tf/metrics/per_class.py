"""Metrics per class and their averages, as classification and multi-label heads share them."""

from collections.abc import Sequence

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


def class_metrics(classes: Sequence[str], counts: np.ndarray) -> dict[str, ClassMetrics]:
    """Precision, recall and F1 by class, from `bootstrap.class_counts` or `label_counts`."""
    precision, recall, f1 = bootstrap.precision_recall_f1(*counts)
    return {
        name: ClassMetrics(
            n=int(counts[1][i]),
            precision=float(precision[i]),
            recall=float(recall[i]),
            f1=float(f1[i]),
        )
        for i, name in enumerate(classes)
    }


def two_sided(positive: np.ndarray) -> list[int]:
    """The columns of bool `(rows, labels)` that hold both True and False."""
    counts = positive.sum(axis=0)
    return [column for column, count in enumerate(counts) if 0 < count < len(positive)]


def auroc(positive: np.ndarray, scores: np.ndarray) -> float:
    """The area under the ROC curve, mean over the columns of both kinds; NaN where none is.

    Args:
        positive: bool `(rows, labels)`.
        scores: float `(rows, labels)`.
    """
    areas = [
        metrics.roc_auc_score(positive[:, column], scores[:, column])
        for column in two_sided(positive)
    ]
    return float(np.mean(areas)) if areas else np.nan


def auroc_samples(
    positive: np.ndarray,
    scores: np.ndarray,
    resamples: int,
    seed: int,
    groups: np.ndarray | None,
) -> Samples:
    """`auroc` on resamples, fewer where there are many labels."""
    affordable = max(100, AUROC_WORK // positive.shape[1])
    statistic = bootstrap.auroc(positive, scores)
    return bootstrap.resample(statistic, len(positive), min(resamples, affordable), seed, groups)
