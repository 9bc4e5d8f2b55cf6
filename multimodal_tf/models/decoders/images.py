"""Learning target images and drawing them, with the same layers."""

import base64
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from multimodal_tf.models.decoders.pixels import PixelDecoder, Posterior
from multimodal_tf.models.decoders.with_scores import WithScores
from multimodal_tf.models.draws import DrawsPerRow, uniform

# of the logarithm of a variance
_WIDEST = 10.0


@keras.saving.register_keras_serializable("multimodal_tf")
class ImageScores(DrawsPerRow):
    """How well a decoder draws each row's target.

    Args:
        decoder: `PixelDecoder`.
        posterior: `Posterior` of the latent vector; None: there is none.
        kl_weight: float, factor of the divergence in the loss.
        mean: uint8 pixels of the image that a row without any input gets, in base64.

    Call:
        `target` is uint8 `(batch, height, width, channels)`, `x` float `(batch, dim)`, what is
        known of the row, `any_present`, if given, float `(batch,)`, above 0.5 where any input is
        present. Returns float32 `(batch, 4)`: the loss; the squared error of a pixel's channel, 0
        to 1, the mean over the image; the divergence of the latent vector in nats; and 1. Zeros in
        a row without any input. A latent vector is drawn from the row's posterior.
    """

    def __init__(
        self,
        decoder: PixelDecoder,
        posterior: Posterior | None,
        kl_weight: float,
        mean: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.decoder, self.posterior = decoder, posterior
        self.kl_weight, self.mean = kl_weight, mean

    @property
    def latent(self) -> int:
        """Numbers of the latent vector."""
        return 0 if self.posterior is None else self.posterior.size

    def build(self, target_shape: Any, x_shape: Any, any_present_shape: Any = None) -> None:
        super().build()
        width = x_shape[-1]
        # those that were loaded are built
        if self.posterior is not None and not self.posterior.built:
            self.posterior.build(target_shape, x_shape)
        if not self.decoder.built:
            self.decoder.build((None, width + self.latent))
        self.built = True

    def call(
        self, target: Any, x: Any, any_present: Any = None, training: bool | None = None
    ) -> Any:
        pixels = ops.cast(target, "float32") / 255
        divergence = ops.zeros_like(x[:, 0])
        if self.posterior is not None:
            mean, log_variance = ops.split(self.posterior(pixels, x), 2, axis=-1)
            log_variance = ops.clip(log_variance, -_WIDEST, _WIDEST)
            divergence = _divergence(mean, log_variance)
            noise = normal(self.uniform(target, 2 * self.latent, training))
            x = ops.concatenate([x, mean + ops.exp(log_variance / 2) * noise], axis=-1)
        logits = self.decoder(x)
        axes = (1, 2, 3)
        losses = ops.mean(_cross_entropy(logits, pixels), axis=axes)
        losses = losses + self.kl_weight * divergence / math.prod(self.decoder.shape)
        squares = ops.mean(ops.square(ops.sigmoid(logits) - pixels), axis=axes)
        scores = ops.stack([losses, squares, divergence, ops.ones_like(losses)], axis=1)
        if any_present is None:
            return scores
        return ops.where(any_present[:, None] > 0.5, scores, ops.zeros_like(scores))

    def compute_output_spec(
        self, target: keras.KerasTensor, *others: Any, **others_by_name: Any
    ) -> keras.KerasTensor:
        return keras.KerasTensor((target.shape[0], 4), "float32")

    def mean_image(self) -> Any:
        """float32 `(height, width, channels)`, 0 to 1."""
        pixels = np.frombuffer(base64.b64decode(self.mean), np.uint8)
        return ops.convert_to_tensor(pixels.reshape(self.decoder.shape) / np.float32(255))

    def get_config(self) -> dict[str, Any]:
        posterior = self.posterior
        return {
            **super().get_config(),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "posterior": None
            if posterior is None
            else keras.saving.serialize_keras_object(posterior),
            "kl_weight": self.kl_weight,
            "mean": self.mean,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ImageScores":
        parts = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("decoder", "posterior")
        }
        return cls(**{**config, **parts})


class _Images(WithScores[ImageScores]):
    """Images of latent vectors, by the decoder of `ImageScores`.

    A row without any input gets the mean image of the training split.

    Args:
        scores: the layer whose decoder is used; its weights are shared.
    """

    def __init__(self, scores: ImageScores, **kwargs: Any) -> None:
        super().__init__(scores, dtype="float32", **kwargs)

    def images(self, x: Any, latent: Any, any_present: Any) -> Any:
        """The images of latent vectors `(batch, latent)`, float32, 0 to 1."""
        pixels = ops.sigmoid(self.scores.decoder(ops.concatenate([x, latent], axis=-1)))
        if any_present is None:
            return pixels
        present = any_present[:, None, None, None] > 0.5
        return ops.where(present, pixels, self.scores.mean_image())

    def compute_output_spec(self, *given: keras.KerasTensor, **given_by_name: Any) -> Any:
        return keras.KerasTensor((given[0].shape[0], *self.scores.decoder.shape), "float32")


class DrawnImage(_Images):
    """The image of each row, of the latent vector 0.

    Call:
        `x` and `any_present` as of `ImageScores`. Returns float32 `(batch, height, width,
        channels)`, 0 to 1.
    """

    def call(self, x: Any, any_present: Any = None) -> Any:
        latent = ops.zeros((ops.shape(x)[0], self.scores.latent), x.dtype)
        return self.images(x, latent, any_present)


class SampledImage(_Images):
    """The image of a latent vector that is drawn for each row, from a seed of its own.

    Call:
        `seed` is int64 `(batch,)`, `x` and `any_present` as of `ImageScores`. A row's image depends
        on its inputs and its seed alone. Returns as `DrawnImage`.
    """

    def call(self, seed: Any, x: Any, any_present: Any = None) -> Any:
        numbers = uniform(seed, 2 * self.scores.latent, tf.zeros([], tf.int64), self.scores.seed)
        return self.images(x, normal(numbers), any_present)


def normal(uniform: Any) -> Any:
    """Standard normal numbers `(batch, n)` of uniform ones `(batch, 2 * n)`, at least 0, below 1.

    Source: Box and Muller 1958, «A Note on the Generation of Random Normal Deviates».
    """
    first, second = ops.split(uniform, 2, axis=-1)
    return ops.sqrt(-2 * ops.log(1 - first)) * ops.cos(2 * math.pi * second)


def _divergence(mean: Any, log_variance: Any) -> Any:
    """Kullback-Leibler divergence from the standard normal distribution, `(batch,)`, in nats."""
    terms = ops.square(mean) + ops.exp(log_variance) - log_variance - 1
    return ops.sum(terms, axis=-1) / 2


def _cross_entropy(logits: Any, pixels: Any) -> Any:
    """Binary cross-entropy less the target's entropy: at least 0, and 0 where they agree."""
    known = ops.clip(pixels, 1e-7, 1 - 1e-7)
    entropy = -known * ops.log(known) - (1 - known) * ops.log(1 - known)
    inside = ops.logical_and(pixels > 0, pixels < 1)
    return ops.softplus(logits) - logits * pixels - ops.where(inside, entropy, 0.0)
