"""Where a clip ends and its padding with silence begins, and the level of silence."""

from typing import Any

import keras
import tensorflow as tf
from keras import KerasTensor, ops

from multimodal_tf.models.layer import Layer

# dB: about the noise floor of 16-bit samples; digital silence would be minus infinity
SILENCE = -60.0


def clip_length(x: KerasTensor) -> KerasTensor:
    """Number of samples up to the last that is not zero.

    Args:
        x: float `(batch, samples)`.

    Returns:
        int32 `(batch,)`.

    Example:
        >>> clip_length(ops.convert_to_tensor([[0.0, 0.5, 0.0], [0.0, 0.0, 0.0]])).numpy().tolist()
        [2, 0]
    """
    counts = ops.arange(1, ops.shape(x)[1] + 1, dtype="int32")
    return tf.reduce_max(ops.where(ops.not_equal(x, 0), counts, ops.zeros_like(counts)), axis=1)


@keras.saving.register_keras_serializable("multimodal_tf")
class AudioMask(Layer):
    """The mask of tokens: False for those in the silence that pads a clip to the input's length.

    A token is valid if its `window` ends at or before the last sample that is not zero. The first
    token is always valid, so that a silent clip has one.

    Args:
        stride: int, samples from the beginning of one time step to the next.
        steps: int. Number of time steps.
        tokens_per_step: int.
        window: int, samples that a token must have before the end of the clip.

    Call:
        `x` is float `(batch, samples)`. Returns bool `(batch, steps x tokens_per_step)`.

    Example:
        >>> x = ops.convert_to_tensor([[0.0, 0.1, -0.1, 0.0, 0.0, 0.0], [0.0] * 6])
        >>> AudioMask(stride=2, steps=3)(x).numpy().tolist()
        [[True, True, False], [True, False, False]]
    """

    def __init__(
        self, stride: int, steps: int, tokens_per_step: int = 1, window: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.stride, self.steps = stride, steps
        self.tokens_per_step, self.window = tokens_per_step, window

    def call(self, x: KerasTensor) -> KerasTensor:
        tokens = ops.arange(self.steps * self.tokens_per_step, dtype="int32")
        begins = tokens // self.tokens_per_step * self.stride
        return begins + self.window <= ops.expand_dims(ops.maximum(clip_length(x), self.window), 1)

    def compute_output_spec(self, x: KerasTensor) -> KerasTensor:
        return KerasTensor((x.shape[0], self.steps * self.tokens_per_step), "bool")

    def get_config(self) -> dict[str, Any]:
        names = ("stride", "steps", "tokens_per_step", "window")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
