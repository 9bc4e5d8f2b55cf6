"""The section on modality contributions: subsets of inputs and Shapley values."""

from collections.abc import Mapping
from dataclasses import replace

from multimodal_tf.evaluation.contributions import class_accuracies
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.row_scores import unit_of
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.metrics.shapley import NO_GAIN, Contributions
from multimodal_tf.report.model.section import ReportSection, in_sentence, listed
from multimodal_tf.report.page import Bars, Block, Cell, Column, Note, Section, Table

TITLE = "Modality contributions"
# the share from which the model is said to rely on one input
DOMINANT = 0.9
_DESCRIPTION = (
    "The model predicted with every subset of its inputs. The Shapley value of an input is what it "
    "adds on average over all orders of adding inputs. Shares are relative to the gain of all "
    "inputs over none."
)
_SHARE = "share of the gain of all inputs"


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
    shares = {name: replace(metric, unit=_SHARE) for name, metric in found.share.items()}
    blocks: list[Block] = [
        Bars("Share of each input", shares),
        _inputs_table(found, shares, unit, unimodal_scores),
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
        blocks.append(_classes_table(found, accuracies, unit))
    sentences = (*_sentences(found, shares, unit), *_worst_classes(accuracies))
    return ReportSection(Section(TITLE, _DESCRIPTION, blocks), sentences)


def _inputs_table(
    found: Contributions,
    shares: Mapping[str, Metric],
    unit: str,
    unimodal_scores: Mapping[str, Metric],
) -> Table:
    numbers = ["Shapley value", "share", "drop when left out", "unimodal, same model"]
    alone = {tuple(subset.inputs): subset.metric for subset in found.subsets}
    rows: list[list[Cell]] = []
    for name in found.shapley:
        metrics = (found.shapley[name], found.drop[name], alone[(name,)])
        value, drop, by_itself = (replace(metric, unit=unit) for metric in metrics)
        rows.append([name, value, shares[name], drop, by_itself])
    if unimodal_scores:
        numbers.append("unimodal, trained alone")
        rows = [[*row, unimodal_scores.get(str(row[0]))] for row in rows]
    columns = [Column("input"), *(Column(name, "number") for name in numbers)]
    return Table("Inputs", columns, rows)


def _subsets_table(found: Contributions, unit: str) -> Table:
    subsets = [("none", found.none)]
    subsets += [(" + ".join(subset.inputs), subset.metric) for subset in found.subsets]
    rows: list[list[Cell]] = [[name, replace(metric, unit=unit)] for name, metric in subsets]
    return Table("Subsets of inputs", [Column("inputs present"), Column(unit, "number")], rows)


def _classes_table(found: Contributions, accuracies: Mapping[str, Metric], unit: str) -> Table:
    columns = [
        Column("class"),
        Column(f"{unit}, all inputs", "number"),
        *(Column(f"Shapley value of {name}", "number") for name in found.shapley),
    ]
    rows: list[list[Cell]] = []
    for name, of_class in found.classes.items():
        values = [replace(metric, unit=unit) for metric in of_class.shapley.values()]
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


def _worst_classes(accuracies: Mapping[str, Metric]) -> tuple[str, ...]:
    if len(accuracies) < 2:
        return ()
    worst = sorted(accuracies.items(), key=lambda item: item[1].value or 0.0)[:3]
    classes = ", ".join(f"{name} {in_sentence(metric)}" for name, metric in worst)
    return (f"Classes with the lowest accuracy: {classes}.",)
