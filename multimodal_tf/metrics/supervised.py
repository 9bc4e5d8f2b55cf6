"""The figures of one head on arrays, by scikit-learn, each with its bootstrap interval.

Rows whose label is unknown never count. A class that has neither a row nor a prediction takes no
part in an average, as in scikit-learn; a precision or recall of 0 / 0 is 0. A figure that has no
meaning on these rows is None, and its `reason` says why.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pydantic
from numpy.typing import ArrayLike
from sklearn import metrics

from multimodal_tf.metrics import bootstrap

# a label of a multi-label head applies from this probability on
THRESHOLD = 0.5
# resamples x classes: above 20 classes an AUROC's interval has fewer than 1000 resamples, but at
# least 100
AUROC_WORK = 20_000

_AVERAGES = tuple(
    f"{name}_{average}"
    for name in ("precision", "recall", "f1")
    for average in ("macro", "micro", "weighted")
)
FIGURES = {
    "classification": ("accuracy", "balanced_accuracy", *_AVERAGES, "auroc", "log_loss"),
    "ordinal": ("accuracy", "balanced_accuracy", *_AVERAGES, "auroc", "log_loss", "rank_mae"),
    "multi_label": (
        "exact_match",
        "accuracy",
        "balanced_accuracy",
        *_AVERAGES,
        "auroc",
        "log_loss",
    ),
    "regression": ("mae", "rmse", "r2"),
    "quantile": ("mae", "rmse", "r2", "pinball", "coverage", "width"),
    "matching": ("accuracy", "auroc", "log_loss"),
}

NO_ROWS = "no row has a known label"
ONE_CLASS = "all rows are of one class"
ONE_SIDED = "no label has both a row that bears it and a row that does not"
NO_LABEL = "no row bears a label and none is predicted"
NO_SPREAD = "all labels are equal"

Samples = dict[str, np.ndarray]


class Figure(pydantic.BaseModel):
    """A number, and the bounds between which 95 % of its resamples fall; None where there is none.

    Bounds say how far the figure would move with other rows. Where all rows are right, or all
    wrong, they say nothing: look at `n`.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    # behind the bounds: those in which the figure is defined
    resamples: int = 0
    # why there is no value
    reason: str | None = None


class ClassMetrics(pydantic.BaseModel):
    """What holds for one class, which `n` rows bear."""

    n: int
    precision: float
    recall: float
    f1: float


class HeadMetrics(pydantic.BaseModel):
    """All figures of one head, on the `n` rows whose label is known.

    `confusion[i][j]` counts the rows of class `i` that were taken for class `j`, in the order of
    `classes`. Of a multi-label head, `confusion[i]` is `[[true negatives, false positives], [false
    negatives, true positives]]` of label `i`.
    """

    type: Literal["classification", "ordinal", "multi_label", "regression", "quantile", "matching"]
    n: int
    # rows without a label, left out; filled by `report.evaluate`
    missing: int = 0
    # labels that training never saw, with their rows, left out; filled by `report.evaluate`
    unseen: dict[str, int] = {}
    figures: dict[str, Figure]
    classes: dict[str, ClassMetrics] = {}
    confusion: list = []


def classification(
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str],
    known: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> HeadMetrics:
    """Figures of a head that chooses one class: the most probable, of equal ones the first.

    `accuracy`, `balanced_accuracy` (mean recall of the classes that have rows), `precision_*`,
    `recall_*` and `f1_*` (macro, micro, weighted), `auroc` (one class against the rest, mean over
    the classes that have rows), `log_loss` (nats).

    Args:
        labels: int `(rows,)`, index in `classes`.
        probabilities: float `(rows, classes)`.
        classes: the classes' names.
        known: `(rows,)`, 0 where the label is unknown. None: all are known.
        resamples: int. For the intervals; 0: no intervals.
        seed: int. The same seed gives the same intervals.

    Returns:
        `HeadMetrics`; without known rows all its figures are None.

    Raises:
        ValueError: there is no class, the shapes disagree, a label is outside `classes`, or a
        probability is NaN.

    Example:
        >>> head = classification([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], ["cat", "dog"], resamples=0)
        >>> round(head.figures["accuracy"].value, 3), head.confusion
        (0.667, [[1, 0], [1, 1]])
    """
    truth, scores = known_rows(labels, (), probabilities, (len(classes),), known)
    truth = truth.astype(int)
    _check_indices(truth, len(classes))
    chosen, one_hot = scores.argmax(axis=1), truth[:, None] == np.arange(len(classes))
    values = {}
    if len(truth):
        values = {
            "accuracy": metrics.accuracy_score(truth, chosen),
            "auroc": _auroc(one_hot, scores),
        }
        values["log_loss"] = -np.log(_clipped(scores[one_hot])).mean()
        values["balanced_accuracy"] = metrics.recall_score(
            truth, chosen, labels=np.unique(truth), average="macro", zero_division=0
        )
        values |= _averages(truth, chosen, np.union1d(truth, chosen))
    return HeadMetrics(
        type="classification",
        n=len(truth),
        figures=as_metrics(
            "classification", values, class_samples(truth, scores, resamples, seed), ONE_CLASS
        ),
        classes=_by_class(
            classes, bootstrap.class_counts(truth, chosen, len(classes), np.arange(len(truth)))
        ),
        confusion=_class_confusion(truth, chosen, len(classes)),
    )


def class_samples(
    truth: np.ndarray,
    scores: np.ndarray,
    resamples: int,
    seed: int,
    groups: np.ndarray | None = None,
) -> Samples:
    """The figures of `classification` on resamples, by name: `bootstrap.resample` of known rows."""
    chosen, one_hot = scores.argmax(axis=1), truth[:, None] == np.arange(scores.shape[1])
    means = bootstrap.row_means(
        {"accuracy": truth == chosen, "log_loss": -np.log(_clipped(scores[one_hot]))}
    )

    def resampled(index):
        hits, actual, said = bootstrap.class_counts(truth, chosen, scores.shape[1], index)
        balanced = bootstrap.mean(bootstrap.ratio(hits, actual)[actual > 0])
        return {
            "balanced_accuracy": balanced,
            **bootstrap.averaged(hits, actual, said),
            **means(index),
        }

    samples = bootstrap.resample(resampled, len(truth), resamples, seed, groups)
    return samples | _auroc_samples(one_hot, scores, resamples, seed, groups)


def multi_label(
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str],
    known: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> HeadMetrics:
    """Figures of a head that chooses any number of labels: those of probability 0.5 or more.

    `exact_match` (rows whose labels are all right), `accuracy` (right decisions, one a row and
    label), `balanced_accuracy` (mean of recall and specificity, over the labels that have both
    kinds of rows), `precision_*`, `recall_*` and `f1_*` (macro, micro, weighted), `auroc` (mean
    over the same labels), `log_loss` (nats a decision).

    Args:
        labels: 0 or 1, `(rows, classes)`.
        probabilities: float `(rows, classes)`.
        classes, known, resamples, seed: as in `classification`.

    Returns:
        `HeadMetrics`; without known rows all its figures are None.

    Raises:
        ValueError: there is no label, the shapes disagree, or a probability is NaN.

    Example:
        >>> head = multi_label([[1, 0], [1, 1]], [[0.9, 0.1], [0.2, 0.8]], ["red", "round"], resamples=0)
        >>> head.figures["accuracy"].value, head.figures["exact_match"].value, head.classes["red"].recall
        (0.75, 0.5, 0.5)
    """
    truth, scores = known_rows(labels, (len(classes),), probabilities, (len(classes),), known)
    truth, chosen = truth > 0, scores >= THRESHOLD
    counts = bootstrap.label_counts(truth, chosen, np.arange(len(truth)))
    values = {}
    if len(truth):
        values = {name: of_rows.mean() for name, of_rows in _label_rows(truth, scores).items()}
        values |= {
            "balanced_accuracy": _balanced_accuracy(truth, chosen),
            "auroc": _auroc(truth, scores),
        }
        values |= _averages(_wide(truth), _wide(chosen), np.flatnonzero(counts[1] + counts[2]))
    return HeadMetrics(
        type="multi_label",
        n=len(truth),
        figures=as_metrics(
            "multi_label", values, label_samples(truth, scores, resamples, seed), ONE_SIDED
        ),
        classes=_by_class(classes, counts),
        confusion=_label_confusion(truth, chosen),
    )


def label_samples(
    truth: np.ndarray,
    scores: np.ndarray,
    resamples: int,
    seed: int,
    groups: np.ndarray | None = None,
) -> Samples:
    """The figures of `multi_label` on resamples, by name; `truth` bool."""
    chosen, means = scores >= THRESHOLD, bootstrap.row_means(_label_rows(truth, scores))

    def resampled(index):
        counts = bootstrap.label_counts(truth, chosen, index)
        return {
            "balanced_accuracy": bootstrap.balanced_accuracy(counts, len(index)),
            **bootstrap.averaged(*counts),
            **means(index),
        }

    samples = bootstrap.resample(resampled, len(truth), resamples, seed, groups)
    return samples | _auroc_samples(truth, scores, resamples, seed, groups)


def _label_rows(truth, scores):
    right = truth == (scores >= THRESHOLD)
    losses = -np.log(_clipped(np.where(truth, scores, 1 - scores)))
    return {
        "exact_match": right.all(axis=1),
        "accuracy": right.mean(axis=1),
        "log_loss": losses.mean(axis=1),
    }


def regression(
    labels: ArrayLike,
    predictions: ArrayLike,
    known: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> HeadMetrics:
    """Figures of a head that says a number: `mae` and `rmse` in the label's unit, `r2` without
    unit.

    Args:
        labels: float `(rows,)` or `(rows, 1)`.
        predictions: float `(rows,)` or `(rows, 1)`.
        known, resamples, seed: as in `classification`.

    Returns:
        `HeadMetrics`; without known rows all its figures are None, and `r2` is None where all
        labels are equal.

    Raises:
        ValueError: the shapes disagree, or a prediction or known label is NaN.

    Example:
        >>> head = regression([1.0, 3.0], [1.0, 2.0], resamples=0)
        >>> head.figures["mae"].value, head.figures["r2"].value
        (0.5, 0.5)
    """
    truth, said = known_rows(column(labels), (), column(predictions), (), known)
    values = {}
    if len(truth):
        values = {
            "mae": metrics.mean_absolute_error(truth, said),
            "rmse": metrics.root_mean_squared_error(truth, said),
        }
        values["r2"] = metrics.r2_score(truth, said) if np.ptp(truth) > 0 else np.nan
    samples = number_samples(truth, said, resamples, seed)
    return HeadMetrics(
        type="regression",
        n=len(truth),
        figures=as_metrics("regression", values, samples, NO_SPREAD),
    )


def number_samples(
    truth: np.ndarray, said: np.ndarray, resamples: int, seed: int, groups: np.ndarray | None = None
) -> Samples:
    """The figures of `regression` on resamples, by name."""
    # centred: squares of large numbers would cancel
    centred, errors = truth - truth.mean() if len(truth) else truth, said - truth

    def resampled(index):
        squares, spread = (errors[index] ** 2).mean(), centred[index].var()
        mae = np.abs(errors[index]).mean()
        return {
            "mae": mae,
            "rmse": np.sqrt(squares),
            "r2": 1 - squares / spread if spread > 0 else np.nan,
        }

    return bootstrap.resample(resampled, len(truth), resamples, seed, groups)


def known_rows(labels, label_shape, predictions, shape, known):
    """The rows that count, as arrays of float64, after checking that everything fits together."""
    labels, predictions = np.asarray(labels), np.asarray(predictions, dtype=float)
    known = np.ones(len(labels), dtype=bool) if known is None else np.asarray(known) > 0
    for name, array, width in (
        ("labels", labels, label_shape),
        ("predictions", predictions, shape),
        ("known", known, ()),
    ):
        if array.shape != (len(labels), *width):
            raise ValueError(
                f"{name} must have the shape {(len(labels), *width)}, received {array.shape}"
            )
    if 0 in shape:
        raise ValueError("a head needs at least one class, received none")
    labels, predictions = labels[known].astype(float), predictions[known]
    for name, array in (("labels", labels), ("predictions", predictions)):
        wrong = (
            ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
            if len(array)
            else np.zeros(0, bool)
        )
        if wrong.any():
            raise ValueError(
                f"{name} must be finite numbers, received NaN or infinity in {wrong.sum()} of {len(array)} rows"
            )
    return labels, predictions


def _check_indices(truth, size):
    if len(truth) and not 0 <= truth.min() <= truth.max() < size:
        raise ValueError(
            f"a label must be an index from 0 to {size - 1}, received {truth.min()} to {truth.max()}"
        )


def column(values):
    values = np.asarray(values, dtype=float)
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _clipped(probabilities):
    """Away from 0, where a logarithm would be infinite, by the rounding of float32 (as scikit-learn
    does for float32).
    """
    rounding = np.finfo(np.float32).eps
    return np.clip(probabilities, rounding, 1 - rounding)


def _wide(flags):
    """With a second, empty label: of a single column scikit-learn believes that it is a binary
    classification.
    """
    return np.pad(flags, ((0, 0), (0, 1)))


def _averages(truth, chosen, taking_part):
    if not len(taking_part):
        return dict.fromkeys(_AVERAGES, np.nan)
    values: dict[str, float] = {}
    for average in ("macro", "micro", "weighted"):
        figures = metrics.precision_recall_fscore_support(
            truth, chosen, labels=taking_part, average=average, zero_division=0
        )
        values |= {
            f"{name}_{average}": value
            for name, value in zip(("precision", "recall", "f1"), figures)
        }
    return values


def _two_sided(positive):
    return [
        column
        for column in range(positive.shape[1])
        if 0 < positive[:, column].sum() < len(positive)
    ]


def _auroc(positive, scores):
    areas = [
        metrics.roc_auc_score(positive[:, column], scores[:, column])
        for column in _two_sided(positive)
    ]
    return float(np.mean(areas)) if areas else np.nan


def _auroc_samples(positive, scores, resamples, seed, groups):
    affordable = max(100, AUROC_WORK // positive.shape[1])
    return bootstrap.resample(
        bootstrap.auroc(positive, scores), len(positive), min(resamples, affordable), seed, groups
    )


def _balanced_accuracy(truth, chosen):
    each = [
        metrics.balanced_accuracy_score(truth[:, column], chosen[:, column])
        for column in _two_sided(truth)
    ]
    return float(np.mean(each)) if each else np.nan


def _class_confusion(truth, chosen, size):
    # scikit-learn refuses an empty array
    if not len(truth):
        return np.zeros((size, size), dtype=int).tolist()
    return metrics.confusion_matrix(truth, chosen, labels=np.arange(size)).tolist()


def _label_confusion(truth, chosen):
    if not len(truth):
        return np.zeros((truth.shape[1], 2, 2), dtype=int).tolist()
    return metrics.multilabel_confusion_matrix(_wide(truth), _wide(chosen))[:-1].tolist()


def _by_class(classes, counts):
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


def mean_metrics(rows, resamples, seed):
    """`Figure`s that are means of `rows`, arrays by name."""
    size = len(next(iter(rows.values())))
    if not size:
        return {name: Figure(value=None, reason=NO_ROWS) for name in rows}
    samples = bootstrap.resample(bootstrap.row_means(rows), size, resamples, seed)
    found = {}
    for name, of_rows in rows.items():
        low, high, count = bootstrap.interval(samples[name]) if name in samples else (None, None, 0)
        found[name] = Figure(value=float(of_rows.mean()), low=low, high=high, resamples=count)
    return found


def as_metrics(kind, values, samples, one_sided):
    """`values` (NaN where undefined) and their resamples as `Figure`s; `one_sided` is the reason of
    what needs two kinds of labels.
    """
    figures = {}
    for name in FIGURES[kind]:
        value = values.get(name, np.nan)
        if np.isnan(value):
            reason = NO_ROWS if not values else NO_LABEL if name in _AVERAGES else one_sided
            figures[name] = Figure(value=None, reason=reason)
            continue
        low, high, count = bootstrap.interval(samples[name]) if name in samples else (None, None, 0)
        figures[name] = Figure(value=float(value), low=low, high=high, resamples=count)
    return figures
