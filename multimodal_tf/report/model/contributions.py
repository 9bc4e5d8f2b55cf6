"""The section on modality contributions: subsets of inputs and Shapley values."""

from collections.abc import Mapping
from dataclasses import replace

from multimodal_tf.evaluation.baselines import majority
from multimodal_tf.evaluation.contributions import class_accuracies
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.row_scores import ERROR, PRECISION, UNDEFINED, unit_of
from multimodal_tf.metrics.metric import ONE_SIDED, Metric
from multimodal_tf.metrics.shapley import NO_GAIN, Contributions
from multimodal_tf.report.model.contribution_findings import (
    DOMINANT,
    contribution_findings,
    poor_classes,
)
from multimodal_tf.report.model.section import ReportSection, in_sentence, listed, report_section
from multimodal_tf.report.page import Bars, Block, Cell, Column, Note, Table, Tile

TITLE = "Modality contributions"
_DESCRIPTION = (
    "The model predicted with every subset of its inputs. The Shapley value of an input is what it "
    "adds on average over all orders of adding inputs. Shares are relative to the gain of all "
    "inputs over none."
)
_SHARE = "share of the gain of all inputs"
_CLASS_UNIT = "log probability of the class, nats"
_OF_CLASSES = (
    "By class, the Shapley value of an input is what it adds to the logarithm of the probability "
    "of the row's class. Below 0, it makes the class less probable than it is without this input. "
    "It is not taken of the accuracy, because the class that is predicted without any input is "
    "always right then, and every input could only harm it."
)
# names of inputs in a tile
_NAMED = 4


def contributions_section(
    found: Contributions, eval_split: EvalSplit, unimodal_scores: Mapping[str, Metric]
) -> ReportSection:
    """Shapley values and subsets, for all rows and by class.

    Args:
        found: from `modality_contributions`.
        eval_split: `EvalSplit`.
        unimodal_scores: by input, the metric of a model that was trained with this input only.
    """
    unit = unit_of(eval_split.config, eval_split.head)
    if unit == PRECISION and found.all.value is None:
        tile = Tile(f"{unit} of {eval_split.head}", "–", TITLE, [ONE_SIDED])
        return report_section(TITLE, _DESCRIPTION, [Note(UNDEFINED)], [UNDEFINED], [tile])
    shares = {name: replace(metric, unit=_SHARE) for name, metric in found.share.items()}
    blocks: list[Block] = [
        Bars("Share of each input", shares),
        _inputs_table(found, shares, unimodal_scores),
        _subsets_table(found, unit),
    ]
    if found.sampling_error:
        error = max(found.sampling_error.values())
        blocks.append(
            Note(
                "There are too many inputs for all subsets. Shapley values are estimated from "
                f"sampled orders, with a standard error of up to {error:.3f}."
            )
        )
    accuracies = class_accuracies(eval_split, found.classes)
    if accuracies:
        blocks += [_classes_table(found, accuracies), Note(_OF_CLASSES)]
    sentences = (*_sentences(found, shares, unit), *_worst_classes(accuracies, found.all))
    return report_section(
        TITLE,
        _DESCRIPTION,
        blocks,
        sentences,
        [_score_tile(found, eval_split, unimodal_scores), *_shares_tile(shares)],
        contribution_findings(found, eval_split, shares, accuracies),
    )


def _score_tile(
    found: Contributions, eval_split: EvalSplit, unimodal_scores: Mapping[str, Metric]
) -> Tile:
    """The head's score against the majority, or no input, and the best single input."""
    unit = unit_of(eval_split.config, eval_split.head)
    most = majority(eval_split)
    without = ("majority class", most) if most else ("without any input", found.none)
    compared = [f"{without[0]} {_positive(without[1]).shown}"]
    alone = {each.inputs[0]: each.metric for each in found.subsets if len(each.inputs) == 1}
    how = "same model"
    if unimodal_scores:
        alone, how = dict(unimodal_scores), "trained alone"
    if len(found.shapley) > 1:
        best = max(alone, key=lambda name: alone[name].number)
        compared.append(f"best single input, {how}: {best} {_positive(alone[best]).shown}")
    name = "mean absolute error" if unit == ERROR else unit
    return Tile(f"{name} of {eval_split.head}", _positive(found.all), TITLE, compared)


def _positive(metric: Metric) -> Metric:
    """An error as it is usually given: not negative."""
    if metric.unit != ERROR or metric.value is None:
        return metric
    bounds = (metric.low, metric.high)
    low, high = (None if bound is None else -bound for bound in reversed(bounds))
    return replace(metric, value=-metric.value, low=low, high=high, unit="mean absolute error")


def _shares_tile(shares: Mapping[str, Metric]) -> list[Tile]:
    known = {name: metric.value for name, metric in shares.items() if metric.value is not None}
    if len(known) < 2:
        return []
    first, *rest = (f"{name} {known[name]:.0%}" for name in sorted(known, key=lambda n: -known[n]))
    more = [f"and {len(rest) - _NAMED} more"] if len(rest) > _NAMED + 1 else []
    return [Tile("share of each input", first, TITLE, (rest[:_NAMED] if more else rest) + more)]


def _inputs_table(
    found: Contributions,
    shares: Mapping[str, Metric],
    unimodal_scores: Mapping[str, Metric],
) -> Table:
    numbers = ["Shapley value", "share", "drop when left out", "unimodal, same model"]
    alone = {tuple(subset.inputs): subset.metric for subset in found.subsets}
    rows: list[list[Cell]] = []
    for name in found.shapley:
        rows.append([name, found.shapley[name], shares[name], found.drop[name], alone[(name,)]])
    if unimodal_scores:
        numbers.append("unimodal, trained alone")
        rows = [[*row, unimodal_scores.get(str(row[0]))] for row in rows]
    columns = [Column("input"), *(Column(name, "number") for name in numbers)]
    return Table("Inputs", columns, rows)


def _subsets_table(found: Contributions, unit: str) -> Table:
    subsets = [("none", found.none)]
    subsets += [(" + ".join(subset.inputs), subset.metric) for subset in found.subsets]
    rows: list[list[Cell]] = [[name, metric] for name, metric in subsets]
    return Table("Subsets of inputs", [Column("inputs present"), Column(unit, "number")], rows)


def _classes_table(found: Contributions, accuracies: Mapping[str, Metric]) -> Table:
    columns = [
        Column("class"),
        Column("accuracy, all inputs", "number"),
        *(Column(f"Shapley value of {name}", "number") for name in found.shapley),
    ]
    rows: list[list[Cell]] = []
    for name, of_class in found.classes.items():
        values = [replace(metric, unit=_CLASS_UNIT) for metric in of_class.shapley.values()]
        rows.append([name, accuracies[name], *values])
    return Table("Contributions by class", columns, rows)


def _sentences(found: Contributions, shares: Mapping[str, Metric], unit: str) -> tuple[str, ...]:
    reached = f"{unit.capitalize()} {found.all.shown} {found.all.interval} with all inputs"
    sentence = f"{reached}, {found.none.shown} with none, n = {found.n:,}."
    known = {name: metric.value for name, metric in shares.items() if metric.value is not None}
    if not known:
        return (f"{sentence[:-1]}: {NO_GAIN}.",)
    first, *rest = sorted(known, key=lambda name: -known[name])
    if known[first] > DOMINANT and rest:
        second = (
            f"The model relies almost entirely on {first}: {_percent(shares[first])} of the gain. "
            f"It hardly uses {listed(rest)}."
        )
    else:
        others = "".join(f"; {name} {_percent(shares[name])}" for name in rest)
        second = f"{first} contributes most, {_percent(shares[first])} of the gain{others}."
    harmful = [name for name in rest if (shares[name].high or 0) < 0]
    third = (f"{unit.capitalize()} would be higher without {listed(harmful)}.",) if harmful else ()
    return (sentence, second, *third)


def _percent(metric: Metric) -> str:
    value = f"{metric.value:.0%}"
    return value if metric.low is None else f"{value} ({metric.low:.0%} .. {metric.high:.0%})"


def _worst_classes(accuracies: Mapping[str, Metric], whole: Metric) -> tuple[str, ...]:
    """Of the classes that are certainly worse than all rows together, the worst."""
    worse = poor_classes(accuracies, whole)
    if not worse:
        return ()
    classes = ", ".join(f"{name} {in_sentence(accuracies[name])}" for name in worse[:3])
    return (f"Classes with a lower accuracy than all rows together: {classes}.",)
