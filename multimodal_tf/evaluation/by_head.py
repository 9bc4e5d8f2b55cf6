"""How each head is evaluated: its metrics, and the same metrics on bootstrap samples."""

from collections.abc import Sequence
from typing import assert_never

import numpy as np
from numpy.typing import ArrayLike

from multimodal_tf.config import (
    AlignmentHead,
    ClassificationHead,
    CountHead,
    ImageHead,
    MaskedHead,
    MatchingHead,
    MultiLabelHead,
    OrderHead,
    OrdinalHead,
    QuantileHead,
    RegressionHead,
    TextHead,
    TokenMatchingHead,
    ViewsHead,
)
from multimodal_tf.config.heads import LossHead
from multimodal_tf.data.predictions import HeadPredictions, ObjectivePredictions
from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.alignment import alignment
from multimodal_tf.metrics.bootstrap import Samples
from multimodal_tf.metrics.classification import (
    class_samples,
    classification,
    ordinal,
    rank_errors,
)
from multimodal_tf.metrics.count import count, count_scores
from multimodal_tf.metrics.image import image
from multimodal_tf.metrics.matching import matching, token_matching
from multimodal_tf.metrics.metric import HeadMetrics
from multimodal_tf.metrics.multi_label import THRESHOLD, label_samples, multi_label
from multimodal_tf.metrics.objective import objective
from multimodal_tf.metrics.regression import (
    number_samples,
    quantile,
    quantile_scores,
    regression,
)
from multimodal_tf.metrics.text import text
from multimodal_tf.metrics.views import views


def head_metrics(
    head: LossHead,
    classes: Sequence[str],
    targets: ArrayLike,
    predictions: ArrayLike,
    known: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
    thresholds: ArrayLike | None = None,
    texts: tuple[Sequence[str], Sequence[str]] | None = None,
    images: ArrayLike | None = None,
) -> HeadMetrics:
    """The metrics of one head.

    Args:
        head: the head of the configuration.
        classes: the names of its classes; empty where it has none.
        targets: as `data.targets.Targets`.
        predictions: as `models.heads.output`.
        known: `(rows,)`, 0 where the label is unknown; None: all known.
        resamples, seed: of the intervals; 0 resamples: no intervals.
        groups: `(rows,)`; rows of one value depend on each other. None: independent rows.
        thresholds: of a multi-label head, as `schema.thresholds` gives them; None: 0.5.
        texts, images: of a text head, targets and predictions; of an image head, `image_scores`.

    Raises:
        ValueError: as the function of each type of head.
    """
    drawn = (resamples, seed, groups)
    match head:
        case ClassificationHead():
            return classification(targets, predictions, classes, known, *drawn)
        case OrdinalHead():
            return ordinal(targets, predictions, classes, known, *drawn)
        case MultiLabelHead():
            cut = THRESHOLD if thresholds is None else thresholds
            return multi_label(targets, predictions, classes, known, *drawn, cut)
        case RegressionHead():
            return regression(targets, predictions, known, *drawn)
        case CountHead():
            return count(targets, predictions, known, *drawn)
        case QuantileHead():
            return quantile(targets, predictions, head.quantiles, head.point_index, known, *drawn)
        case TextHead():
            return text(predictions, texts, known, *drawn, head.choices is not None)
        case ImageHead():
            return image(predictions, images, known, *drawn)
        case MatchingHead():
            return matching(predictions, *drawn)
        case TokenMatchingHead():
            return token_matching(predictions, *drawn)
        case AlignmentHead():
            return alignment(targets, predictions, head.inputs, *drawn)
        case ViewsHead():
            return views(targets, predictions, *drawn)
        case OrderHead() | MaskedHead():
            return objective(head.type, predictions, head.chance, *drawn, head.metric)
        case _:
            assert_never(head)


def metrics_of(
    predicted: HeadPredictions | ObjectivePredictions, resamples: int = 0, seed: int = 0
) -> HeadMetrics:
    """The metrics of one head on its known rows; of one that learns without labels on all.

    Raises:
        ValueError: a prediction is NaN.

    Example:
        >>> probabilities = [[0.9, 0.1], [0.8, 0.2]]
        >>> rows = HeadPredictions(
        ...     ClassificationHead(), ("cat", "dog"), [0, 1], [True, True], probabilities
        ... )
        >>> metrics_of(rows).metrics["accuracy"].value
        0.5
    """
    if isinstance(predicted, ObjectivePredictions):
        of_rows = predicted.targets, predicted.predictions
        return head_metrics(predicted.head, (), *of_rows, None, resamples, seed)
    return head_metrics(
        predicted.head,
        predicted.classes,
        predicted.targets,
        predicted.predictions,
        predicted.known,
        resamples,
        seed,
        thresholds=predicted.thresholds,
    )


def samples(
    predicted: HeadPredictions, resamples: int, seed: int, groups: np.ndarray | None = None
) -> Samples:
    """The same metrics on bootstrap samples, float `(resamples,)` each.

    NaN where a metric is not defined; an AUROC of many classes has fewer samples.

    Args:
        predicted: rows that are all known.
        resamples: number of bootstrap samples.
        seed: predictions for the same rows, drawn with the same seed, get the same draws, so that
            differences of their metrics are paired.
        groups: int `(rows,)` of `group_codes`: rows of one number are drawn together. None: each
            row alone.
    """
    head, truth, outputs = predicted.head, predicted.targets, predicted.predictions
    match head:
        case ClassificationHead():
            return class_samples(truth, outputs, resamples, seed, groups)
        case OrdinalHead():
            means = bootstrap.row_means(rank_errors(truth, outputs))
            of_means = bootstrap.resample(means, len(truth), resamples, seed, groups)
            return class_samples(truth, outputs, resamples, seed, groups) | of_means
        case MultiLabelHead():
            return label_samples(
                truth > 0, outputs, predicted.predicted_labels, resamples, seed, groups
            )
        case RegressionHead():
            return number_samples(truth, outputs[:, 0], resamples, seed, groups)
        case CountHead():
            means = bootstrap.row_means(count_scores(truth, outputs[:, 0]))
            of_means = bootstrap.resample(means, len(truth), resamples, seed, groups)
            return number_samples(truth, outputs[:, 0], resamples, seed, groups) | of_means
        case QuantileHead():
            means = bootstrap.row_means(quantile_scores(truth, outputs, head.quantiles))
            of_means = bootstrap.resample(means, len(truth), resamples, seed, groups)
            middle = outputs[:, head.point_index]
            return number_samples(truth, middle, resamples, seed, groups) | of_means
        case _:
            assert_never(head)
