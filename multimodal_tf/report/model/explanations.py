"""What does the answer to a row hang on? Some rows, the worst and a few right ones, with
contributions and maps.
"""

import dataclasses

import numpy as np

from multimodal_tf.evaluation.eval_split import EvalSplit, Told
from multimodal_tf.evaluation.explanations import (
    Deletion,
    Explanation,
    Row,
    explain,
    over_image,
    over_spectrogram,
    over_words,
)
from multimodal_tf.evaluation.explanations.saliency_images import signed
from multimodal_tf.evaluation.row_scores import ACCURACY, LABELS, unit_of, values
from multimodal_tf.evaluation.slices import worst_rows
from multimodal_tf.metrics import calibration
from multimodal_tf.metrics.clustered import group_codes, weighted_metrics
from multimodal_tf.report.model.contributions import page_figure
from multimodal_tf.report.model.errors import example
from multimodal_tf.report.page import (
    Bars,
    Block,
    Example,
    Examples,
    Figure,
    Line,
    Lines,
    Note,
    Picture,
    Section,
    Sound,
)

TITLE = "What single answers hang on"
# rows that are explained
WORST, RIGHT = 6, 3
# of the answer, or of 1 where it is smaller: what a batch of another size may change of float32
_STILL = 1e-5
_READING = (
    "Something was left out of a row, and what the answer lost is what that was worth: red speaks for the answer, blue against it, the "
    "strongest part of each row in full colour. Patches of a picture were filled with its mean colour, words left out, stretches of a "
    "sound silenced. Where a map is right, deleting what it marks hurts sooner than deleting at random."
)
_KINDS = {
    "class": "probability of the answer",
    "classes": "probability of the surest label",
    "number": "answer, in the label's unit",
}


def explained_section(eval_split: EvalSplit, resamples: int, seed: int) -> Told:
    """Explains the rows with the highest loss, and a few right ones that are drawn.

    Explained is the probability of the class that the model chose, right or wrong; of the surest
    label; or the number that it answers.

    Args:
        examined: `EvalSplit`.
        resamples: int. For the intervals of the deletion curves, which draw rows or groups; 0: no
        intervals.
        seed: int, of rows, orders and intervals.

    Returns:
        `Told`; its section is one Note where no row has a label and an input.
    """
    worst, right = _chosen(eval_split, seed)
    if not len(worst) + len(right):
        return Told(
            Section(TITLE, _READING, [Note("No row of this split has a label and an input.")])
        )
    found = {
        row: explain(
            _row(eval_split, row), eval_split.config, seed=(seed, int(eval_split.rows[row]))
        )
        for row in (*worst, *right)
    }
    blocks: list[Block] = [_examples("The worst rows, explained", eval_split, worst, found)]
    if len(right):
        blocks.append(
            _examples(
                f"{'Right rows' if _hits(eval_split) else 'Better rows'}, explained",
                eval_split,
                right,
                found,
            )
        )
    curves, areas = _curves(eval_split, found, resamples, seed)
    return Told(Section(TITLE, _READING, [*blocks, *curves]), _sentences(found, areas))


def _chosen(eval_split, seed):
    """Places of the worst rows, and of right ones that are drawn; of numbers, of the better half."""
    known = np.flatnonzero(eval_split.known & eval_split.present.any(axis=1))
    if not len(known):
        return known, known
    good = values(eval_split, eval_split.predictions)[known]
    loss = -good
    if unit_of(eval_split.config, eval_split.head) == ACCURACY and len(known) > 1:
        loss = calibration.log_losses(
            eval_split.labels[known], eval_split.predictions[eval_split.head][known]
        )
    bad = int(np.count_nonzero(good < 1)) if _hits(eval_split) else len(known) // 2
    worst = worst_rows(loss, min(WORST, max(1, bad)))
    others = np.setdiff1d(
        np.flatnonzero(good == 1 if _hits(eval_split) else good >= np.median(good)), worst
    )
    right = np.random.default_rng(seed).permutation(others)[:RIGHT]
    return known[worst].tolist(), known[right].tolist()


def _hits(eval_split):
    """Whether an answer of the head is right or wrong."""
    return unit_of(eval_split.config, eval_split.head) in (ACCURACY, LABELS)


def _row(eval_split, place):
    head = eval_split.config.heads[eval_split.head]
    answer = eval_split.predictions[eval_split.head][place]
    column = head.point_index if head.target_type == "number" else int(answer.argmax())
    cells = {name: cells[place : place + 1] for name, cells in eval_split.raw.items()}
    return Row(cells, eval_split.predict, lambda answers: answers[eval_split.head][:, column])


def _examples(title, eval_split, rows, found):
    return Examples(title, [_example(eval_split, row, found[row]) for row in rows])


def _example(eval_split: EvalSplit, row: int, explanation: Explanation) -> Example:
    given = explanation.contributions
    added = {f"{name} adds": signed(value) for name, value in given.shapley.items()}
    shown = example(eval_split, row, {"without any input": f"{given.no_inputs:.2f}"} | added)
    cells: dict[str, Picture | Sound | str | None] = {}
    for name, cell in shown.cells.items():
        if name in explanation.broken:
            cells[name] = f"cannot be read: {explanation.broken[name]}"
        elif name in explanation.maps:
            cells |= _with_map(
                name,
                eval_split.config.inputs[name].type,
                eval_split.raw[name][row],
                cell,
                explanation.maps[name],
            )
        else:
            cells[name] = cell
    return dataclasses.replace(shown, cells=cells)


def _with_map(name, kind, cell, shown, found):
    """The cells of the page that show one input with its map."""
    parts, marked = found.parts, found.relevance
    if kind == "text":
        return {name: over_words(cell, parts, marked)}
    strongest = f"{name}, strongest part {signed(marked.flat[np.abs(marked).argmax()])}"
    if kind == "image":
        return {name: shown, strongest: Picture(over_image(cell, parts, marked))}
    if kind == "audio":
        return {name: shown, strongest: Picture(over_spectrogram(cell, parts, marked))}
    return {
        name: shown,
        f"{name}, frames from the first on": " ".join(signed(value) for value in marked),
    }


def _curves(eval_split, found, resamples, seed):
    """Deletion curves of each input, over the rows in which it has two parts or more, and the areas
    between them.
    """
    blocks: list[Block] = []
    areas: dict[str, Figure] = {}
    unit = _KINDS[eval_split.config.heads[eval_split.head].target_type]
    for name in eval_split.config.inputs:
        rows = [
            row
            for row, explanation in found.items()
            if name in explanation.maps and explanation.maps[name].parts.size > 1
        ]
        if not rows:
            continue
        curves = [found[row].maps[name].deletion for row in rows]
        codes = group_codes(
            None if eval_split.groups is None else eval_split.groups[rows], len(rows)
        )
        blocks.append(_lines(name, curves, codes, unit, resamples, seed))
        area = _means(
            np.array([[curve.area] for curve in curves]),
            codes,
            f"{unit}, mean over shares deleted",
            resamples,
            seed,
        )
        areas[name] = area[0]
    if areas:
        blocks.insert(0, Bars("How much sooner deletion by the map hurts than at random", areas))
    return blocks, areas


def _lines(name, curves: list[Deletion], codes, unit, resamples, seed):
    kinds = {
        "by the map": np.stack([curve.by_map for curve in curves]),
        "at random": np.stack([curve.at_random.mean(axis=0) for curve in curves]),
    }
    lines = [
        Line(kind, curves[0].deleted.tolist(), _means(rows, codes, unit, resamples, seed))
        for kind, rows in kinds.items()
    ]
    return Lines(f"Deletion of parts of {name}", "share of the parts that is deleted", lines)


def _means(
    table: np.ndarray, codes: np.ndarray, unit: str, resamples: int, seed: int
) -> list[Figure]:
    """The mean of each column over rows."""
    found = weighted_metrics(
        lambda weights: dict(enumerate(weights @ table / weights.sum())), codes, resamples, seed
    )
    return [page_figure(figure, len(table), unit) for figure in found.values()]


def _sentences(found, areas):
    still = [
        name
        for name in areas
        if _still([one.maps[name].deletion for one in found.values() if name in one.maps])
    ]
    wrong = [name for name, figure in areas.items() if figure.value <= 0 and name not in still]
    said = [
        f"In none of the explained rows (n = {areas[name].n}) does the answer change when {name} is deleted part by part."
        for name in still
    ]
    if wrong:
        names = " and ".join(wrong)
        said.append(
            f"The maps of {names} are not to be relied on: deleting what they mark hurts no sooner than deleting at random."
        )
    return tuple(said)


def _still(curves: list[Deletion]) -> bool:
    """Whether nothing that was deleted changed an answer: maps that mark nothing are right then."""
    scores = [np.vstack([curve.by_map, curve.at_random]) for curve in curves]
    return all(np.ptp(each) <= _STILL * max(1.0, np.abs(each).max()) for each in scores)
