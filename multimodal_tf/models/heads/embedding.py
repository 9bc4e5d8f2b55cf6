"""The fused vector of length 1; it has no loss."""

import keras
from keras import layers

from multimodal_tf.config import EmbeddingHead
from multimodal_tf.models.presence import ZeroWhereMissing


def output(
    head: EmbeddingHead,
    stats: None,
    x: keras.KerasTensor,
    name: str,
    any_present: keras.KerasTensor | None = None,
) -> keras.KerasTensor:
    """The vector `(batch, dim)`, of length 1 or 0; see `models.heads.output`."""
    if any_present is not None:
        x = ZeroWhereMissing(name=f"{name}_prior", dtype="float32")(x, any_present)
    return layers.UnitNormalization(dtype="float32", name=name)(x)


def prior(head: EmbeddingHead, stats: None, width: int) -> list[float]:
    """Zeros."""
    return [0.0] * width


def loss(head: EmbeddingHead, stats: None) -> None:
    """No loss."""
    return


def metrics(head: EmbeddingHead) -> list[keras.metrics.Metric]:
    """No metrics."""
    return []
