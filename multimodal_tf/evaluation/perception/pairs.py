"""Does one input of a row find the other among all rows?"""

import numpy as np

from multimodal_tf.evaluation.matched import matching_heads, vectors_there
from multimodal_tf.evaluation.page import Column, Note, Section, Table
from multimodal_tf.evaluation.perception.examined import Examined, Told
from multimodal_tf.evaluation.perception.inputs import page_figure
from multimodal_tf.evaluation.retrieval import FIRST, retrieval

TITLE = "Does one input find the other?"
_READING = (
    "With one input of a row as the question, all rows' other inputs were ordered by the cosine of the vectors that a matching head "
    "compares. Rows of one group are right answers to each other."
)
_UNITS = {"median_rank": "rank, 1 is first", "mean_average_precision": "average precision"}


def retrieval_section(examined: Examined, resamples: int, seed: int) -> Told:
    """Recall, median rank and mean average precision between the two inputs of each matching head, both ways.

    Args:
        examined: `Examined`.
        resamples: int. For the intervals, which draw groups as a whole; 0: no intervals.
        seed: int.

    Returns:
        `Told`; its section is one Note where no head aligns two inputs, or too few rows have both.
    """
    heads = matching_heads(examined.config)
    if not heads:
        return _note("No head of this model aligns inputs (type: matching), so none can be looked up by another.")
    there = vectors_there(examined.present, examined.config)
    rows: list[list] = []
    sentences: list[str] = []
    for name, head in heads.items():
        both = np.all([there[own] for own in head.inputs], axis=0)
        if examined.answers[name].ndim != 3 or both.sum() < max(FIRST):
            continue
        vectors = examined.answers[name][both][:, :, :-1]  # the last number of each is not the vector's
        groups = None if examined.groups is None else examined.groups[both]
        for query, answer in ((0, 1), (1, 0)):
            found = retrieval(vectors[:, query], vectors[:, answer], groups, resamples=resamples, seed=seed)
            figures = [page_figure(figure, found.n, _UNITS.get(key, "share of questions")) for key, figure in found.figures.items()]
            rows.append([head.inputs[query], head.inputs[answer], *figures])
            recall = figures[list(found.figures).index("recall_at_1")]
            said = f"{head.inputs[query].capitalize()} finds its row's {head.inputs[answer]} first among {found.n} in {recall.shown}"
            sentences.append(f"{said} {recall.interval} of the cases; by chance {1 / found.n:.3f}.")
    if not rows:
        return _note(f"Fewer than {max(FIRST)} rows have both inputs of a matching head, or a served model gives no vectors of them.")
    columns = [Column("question"), Column("answer"), *(Column(key.replace("_", " "), "number") for key in found.figures)]
    return Told(Section(TITLE, _READING, [Table("Retrieval", columns, rows)]), tuple(sentences[:2]))


def _note(text):
    return Told(Section(TITLE, _READING, [Note(text)]))
