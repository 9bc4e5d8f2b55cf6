"""Does one input of a row find the other among all rows?"""

import numpy as np
from scipy import sparse, stats

from multimodal_tf.config.heads import comparing
from multimodal_tf.evaluation.eval_split import EvalSplit, Told
from multimodal_tf.evaluation.matching import vectors_present
from multimodal_tf.metrics.clustered import group_codes
from multimodal_tf.metrics.retrieval import FIRST, retrieval
from multimodal_tf.report.model.contributions import page_figure
from multimodal_tf.report.page import Block, Column, Note, Section, Table

TITLE = "Does one input find the other?"
_READING = (
    "With one input of a row as the question, all rows' other inputs were ordered by the cosine of the vectors that a matching head "
    "compares. Rows of one group, and rows that share a cell, are right answers to each other."
)
_UNITS = {"median_rank": "rank, 1 is first", "mean_average_precision": "average precision"}


def retrieval_section(eval_split: EvalSplit, resamples: int, seed: int) -> Told:
    """Recall, median rank and mean average precision between the two inputs of each matching head,
    both ways.

    Args:
        examined: `EvalSplit`.
        resamples: int. For the intervals, which draw groups as a whole; 0: no intervals.
        seed: int.

    Returns:
        `Told`; its section is one Note where no head aligns two inputs. A head gets a Note where
        too few rows have both, or all are alike.
    """
    heads = comparing(eval_split.config.heads)
    if not heads:
        return _note(
            "No head of this model aligns inputs (type: matching), so none can be looked up by another."
        )
    there = vectors_present(eval_split.present, eval_split.config)
    rows: list[list] = []
    left_out: list[Block] = []
    sentences: list[str] = []
    for name, head in heads.items():
        # a probability, not the vectors
        if eval_split.predictions[name].ndim != 3:
            left_out.append(Note(f"{_pair(head)}: a served model gives no vectors of them."))
            continue
        # the last number of each is not the vector's
        vectors = eval_split.predictions[name][:, :, :-1]
        both = np.flatnonzero(
            np.all([there[own] for own in head.inputs], axis=0)
            & np.all(np.any(vectors, axis=2), axis=1)
        )
        if len(both) < max(FIRST):
            left_out.append(Note(f"{_pair(head)}: fewer than {max(FIRST)} rows have both."))
            continue
        codes = _alike(eval_split, head.inputs, both)
        if not codes.any():
            left_out.append(
                Note(
                    f"{_pair(head)}: all {len(both)} rows are right answers to each other, so there is nothing to find."
                )
            )
            continue
        chance = _by_chance(codes)
        for query, answer in ((0, 1), (1, 0)):
            found = retrieval(
                vectors[both, query], vectors[both, answer], codes, resamples=resamples, seed=seed
            )
            figures = {
                key: page_figure(figure, found.n, _UNITS.get(key, "share of questions"))
                for key, figure in found.metrics.items()
            }
            rows.append([head.inputs[query], head.inputs[answer], *figures.values(), *chance])
            recall = figures["recall_at_1"]
            said = f"{head.inputs[query].capitalize()} finds its row's {head.inputs[answer]} first among {found.n} in {recall.shown}"
            sentences.append(f"{said} {recall.interval} of the cases; by chance {chance[0]:.3f}.")
    if not rows:
        return Told(Section(TITLE, _READING, left_out))
    numbers = [
        *(f"recall at {k}" for k in FIRST),
        "median rank",
        "mean average precision",
        *(f"recall at {k} by chance" for k in FIRST),
    ]
    columns = [Column("question"), Column("answer"), *(Column(name, "number") for name in numbers)]
    return Told(
        Section(TITLE, _READING, [Table("Retrieval", columns, rows), *left_out]),
        tuple(sentences[:2]),
    )


def _pair(head):
    return " and ".join(head.inputs)


def _alike(eval_split, names, rows):
    """Numbers of the groups of rows that are right answers to each other: of one group of the
    split, or with an equal cell of an input.
    """
    behind = eval_split.config.vector_inputs()
    kinds = [_equal_cells(eval_split, behind[name], rows) for name in names]
    kinds += [] if eval_split.groups is None else [group_codes(eval_split.groups[rows], len(rows))]
    each = np.arange(len(rows))
    ties = sum(
        sparse.coo_array((np.ones(len(rows)), (each, first)), (len(rows), len(rows)))
        for first in map(_first_of_its_kind, kinds)
    )
    return sparse.csgraph.connected_components(ties, directed=False)[1]


def _equal_cells(eval_split, names, rows):
    """Numbers of the rows' cells of these inputs, the same where all are equal."""
    numbers: dict[tuple, int] = {}
    cells = [
        tuple(tuple(np.ravel(eval_split.raw[name][row]).tolist()) for name in names) for row in rows
    ]
    return np.array([numbers.setdefault(cell, len(numbers)) for cell in cells])


def _first_of_its_kind(codes):
    return np.unique(codes, return_index=True)[1][codes]


def _by_chance(codes):
    """Recalls of an order that is drawn, in the mean over the rows."""
    right = np.bincount(codes)[codes]
    return [float((1 - stats.hypergeom.pmf(0, len(codes), right, k)).mean()) for k in FIRST]


def _note(text):
    return Told(Section(TITLE, _READING, [Note(text)]))
