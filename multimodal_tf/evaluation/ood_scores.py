"""Out-of-distribution scores of a model's rows, and metrics of how well they separate rows."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from multimodal_tf.config import FUSED, FUSED_OF
from multimodal_tf.evaluation import ood
from multimodal_tf.evaluation.agreement import vectors_present
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.fit_guard import fit_labelled
from multimodal_tf.evaluation.predictor import Arrays
from multimodal_tf.metrics.clustered import group_codes, weighted_metrics
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.scoring.ood import Energy, MaximumSoftmax, Score, score_input

MAHALANOBIS, NEAREST, ENERGY, SOFTMAX = (
    "Mahalanobis distance",
    "nearest neighbours",
    "energy",
    "maximum softmax probability",
)
NEIGHBOURS = 10
AUROC, FPR = "AUROC", "FPR at 95 % TPR"
NO_ROW = "no row"

# predictions by head and embeddings by name to scores, float `(rows,)`
Measure = Callable[[Arrays, Arrays], np.ndarray]


def fused_name(eval_split: EvalSplit) -> str | None:
    """Name of the fused embedding that the head reads; None without any."""
    names = (FUSED_OF + eval_split.head, FUSED)
    return next((name for name in names if name in eval_split.embeddings), None)


def class_indices(eval_split: EvalSplit) -> np.ndarray | None:
    """The rows' class indices, int `(rows,)`, -1 unknown.

    None for a head that does not choose one class.
    """
    return np.asarray(eval_split.labels).astype(int) if chooses_class(eval_split) else None


def chooses_class(eval_split: EvalSplit) -> bool:
    """Whether the head chooses one class."""
    return eval_split.config.heads[eval_split.head].target_type == "class"


def ood_scores_of(eval_split: EvalSplit) -> dict[str, Measure]:
    """The scores that can be computed for this model, higher for less likely rows.

    Distances are fitted on the fused embedding of `eval_split.train`, by class where the head
    chooses one. There are none without a training split or without embeddings. Energy and maximum
    softmax probability need a head that chooses one class.
    """
    found = fit_scores(eval_split, fused_name(eval_split))
    if chooses_class(eval_split):
        head = eval_split.head
        found |= {ENERGY: Energy(head), SOFTMAX: MaximumSoftmax(head)}
    return {name: functools.partial(_apply, score) for name, score in found.items()}


def fit_scores(eval_split: EvalSplit, name: str | None) -> dict[str, Score]:
    """Scores fitted on an embedding of training rows, by name; empty where none can be fitted.

    The training rows are those that have any input; for an input's own embedding, that input.
    """
    train = eval_split.train
    if train is None or name is None or name not in train.embeddings:
        return {}
    rows = vectors_present(train.present, eval_split.config).get(name, train.present.any(axis=1))
    vectors, classes = train.embeddings[name][rows], class_indices(train)
    if len(vectors) < 2:
        return {}
    found: dict[str, Score] = {}
    # it fails where all rows are equal, as with a dead tower
    with contextlib.suppress(ValueError):
        labels = None if classes is None else classes[rows]
        found[MAHALANOBIS] = fit_labelled(vectors, labels, name)
    k = min(NEIGHBOURS, len(vectors))
    return found | {NEAREST: ood.fit_nearest_neighbour(vectors, k, embedding=name)}


def paired_separation(
    clean: np.ndarray, other: np.ndarray, groups: np.ndarray | None, resamples: int, seed: int
) -> tuple[Metric, Metric]:
    """AUROC and FPR at 95 % TPR of scores of rows and of changed copies of the same rows.

    Args:
        clean, other: float `(rows,)`, higher for less likely rows.
        groups: `(rows,)`, or None. Intervals draw whole groups.
        resamples, seed: as in `ood.separation`.
    """
    n = len(clean)
    if not n:
        return Metric(None, 0, AUROC, reason=NO_ROW), Metric(None, 0, FPR, reason=NO_ROW)
    codes = np.tile(group_codes(groups, n), 2)
    found = ood.separation(clean, other, True, resamples, seed, codes).metrics
    return _of_rows(found["auroc"], n, AUROC), _of_rows(found["fpr_at_95_tpr"], n, FPR)


def share(
    flags: np.ndarray, unit: str, groups: np.ndarray | None, resamples: int, seed: int
) -> Metric:
    """The share of rows that are True.

    Args:
        flags: bool `(rows,)`.
        unit: of the metric.
        groups, resamples, seed: as in `paired_separation`.
    """
    n = len(flags)
    if not n:
        return Metric(None, 0, unit, reason=NO_ROW)

    def statistic(weights: np.ndarray) -> dict[str, float]:
        return {"share": weights @ flags / weights.sum()}

    found = weighted_metrics(statistic, group_codes(groups, n), resamples, seed)
    return _of_rows(found["share"], n, unit)


def _apply(score: Score, predictions: Arrays, embeddings: Arrays) -> np.ndarray:
    return np.asarray(score(score_input(score, predictions, embeddings)))


def _of_rows(metric: Metric, n: int, unit: str) -> Metric:
    low, high = metric.low, metric.high
    if metric.value is not None and low is not None and high is not None:
        # A resample meets a row beside its changed copy more often than the rows do, by 1 / n: the
        # interval may miss the value by that.
        low, high = min(low, metric.value), max(high, metric.value)
    return dataclasses.replace(metric, n=n, unit=unit, low=low, high=high)
