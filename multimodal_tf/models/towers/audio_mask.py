"""Where a sound ends and the silence that fills it up begins, and how loud silence is."""

import keras
from keras import layers, ops

# dB: about where the hiss of 16-bit samples lies; silence is that loud too, and not minus infinity
SILENCE = -60.0


def sound_length(x):
    """Number of samples up to the last that is not zero.

    Args:
        x: float `(batch, samples)`.

    Returns:
        int32 `(batch,)`.

    Example:
        >>> sound_length(ops.convert_to_tensor([[0.0, 0.5, 0.0], [0.0, 0.0, 0.0]])).numpy().tolist()
        [2, 0]
    """
    places = ops.arange(1, ops.shape(x)[1] + 1, dtype="int32")
    return ops.max(ops.where(ops.not_equal(x, 0), places, ops.zeros_like(places)), axis=1)


@keras.saving.register_keras_serializable("multimodal_tf")
class SoundMask(layers.Layer):
    """Which tokens hold sound: those that begin, and whose `window` ends, before or with the last
    sample that is not zero.

    What follows is the silence that fills a clip up to the input's length. The first token is
    always there, so that silence alone is not nothing.

    Args:
        stride: int, samples from the beginning of one step in time to the next.
        steps: int.
        places: int. Tokens a step, which stand side by side.
        window: int. Samples that a token reads, all of which must come before the end of the sound.

    Call:
        `x` is float `(batch, samples)`. Returns bool `(batch, steps x places)`.

    Example:
        >>> x = ops.convert_to_tensor([[0.0, 0.1, -0.1, 0.0, 0.0, 0.0], [0.0] * 6])
        >>> SoundMask(stride=2, steps=3)(x).numpy().tolist()
        [[True, True, False], [True, False, False]]
    """

    def __init__(self, stride, steps, places=1, window=1, **kwargs):
        super().__init__(**kwargs)
        self.stride, self.steps, self.places, self.window = stride, steps, places, window

    def call(self, x):
        begins = ops.arange(self.steps * self.places, dtype="int32") // self.places * self.stride
        return begins + self.window <= ops.expand_dims(ops.maximum(sound_length(x), self.window), 1)

    def compute_output_spec(self, x):
        return keras.KerasTensor((x.shape[0], self.steps * self.places), "bool")

    def get_config(self):
        return super().get_config() | {
            "stride": self.stride,
            "steps": self.steps,
            "places": self.places,
            "window": self.window,
        }
