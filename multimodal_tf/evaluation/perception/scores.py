"""Scores of strangeness from what a model says of a row, and figures of how well they tell rows apart."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from multimodal_tf.config import FUSED, FUSED_OF
from multimodal_tf.evaluation import calibration, novelty
from multimodal_tf.evaluation.groups import group_codes, weighted_figures
from multimodal_tf.evaluation.limits import mahalanobis
from multimodal_tf.evaluation.matched import Answers, vectors_there
from multimodal_tf.evaluation.page import Figure
from multimodal_tf.evaluation.perception.examined import Examined

MAHALANOBIS, NEAREST, ENERGY, SOFTMAX = "Mahalanobis distance", "nearest neighbours", "energy", "maximum softmax probability"
NEIGHBOURS = 10
AUROC, FPR = "AUROC", "FPR at 95 % TPR"


def fused_name(examined: Examined) -> str | None:
    """Which of the embeddings is the fused one that the head reads; None without any."""
    return next((name for name in (FUSED_OF + examined.head, FUSED) if name in examined.embeddings), None)


def classes_of(examined: Examined) -> np.ndarray | None:
    """The rows' classes as numbers, int `(rows,)`, -1 unknown; None for a head that does not choose one class."""
    return np.asarray(examined.labels).astype(int) if chooses(examined) else None


def chooses(examined: Examined) -> bool:
    """Whether the head chooses one class."""
    return examined.config.heads[examined.head].label == "class"


def energy(probabilities: ArrayLike) -> np.ndarray:
    """`novelty.energy` of logits whose mean over the classes is 0, float `(rows,)`, nats, from probabilities `(rows, classes)`.

    What all logits of a row have in common leaves no trace in probabilities, and no gradient of cross-entropy moves it.

    Example:
        >>> energy([[0.5, 0.5], [0.9, 0.1]]).round(4)
        array([-0.6931, -1.204 ])
    """
    logits = np.log(np.maximum(np.asarray(probabilities, dtype=float), calibration.LEAST))
    return novelty.energy(logits - logits.mean(axis=1, keepdims=True))


def novelty_scores(examined: Examined) -> dict[str, Callable[[Answers, dict[str, np.ndarray]], np.ndarray]]:
    """What can be computed of this model: functions of answers and embeddings, float `(rows,)`, higher where stranger.

    Distances are fitted on the fused embedding of `examined.train`, by class where the head chooses one; without a training split, or
    without embeddings, there are none. Without a head that chooses one class there is neither energy nor maximum softmax probability.
    """
    found: dict[str, Callable] = {}
    for name, score in fitted(examined, fused_name(examined)).items():
        found[name] = lambda answers, embeddings, score=score: score(embeddings[fused_name(examined)])
    if chooses(examined):
        found[ENERGY] = lambda answers, embeddings: energy(answers[examined.head])
        found[SOFTMAX] = lambda answers, embeddings: novelty.maximum_softmax(answers[examined.head])
    return found


def fitted(examined: Examined, name: str | None) -> dict:
    """`novelty.Mahalanobis` and `novelty.NearestNeighbour` by name, on an embedding of the training rows that have any input (of an input's
    own: that have it); empty where that cannot be had."""
    train = examined.train
    if train is None or name is None or name not in train.embeddings:
        return {}
    there = vectors_there(train.present, examined.config).get(name, train.present.any(axis=1))
    vectors, classes = train.embeddings[name][there], classes_of(train)
    if len(vectors) < 2:
        return {}
    found: dict = {NEAREST: novelty.NearestNeighbour.fit(vectors, k=min(NEIGHBOURS, len(vectors)))}
    try:
        found = {MAHALANOBIS: mahalanobis(vectors, None if classes is None else classes[there])} | found
    except ValueError:  # all rows are equal, of a dead tower
        return found
    return found


def apart(clean: np.ndarray, other: np.ndarray, groups, resamples: int, seed: int) -> tuple[Figure, Figure]:
    """AUROC and FPR at 95 % TPR of scores of rows and of what became of these very rows, with intervals over groups.

    Args:
        clean, other: float `(rows,)`, higher where stranger.
        groups: `(rows,)`, or None.
        resamples, seed: as in `novelty.separation`.
    """
    if not len(clean):
        return tuple(Figure(None, 0, unit, reason="no row") for unit in (AUROC, FPR))  # type: ignore[return-value]
    codes = np.tile(group_codes(groups, len(clean)), 2)
    found = novelty.separation(clean, other, True, resamples, seed, codes).figures
    return _of(found["auroc"], len(clean), AUROC), _of(found["fpr_at_95_tpr"], len(clean), FPR)


def in_words(figure: Figure) -> str:
    """A figure within a sentence that has named its unit."""
    return f"{figure.shown} {figure.interval}, n = {figure.n:,}"


def share(flags: np.ndarray, unit: str, groups, resamples: int, seed: int) -> Figure:
    """The share of rows that are True, with an interval over groups.

    Args:
        flags: bool `(rows,)`.
        unit: of the figure.
        groups, resamples, seed: as in `apart`.
    """
    if not len(flags):
        return Figure(None, 0, unit, reason="no row")
    codes = group_codes(groups, len(flags))
    found = weighted_figures(lambda weights: {"share": weights @ flags / weights.sum()}, codes, resamples, seed)
    return _of(found["share"], len(flags), unit)


def _of(figure, n, unit):
    low, high = figure.low, figure.high
    if figure.value is not None and low is not None:
        # A resample meets a row beside what became of it more often than the rows do, by 1 / n: the interval may miss a figure by that.
        low, high = min(low, figure.value), max(high, figure.value)
    return Figure(figure.value, n, unit, low, high, reason=figure.reason or "")
