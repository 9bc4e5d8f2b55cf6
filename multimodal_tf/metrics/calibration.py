"""Whether a probability means what it says: calibration errors, one temperature that mends them,
and which answers to withhold.

All functions take the rows that have a label, and no others. The chosen class is the most probable,
of equal ones the first; its probability is the row's confidence.
"""

import dataclasses

import numpy as np
import pydantic
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from multimodal_tf.metrics.bootstrap import LEVEL
from multimodal_tf.metrics.clustered import group_codes, share, weighted_metrics
from multimodal_tf.metrics.supervised import Figure, known_rows

BINS = 15
# probabilities computed in half precision add up to 1 only that well
SUM_ROUNDING = 1e-2
# stands in for a probability of 0, whose logarithm is infinite
LEAST = np.finfo(np.float32).tiny
# between which one is sought
TEMPERATURES = (0.01, 100.0)
ALL_RIGHT = "every row is right: the colder, the less the log loss, without end"


class Bin(pydantic.BaseModel):
    """The rows whose confidence is above `low`, up to `high`: how sure they are in the mean, and
    how many are right.

    The interval of `accuracy` is that of `groups.share`.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: Figure


class Calibration(pydantic.BaseModel):
    """Calibration on `n` rows: figures by name, and the bins of two reliability diagrams; bins
    without rows are left out.
    """

    n: int
    figures: dict[str, Figure]
    # of equal width
    bins: list[Bin]
    # of about equally many rows
    adaptive_bins: list[Bin]


class RiskCoverage(pydantic.BaseModel):
    """What is won by answering only where the confidence is at least `threshold`: `coverage`, the
    share of rows that are answered, and `risk`, the mean loss among these, from the surest rows to
    all. `aurc` is the area under this curve."""

    n: int
    aurc: Figure
    threshold: list[float]
    coverage: list[float]
    risk: list[float]


@dataclasses.dataclass(frozen=True)
class Temperature:
    """A temperature, made by `fit`: above 1 where the model is surer than it is right. Called with
    probabilities, it gives better ones.

    `value` has no unit; its interval is of the rows that it was fitted on, `n` of them. `before`
    and `after` are their log losses, nats.
    """

    value: Figure
    n: int
    before: float
    after: float

    @classmethod
    def fit(cls, labels: ArrayLike, probabilities: ArrayLike) -> "Temperature":
        """The temperature with the least log loss on validation rows.

        Probabilities do instead of logits: their logarithms are the logits but for a number a row,
        which softmax takes away. The interval is the normal one, on the logarithm, with a variance
        that holds where the model is wrong, too.

        Args:
            labels: int `(rows,)`.
            probabilities: float `(rows, classes)`.

        Returns:
            `Temperature`. Where every row is right there is no best one: its value is then 1, and
            says why in `reason`.

        Raises:
            ValueError: as `calibration`.

        Example:
            >>> fitted = Temperature.fit([0, 0, 0, 1], [[0.9, 0.1]] * 4)  # right in three rows of four: 2 = log(9) / log(3)
            >>> round(fitted.value.value, 6), fitted([[0.9, 0.1]]).round(6)
            (2.0, array([[0.75, 0.25]]))

        Source: Guo et al. 2017, arXiv:1706.04599, section 4.2; the variance: Huber 1967, «The
        behavior of maximum likelihood estimates under nonstandard conditions».
        """
        truth, said = labelled_rows(labels, probabilities)
        logits = _logits(said)
        own = logits[np.arange(len(truth)), truth]

        def loss(log_temperature):
            scaled = logits * np.exp(-log_temperature)
            return float(
                (special.logsumexp(scaled, axis=1) - own * np.exp(-log_temperature)).mean()
            )

        before = loss(0.0)
        if (own == logits.max(axis=1)).all():
            return cls(Figure(value=1.0, reason=ALL_RIGHT), len(truth), before, before)
        best = optimize.minimize_scalar(
            loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-7}
        )
        value = float(np.exp(best.x))
        spread = stats.norm.ppf((1 + LEVEL) / 2) * _relative_error(logits, own, value)
        low, high = np.clip(value * np.exp([-spread, spread]), *TEMPERATURES).tolist()
        return cls(Figure(value=value, low=low, high=high), len(truth), before, float(best.fun))

    def __call__(self, probabilities: ArrayLike) -> np.ndarray:
        """softmax(log(probabilities) / value), float `(rows, classes)`; the chosen classes stay the
        same.
        """
        return special.softmax(
            _logits(np.asarray(probabilities, dtype=float)) / self.value.value, axis=1
        )


def calibration(
    labels: ArrayLike,
    probabilities: ArrayLike,
    bins: int = BINS,
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> Calibration:
    """Calibration errors of a head that chooses one class.

    `ece`: how far confidence and accuracy are apart in bins of equal width, mean over the rows.
    `adaptive_ece`: the same in bins of about equally many rows, whose edges are quantiles of the
    confidence; so equal confidences share a bin. `overconfidence`: mean confidence less accuracy.
    `brier`: the squared distance between the probabilities and the truth, summed over classes: 0 to
    2. All without unit. An error over bins is above 0 even for a perfect model, the more so the
    fewer the rows.

    Args:
        labels: int `(rows,)`, index of the right class.
        probabilities: float `(rows, classes)`.
        bins: int.
        resamples: int. For the intervals, in which the bins' edges stay; 0: no intervals.
        seed: int. The same seed gives the same intervals.
        groups: `(rows,)`, rows of one value depend on each other, as near-duplicates do; None,
        there or in a row: rows by themselves.

    Raises:
        ValueError: there are fewer than 2 rows or classes, or no bin; the shapes disagree, a
            probability is NaN or below 0, a row's do not sum to 1, or a label is no class.

    Example:
        >>> found = calibration([0, 0, 1, 1], [[0.8, 0.2], [0.8, 0.2], [0.8, 0.2], [0.4, 0.6]], resamples=0)
        >>> {name: round(figure.value, 4) for name, figure in found.figures.items()}
        {'ece': 0.2, 'adaptive_ece': 0.2, 'overconfidence': 0.0, 'brier': 0.44}

    Source: Guo et al. 2017, arXiv:1706.04599, equation 3; adaptive: Nguyen and O'Connor 2015,
    arXiv:1508.05154; Brier 1950, «Verification of forecasts expressed in terms of probability».
    """
    truth, said = labelled_rows(labels, probabilities)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, received {bins}")
    confidence, hits, codes = (
        said.max(axis=1),
        said.argmax(axis=1) == truth,
        group_codes(groups, len(truth)),
    )
    edges = np.linspace(0, 1, bins + 1)
    adaptive = np.unique(np.quantile(confidence, edges))
    gap = confidence - hits
    brier = (said**2).sum(axis=1) - 2 * said[np.arange(len(truth)), truth] + 1
    places = {"ece": _place(confidence, edges), "adaptive_ece": _place(confidence, adaptive)}

    def statistic(weights):
        total = weights.sum()
        errors = {
            name: np.abs(np.bincount(place, weights * gap)).sum() / total
            for name, place in places.items()
        }
        return errors | {"overconfidence": weights @ gap / total, "brier": weights @ brier / total}

    return Calibration(
        n=len(truth),
        figures=weighted_metrics(statistic, codes, resamples, seed),
        bins=_bins(places["ece"], edges, confidence, hits, codes),
        adaptive_bins=_bins(places["adaptive_ece"], adaptive, confidence, hits, codes),
    )


def risk_coverage(
    losses: ArrayLike,
    confidence: ArrayLike,
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> RiskCoverage:
    """The risk of the answers that are given, by how many are given, the surest first.

    The area is the mean risk over coverages 1/n, 2/n, ... 1. Rows of equal confidence could come in
    any order: it is the mean over all orders, and on the curve they come together.

    Args:
        losses: float `(rows,)`: 0 where the row is right and 1 where it is wrong, or another loss.
        confidence: float `(rows,)`, higher where surer.
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
    loss, sure = known_rows(losses, (), confidence, (), None)
    if len(loss) < 2:
        raise ValueError(f"a risk-coverage curve needs at least 2 rows, received {len(loss)}")
    # the surest first
    distinct, place = np.unique(-sure, return_inverse=True)

    def sums(weights):
        return np.bincount(place, weights, len(distinct)), np.bincount(
            place, weights * loss, len(distinct)
        )

    def area(weights):
        rows, lost = sums(weights)
        there = rows > 0
        expected = np.repeat(lost[there] / rows[there], rows[there].astype(int))
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
    """The log loss of each row, float `(rows,)`, nats; at most 87.3, that of the least normal
    float32, so that wrong rows differ for long.

    Raises:
        ValueError: as `calibration`.

    Example:
        >>> log_losses([0, 1], [[0.5, 0.5], [0.75, 0.25]])
        array([0.69314718, 1.38629436])
    """
    truth, said = labelled_rows(labels, probabilities)
    return -_logits(said)[np.arange(len(truth)), truth]


def labelled_rows(labels: ArrayLike, probabilities: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays, int `(rows,)` and float `(rows, classes)`, after the checks that
    `calibration` states.
    """
    shape = np.shape(probabilities)
    if len(shape) != 2 or shape[0] < 2 or shape[1] < 2:
        raise ValueError(
            f"probabilities must be of 2 or more rows and 2 or more classes, received the shape {shape}"
        )
    truth, said = known_rows(labels, (), probabilities, shape[1:], None)
    if not np.isin(truth, np.arange(shape[1])).all():
        raise ValueError(
            f"a label must be an index from 0 to {shape[1] - 1}, received {truth.min():g} to {truth.max():g}"
        )
    check_sums(said)
    return truth.astype(int), said


def check_sums(probabilities: np.ndarray) -> None:
    """Refuses rows of float `(rows, classes)` that hold a number below 0, or do not sum to 1, by
    ValueError.
    """
    wrong = (np.abs(probabilities.sum(axis=1) - 1) > SUM_ROUNDING) | (probabilities < 0).any(axis=1)
    if wrong.any():
        one = probabilities[wrong][0].tolist()
        raise ValueError(
            f"probabilities must be 0 or more and sum to 1 in a row, received {one} and {wrong.sum()} such rows in all"
        )


def _logits(probabilities):
    return np.log(np.maximum(probabilities, LEAST))


def _relative_error(logits, own, temperature):
    """The standard error of the logarithm of the temperature, from the loss's slopes and curvature
    in 1 / temperature.
    """
    chances = special.softmax(logits / temperature, axis=1)
    expected = (chances * logits).sum(axis=1)
    curvature = ((chances * logits**2).sum(axis=1) - expected**2).sum()
    return temperature * np.sqrt(((own - expected) ** 2).sum()) / curvature


def _place(values, edges):
    """The bin of each value: above its lower edge, up to its upper one; what lies on the lowest
    edge is in the first bin.
    """
    return np.searchsorted(edges[1:-1], values, side="left")


def _bins(place, edges, confidence, hits, codes):
    bins = []
    for number in np.unique(place):
        rows = place == number
        n, upper, accuracy = (
            int(rows.sum()),
            float(edges[min(number + 1, len(edges) - 1)]),
            share(hits[rows], codes[rows]),
        )
        bins.append(
            Bin(
                low=float(edges[number]),
                high=upper,
                n=n,
                confidence=float(confidence[rows].mean()),
                accuracy=accuracy,
            )
        )
    return bins
