"""Scores of strangeness from what a model says of a row, and figures of how well they tell rows
apart.
"""

import contextlib
import functools
from collections.abc import Callable

import numpy as np

from multimodal_tf.config import FUSED, FUSED_OF
from multimodal_tf.evaluation import ood
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.fit_guard import fit_labelled
from multimodal_tf.evaluation.matching import Arrays, vectors_present
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


def fused_name(eval_split: EvalSplit) -> str | None:
    """Which of the embeddings is the fused one that the head reads; None without any."""
    return next(
        (name for name in (FUSED_OF + eval_split.head, FUSED) if name in eval_split.embeddings),
        None,
    )


def classes_of(eval_split: EvalSplit) -> np.ndarray | None:
    """The rows' classes as numbers, int `(rows,)`, -1 unknown; None for a head that does not choose
    one class.
    """
    return np.asarray(eval_split.labels).astype(int) if chooses(eval_split) else None


def chooses(eval_split: EvalSplit) -> bool:
    """Whether the head chooses one class."""
    return eval_split.config.heads[eval_split.head].target_type == "class"


def ood_scores_of(
    eval_split: EvalSplit,
) -> dict[str, Callable[[Arrays, Arrays], np.ndarray]]:
    """What can be computed of this model: functions of answers and embeddings, float `(rows,)`,
    higher where stranger.

    Distances are fitted on the fused embedding of `eval_split.train`, by class where the head
    chooses one; without a training split, or without embeddings, there are none. Without a head
    that chooses one class there is neither energy nor maximum softmax probability.
    """
    found = fitted(eval_split, fused_name(eval_split))
    if chooses(eval_split):
        head = eval_split.head
        found |= {ENERGY: Energy(head), SOFTMAX: MaximumSoftmax(head)}
    return {name: functools.partial(_apply, score) for name, score in found.items()}


def fitted(eval_split: EvalSplit, name: str | None) -> dict[str, Score]:
    """Scores fitted on an embedding of training rows, by name; empty where none can be fitted.

    The training rows are those that have any input; for an input's own embedding, that input.
    """
    train = eval_split.train
    if train is None or name is None or name not in train.embeddings:
        return {}
    rows = vectors_present(train.present, eval_split.config).get(name, train.present.any(axis=1))
    vectors, classes = train.embeddings[name][rows], classes_of(train)
    if len(vectors) < 2:
        return {}
    found: dict[str, Score] = {}
    # it fails where all rows are equal, as with a dead tower
    with contextlib.suppress(ValueError):
        labels = None if classes is None else classes[rows]
        found[MAHALANOBIS] = fit_labelled(vectors, labels, name)
    k = min(NEIGHBOURS, len(vectors))
    return found | {NEAREST: ood.fit_nearest_neighbour(vectors, k, embedding=name)}


def _apply(score: Score, predictions: Arrays, embeddings: Arrays) -> np.ndarray:
    return np.asarray(score(score_input(score, predictions, embeddings)))


def apart(
    clean: np.ndarray, other: np.ndarray, groups, resamples: int, seed: int
) -> tuple[Metric, Metric]:
    """AUROC and FPR at 95 % TPR of scores of rows and of what became of these very rows, with
    intervals over groups.

    Args:
        clean, other: float `(rows,)`, higher where stranger.
        groups: `(rows,)`, or None.
        resamples, seed: as in `novelty.separation`.
    """
    if not len(clean):
        return tuple(Metric(None, 0, unit, reason="no row") for unit in (AUROC, FPR))  # type: ignore[return-value]
    codes = np.tile(group_codes(groups, len(clean)), 2)
    found = ood.separation(clean, other, True, resamples, seed, codes).metrics
    return _of(found["auroc"], len(clean), AUROC), _of(found["fpr_at_95_tpr"], len(clean), FPR)


def in_words(figure: Metric) -> str:
    """A figure within a sentence that has named its unit."""
    return f"{figure.shown} {figure.interval}, n = {figure.n:,}"


def share(flags: np.ndarray, unit: str, groups, resamples: int, seed: int) -> Metric:
    """The share of rows that are True, with an interval over groups.

    Args:
        flags: bool `(rows,)`.
        unit: of the figure.
        groups, resamples, seed: as in `apart`.
    """
    if not len(flags):
        return Metric(None, 0, unit, reason="no row")
    codes = group_codes(groups, len(flags))
    found = weighted_metrics(
        lambda weights: {"share": weights @ flags / weights.sum()}, codes, resamples, seed
    )
    return _of(found["share"], len(flags), unit)


def _of(figure, n, unit):
    low, high = figure.low, figure.high
    if figure.value is not None and low is not None:
        # A resample meets a row beside what became of it more often than the rows do, by 1 / n: the
        # interval may miss a figure by that.
        low, high = min(low, figure.value), max(high, figure.value)
    return Metric(figure.value, n, unit, low, high, reason=figure.reason)
