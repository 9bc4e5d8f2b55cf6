"""A number in its own unit: a Dense layer on the normalised scale, with a squared error."""

import keras
from keras import layers

from multimodal_tf.config import RegressionHead
from multimodal_tf.losses import ScaledMeanSquaredError
from multimodal_tf.models.heads.prior import PriorFallback
from multimodal_tf.schema import Moments


def output(
    head: RegressionHead,
    stats: Moments,
    x: keras.KerasTensor,
    name: str,
    any_present: keras.KerasTensor | None = None,
) -> keras.KerasTensor:
    """A number `(batch, 1)` in its unit; see `models.heads.output`."""
    x = layers.Dense(1, dtype="float32", name=f"{name}_normalised")(x)
    if any_present is not None:
        x = PriorFallback([0.0], dtype="float32", name=f"{name}_prior")(x, any_present)
    return layers.Rescaling(
        stats.std, offset=stats.mean - stats.centre, dtype="float32", name=name
    )(x)


def prior(head: RegressionHead, stats: Moments, width: int) -> list[float]:
    """The mean of the training rows."""
    return [stats.mean - stats.centre]


def loss(head: RegressionHead, stats: Moments) -> keras.losses.Loss:
    """Squared error divided by the variance."""
    return ScaledMeanSquaredError(stats.std**2)


def metrics(head: RegressionHead) -> list[keras.metrics.Metric]:
    """Mean absolute error."""
    return [keras.metrics.MeanAbsoluteError(name="mae")]
