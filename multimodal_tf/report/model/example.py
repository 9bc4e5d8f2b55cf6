"""A row of the split as an example on the page, with saliency maps if it is explained."""

import dataclasses
from collections.abc import Sequence
from typing import Any, assert_never

import numpy as np

from multimodal_tf import config
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.explanations import (
    Explanation,
    SaliencyMap,
    over_image,
    over_spectrogram,
    over_words,
    signed,
)
from multimodal_tf.report.page import AudioClip, Example, Image

# numbers of a vector, which has at least eight
_SHOWN = 4
# labels with their probability on a card, besides the true ones
_LABELS = 3

PageCell = Image | AudioClip | str | None


def example(eval_split: EvalSplit, row: int, facts: dict[str, str] | None = None) -> Example:
    """A row of the split: its cells, label, prediction and facts."""
    truth, predicted, more = _label_and_prediction(eval_split, row)
    cells = input_cells(eval_split, row)
    return Example(f"row {eval_split.rows[row]}", cells, truth, predicted, more | (facts or {}))


def input_cells(eval_split: EvalSplit, row: int) -> dict[str, PageCell]:
    """The cells of a row for the page, by input; None where one is missing or cannot be read."""
    return {
        name: _cell(input_config, eval_split.raw[name][row], bool(eval_split.present[row, index]))
        for index, (name, input_config) in enumerate(eval_split.config.inputs.items())
    }


def explained_example(eval_split: EvalSplit, row: int, explanation: Explanation) -> Example:
    """A row of the split with its contributions and saliency maps."""
    contributions = explanation.contributions
    facts = {
        "explained": _explained(eval_split, row),
        "without any input": f"{contributions.no_inputs:.2f}",
    } | {f"contribution of {name}": signed(value) for name, value in contributions.shapley.items()}
    plain = example(eval_split, row, facts)
    cells: dict[str, PageCell] = {}
    for name, cell in plain.cells.items():
        if name in explanation.broken:
            cells[name] = f"cannot be read: {explanation.broken[name]}"
        elif name in explanation.maps:
            input_config, raw = eval_split.config.inputs[name], eval_split.raw[name][row]
            cells |= _with_map(name, input_config, raw, cell, explanation.maps[name])
        else:
            cells[name] = cell
    return dataclasses.replace(plain, cells=cells)


def _cell(input_config: config.Input, cell: Any, present: bool) -> PageCell:
    """A cell for the page; None where it is missing or cannot be read."""
    if not present:
        return None
    match input_config.shown_as:
        case "image":
            return Image(cell)
        case "frame":
            return Image(next(frame for frame in cell if frame))
        case "player":
            return AudioClip(cell)
        case "text":
            return _text(cell)
        case _:
            assert_never(input_config.shown_as)


def _text(cell: Any) -> str:
    """A text or a number; of several numbers the first and how many they are."""
    if isinstance(cell, bytes):
        return cell.decode(errors="replace")
    if np.ndim(cell):
        return f"{', '.join(f'{number:g}' for number in cell[:_SHOWN])}, ... ({len(cell)} numbers)"
    return f"{cell:g}"


def _with_map(
    name: str, input_config: config.Input, raw: Any, cell: PageCell, found: SaliencyMap
) -> dict[str, PageCell]:
    """The cells of the page that show one input with its map."""
    parts, relevance = found.parts, found.relevance
    highest = signed(relevance.flat[np.abs(relevance).argmax()])
    title = f"{name}, most relevant part {highest}"
    match input_config.shown_as:
        case "text":
            return {name: over_words(raw, parts, relevance)}
        case "image":
            return {name: cell, title: Image(over_image(raw, parts, relevance))}
        case "player":
            return {name: cell, title: Image(over_spectrogram(raw, parts, relevance))}
        case "frame":
            frames = " ".join(signed(value) for value in relevance)
            return {name: cell, f"{name}, relevance of frames": frames}
        case _:
            assert_never(input_config.shown_as)


def _label_and_prediction(eval_split: EvalSplit, row: int) -> tuple[str, str, dict[str, str]]:
    """Label and prediction as text, and the probabilities."""
    prediction = eval_split.predictions[eval_split.head][row]
    label, known = eval_split.labels[row], eval_split.known[row]
    head = eval_split.config.heads[eval_split.head]
    names = getattr(eval_split.schema.heads[eval_split.head], "names", [])
    if head.target_type == "class":
        facts = {"probability of the predicted class": f"{prediction.max():.2f}"}
        if known:
            facts["probability of the true class"] = f"{prediction[label]:.2f}"
        return names[label] if known else "unknown", names[int(prediction.argmax())], facts
    if head.target_type == "classes":
        every = np.array(names)
        truth, predicted = np.asarray(label) > 0, prediction >= eval_split.thresholds
        truth_text, predicted_text = (
            ", ".join(every[chosen]) or "none" for chosen in (truth, predicted)
        )
        facts = {"probability of labels": _probabilities(names, prediction, truth, bool(known))}
        return truth_text if known else "unknown", predicted_text, facts
    number = prediction[head.point_index]
    return f"{float(np.ravel(label)[0]):g}" if known else "unknown", f"{number:g}", {}


def _probabilities(
    names: Sequence[str], prediction: np.ndarray, truth: np.ndarray, known: bool
) -> str:
    """The most probable labels and the true ones, each with its probability."""
    order = np.argsort(-prediction, kind="stable")
    shown = list(order[:_LABELS])
    if known:
        shown += [index for index in order[_LABELS:] if truth[index]]
    return ", ".join(f"{names[index]} {prediction[index]:.2f}" for index in shown)


def _explained(eval_split: EvalSplit, row: int) -> str:
    """What the contributions of a row add up to."""
    head = eval_split.config.heads[eval_split.head]
    prediction = eval_split.predictions[eval_split.head][row]
    if head.target_type == "number":
        return f"prediction, {prediction[head.point_index]:g}"
    names = getattr(eval_split.schema.heads[eval_split.head], "names", [])
    return f"probability of {names[int(prediction.argmax())]}, {prediction.max():.2f}"
