"""Modality contributions: what each input adds to a model's accuracy, from subsets of inputs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
import tensorflow as tf

from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.predictor import Predictor
from multimodal_tf.evaluation.row_scores import ACCURACY, values
from multimodal_tf.metrics.clustered import group_codes, share
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.metrics.shapley import Contributions, coalitions, contributions


def modality_contributions(
    predictor: Predictor,
    eval_split: EvalSplit,
    features: Mapping[str, tf.Tensor],
    resamples: int,
    seed: int,
    step: Callable[[], None] = lambda: None,
) -> Contributions:
    """Predicts with every subset of inputs, and computes Shapley values.

    Args:
        predictor: `Predictor`.
        eval_split, features: from `load_eval_split`.
        resamples, seed: as in `metrics.shapley.contributions`.
        step: called after each subset.
    """
    names = list(eval_split.config.inputs)
    subsets, known = coalitions(names, seed=seed), eval_split.known
    columns = []
    for present in subsets.present:
        without = tuple(name for name, is_present in zip(names, present) if not is_present)
        predictions = (
            predictor.predict_features(features, without) if without else eval_split.predictions
        )
        columns.append(values(eval_split, predictions)[known])
        step()
    # without any input, all rows have the same prediction
    first_row = {name: tensor[:1] for name, tensor in features.items()}
    no_inputs = {
        name: np.repeat(prediction, len(known), axis=0)
        for name, prediction in predictor.predict_features(first_row, tuple(names)).items()
    }
    classes = class_names(eval_split)
    return contributions(
        subsets,
        np.stack(columns, axis=1),
        values(eval_split, no_inputs)[known],
        labels=eval_split.labels[known] if classes else None,
        classes=classes,
        groups=None if eval_split.groups is None else eval_split.groups[known],
        resamples=resamples,
        seed=seed,
    )


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
