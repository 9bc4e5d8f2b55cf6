"""Calibration of probabilities: errors, temperature scaling, and selective prediction.

All functions take the rows that have a label, and no others. The predicted class is the most
probable, of equal ones the first; its probability is the row's confidence.
"""

import dataclasses

import numpy as np
import pydantic
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from multimodal_tf.metrics.bootstrap import LEVEL
from multimodal_tf.metrics.clustered import group_codes, share, weighted_metrics
from multimodal_tf.metrics.known_rows import known_rows
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.scoring.probabilities import check_probabilities, log_probabilities
from multimodal_tf.scoring.temperature import tempered

BINS = 15
# the range in which a temperature is sought
TEMPERATURES = (0.01, 100.0)
ALL_RIGHT = "every row is right: the log loss falls with the temperature without end"


class Bin(pydantic.BaseModel):
    """The `n` rows whose confidence is above `low`, up to `high`: mean confidence and accuracy.

    The interval of `accuracy` is that of `clustered.share`.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: Metric


class Calibration(pydantic.BaseModel):
    """Calibration metrics on `n` rows, and the bins of two reliability diagrams.

    Bins without rows are left out.
    """

    n: int
    metrics: dict[str, Metric]
    # of equal width
    bins: list[Bin]
    # of about equally many rows
    adaptive_bins: list[Bin]


class RiskCoverage(pydantic.BaseModel):
    """The risk-coverage curve: the risk of predicting only rows of a confidence of `threshold`.

    `coverage` is the share of these rows, and `risk` their mean loss, from the most confident rows
    to all. `aurc` is the area under this curve.
    """

    n: int
    aurc: Metric
    threshold: list[float]
    coverage: list[float]
    risk: list[float]


@dataclasses.dataclass(frozen=True)
class Temperature:
    """A temperature, fitted by `fit`: above 1 where the model is overconfident.

    Args:
        value: no unit; its interval is over the rows that it was fitted on.
        n: number of these rows.
        before, after: their log loss without and with the temperature, nats.
    """

    value: Metric
    n: int
    before: float
    after: float

    @classmethod
    def fit(cls, labels: ArrayLike, probabilities: ArrayLike) -> "Temperature":
        """The temperature with the least log loss on validation rows.

        The logarithms of probabilities serve as logits: they differ by one constant per row, which
        softmax removes. The interval is the normal one on the logarithm, with a variance that also
        holds where the model is misspecified.

        Args:
            labels: int `(rows,)`.
            probabilities: float `(rows, classes)`.

        Returns:
            `Temperature`. Where every row is right there is no best one: its value is then 1, and
            `reason` says why.

        Raises:
            ValueError: as `calibration`.

        Example:
            >>> fitted = Temperature.fit([0, 0, 0, 1], [[0.9, 0.1]] * 4)  # 2 = log(9) / log(3)
            >>> round(fitted.value.value, 6), fitted([[0.9, 0.1]]).round(6)
            (2.0, array([[0.75, 0.25]]))

        Source: Guo et al. 2017, arXiv:1706.04599, section 4.2; the variance: Huber 1967, «The
        behavior of maximum likelihood estimates under nonstandard conditions».
        """
        truth, checked = labelled_rows(labels, probabilities)
        logits, n = log_probabilities(checked).numpy(), len(truth)
        own = logits[np.arange(n), truth]

        def loss(log_temperature: float) -> float:
            factor = np.exp(-log_temperature)
            return float((special.logsumexp(logits * factor, axis=1) - own * factor).mean())

        before = loss(0.0)
        if (own == logits.max(axis=1)).all():
            return cls(Metric(1.0, n, reason=ALL_RIGHT), n, before, before)
        best = optimize.minimize_scalar(
            loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-7}
        )
        value = float(np.exp(best.x))
        spread = stats.norm.ppf((1 + LEVEL) / 2) * _relative_error(logits, own, value)
        low, high = np.clip(value * np.exp([-spread, spread]), *TEMPERATURES).tolist()
        return cls(Metric(value, n, low=low, high=high), n, before, float(best.fun))

    def __call__(self, probabilities: ArrayLike) -> np.ndarray:
        """`scoring.temperature.tempered`: float `(rows, classes)`, the same most probable class."""
        return np.asarray(tempered(np.asarray(probabilities, dtype=float), self.value.number))


def decisions(labels: ArrayLike, probabilities: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The decisions of a multi-label head as rows of a head that chooses one of two classes.

    Each row gives one decision for each label: it bears the label, or it does not. `calibration`,
    `log_losses` and `Temperature.fit` take them; `groups` should then hold each row's number, or
    its group's, once for each label, as `np.repeat(groups, labels)` gives them.

    Args:
        labels: 0 or 1, `(rows, labels)`.
        probabilities: float `(rows, labels)`, of bearing the label.

    Returns:
        int `(rows * labels,)` and float `(rows * labels, 2)`, row by row.

    Raises:
        ValueError: the shapes disagree, or a number is NaN.

    Example:
        >>> decisions([[1, 0]], [[0.75, 0.25]])
        (array([1, 0]), array([[0.25, 0.75],
               [0.75, 0.25]]))
    """
    shape = np.shape(probabilities)[1:]
    truth, chances = known_rows(labels, shape, probabilities, shape, None)
    positive = chances.ravel()
    return (truth.ravel() > 0).astype(int), np.stack([1 - positive, positive], axis=1)


def calibration(
    labels: ArrayLike,
    probabilities: ArrayLike,
    bins: int = BINS,
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> Calibration:
    """Calibration errors of a head that chooses one class.

    `ece`: the gap of mean confidence and accuracy in bins of equal width, mean over the rows.
    `adaptive_ece`: the same in bins of about equally many rows, whose edges are quantiles of the
    confidence; equal confidences share a bin. `overconfidence`: mean confidence less accuracy.
    `brier`: the squared distance of probabilities and truth, summed over classes: 0 to 2. All
    without unit. An error over bins is above 0 even for a perfect model, more so with few rows.

    Args:
        labels: int `(rows,)`, index of the right class.
        probabilities: float `(rows, classes)`.
        bins: int.
        resamples: int. For the intervals, in which the bins' edges stay; 0: no intervals.
        seed: int. The same seed gives the same intervals.
        groups: `(rows,)`, rows of one value depend on each other; None: independent rows.

    Raises:
        ValueError: there are fewer than 2 rows or classes, or no bin; the shapes disagree, a
            probability is NaN or below 0, a row's do not sum to 1, or a label is no class.

    Example:
        >>> rows = [[0.8, 0.2], [0.8, 0.2], [0.8, 0.2], [0.4, 0.6]]
        >>> found = calibration([0, 0, 1, 1], rows, resamples=0)
        >>> {name: round(metric.value, 4) for name, metric in found.metrics.items()}
        {'ece': 0.2, 'adaptive_ece': 0.2, 'overconfidence': 0.0, 'brier': 0.44}

    Source: Guo et al. 2017, arXiv:1706.04599, equation 3; adaptive: Nguyen and O'Connor 2015,
    arXiv:1508.05154; Brier 1950, «Verification of forecasts expressed in terms of probability».
    """
    truth, chances = labelled_rows(labels, probabilities)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, received {bins}")
    codes, confidence = group_codes(groups, len(truth)), chances.max(axis=1)
    hits, edges = chances.argmax(axis=1) == truth, np.linspace(0, 1, bins + 1)
    gap, adaptive = confidence - hits, np.unique(np.quantile(confidence, edges))
    brier = (chances**2).sum(axis=1) - 2 * chances[np.arange(len(truth)), truth] + 1
    binned = {"ece": _bin_of(confidence, edges), "adaptive_ece": _bin_of(confidence, adaptive)}

    def statistic(weights: np.ndarray) -> dict[str, float]:
        total = weights.sum()
        errors = {
            name: np.abs(np.bincount(index, weights * gap)).sum() / total
            for name, index in binned.items()
        }
        return errors | {"overconfidence": weights @ gap / total, "brier": weights @ brier / total}

    return Calibration(
        n=len(truth),
        metrics=weighted_metrics(statistic, codes, resamples, seed),
        bins=_bins(binned["ece"], edges, confidence, hits, codes),
        adaptive_bins=_bins(binned["adaptive_ece"], adaptive, confidence, hits, codes),
    )


def risk_coverage(
    losses: ArrayLike,
    confidence: ArrayLike,
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> RiskCoverage:
    """The risk of selective prediction by coverage, the most confident rows first.

    The area is the mean risk over coverages 1/n, 2/n, ... 1. Rows of equal confidence could come in
    any order: it is the mean over all orders, and on the curve they come together.

    Args:
        losses: float `(rows,)`: 0 where the row is right and 1 where it is wrong, or another loss.
        confidence: float `(rows,)`.
        resamples, seed, groups: as in `calibration`.

    Raises:
        ValueError: there are fewer than 2 rows, the shapes disagree, or a number is NaN.

    Example:
        >>> found = risk_coverage([0, 1, 0, 1], [0.9, 0.8, 0.8, 0.5], resamples=0)
        >>> found.coverage, [round(risk, 3) for risk in found.risk], round(found.aurc.value, 4)
        ([0.25, 0.75, 1.0], [0.0, 0.333, 0.5], 0.2708)

    Source: El-Yaniv and Wiener 2010, «On the foundations of noise-free selective classification»;
    the area: Geifman, Uziel and El-Yaniv 2019, arXiv:1805.08206.
    """
    loss, certainty = known_rows(losses, (), confidence, (), None)
    if len(loss) < 2:
        raise ValueError(f"a risk-coverage curve needs at least 2 rows, received {len(loss)}")
    # the most confident first
    distinct, index = np.unique(-certainty, return_inverse=True)

    def sums(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = np.bincount(index, weights, len(distinct))
        return rows, np.bincount(index, weights * loss, len(distinct))

    def area(weights: np.ndarray) -> dict[str, float]:
        rows, lost = sums(weights)
        drawn = rows > 0
        expected = np.repeat(lost[drawn] / rows[drawn], rows[drawn].astype(int))
        return {"aurc": (np.cumsum(expected) / np.arange(1, len(expected) + 1)).mean()}

    rows, lost = sums(np.ones(len(loss)))
    return RiskCoverage(
        n=len(loss),
        aurc=weighted_metrics(area, group_codes(groups, len(loss)), resamples, seed)["aurc"],
        threshold=(-distinct).tolist(),
        coverage=(np.cumsum(rows) / len(loss)).tolist(),
        risk=(np.cumsum(lost) / np.cumsum(rows)).tolist(),
    )


def log_losses(labels: ArrayLike, probabilities: ArrayLike) -> np.ndarray:
    """The log loss of each row, float `(rows,)`, nats.

    It is at most 87.3, that of the smallest normal float32, so very wrong rows still differ.

    Raises:
        ValueError: as `calibration`.

    Example:
        >>> log_losses([0, 1], [[0.5, 0.5], [0.75, 0.25]])
        array([0.69314718, 1.38629436])
    """
    truth, chances = labelled_rows(labels, probabilities)
    return np.asarray(-log_probabilities(chances).numpy()[np.arange(len(truth)), truth])


def labelled_rows(labels: ArrayLike, probabilities: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """int `(rows,)` and float `(rows, classes)`, after the checks of `calibration`."""
    shape = np.shape(probabilities)
    if len(shape) != 2 or shape[0] < 2 or shape[1] < 2:
        raise ValueError(
            "probabilities must be of 2 or more rows and 2 or more classes, "
            f"received the shape {shape}"
        )
    truth, chances = known_rows(labels, (), probabilities, shape[1:], None)
    if not np.isin(truth, np.arange(shape[1])).all():
        raise ValueError(
            f"a label must be an index from 0 to {shape[1] - 1}, "
            f"received {truth.min():g} to {truth.max():g}"
        )
    check_probabilities(chances)
    return truth.astype(int), chances


def _relative_error(logits: np.ndarray, own: np.ndarray, temperature: float) -> float:
    """The standard error of the logarithm of the temperature.

    It comes from the loss's slopes and curvature in 1 / temperature.
    """
    chances = special.softmax(logits / temperature, axis=1)
    expected = (chances * logits).sum(axis=1)
    curvature = ((chances * logits**2).sum(axis=1) - expected**2).sum()
    return float(temperature * np.sqrt(((own - expected) ** 2).sum()) / curvature)


def _bin_of(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The bin of each value: above its lower edge, up to its upper one.

    A value on the lowest edge is in the first bin.
    """
    return np.searchsorted(edges[1:-1], values, side="left")


def _bins(
    index: np.ndarray,
    edges: np.ndarray,
    confidence: np.ndarray,
    hits: np.ndarray,
    codes: np.ndarray,
) -> list[Bin]:
    found = []
    for number in np.unique(index):
        rows = index == number
        found.append(
            Bin(
                low=float(edges[number]),
                high=float(edges[min(number + 1, len(edges) - 1)]),
                n=int(rows.sum()),
                confidence=float(confidence[rows].mean()),
                accuracy=share(hits[rows], codes[rows]),
            )
        )
    return found
