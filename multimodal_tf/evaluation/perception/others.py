"""Other models beside the one that is examined: each input's own, and the one that robustness is measured against."""

import dataclasses
from collections.abc import Callable, Mapping

from multimodal_tf.evaluation.groups import group_codes, weighted_figures
from multimodal_tf.evaluation.page import Figure
from multimodal_tf.evaluation.perception import inputs, value
from multimodal_tf.evaluation.perception.damage import Damage, damage_of
from multimodal_tf.evaluation.perception.examined import Examined
from multimodal_tf.evaluation.perception.subject import Model, Subject, subject_of


def singles(alone: Mapping[str, Model], subject: Subject, head: str) -> dict[str, Subject]:
    """By input, the model that was trained with it only.

    Raises:
        ValueError: there is no such input, or the model reads others too, or does not answer the head with the same classes.
    """
    found = {}
    for name, model in alone.items():
        if name not in subject.config.inputs:
            raise ValueError(f"alone: must be by input, one of {list(subject.config.inputs)}, received {name!r}")
        found[name] = subject_of(model)
        if list(found[name].config.inputs) != [name]:
            raise ValueError(f"alone: the model of {name!r} must read this input only, received one of {list(found[name].config.inputs)}")
        _check(f"alone: the model of {name!r}", found[name], subject, head)
    return found


def rival(baseline: Model, subject: Subject, head: str) -> Subject:
    """The model that effective robustness is measured against; a bare Keras model has the configuration of the one examined.

    Raises:
        ValueError: it reads other inputs, or does not answer the head with the same classes.
    """
    found = subject_of(baseline, subject.config, subject.schema)
    strange = [name for name in found.config.inputs if name not in subject.config.inputs]
    if strange:
        raise ValueError(f"baseline: must read inputs of {list(subject.config.inputs)}, received one that reads {strange[0]!r}")
    _check("baseline:", found, subject, head)
    return found


def figure(subject: Subject, examined: Examined, resamples: int, seed: int) -> Figure:
    """How good another model is on the same rows with labels."""
    good = value.values(examined, answering(subject, examined).answers)[examined.known]
    codes = group_codes(None if examined.groups is None else examined.groups[examined.known], len(good))
    found = weighted_figures(lambda weights: {"mean": weights @ good / weights.sum()}, codes, resamples, seed)["mean"]
    return inputs.page_figure(found, len(good), value.unit_of(examined.config, examined.head))


def damage_of_rival(subject: Subject, examined: Examined, most: int | None, seed: int, step: Callable[[], None]) -> Damage:
    """The same damage of the same rows, answered by another model; arguments as of `damage_of`."""
    return damage_of(subject, answering(subject, examined), subject.features(examined.raw), most, seed, step)


def answering(subject: Subject, examined: Examined) -> Examined:
    """The same rows, but another model answers."""
    return dataclasses.replace(examined, answers=subject.answer(examined.raw), answer=subject.answer, embed=subject.embed)


def _check(what, other, subject, head):
    if head not in other.config.heads or other.config.heads[head].type != subject.config.heads[head].type:
        raise ValueError(f"{what} must have the head {head!r} of type {subject.config.heads[head].type}, received {other.config.heads}")
    own, theirs = (list(getattr(each.schema.heads.get(head), "names", ())) for each in (subject, other))
    if own != theirs:
        raise ValueError(f"{what} must answer {head!r} with the classes {own}, received {theirs}")
