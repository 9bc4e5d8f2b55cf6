"""The rows on which runs disagree, and how many each run predicts right."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from multimodal_tf.data.predictions import HeadPredictions
from multimodal_tf.evaluation.paired import losses


@dataclasses.dataclass(frozen=True)
class Counts:
    """Number of rows that a run and the first run predict right."""

    both: int
    only_this: int
    only_first: int
    neither: int


@dataclasses.dataclass(frozen=True)
class Disagreement:
    """The rows on which some run predicts differently from the first, by one head.

    Args:
        total: number of such rows.
        indices: int, those with the largest difference of losses, in that order.
        labels: their labels as text.
        predictions: by run, their predictions as text.
        counts: by run but the first; empty for a head of numbers, where nothing is right or wrong.
    """

    total: int
    indices: np.ndarray
    labels: list[str]
    predictions: dict[str, list[str]]
    counts: dict[str, Counts]


def disagreement(predictions: Mapping[str, HeadPredictions], max_rows: int) -> Disagreement | None:
    """The rows on which runs disagree; None where they agree on all.

    Args:
        predictions: by run the predictions of one head, for the same rows.
        max_rows: int, limit of `indices`.
    """
    first = next(iter(predictions.values()))
    chosen = {run: _chosen(one) for run, one in predictions.items()}
    of_first = chosen[next(iter(predictions))]
    differ = first.known & np.any([each != of_first for each in chosen.values()], axis=0)
    if not differ.any():
        return None
    spread = np.ptp(np.stack([losses(one) for one in predictions.values()]), axis=0)
    indices = np.flatnonzero(differ)
    indices = indices[np.argsort(-spread[indices], kind="stable")][:max_rows]
    labels = _as_text(first, _labels(first))
    texts = {
        run: _as_text(one, chosen[run], with_probability=True) for run, one in predictions.items()
    }
    return Disagreement(
        int(differ.sum()),
        indices,
        [labels[index] for index in indices],
        {run: [of_rows[index] for index in indices] for run, of_rows in texts.items()},
        {} if first.head.target_type == "number" else _counts(first, chosen),
    )


def _counts(first: HeadPredictions, chosen: Mapping[str, np.ndarray]) -> dict[str, Counts]:
    labels, known = _labels(first), first.known
    base, *others = [(run, (each == labels)[known]) for run, each in chosen.items()]
    return {
        run: Counts(
            int((base[1] & right).sum()),
            int((~base[1] & right).sum()),
            int((base[1] & ~right).sum()),
            int((~base[1] & ~right).sum()),
        )
        for run, right in others
    }


def _chosen(one: HeadPredictions) -> np.ndarray:
    """The prediction of each row, such that equal predictions are equal."""
    match one.head.target_type:
        case "class":
            return np.asarray(one.predictions.argmax(axis=1))
        case "classes":
            return _joined(one, one.predicted_labels)
        case _:
            return np.asarray(one.predictions[:, one.head.point_index])


def _labels(one: HeadPredictions) -> np.ndarray:
    return _joined(one, one.targets > 0) if one.head.target_type == "classes" else one.targets


def _joined(one: HeadPredictions, flags: np.ndarray) -> np.ndarray:
    return np.array(
        [", ".join(name for name, flag in zip(one.classes, row) if flag) for row in flags],
        dtype=object,
    )


def _as_text(one: HeadPredictions, values: np.ndarray, with_probability: bool = False) -> list[str]:
    match one.head.target_type:
        case "class":
            names = [one.classes[index] for index in values]
            if not with_probability:
                return names
            return [f"{name} ({row.max():.2f})" for name, row in zip(names, one.predictions)]
        case "classes":
            return [str(value) or "none" for value in values]
        case _:
            return [f"{value:.4g}" for value in values]
