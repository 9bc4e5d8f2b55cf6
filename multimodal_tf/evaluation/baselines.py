"""Other models beside the one that is examined: each input's own, and the one that robustness is
measured against.
"""

import dataclasses
from collections.abc import Callable, Mapping

from multimodal_tf.evaluation import row_scores
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.predictor import Model, Predictor, predictor_of
from multimodal_tf.evaluation.robustness import CorruptionScores, corruption_scores
from multimodal_tf.metrics.clustered import group_codes, weighted_metrics
from multimodal_tf.metrics.metric import Metric


def singles(alone: Mapping[str, Model], predictor: Predictor, head: str) -> dict[str, Predictor]:
    """By input, the model that was trained with it only.

    Raises:
        ValueError: there is no such input, or the model reads others too, or does not answer the
        head with the same classes.
    """
    found = {}
    for name, model in alone.items():
        if name not in predictor.config.inputs:
            raise ValueError(
                f"alone: must be by input, one of {list(predictor.config.inputs)}, received {name!r}"
            )
        found[name] = predictor_of(model)
        if list(found[name].config.inputs) != [name]:
            raise ValueError(
                f"alone: the model of {name!r} must read this input only, received one of {list(found[name].config.inputs)}"
            )
        _check(f"alone: the model of {name!r}", found[name], predictor, head)
    return found


def rival(baseline: Model, predictor: Predictor, head: str) -> Predictor:
    """The model that effective robustness is measured against; a bare Keras model has the
    configuration of the one examined.

    Raises:
        ValueError: it reads other inputs, or does not answer the head with the same classes.
    """
    found = predictor_of(baseline, predictor.config, predictor.schema)
    strange = [name for name in found.config.inputs if name not in predictor.config.inputs]
    if strange:
        raise ValueError(
            f"baseline: must read inputs of {list(predictor.config.inputs)}, received one that reads {strange[0]!r}"
        )
    _check("baseline:", found, predictor, head)
    return found


def figure(predictor: Predictor, eval_split: EvalSplit, resamples: int, seed: int) -> Metric:
    """How good another model is on the same rows with labels."""
    good = row_scores.values(eval_split, answering(predictor, eval_split).predictions)[
        eval_split.known
    ]
    codes = group_codes(
        None if eval_split.groups is None else eval_split.groups[eval_split.known], len(good)
    )
    found = weighted_metrics(
        lambda weights: {"mean": weights @ good / weights.sum()}, codes, resamples, seed
    )["mean"]
    return dataclasses.replace(found, unit=row_scores.unit_of(eval_split.config, eval_split.head))


def damage_of_rival(
    predictor: Predictor,
    eval_split: EvalSplit,
    most: int | None,
    seed: int,
    step: Callable[[], None],
) -> CorruptionScores:
    """The same damage of the same rows, answered by another model; arguments as of `damage_of`."""
    return corruption_scores(
        predictor,
        answering(predictor, eval_split),
        predictor.features(eval_split.raw),
        most,
        seed,
        step,
    )


def answering(predictor: Predictor, eval_split: EvalSplit) -> EvalSplit:
    """The same rows, but another model answers."""
    return dataclasses.replace(
        eval_split,
        predictions=predictor.predict(eval_split.raw),
        predict=predictor.predict,
        embed=predictor.embed,
    )


def _check(what, other, predictor, head):
    if (
        head not in other.config.heads
        or other.config.heads[head].type != predictor.config.heads[head].type
    ):
        raise ValueError(
            f"{what} must have the head {head!r} of type {predictor.config.heads[head].type}, received {other.config.heads}"
        )
    own, theirs = (
        list(getattr(each.schema.heads.get(head), "names", ())) for each in (predictor, other)
    )
    if own != theirs:
        raise ValueError(f"{what} must answer {head!r} with the classes {own}, received {theirs}")
