"""The figures of any head: which functions of `metrics` and `special_heads` are its type's."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from multimodal_tf.config import (
    ClassificationHead,
    MatchingHead,
    MultiLabelHead,
    OrdinalHead,
    QuantileHead,
)
from multimodal_tf.config.heads import Head
from multimodal_tf.data.predictions import HeadPredictions
from multimodal_tf.metrics import bootstrap, special_heads, supervised
from multimodal_tf.metrics.supervised import HeadMetrics, Samples


def head_metrics(
    head: Head,
    classes: Sequence[str],
    targets: ArrayLike,
    answers: ArrayLike,
    known: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> HeadMetrics:
    """The figures of a head's answers; all but an embedding head have some.

    Args:
        head: the head of the configuration.
        classes: the names of its classes; empty where it has none.
        targets: what `data.targets.Targets` gives.
        answers: what `models.heads.output` says, or `matching`.
        known, resamples, seed: as in `metrics.classification`.

    Raises:
        ValueError: as the functions of each type say.
    """
    match head:
        case ClassificationHead():
            return supervised.classification(targets, answers, classes, known, resamples, seed)
        case OrdinalHead():
            return special_heads.ordinal(targets, answers, classes, known, resamples, seed)
        case QuantileHead():
            return special_heads.quantile(targets, answers, head.quantiles, known, resamples, seed)
        case MatchingHead():
            return special_heads.matching(answers, resamples, seed)
        case MultiLabelHead():
            return supervised.multi_label(targets, answers, classes, known, resamples, seed)
        case _:
            return supervised.regression(targets, answers, known, resamples, seed)


def figures(predicted: HeadPredictions, resamples: int = 0, seed: int = 0) -> HeadMetrics:
    """The figures of one head on its known rows.

    Raises:
        ValueError: an answer is NaN.

    Example:
        >>> rows = HeadPredictions(ClassificationHead(), ("cat", "dog"), [0, 1], [True, True], [[0.9, 0.1], [0.8, 0.2]])
        >>> figures(rows).figures["accuracy"].value
        0.5
    """
    return head_metrics(
        predicted.head,
        predicted.classes,
        predicted.targets,
        predicted.answers,
        predicted.known,
        resamples,
        seed,
    )


def samples(
    predicted: HeadPredictions, resamples: int, seed: int, groups: np.ndarray | None = None
) -> Samples:
    """The same figures on resamples, float `(resamples,)` each, NaN where one is not defined; an
    AUROC of many classes has fewer.

    Args:
        answered: rows that are all known.
        resamples: int.
        seed: int. Answers to the same rows, drawn with the same seed, see the same draws:
        differences of their figures are paired.
        groups: int `(rows,)` of `group_codes`: rows of one number are drawn together. None: each
        row alone.
    """
    head, truth, answers = predicted.head, predicted.targets, predicted.answers
    match head:
        case ClassificationHead():
            return supervised.class_samples(truth, answers, resamples, seed, groups)
        case OrdinalHead():
            means = bootstrap.row_means(special_heads.rank_rows(truth, answers))
            of_means = bootstrap.resample(means, len(truth), resamples, seed, groups)
            return supervised.class_samples(truth, answers, resamples, seed, groups) | of_means
        case QuantileHead():
            means = bootstrap.row_means(special_heads.quantile_rows(truth, answers, head.quantiles))
            of_means = bootstrap.resample(means, len(truth), resamples, seed, groups)
            return (
                supervised.number_samples(
                    truth, answers[:, head.point_index], resamples, seed, groups
                )
                | of_means
            )
        case MultiLabelHead():
            return supervised.label_samples(truth > 0, answers, resamples, seed, groups)
        case _:
            return supervised.number_samples(truth, answers[:, 0], resamples, seed, groups)
