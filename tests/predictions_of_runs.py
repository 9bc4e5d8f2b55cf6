"""Predictions of two runs on the same eight rows, and of numbers on four."""

import numpy as np

from multimodal_tf.config import ClassificationHead, RegressionHead
from multimodal_tf.data.predictions import HeadPredictions, Predicted

TRUTH = np.array([0, 0, 0, 1, 1, 1, 1, 0])


def chosen(right, classes=("cat", "dog"), known=None, head=None):
    """Predictions of two classes: 0.8 for the right class where `right`, else 0.3."""
    right = np.array(right, bool)
    of_right = np.where(right, 0.8, 0.3)
    second = np.where(TRUTH == 1, of_right, 1 - of_right)
    known = np.ones(len(TRUTH), bool) if known is None else known
    return HeadPredictions(
        head or ClassificationHead(), classes, TRUTH, known, np.stack([1 - second, second], axis=1)
    )


ONE, OTHER = chosen([1, 1, 0, 1, 0, 1, 0, 0]), chosen([1, 1, 1, 1, 0, 1, 1, 0])


def predicted(predictions, rows=None, head="label"):
    return Predicted(
        np.arange(len(predictions.known)) if rows is None else rows, {head: predictions}
    )


def numbers(predictions, head=None, targets=(1.0, 2.0, 4.0, 8.0)):
    return HeadPredictions(
        head or RegressionHead(),
        (),
        np.array(targets),
        np.ones(len(targets), bool),
        np.array(predictions).reshape(len(targets), -1),
    )
