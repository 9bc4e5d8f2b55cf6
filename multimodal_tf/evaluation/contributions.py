"""Modality contributions: what each input adds to a model's accuracy, from subsets of inputs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
import tensorflow as tf

from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.predictor import Predictor
from multimodal_tf.evaluation.row_scores import (
    ACCURACY,
    is_defined,
    losses,
    unit_of,
    values,
    with_unit,
)
from multimodal_tf.metrics.clustered import group_codes, share
from multimodal_tf.metrics.metric import ONE_SIDED, Metric
from multimodal_tf.metrics.shapley import Contributions, SubsetMetric, coalitions, contributions


def modality_contributions(
    predictor: Predictor,
    eval_split: EvalSplit,
    features: Mapping[str, tf.Tensor],
    resamples: int,
    seed: int,
    step: Callable[[], None] = lambda: None,
) -> Contributions:
    """Predicts with every subset of inputs, and computes Shapley values.

    Over all rows the value is `row_scores.values`. By class it is the log probability of the class:
    the class that is predicted without any input has an accuracy of 1 then, from which inputs could
    only take away.

    Args:
        predictor: `Predictor`.
        eval_split, features: from `load_eval_split`.
        resamples, seed: as in `metrics.shapley.contributions`.
        step: called after each subset.

    Returns:
        `Contributions`, without values where labels do not define the score.
    """
    names = list(eval_split.config.inputs)
    subsets, known = coalitions(names, seed=seed), eval_split.known
    classes = class_names(eval_split)
    of_rows = [values, log_probabilities] if classes else [values]
    columns: list[list[np.ndarray]] = [[] for _ in of_rows]
    for present in subsets.present:
        without = tuple(name for name, is_present in zip(names, present) if not is_present)
        predictions = eval_split.predictions
        if without:
            predictions = predictor.predict_features(features, without)
        for column, value in zip(columns, of_rows):
            column.append(value(eval_split, predictions)[known])
        step()
    # without any input, all rows have the same prediction
    first_row = {name: tensor[:1] for name, tensor in features.items()}
    no_inputs = {
        name: np.repeat(prediction, len(known), axis=0)
        for name, prediction in predictor.predict_features(first_row, tuple(names)).items()
    }
    groups = None if eval_split.groups is None else eval_split.groups[known]
    found = [
        contributions(
            subsets,
            _numbers(np.stack(column, axis=1)),
            _numbers(value(eval_split, no_inputs)[known]),
            labels=eval_split.labels[known] if value is log_probabilities else None,
            classes=classes,
            groups=groups,
            resamples=resamples,
            seed=seed,
        )
        for column, value in zip(columns, of_rows)
    ]
    whole = _with_units(found[0], unit_of(eval_split.config, eval_split.head))
    if not is_defined(eval_split):
        return _undefined(whole)
    return whole.model_copy(update={"classes": found[-1].classes})


def _numbers(scores: np.ndarray) -> np.ndarray:
    """Zeros in place of scores that are not defined, whose metrics `_undefined` replaces."""
    return np.asarray(np.nan_to_num(scores))


def _undefined(found: Contributions) -> Contributions:
    """The same without any value."""

    def without(metric: Metric) -> Metric:
        return Metric(None, metric.n, metric.unit, reason=ONE_SIDED)

    def each(of: Mapping[str, Metric]) -> dict[str, Metric]:
        return {name: without(metric) for name, metric in of.items()}

    return Contributions(
        n=found.n,
        groups=found.groups,
        none=without(found.none),
        all=without(found.all),
        subsets=[SubsetMetric(inputs=of.inputs, metric=without(of.metric)) for of in found.subsets],
        shapley=each(found.shapley),
        share=each(found.share),
        drop=each(found.drop),
    )


def _with_units(found: Contributions, unit: str) -> Contributions:
    """With the unit of the values; the shares have none."""
    for subset in found.subsets:
        subset.metric = with_unit(subset.metric, unit)
    found.none, found.all = with_unit(found.none, unit), found.subsets[-1].metric
    for of_inputs in (found.shapley, found.drop):
        of_inputs |= {name: replace(metric, unit=unit) for name, metric in of_inputs.items()}
    return found


def log_probabilities(eval_split: EvalSplit, predictions: Mapping[str, np.ndarray]) -> np.ndarray:
    """The logarithm of each row's probability of its own class, float `(rows,)`, nats."""
    return -losses(eval_split, predictions)


def class_names(eval_split: EvalSplit) -> list[str]:
    """The classes of a head that chooses one class; empty for other heads."""
    if eval_split.config.heads[eval_split.head].target_type != "class":
        return []
    return list(getattr(eval_split.schema.heads[eval_split.head], "names", ()))


def class_accuracies(eval_split: EvalSplit, classes: Iterable[str]) -> dict[str, Metric]:
    """The accuracy of each class with all inputs, with its exact interval.

    A bootstrap of few rows that are all right, or all wrong, would have no width.
    """
    known, names = eval_split.known, class_names(eval_split)
    hits = values(eval_split, eval_split.predictions)[known]
    codes = group_codes(eval_split.groups, len(known))[known]
    accuracies = {}
    for name in classes:
        rows = eval_split.labels[known] == names.index(name)
        accuracies[name] = replace(share(hits[rows], codes[rows]), unit=ACCURACY)
    return accuracies
