"""Retrieval between the inputs of each head that compares them."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import stats

from multimodal_tf.config.heads import comparing, input_pairs
from multimodal_tf.evaluation.agreement import vectors_present
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.metrics.retrieval import FIRST, retrieval
from multimodal_tf.scoring.retrieval import relevance_groups

_UNITS = {"median_rank": "rank, 1 is first", "mean_average_precision": "average precision"}


@dataclasses.dataclass(frozen=True)
class InputRetrieval:
    """Retrieval of one input by another.

    Args:
        query, target: names of the two inputs.
        n: number of rows that have both.
        metrics: by name, as in `metrics.retrieval.Retrieval`.
        chance: the recalls at 1, 5 and 10 of a random order.
    """

    query: str
    target: str
    n: int
    metrics: dict[str, Metric]
    chance: list[float]


def cross_modal_retrieval(
    eval_split: EvalSplit, resamples: int, seed: int
) -> tuple[list[InputRetrieval], list[str]]:
    """Retrieval between the inputs of each head that compares them, in both directions.

    Rows with an equal cell are relevant to each other, as in `metrics.alignment`.

    Args:
        eval_split: `EvalSplit`.
        resamples: int. For the intervals, which draw rows with an equal cell and groups as a whole;
            0: no intervals.
        seed: int.

    Returns:
        The results, and for each pair of inputs without a result a sentence with the reason.
    """
    found: list[InputRetrieval] = []
    left_out = []
    for name, head in comparing(eval_split.config.heads).items():
        # behind the vectors stand the scale and the shift of the logits
        vectors = eval_split.predictions[name]
        if vectors.ndim == 3:
            vectors = vectors[:, :, : head.vector_end]
        for pair in input_pairs(head):
            chosen = [head.inputs.index(own) for own in pair]
            of_pair = vectors[:, chosen] if vectors.ndim == 3 else vectors
            rows = _rows_with_both(eval_split, pair, of_pair)
            codes = _relevance_groups(eval_split, pair, rows)
            reason = _reason_left_out(vectors, codes)
            if reason:
                left_out.append(f"{' and '.join(pair)}: {reason}")
            else:
                groups = None if eval_split.groups is None else eval_split.groups[rows]
                found += _both_directions(pair, of_pair[rows], codes, (resamples, seed, groups))
    return found, left_out


def _rows_with_both(
    eval_split: EvalSplit, pair: tuple[str, str], vectors: np.ndarray
) -> np.ndarray:
    """Indices of the rows that have both inputs, with vectors that are not zero."""
    present = vectors_present(eval_split.present, eval_split.config)
    has_both = np.all([present[own] for own in pair], axis=0)
    if vectors.ndim == 3:
        has_both &= np.all(np.any(vectors, axis=2), axis=1)
    return np.flatnonzero(has_both)


def _reason_left_out(vectors: np.ndarray, codes: np.ndarray) -> str:
    # a served model predicts a probability, not the vectors
    if vectors.ndim != 3:
        return "a served model gives no vectors of them."
    if len(codes) < max(FIRST):
        return f"fewer than {max(FIRST)} rows have both."
    if not codes.any():
        return f"all {len(codes)} rows are relevant to each other, so there is nothing to find."
    return ""


def _both_directions(
    pair: tuple[str, str],
    vectors: np.ndarray,
    codes: np.ndarray,
    drawn: tuple[int, int, np.ndarray | None],
) -> list[InputRetrieval]:
    chance = _recalls_by_chance(codes)
    found = []
    for query, target in ((0, 1), (1, 0)):
        result = retrieval(vectors[:, query], vectors[:, target], codes, FIRST, *drawn)
        metrics = {
            key: dataclasses.replace(metric, unit=_UNITS.get(key, "share of queries"))
            for key, metric in result.metrics.items()
        }
        found.append(InputRetrieval(pair[query], pair[target], result.n, metrics, chance))
    return found


def _relevance_groups(eval_split: EvalSplit, names: Sequence[str], rows: np.ndarray) -> np.ndarray:
    """Codes of the groups of rows that are relevant to each other, int `(rows,)`.

    Rows are, if they have an equal cell of one of the inputs.
    """
    inputs = eval_split.config.vector_inputs()
    return relevance_groups([_equal_cells(eval_split, inputs[name], rows) for name in names])


def _equal_cells(eval_split: EvalSplit, names: Sequence[str], rows: np.ndarray) -> np.ndarray:
    """A code for each row; equal where the cells of all these inputs are equal."""
    codes: dict[tuple[object, ...], int] = {}
    cells = [
        tuple(tuple(np.ravel(eval_split.raw[name][row]).tolist()) for name in names) for row in rows
    ]
    return np.array([codes.setdefault(cell, len(codes)) for cell in cells])


def _recalls_by_chance(codes: np.ndarray) -> list[float]:
    """The recalls of a random order, on average over the rows."""
    relevant = np.bincount(codes)[codes]
    return [float((1 - stats.hypergeom.pmf(0, len(codes), relevant, k)).mean()) for k in FIRST]
