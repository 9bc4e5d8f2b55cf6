"""Out-of-distribution detection: fitted scores, how well they separate other data, a threshold.

Every score is higher for rows that are less like the training rows. The scores themselves are in
`scoring.ood`, so that a served graph can hold them.
"""

import math

import numpy as np
import pydantic
from numpy.typing import ArrayLike
from sklearn.covariance import LedoitWolf
from sklearn.preprocessing import normalize

from multimodal_tf.config import FUSED
from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.clustered import group_codes
from multimodal_tf.metrics.metric import Metric, estimate
from multimodal_tf.scoring.ood import Mahalanobis, NearestNeighbour, finite_rows

# the true positive rate at which false positives are counted
TPR = 0.95
# smallest variance of a direction, relative to the largest: float32 still tells it from 0
LEAST_VARIANCE = 1e-7


class Separation(pydantic.BaseModel):
    """How well a score separates `n_other` rows from `n` clean ones.

    `auroc`: the probability that another row scores higher than a clean one. `fpr_at_95_tpr`: the
    share of other rows that pass at the threshold that 95 % of the clean rows pass; lower is
    better.
    """

    n: int
    n_other: int
    metrics: dict[str, Metric]


def fit_mahalanobis(
    embeddings: ArrayLike, labels: ArrayLike | None = None, embedding: str = FUSED
) -> Mahalanobis:
    """Fits class means and one covariance around them, with the shrinkage of Ledoit and Wolf.

    Args:
        embeddings: float `(rows, dim)`, of training rows.
        labels: `(rows,)` of any type, of labelled rows. None: all rows are of one class.
        embedding: name of the embedding.

    Raises:
        ValueError: there are fewer than 2 rows or not more rows than classes, the shapes disagree,
            a number is NaN or infinite, or all rows of a class are equal in every class.

    Example:
        >>> score = fit_mahalanobis([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
        >>> score([[1.0, 1.0], [4.0, 1.0]]).round(6)  # mean (1, 1), variance 1 each way
        array([0., 9.])

    Source: Lee et al. 2018, arXiv:1807.03888, equations 1 and 2; Ledoit and Wolf 2004, «A
    well-conditioned estimator for large-dimensional covariance matrices».
    """
    array = finite_rows("embeddings", embeddings)
    given = np.zeros(len(array)) if labels is None else np.asarray(labels)
    if given.shape != (len(array),):
        raise ValueError(f"labels must have the shape {(len(array),)}, received {given.shape}")
    classes, index = np.unique(given, return_inverse=True)
    if len(classes) >= len(array):
        raise ValueError(
            "a covariance needs more rows than classes, "
            f"received {len(array)} rows of {len(classes)} classes"
        )
    means = np.stack([array[index == number].mean(axis=0) for number in range(len(classes))])
    centred = array - means[index]
    if np.abs(centred).max() <= 1e-9 * max(1.0, np.abs(array).max()):
        raise ValueError(
            "embeddings must differ within a class, "
            f"received {len(array)} rows that equal the mean of theirs"
        )
    covariance = LedoitWolf(assume_centered=True).fit(centred).covariance_
    variances, directions = np.linalg.eigh(covariance)
    whitening = directions / np.sqrt(np.maximum(variances, LEAST_VARIANCE * variances[-1]))
    return Mahalanobis(whitening, means @ whitening, embedding)


def fit_nearest_neighbour(
    embeddings: ArrayLike, k: int = 10, bank: int = 10_000, seed: int = 0, embedding: str = FUSED
) -> NearestNeighbour:
    """Keeps training rows as the bank of a nearest-neighbour score.

    Args:
        embeddings: float `(rows, dim)`, of training rows.
        k: int, at least 1.
        bank: int. Of more rows, this number is drawn.
        seed: int, of the draw.
        embedding: name of the embedding.

    Raises:
        ValueError: fewer than `k` rows are kept, the shape differs, or a number is NaN or infinite.

    Example:
        >>> score = fit_nearest_neighbour([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0]], k=2)
        >>> score([[2.0, 0.0], [-5.0, 0.0]])
        array([0., 2.])

    Source: Sun et al. 2022, arXiv:2204.06507.
    """
    array = finite_rows("embeddings", embeddings)
    if len(array) > bank:
        random = np.random.default_rng(seed)
        array = array[np.sort(random.choice(len(array), max(bank, 0), replace=False))]
    if not 1 <= k <= len(array):
        raise ValueError(f"k must be from 1 to the {len(array)} rows that are kept, received {k}")
    return NearestNeighbour(normalize(array), k, embedding)


def separation(
    clean: ArrayLike,
    other: ArrayLike,
    paired: bool = False,
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> Separation:
    """AUROC, and the FPR at 95 % TPR, where a clean row that passes is a true positive.

    Args:
        clean: float `(rows,)`, scores of in-distribution rows.
        other: float `(other rows,)`, of rows that are not.
        paired: `other[i]` is made from the row of `clean[i]`: the intervals draw both together.
        resamples: int. Bootstrap resamples; 0: no intervals.
        seed: int. The same seed gives the same intervals.
        groups: `(rows + other rows,)` of any type, of the clean rows and then of the others: the
            intervals draw whole groups, and `paired` adds nothing. None: independent rows.

    Raises:
        ValueError: there is no row of one kind, a score is NaN, `paired` scores are not equally
            many, or `groups` has another shape.

    Example:
        >>> found = separation([0.1, 0.2, 0.3, 0.4], [0.35, 0.9], resamples=0)
        >>> found.metrics["auroc"].value, found.metrics["fpr_at_95_tpr"].value
        (0.875, 0.5)

    Source: Hendrycks and Gimpel 2017, arXiv:1610.02136; FPR at 95 % TPR: Liang et al. 2018,
    arXiv:1706.02690.
    """
    inside, outside = _scores("clean", clean), _scores("other", other)
    n, n_other = len(inside), len(outside)
    if paired and n != n_other:
        raise ValueError(f"paired scores must be equally many, received {n} and {n_other}")
    scores, is_other = np.concatenate([inside, outside]), np.arange(n + n_other) >= n
    area = bootstrap.auroc(is_other[:, None], scores[:, None])

    def statistic(index: np.ndarray) -> dict[str, float]:
        drawn, outlier = scores[index], is_other[index]
        return area(index) | {"fpr_at_95_tpr": _false_positives(drawn[~outlier], drawn[outlier])}

    codes = group_codes(groups, len(scores))
    if paired and groups is None:
        codes = np.tile(np.arange(n), 2)

    def of_groups(drawn: np.ndarray) -> dict[str, float]:
        times = np.bincount(drawn, minlength=codes.max() + 1)[codes]
        return statistic(np.repeat(np.arange(len(scores)), times))

    samples = bootstrap.resample(of_groups, int(codes.max()) + 1, resamples, seed)
    metrics = {
        name: estimate(value, len(scores), samples.get(name))
        for name, value in statistic(np.arange(len(scores))).items()
    }
    return Separation(n=n, n_other=n_other, metrics=metrics)


def threshold(clean: ArrayLike, fpr: float = 0.05) -> float:
    """The threshold above which a score marks a row as out of distribution.

    A clean row is above it with a probability of at most `fpr`. The probability is over the rows
    that give the threshold and the row that is scored, all exchangeable. These rows must be others
    than those that the score, or the model, was fitted on.

    Args:
        clean: float `(rows,)`, scores of held-out in-distribution rows.
        fpr: false positive rate, above 0, below 1.

    Raises:
        ValueError: `fpr` is outside, a score is NaN, or there are fewer than `1 / fpr - 1` rows.

    Example:
        >>> threshold(range(19), fpr=0.05), threshold(range(19), fpr=0.5)
        (18.0, 9.0)

    Source: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005, chapter 2; for
    outliers: Bates et al. 2023, arXiv:2104.08279.
    """
    if not 0 < fpr < 1:
        raise ValueError(f"fpr must be above 0 and below 1, received {fpr}")
    scores = np.sort(_scores("clean", clean))
    rank = math.ceil((len(scores) + 1) * (1 - fpr) - 1e-9)
    if rank > len(scores):
        needed = math.ceil(1 / fpr - 1 - 1e-9)
        raise ValueError(
            f"a false positive rate of {fpr:g} needs {needed} rows or more, received {len(scores)}"
        )
    return float(scores[rank - 1])


def _scores(name: str, values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or not len(array):
        raise ValueError(
            f"{name} must be the scores of one or more rows, with the shape (rows,), "
            f"received {array.shape}"
        )
    return finite_rows(name, array[:, None], 1, least=1)[:, 0]


def _false_positives(clean: np.ndarray, other: np.ndarray) -> float:
    """The share of `other` up to the least threshold that `TPR` of `clean` pass.

    NaN where a resample lacks one kind.
    """
    if not len(clean) or not len(other):
        return np.nan
    passed = np.sort(clean)[math.ceil(TPR * len(clean) - 1e-9) - 1]
    return float((other <= passed).mean())
