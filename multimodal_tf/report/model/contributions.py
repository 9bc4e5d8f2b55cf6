"""What each input gives: the model on every subset of its inputs, and Shapley values."""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from multimodal_tf.evaluation.eval_split import EvalSplit, Told
from multimodal_tf.evaluation.predictor import Predictor
from multimodal_tf.evaluation.row_scores import ACCURACY, unit_of, values
from multimodal_tf.metrics.clustered import group_codes, share
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.metrics.shapley import NO_GAIN, Contributions, coalitions, contributions
from multimodal_tf.report.page import Bars, Block, Column, Figure, Note, Section, Table

TITLE = "What each input gives"
# the share of the Shapley sum from which an input is said to carry the model alone
CARRIES = 0.9
_READING = (
    "The model ran with every subset of its inputs present. An input's Shapley value is what it adds, in the mean over all orders in which "
    "the inputs could come; shares are parts of what all add to the answer that knows no input."
)


def contributions_of(
    predictor: Predictor,
    eval_split: EvalSplit,
    features: Mapping[str, tf.Tensor],
    resamples: int,
    seed: int,
    step: Callable[[], None] = lambda: None,
) -> Contributions:
    """Runs the subsets, decoded once, and counts.

    Args:
        subject: `Predictor`.
        examined, features: what `examine` gave.
        resamples, seed: as in `contributions`.
        step: called after each subset.
    """
    names = list(eval_split.config.inputs)
    of, known = coalitions(names, seed=seed), eval_split.known
    columns = []
    for present in of.present:
        without = tuple(name for name, there in zip(names, present) if not there)
        answers = (
            predictor.predict_features(features, without) if without else eval_split.predictions
        )
        columns.append(values(eval_split, answers)[known])
        step()
    # without any input, all rows have the same answer
    one = {name: part[:1] for name, part in features.items()}
    nothing = {
        name: np.repeat(answer, len(known), axis=0)
        for name, answer in predictor.predict_features(one, tuple(names)).items()
    }
    classes = _classes(eval_split)
    return contributions(
        of,
        np.stack(columns, axis=1),
        values(eval_split, nothing)[known],
        labels=eval_split.labels[known] if classes else None,
        classes=classes,
        groups=None if eval_split.groups is None else eval_split.groups[known],
        resamples=resamples,
        seed=seed,
    )


def contributions_section(
    found: Contributions, eval_split: EvalSplit, alone: Mapping[str, Figure]
) -> Told:
    """The section about shares.

    Args:
        found: of `contributions_of`.
        examined: `EvalSplit`.
        alone: by input, the figure of a model that was trained with this input only.
    """
    unit = unit_of(eval_split.config, eval_split.head)
    blocks: list[Block] = [
        Bars("Share of each input", _page(found.share, found.n, "share of what all inputs add")),
        Table("Inputs", *_inputs(found, unit, alone)),
        Table("Subsets of inputs", *_subsets(found, unit)),
    ]
    if found.sampling_error:
        worst = max(found.sampling_error.values())
        blocks.append(
            Note(
                f"There are too many inputs for all subsets: orders were drawn, which adds a standard error of up to {worst:.3f}."
            )
        )
    rated = _rated(found, eval_split)
    if rated:
        blocks.append(Table("Share of each input by class", *_by_class(found, rated, unit)))
    return Told(Section(TITLE, _READING, blocks), _sentences(found, rated, unit))


def _classes(eval_split):
    return (
        list(eval_split.schema.heads[eval_split.head].names)
        if eval_split.config.heads[eval_split.head].target_type == "class"
        else ()
    )


def _page(figures: Mapping[str, Metric], n: int, unit: str) -> dict[str, Figure]:
    return {name: page_figure(figure, n, unit) for name, figure in figures.items()}


def page_figure(figure: Metric, n: int, unit: str) -> Figure:
    """A figure of `metrics` as one of the page."""
    return Figure(figure.value, n, unit, figure.low, figure.high, reason=figure.reason or "")


def _inputs(found, unit, alone):
    columns = [
        Column("input"),
        *(
            Column(name, "number")
            for name in ("Shapley value", "share", "drop when left out", "alone, same model")
        ),
    ]
    by_subset = {tuple(subset.inputs): subset.metric for subset in found.subsets}
    rows: list[list] = []
    for name in found.shapley:
        figures = (found.shapley[name], found.share[name], found.drop[name], by_subset[(name,)])
        units = (unit, "share of what all inputs add", unit, unit)
        rows.append(
            [name, *(page_figure(figure, found.n, of) for figure, of in zip(figures, units))]
        )
    if alone:
        columns.append(Column("alone, trained so", "number"))
        rows = [[*row, alone.get(row[0])] for row in rows]
    return columns, rows


def _subsets(found, unit):
    rows = [["none", page_figure(found.none, found.n, unit)]]
    rows += [
        [" + ".join(subset.inputs), page_figure(subset.metric, found.n, unit)]
        for subset in found.subsets
    ]
    return [Column("inputs present"), Column(unit, "number")], rows


def _rated(found, eval_split):
    """The accuracy of each class, with its exact interval: of a few rows, all of them right or
    wrong, a bootstrap's has no width.
    """
    if not found.classes:
        return {}
    known, names = eval_split.known, _classes(eval_split)
    hits, codes = (
        values(eval_split, eval_split.predictions)[known],
        group_codes(eval_split.groups, len(known))[known],
    )
    inside = {label: eval_split.labels[known] == names.index(label) for label in found.classes}
    return {
        label: page_figure(share(hits[rows], codes[rows]), int(rows.sum()), ACCURACY)
        for label, rows in inside.items()
    }


def _by_class(found, rated, unit):
    names = list(found.shapley)
    columns = [
        Column("class"),
        Column(f"{unit}, all inputs", "number"),
        *(Column(f"Shapley value of {name}", "number") for name in names),
    ]
    rows = []
    for label, of in found.classes.items():
        rows.append(
            [label, rated[label], *(page_figure(of.shapley[name], of.n, unit) for name in names)]
        )
    return columns, rows


def _sentences(found, rated, unit):
    known = {name: figure for name, figure in found.share.items() if figure.value is not None}
    everything, nothing = (page_figure(figure, found.n, unit) for figure in (found.all, found.none))
    reached = f"With all inputs the model reaches {everything}; without any, {nothing.shown}."
    if not known:
        return (f"With all inputs the model reaches {everything}: {NO_GAIN}.",)
    first, *rest = sorted(known, key=lambda name: -known[name].value)
    share = f"{_percent(known[first])} of what the inputs add"
    if known[first].value > CARRIES and rest:
        said = (
            f"{first} carries the model almost alone: {share}; the model hardly uses {_and(rest)}."
        )
    else:
        said = (
            f"{first} gives most, {share}"
            + ("; " + ", ".join(f"{name} {_percent(known[name])}" for name in rest) if rest else "")
            + "."
        )
    harmful = [name for name in rest if (known[name].high or 0) < 0]
    harm = (f"The model would do better without {_and(harmful)}.",) if harmful else ()
    return (reached, said, *harm, *_worst_classes(rated))


def _percent(figure):
    return f"{figure.value:.0%}" + (
        f" ({figure.low:.0%} .. {figure.high:.0%})" if figure.low is not None else ""
    )


def _worst_classes(rated):
    if len(rated) < 2:
        return ()
    worst = sorted(rated.items(), key=lambda item: item[1].value)[:3]
    said = ", ".join(
        f"{label} {figure.shown} {figure.interval}, n = {figure.n:,}" for label, figure in worst
    )
    return (f"The classes that suffer most, by accuracy: {said}.",)


def _and(names):
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
