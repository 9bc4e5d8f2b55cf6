"""How unlike the training rows a row is: scores from embeddings or answers, how well they tell
other data apart, and a limit for them.

Every score is higher for stranger rows. What is fitted is a few arrays, and the call a few matrix
operations, so that a served graph can hold them.
"""

import dataclasses
import math

import numpy as np
import pydantic
from numpy.typing import ArrayLike
from scipy import special
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.calibration import check_sums
from multimodal_tf.metrics.clustered import group_codes
from multimodal_tf.metrics.supervised import Figure

# the share of clean rows at which false positives are counted
ACCEPTED = 0.95
# of the largest variance: a direction with less counts as having this, which float32 can still tell
# from 0
FLAT = 1e-7
# rows scored at a time
BLOCK = 4096


@dataclasses.dataclass(frozen=True, eq=False)
class Mahalanobis:
    """The squared Mahalanobis distance to the nearest class: `|x @ whitening - centre|^2`, least
    over `centres`; without unit.

    `whitening` is float `(dim, dim)`, `centres` float `(classes, dim)`, whitened already.
    """

    whitening: np.ndarray
    centres: np.ndarray

    @classmethod
    def fit(cls, embeddings: ArrayLike, labels: ArrayLike | None = None) -> "Mahalanobis":
        """Means by class and one covariance around them, drawn towards a multiple of the identity
        as Ledoit and Wolf say.

        Args:
            embeddings: float `(rows, dim)`, of training rows.
            labels: `(rows,)` of any type, of rows that have one. None: all rows are of one class.

        Raises:
            ValueError: there are fewer than 2 rows or not more rows than classes, the shapes
                disagree, a number is NaN or infinite, or all rows of a class are equal in every
                class.

        Example:
            >>> fitted = Mahalanobis.fit([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])  # mean (1, 1), variance 1 each way
            >>> fitted([[1.0, 1.0], [4.0, 1.0]]).round(6)
            array([0., 9.])

        Source: Lee et al. 2018, arXiv:1807.03888, equations 1 and 2; Ledoit and Wolf 2004, «A
        well-conditioned estimator for large-dimensional covariance matrices».
        """
        array = checked("embeddings", embeddings)
        given = np.zeros(len(array)) if labels is None else np.asarray(labels)
        if given.shape != (len(array),):
            raise ValueError(f"labels must have the shape {(len(array),)}, received {given.shape}")
        classes, place = np.unique(given, return_inverse=True)
        if len(classes) >= len(array):
            raise ValueError(
                f"a covariance needs more rows than classes, received {len(array)} rows of {len(classes)} classes"
            )
        means = np.stack([array[place == number].mean(axis=0) for number in range(len(classes))])
        around = array - means[place]
        if np.abs(around).max() <= 1e-9 * max(1.0, np.abs(array).max()):
            raise ValueError(
                f"embeddings must differ within a class, received {len(array)} rows that equal the mean of theirs"
            )
        spreads, directions = np.linalg.eigh(
            LedoitWolf(assume_centered=True).fit(around).covariance_
        )
        whitening = directions / np.sqrt(np.maximum(spreads, FLAT * spreads[-1]))
        return cls(whitening, means @ whitening)

    def __call__(self, embeddings: ArrayLike) -> np.ndarray:
        """float `(rows,)` of embeddings float `(rows, dim)`."""
        array = checked("embeddings", embeddings, len(self.whitening), least=0)
        scores = [np.empty(0)]
        for start in range(0, len(array), BLOCK):
            white = array[start : start + BLOCK] @ self.whitening
            to_each = (
                (white**2).sum(axis=1, keepdims=True)
                - 2 * white @ self.centres.T
                + (self.centres**2).sum(axis=1)
            )
            scores.append(np.maximum(to_each.min(axis=1), 0))
        return np.concatenate(scores)


@dataclasses.dataclass(frozen=True, eq=False)
class NearestNeighbour:
    """The distance to the k-th nearest row of `bank`, float `(bank rows, dim)`, all made of length
    1: 0 to 2, without unit.

    An embedding of zeros stays so, at distance 1 from all. A row of the bank is its own nearest:
    judge others.
    """

    bank: np.ndarray
    k: int

    @classmethod
    def fit(
        cls, embeddings: ArrayLike, k: int = 10, bank: int = 10_000, seed: int = 0
    ) -> "NearestNeighbour":
        """Keeps training rows.

        Args:
            embeddings: float `(rows, dim)`, of training rows.
            k: int, at least 1.
            bank: int. Of more rows than this, so many are drawn.
            seed: int, of the draw.

        Raises:
            ValueError: fewer than `k` rows are kept, the shape is another, or a number is NaN or
            infinite.

        Example:
            >>> NearestNeighbour.fit([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0]], k=2)([[2.0, 0.0], [-5.0, 0.0]])
            array([0., 2.])

        Source: Sun et al. 2022, arXiv:2204.06507.
        """
        array = checked("embeddings", embeddings)
        if len(array) > bank:
            array = array[
                np.sort(np.random.default_rng(seed).choice(len(array), max(bank, 0), replace=False))
            ]
        if not 1 <= k <= len(array):
            raise ValueError(
                f"k must be from 1 to the {len(array)} rows that are kept, received {k}"
            )
        return cls(normalize(array), k)

    def __call__(self, embeddings: ArrayLike) -> np.ndarray:
        """float `(rows,)` of embeddings float `(rows, dim)`."""
        array = checked("embeddings", embeddings, self.bank.shape[1], least=0)
        if not len(array):
            return np.empty(0)
        return (
            NearestNeighbors(n_neighbors=self.k)
            .fit(self.bank)
            .kneighbors(normalize(array))[0][:, -1]
        )


class Separation(pydantic.BaseModel):
    """How well a score tells `n_other` rows from `n` clean ones.

    `auroc`: the chance that another row scores higher than a clean one. `fpr_at_95_tpr`: the share
    of other rows that pass when the limit lets 95 % of the clean ones pass; less is better.
    """

    n: int
    n_other: int
    figures: dict[str, Figure]


def energy(logits: ArrayLike) -> np.ndarray:
    """The energy of each row, float `(rows,)`: -log(sum(exp(logits))), nats, of logits float
    `(rows, classes)`.

    Raises:
        ValueError: a logit is NaN, or these are logarithms of probabilities, whose energy is always
        0.

    Example:
        >>> energy([[0.0, 0.0], [5.0, 0.0]])
        array([-0.69314718, -5.00671535])

    Source: Liu et al. 2020, arXiv:2010.03759, equation 4, temperature 1.
    """
    scores = -special.logsumexp(checked("logits", logits, least=1), axis=1)
    if np.abs(scores).max() < 1e-3:
        raise ValueError(
            "energy needs logits, received logarithms of probabilities: their energy is 0 in every row"
        )
    return scores


def maximum_softmax(probabilities: ArrayLike) -> np.ndarray:
    """1 - the highest probability of each row, float `(rows,)`, of probabilities float `(rows,
    classes)`.

    Raises:
        ValueError: a probability is NaN, or a row's do not sum to 1.

    Example:
        >>> maximum_softmax([[0.75, 0.25], [0.5, 0.5]])
        array([0.25, 0.5 ])

    Source: Hendrycks and Gimpel 2017, arXiv:1610.02136.
    """
    said = checked("probabilities", probabilities, least=1)
    check_sums(said)
    return 1 - said.max(axis=1)


def separation(
    clean: ArrayLike,
    other: ArrayLike,
    paired: bool = False,
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> Separation:
    """AUROC and the false positives at 95 % true positives, where a clean row that passes is a true
    positive.

    Args:
        clean: float `(rows,)`, scores of rows that belong, higher where stranger.
        other: float `(other rows,)`, of rows that do not.
        paired: `other[i]` is made from the row of `clean[i]`: the intervals draw both together.
        resamples: int. For the intervals; 0: no intervals.
        seed: int. The same seed gives the same intervals.
        groups: `(rows + other rows,)` of any type, of the clean rows and then of the others: the
            intervals draw groups as a whole, and `paired` adds nothing. None: each row is its own.

    Raises:
        ValueError: there is no row of one kind, a score is NaN, `paired` scores are not equally
        many, or `groups` has another shape.

    Example:
        >>> found = separation([0.1, 0.2, 0.3, 0.4], [0.35, 0.9], resamples=0)
        >>> found.figures["auroc"].value, found.figures["fpr_at_95_tpr"].value
        (0.875, 0.5)

    Source: Hendrycks and Gimpel 2017, arXiv:1610.02136; FPR at 95 % TPR: Liang et al. 2018,
    arXiv:1706.02690.
    """
    inside, outside = _scores("clean", clean), _scores("other", other)
    if paired and len(inside) != len(outside):
        raise ValueError(
            f"paired scores must be equally many, received {len(inside)} and {len(outside)}"
        )
    n, scores = len(inside), np.concatenate([inside, outside])
    is_other = np.arange(len(scores)) >= n
    area = bootstrap.auroc(is_other[:, None], scores[:, None])

    def statistic(index):
        drawn, strange = scores[index], is_other[index]
        return area(index) | {"fpr_at_95_tpr": _passing(drawn[~strange], drawn[strange])}

    codes = (
        np.tile(np.arange(n), 2) if paired and groups is None else group_codes(groups, len(scores))
    )

    def of_groups(drawn):
        return statistic(
            np.repeat(np.arange(len(scores)), np.bincount(drawn, minlength=codes.max() + 1)[codes])
        )

    values = statistic(np.arange(len(scores)))
    samples = bootstrap.resample(of_groups, int(codes.max()) + 1, resamples, seed)
    figures = {}
    for name, value in values.items():
        low, high, used = bootstrap.interval(samples[name]) if name in samples else (None, None, 0)
        figures[name] = Figure(value=value, low=low, high=high, resamples=used)
    return Separation(n=n, n_other=len(outside), figures=figures)


def limit(clean: ArrayLike, false_alarms: float = 0.05) -> float:
    """The limit above which a score is an alarm: a clean row's is with a chance of at most
    `false_alarms`.

    The chance is over the rows that make the limit and the one that is judged, all from one source
    in any order. These rows must be others than those that the score, or the model, was fitted on.

    Args:
        clean: float `(rows,)`, scores of held-out rows that belong, higher where stranger.
        false_alarms: float, above 0, below 1.

    Raises:
        ValueError: `false_alarms` is outside, a score is NaN, or there are fewer than `1 /
        false_alarms - 1` rows.

    Example:
        >>> limit(range(19), false_alarms=0.05), limit(range(19), false_alarms=0.5)
        (18.0, 9.0)

    Source: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005, chapter 2; for
    outliers: Bates et al. 2023, arXiv:2104.08279.
    """
    if not 0 < false_alarms < 1:
        raise ValueError(f"false_alarms must be above 0 and below 1, received {false_alarms}")
    scores = np.sort(_scores("clean", clean))
    place = math.ceil((len(scores) + 1) * (1 - false_alarms) - 1e-9)
    if place > len(scores):
        needed = math.ceil(1 / false_alarms - 1 - 1e-9)
        raise ValueError(
            f"a false-alarm rate of {false_alarms:g} needs {needed} rows or more, received {len(scores)}"
        )
    return float(scores[place - 1])


def checked(name: str, values: ArrayLike, width: int | None = None, least: int = 2) -> np.ndarray:
    """float `(rows, width)`, finite, of at least so many rows."""
    array = np.asarray(values, dtype=float)
    if array.ndim != 2 or len(array) < least or array.shape[1] != (width or max(array.shape[1], 1)):
        raise ValueError(
            f"{name} must have the shape (at least {least} rows, {width or 'dim'}), received {array.shape}"
        )
    if not np.isfinite(array).all():
        wrong = (~np.isfinite(array)).any(axis=1).sum()
        raise ValueError(
            f"{name} must be finite numbers, received NaN or infinity in {wrong} of {len(array)} rows"
        )
    return array


def _scores(name, values):
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or not len(array):
        raise ValueError(
            f"{name} must be the scores of one or more rows, with the shape (rows,), received {array.shape}"
        )
    return checked(name, array[:, None], 1, least=1)[:, 0]


def _passing(clean, other):
    """The share of `other` up to the least limit that `ACCEPTED` of `clean` pass; NaN where a
    resample lacks one kind.
    """
    if not len(clean) or not len(other):
        return np.nan
    return float((other <= np.sort(clean)[math.ceil(ACCEPTED * len(clean) - 1e-9) - 1]).mean())
