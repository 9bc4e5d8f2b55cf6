"""An image: a convolutional decoder from the fused vector."""

from typing import Any, NamedTuple

import keras
from keras import ops

from multimodal_tf.config import ImageHead
from multimodal_tf.config.names import TARGET
from multimodal_tf.losses import TargetLoss
from multimodal_tf.models.decoders.images import ImageScores
from multimodal_tf.models.decoders.pixels import PixelDecoder, Posterior
from multimodal_tf.schema import Images


class Read(NamedTuple):
    """What an image head reads.

    Attributes:
        vector: `(batch, dim)`, the fused one.
        target: Keras input uint8 `(batch, height, width, channels)`.
    """

    vector: keras.KerasTensor
    target: keras.KerasTensor


def target_input(head: ImageHead, name: str) -> keras.KerasTensor:
    """The Keras input of the head's target."""
    return keras.Input(head.target_shape, dtype="uint8", name=name + TARGET)


def output(
    head: ImageHead,
    stats: Images,
    x: Read,
    name: str,
    any_present: keras.KerasTensor | None = None,
) -> keras.KerasTensor:
    """How well the target is drawn, `(batch, 4)`; see `models.heads.output`."""
    filters = head.filters
    decoder = PixelDecoder(head.target_shape, filters, dtype="float32", name=f"{name}_decoder")
    posterior = None
    if head.latent:
        posterior = Posterior(head.latent, filters, dtype="float32", name=f"{name}_posterior")
    scores = ImageScores(decoder, posterior, head.kl_weight, stats.mean, dtype="float32", name=name)
    read = [x.target, x.vector]
    return scores(*read) if any_present is None else scores(*read, any_present)


def prior(head: ImageHead, stats: Images, width: int) -> list[float]:
    """Zeros: a row without inputs teaches nothing."""
    return [0.0] * width


def loss(head: ImageHead, stats: Images) -> keras.losses.Loss:
    """The rows' losses, as the output holds them."""
    return TargetLoss()


def metrics(head: ImageHead) -> list[keras.metrics.Metric]:
    """The mean squared error of the pixels, and the divergence of a latent vector."""
    found: list[keras.metrics.Metric] = [ImageScore(1, name="mse")]
    return [*found, ImageScore(2, name="kl")] if head.latent else found


@keras.saving.register_keras_serializable("multimodal_tf")
class ImageScore(keras.metrics.Mean):
    """The mean of one column of the output of `ImageScores`, over rows that have an input.

    Args:
        column: its index.

    Call:
        `y_true` is not read. A row of weight 0 does not count.
    """

    def __init__(self, column: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.column = column

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        weight = y_pred[:, 3]
        if sample_weight is not None:
            weight = weight * ops.cast(sample_weight, weight.dtype)
        return super().update_state(y_pred[:, self.column], weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "column": self.column}
