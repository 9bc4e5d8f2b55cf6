"""Other models beside the evaluated one: unimodal models, and a baseline for robustness."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from multimodal_tf.evaluation import row_scores
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.predictor import Model, Predictor, predictor_of
from multimodal_tf.metrics.clustered import group_codes, share, weighted_metrics
from multimodal_tf.metrics.metric import ONE_SIDED, Metric
from multimodal_tf.schema import Classes


def unimodal_models(
    unimodal: Mapping[str, Model], predictor: Predictor, head: str
) -> dict[str, Predictor]:
    """By input, the model that was trained on it alone.

    Args:
        unimodal: models by input.
        predictor: the evaluated model.
        head: the evaluated head.

    Raises:
        ValueError: there is no such input, a model reads others too, or has not the same head with
            the same classes.
    """
    found = {}
    for name, model in unimodal.items():
        if name not in predictor.config.inputs:
            raise ValueError(
                f"unimodal: must be by input, one of {list(predictor.config.inputs)}, "
                f"received {name!r}"
            )
        found[name] = predictor_of(model)
        inputs = list(found[name].config.inputs)
        if inputs != [name]:
            raise ValueError(
                f"unimodal: the model of {name!r} must read this input only, received {inputs}"
            )
        _check_head(f"unimodal: the model of {name!r}", found[name], predictor, head)
    return found


def baseline_model(baseline: Model, predictor: Predictor, head: str) -> Predictor:
    """The model that effective robustness is measured against.

    Args:
        baseline: a model. A Keras model has the configuration of the evaluated one.
        predictor, head: as in `unimodal_models`.

    Raises:
        ValueError: it reads other inputs, or has not the same head with the same classes.
    """
    found = predictor_of(baseline, predictor.config, predictor.schema)
    other = [name for name in found.config.inputs if name not in predictor.config.inputs]
    if other:
        raise ValueError(
            f"baseline: must read inputs of {list(predictor.config.inputs)}, "
            f"received one that reads {other[0]!r}"
        )
    _check_head("baseline:", found, predictor, head)
    return found


def mean_score(predictor: Predictor, eval_split: EvalSplit, resamples: int, seed: int) -> Metric:
    """The mean row score of another model on the labelled rows."""
    known = eval_split.known
    scores = row_scores.values(eval_split, predictor.predict(eval_split.raw))[known]
    groups = None if eval_split.groups is None else eval_split.groups[known]

    def statistic(weights: np.ndarray) -> dict[str, float]:
        return {"mean": weights @ scores / weights.sum()}

    codes = group_codes(groups, len(scores))
    found = weighted_metrics(statistic, codes, resamples, seed, ONE_SIDED)["mean"]
    return row_scores.with_unit(found, row_scores.unit_of(eval_split.config, eval_split.head))


def majority(eval_split: EvalSplit) -> Metric | None:
    """The accuracy of predicting the most frequent class of the training rows for every row.

    None for a head that does not choose one class.
    """
    stats = eval_split.schema.heads[eval_split.head]
    if row_scores.unit_of(eval_split.config, eval_split.head) != row_scores.ACCURACY or not (
        isinstance(stats, Classes)
    ):
        return None
    known = eval_split.known
    hits = eval_split.labels[known] == int(np.argmax(stats.counts))
    codes = group_codes(eval_split.groups, len(known))[known]
    return dataclasses.replace(share(hits, codes), unit=row_scores.ACCURACY)


def predicted_by(predictor: Predictor, eval_split: EvalSplit) -> EvalSplit:
    """The same rows with the predictions of another model."""
    return dataclasses.replace(
        eval_split,
        predictions=predictor.predict(eval_split.raw),
        predict=predictor.predict,
        embed=predictor.embed,
    )


def _check_head(what: str, other: Predictor, predictor: Predictor, head: str) -> None:
    expected, received = predictor.config.heads[head].type, other.config.heads
    if head not in received or received[head].type != expected:
        raise ValueError(
            f"{what} must have the head {head!r} of type {expected}, received {received}"
        )
    own, theirs = (
        list(getattr(each.schema.heads.get(head), "names", ())) for each in (predictor, other)
    )
    if own != theirs:
        raise ValueError(f"{what} must have the classes {own} in {head!r}, received {theirs}")
