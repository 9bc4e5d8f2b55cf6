"""What contributions of inputs and accuracies of classes ask a reader to act on."""

from collections.abc import Iterator, Mapping

from multimodal_tf.evaluation.baselines import majority
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.row_scores import ERROR, unit_of
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.metrics.shapley import Contributions
from multimodal_tf.report.findings import Finding
from multimodal_tf.report.model.section import listed

# the share from which the model is said to rely on one input
DOMINANT = 0.9
# a model that learned nothing comes first
_NOTHING = 1.0
# something to say where nothing asks to be changed
_LITTLE = 1e-6


def contribution_findings(
    found: Contributions,
    eval_split: EvalSplit,
    shares: Mapping[str, Metric],
    accuracies: Mapping[str, Metric],
) -> Iterator[Finding]:
    """Whether the model, its inputs and its classes are worth what they cost.

    Args:
        found: from `modality_contributions`.
        eval_split: `EvalSplit`.
        shares: by input, of the gain of all inputs.
        accuracies: by class; empty for a head that does not choose one class.
    """
    unit = unit_of(eval_split.config, eval_split.head)
    yield from _no_better(found, majority(eval_split), unit)
    if len(found.shapley) > 1:
        yield from _of_inputs(found, shares, unit)
    for name in poor_classes(accuracies, found.all)[:1]:
        metric, whole = accuracies[name], found.all.number
        weight = metric.n / found.n * (whole - metric.number)
        yield Finding(
            f"Rows of class {name} are right less often than others: accuracy {metric.shown} "
            f"{metric.interval} in {metric.n:,} rows, {whole:.3f} in all.",
            weight,
        )


def poor_classes(accuracies: Mapping[str, Metric], whole: Metric) -> list[str]:
    """The classes whose interval lies below the accuracy of all rows, the lowest first.

    A class of one row is none of them: its interval is almost as wide as can be.
    """
    poor = [
        name
        for name, metric in accuracies.items()
        if metric.high is not None and metric.high < whole.number
    ]
    return sorted(poor, key=lambda name: accuracies[name].number)


def scale_of(unit: str, none: Metric) -> float:
    """What a difference of the score is divided by to become a weight: an error has no end."""
    return max(abs(none.number), 1e-12) if unit == ERROR else 1.0


def _no_better(found: Contributions, most: Metric | None, unit: str) -> Iterator[Finding]:
    """Whether the model is better than predicting the same for every row."""
    base, what = (found.none, "predicting the same for every row")
    if most is not None and most.number > base.number:
        base, what = most, "always predicting the most frequent class"
    if found.all.number <= base.number:
        yield Finding(
            f"The model is no better than {what}: {unit} {found.all.shown} {found.all.interval} "
            f"against {base.shown}.",
            _NOTHING,
        )


def _of_inputs(found: Contributions, shares: Mapping[str, Metric], unit: str) -> Iterator[Finding]:
    scale = scale_of(unit, found.none)
    alone = {each.inputs[0]: each.metric for each in found.subsets if len(each.inputs) == 1}
    best = max(alone, key=lambda name: alone[name].number)
    lost = alone[best].number - found.all.number
    if lost > 0:
        yield Finding(
            f"{best} alone is better than all inputs together: {unit} {alone[best].shown} against "
            f"{found.all.shown}.",
            0.1 + lost / scale,
        )
    known = {name: metric.value for name, metric in shares.items() if metric.value is not None}
    if not known:
        return
    first, *rest = sorted(known, key=lambda name: -known[name])
    harmful = [name for name in rest if (shares[name].high or 0) < 0]
    if harmful:
        harm = sum(-found.shapley[name].number for name in harmful)
        yield Finding(
            f"{unit.capitalize()} would be higher without {listed(harmful)}.", harm / scale
        )
    if known[first] > DOMINANT:
        yield Finding(
            f"The model relies almost entirely on {first}: {known[first]:.0%} of the gain. It "
            f"hardly uses {listed(rest)}.",
            # what the other inputs could give is not known
            0.1,
        )
    else:
        others = "".join(f", {name} {known[name]:.0%}" for name in rest)
        yield Finding(
            f"{first} contributes most, {known[first]:.0%} of the gain of all inputs{others}.",
            _LITTLE,
        )
