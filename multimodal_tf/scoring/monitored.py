"""Scores of a head on plain arrays, by which training chooses an epoch."""

import itertools
from collections.abc import Callable

import numpy as np
from sklearn import metrics

from multimodal_tf.scoring import ranking
from multimodal_tf.scoring.retrieval import ranks, recall, relevance_groups

# scores of which less is better
LOWER = ("mae", "rank_mae")

# of bool `(rows, classes)`, float `(rows, classes)` and the predicted bool `(rows, classes)`
_ClassScore = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def class_score(name: str, truth: np.ndarray, probabilities: np.ndarray) -> float:
    """A score of a head that chooses one class; NaN where it is not defined.

    Args:
        name: as in `config.heads`.
        truth: int `(rows,)`, index of the class.
        probabilities: float `(rows, classes)`.

    Example:
        >>> class_score("balanced_accuracy", np.array([0, 0, 1]), np.array([[0.9, 0.1]] * 3))
        0.5
    """
    if not len(truth):
        return np.nan
    predicted = probabilities.argmax(axis=1)
    if name == "accuracy":
        return float(metrics.accuracy_score(truth, predicted))
    if name == "rank_mae":
        return float(metrics.mean_absolute_error(truth, predicted))
    if name == "balanced_accuracy":
        present = np.unique(truth)
        return float(
            metrics.recall_score(truth, predicted, labels=present, average="macro", zero_division=0)
        )
    every = np.arange(probabilities.shape[1])
    return label_score(name, truth[:, None] == every, probabilities, predicted[:, None] == every)


def label_score(
    name: str, positive: np.ndarray, probabilities: np.ndarray, predicted: np.ndarray
) -> float:
    """A score of a head that predicts any number of labels; NaN where it is not defined.

    Args:
        name: as in `config.heads`.
        positive: bool `(rows, labels)`.
        probabilities: float `(rows, labels)`.
        predicted: bool `(rows, labels)`.
    """
    return _SCORES[name](positive, probabilities, predicted) if len(positive) else np.nan


def number_score(name: str, truth: np.ndarray, predicted: np.ndarray) -> float:
    """A score of a head that predicts a number: `mae`; NaN without rows."""
    return float(metrics.mean_absolute_error(truth, predicted)) if len(truth) else np.nan


def alignment_score(name: str, cells: np.ndarray, vectors: np.ndarray) -> float:
    """Retrieval of each input by each other one, the mean; NaN where no two rows have two inputs.

    Args:
        name: `mean_average_precision`, or `recall_at_1` with any number.
        cells: int `(rows, inputs)`: equal numbers for equal cells of an input.
        vectors: float `(rows, inputs, dim)`, of length 1; zeros where an input is missing.

    Example:
        >>> rows = np.eye(2)[[[0, 0], [1, 1], [0, 0]]]
        >>> alignment_score("recall_at_1", np.arange(6).reshape(3, 2), rows)
        0.6666666666666666
    """
    found, present = [], np.asarray(vectors.any(axis=2))
    for query, target in itertools.permutations(range(vectors.shape[1]), 2):
        rows = np.flatnonzero(present[:, query] & present[:, target])
        if len(rows) > 1:
            codes = relevance_groups([cells[rows, query], cells[rows, target]])
            of_queries = ranks(vectors[rows, query], vectors[rows, target], codes)
            found.append(_of_ranks(name, of_queries).mean())
    return float(np.mean(found)) if found else np.nan


def _of_ranks(name: str, of_queries: np.ndarray) -> np.ndarray:
    if name == "mean_average_precision":
        return np.asarray(of_queries[3])
    return recall(int(name.rpartition("_")[2]), of_queries)


def _f1(average: str) -> _ClassScore:
    def score(positive: np.ndarray, _: np.ndarray, predicted: np.ndarray) -> float:
        # a class without a row and without a prediction takes no part
        part = np.flatnonzero(positive.any(axis=0) | predicted.any(axis=0))
        if not len(part):
            return np.nan
        # with an empty class: scikit-learn takes one column for a binary classification
        wide = [np.pad(flags, ((0, 0), (0, 1))) for flags in (positive, predicted)]
        return float(metrics.f1_score(*wide, labels=part, average=average, zero_division=0))

    return score


def _balanced_accuracy(positive: np.ndarray, _: np.ndarray, predicted: np.ndarray) -> float:
    found = [
        metrics.balanced_accuracy_score(*columns)
        for columns in zip(positive.T, predicted.T)
        if 0 < columns[0].sum() < len(positive)
    ]
    return float(np.mean(found)) if found else np.nan


def _macro(score: ranking.Score) -> _ClassScore:
    return lambda positive, probabilities, _: ranking.mean(score, positive, probabilities)


def _micro(score: ranking.Score) -> _ClassScore:
    return lambda positive, probabilities, _: ranking.micro(score, positive, probabilities)


_SCORES: dict[str, _ClassScore] = {
    "accuracy": lambda positive, _, predicted: float((positive == predicted).mean()),
    "auroc": _macro(ranking.auroc),
    "average_precision": _macro(ranking.average_precision),
    "average_precision_macro": _macro(ranking.average_precision),
    "average_precision_micro": _micro(ranking.average_precision),
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1("macro"),
    "f1_macro": _f1("macro"),
    "f1_micro": _f1("micro"),
}
