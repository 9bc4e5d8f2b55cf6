"""Explains rows of a split: those with the highest loss, and a few that are right."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from multimodal_tf.evaluation import row_scores
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.explanations.deletion import Deletion
from multimodal_tf.evaluation.explanations.explanation import Explanation, explain
from multimodal_tf.evaluation.explanations.row import Row
from multimodal_tf.evaluation.slices import worst_rows
from multimodal_tf.metrics.clustered import group_codes, weighted_metrics
from multimodal_tf.metrics.metric import Metric

# rows that are explained
WORST, RIGHT = 6, 3
# relative to the score, or to 1 if that is greater: float32 rounding by batch size
_TOLERANCE = 1e-5
_UNITS = {
    "class": "probability of the predicted class",
    "classes": "probability of the most probable label",
    "number": "prediction, in the label's unit",
}


@dataclasses.dataclass(frozen=True)
class DeletionCurves:
    """The deletion curves of one input on average over the explained rows.

    Args:
        deleted: fractions of deleted parts.
        by_map, at_random: the mean score at each fraction.
        area: the mean area between the curves.
        is_constant: whether no deletion changed any prediction.
    """

    deleted: list[float]
    by_map: list[Metric]
    at_random: list[Metric]
    area: Metric
    is_constant: bool


@dataclasses.dataclass(frozen=True)
class SplitExplanations:
    """Explanations of some rows of a split.

    Args:
        worst: by row index, those with the highest loss.
        right: by row index, a random sample of right predictions, or of the better half.
        curves: by input that has two parts or more in some row.
    """

    worst: dict[int, Explanation]
    right: dict[int, Explanation]
    curves: dict[str, DeletionCurves]


def explain_split(eval_split: EvalSplit, resamples: int, seed: int) -> SplitExplanations:
    """Explains the rows with the highest loss, and a random sample of right ones.

    The score is the probability of the predicted class, of the most probable label, or the
    predicted number.

    Args:
        eval_split: `EvalSplit`.
        resamples: int. For the intervals of the deletion curves; 0: no intervals.
        seed: int, for rows, random orders and intervals.
    """
    worst, right = _chosen(eval_split, seed)
    explained = {
        row: explain(
            _row(eval_split, row), eval_split.config, seed=(seed, int(eval_split.rows[row]))
        )
        for row in (*worst, *right)
    }
    curves = {}
    for name in eval_split.config.inputs:
        rows = [
            row
            for row, explanation in explained.items()
            if name in explanation.maps and explanation.maps[name].parts.size > 1
        ]
        if rows:
            curves[name] = _curves(eval_split, name, rows, explained, resamples, seed)
    return SplitExplanations(
        {row: explained[row] for row in worst}, {row: explained[row] for row in right}, curves
    )


def has_hits(eval_split: EvalSplit) -> bool:
    """Whether a prediction of the head is right or wrong."""
    return row_scores.right(eval_split) is not None


def _chosen(eval_split: EvalSplit, seed: int) -> tuple[list[int], list[int]]:
    """Indices of the rows with the highest loss, and of a sample of right ones.

    Of numbers, the worse and the better half stand for wrong and right.
    """
    known = np.flatnonzero(eval_split.known & eval_split.present.any(axis=1))
    if not len(known):
        return [], []
    losses = row_scores.losses(eval_split, eval_split.predictions)[known]
    right = row_scores.right(eval_split)
    hits = losses <= np.median(losses) if right is None else right[known]
    wrong = len(known) // 2 if right is None else int(np.count_nonzero(~hits))
    worst = worst_rows(losses, min(WORST, max(1, wrong)))
    others = np.setdiff1d(np.flatnonzero(hits), worst)
    sample = np.random.default_rng(seed).permutation(others)[:RIGHT]
    return known[worst].tolist(), known[sample].tolist()


def _row(eval_split: EvalSplit, index: int) -> Row:
    name = eval_split.head
    head = eval_split.config.heads[name]
    prediction = eval_split.predictions[name][index]
    is_number = head.target_type == "number"
    column = head.point_index if is_number else int(prediction.argmax())
    cells = {key: column_[index : index + 1] for key, column_ in eval_split.raw.items()}
    return Row(cells, eval_split.predict, lambda predictions: predictions[name][:, column])


def _curves(
    eval_split: EvalSplit,
    name: str,
    rows: Sequence[int],
    explained: Mapping[int, Explanation],
    resamples: int,
    seed: int,
) -> DeletionCurves:
    curves = [explained[row].maps[name].deletion for row in rows]
    groups = None if eval_split.groups is None else eval_split.groups[rows]
    codes = group_codes(groups, len(rows))
    unit = _UNITS[eval_split.config.heads[eval_split.head].target_type or ""]

    def means(table: np.ndarray, unit: str) -> list[Metric]:
        def statistic(weights: np.ndarray) -> dict[int, float]:
            return dict(enumerate(weights @ table / weights.sum()))

        metrics = weighted_metrics(statistic, codes, resamples, seed).values()
        return [dataclasses.replace(metric, unit=unit) for metric in metrics]

    of_all = [each.maps[name].deletion for each in explained.values() if name in each.maps]
    areas = np.array([[curve.area] for curve in curves])
    return DeletionCurves(
        curves[0].deleted.tolist(),
        means(np.stack([curve.by_map for curve in curves]), unit),
        means(np.stack([curve.at_random.mean(axis=0) for curve in curves]), unit),
        means(areas, f"{unit}, mean over fractions deleted")[0],
        _is_constant(of_all),
    )


def _is_constant(curves: Iterable[Deletion]) -> bool:
    """Whether no deletion changed a prediction. A map without relevance is right then."""
    scores = [np.vstack([curve.by_map, curve.at_random]) for curve in curves]
    return all(np.ptp(each) <= _TOLERANCE * max(1.0, np.abs(each).max()) for each in scores)
