"""Views of sounds: shift, loudness, noise and silent spans, drawn row by row."""

from typing import Any

import keras
import tensorflow as tf
from keras import KerasTensor, ops

from multimodal_tf.config import AudioAugmentation, AudioInput
from multimodal_tf.models.chain import Shape
from multimodal_tf.models.draws import DrawsPerRow
from multimodal_tf.models.towers.audio_mask import clip_length

# where the input has no augmentation of its own
STRONG = AudioAugmentation(shift_ms=100, gain_db=6, noise_db=-40, time_masks=2, time_mask_ms=100)


def audio_view(input_config: AudioInput, x: KerasTensor, name: str) -> KerasTensor:
    """A view of sounds, by the input's augmentation, or `STRONG` where it has none.

    Masks that the input's augmentation has are those of the tower's spectrogram, in training only.

    Args:
        input_config: the configuration.
        x: float32 `(batch, samples)`, -1 to 1.
        name: of the layer.
    """
    own, rate = input_config.augmentation, input_config.sample_rate
    by_head = own == AudioAugmentation()
    chosen = STRONG if by_head else own
    # at most a quarter of a short input
    shift, span = (
        min(round(rate * ms / 1000), input_config.samples // 4)
        for ms in (chosen.shift_ms, chosen.time_mask_ms)
    )
    layer = AudioView(
        shift=shift,
        decibels=chosen.gain_db,
        noise=None if chosen.noise_db is None else 10 ** (chosen.noise_db / 20),
        spans=chosen.time_masks if by_head else 0,
        span=span,
        dtype="float32",
        name=name,
    )
    return layer(x)


@keras.saving.register_keras_serializable("multimodal_tf")
class AudioView(DrawsPerRow):
    """Shifts a clip, makes it louder or softer, silences spans of it, and adds noise.

    Args:
        shift: int. Largest shift in samples, later or earlier; silence fills up. A row that would
            become silent is not shifted.
        decibels: float. Largest change of loudness, up or down.
        noise: float or None. RMS of white noise, added up to the clip's last sample; each row gets
            another part of the same noise.
        spans, span: int. Number of silent spans, and the longest, in samples.
        seed: as of `DrawsPerRow`.

    Call:
        `x` is float `(batch, samples)`. Returns the same; a silent row stays silent.
    """

    def __init__(
        self,
        shift: int = 0,
        decibels: float = 0.0,
        noise: float | None = None,
        spans: int = 0,
        span: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shift, self.decibels, self.noise = shift, decibels, noise
        self.spans, self.span = spans, span

    def call(self, x: KerasTensor, training: bool | None = None) -> KerasTensor:
        x = ops.cast(x, "float32")
        count = 3 + 2 * self.spans
        drawn = ops.unstack(self.uniform(x, count, training), num=count, axis=1)
        index = ops.arange(x.shape[1], dtype="int32")
        if self.shift:
            x = self._shifted(x, index, drawn[0])
        x = x * ops.power(10.0, (2 * drawn[1][:, None] - 1) * self.decibels / 20)
        length = clip_length(x)
        for one in range(self.spans):
            begin, width = drawn[3 + 2 * one : 5 + 2 * one]
            width = width * self.span
            begin = begin * ops.maximum(ops.cast(length, "float32") - width, 0.0)
            place = ops.cast(index, "float32")
            inside = ops.logical_and(place >= begin[:, None], place < (begin + width)[:, None])
            x = ops.where(inside, 0.0, x)
        if self.noise is not None:
            x = ops.where(index < length[:, None], x + self._noise(index, drawn[2]), x)
        return ops.cast(x, self.compute_dtype)

    def _shifted(self, x: Any, index: Any, drawn: Any) -> Any:
        offset = ops.cast(ops.floor(drawn * (2 * self.shift + 1)), "int32") - self.shift
        source = index - offset[:, None]
        shifted = ops.take_along_axis(x, ops.clip(source, 0, x.shape[1] - 1), axis=1)
        inside = ops.logical_and(source >= 0, source < x.shape[1])
        shifted = ops.where(inside, shifted, 0.0)
        return ops.where(ops.any(shifted != 0, axis=1, keepdims=True), shifted, x)

    def _noise(self, index: Any, drawn: Any) -> Any:
        samples = index.shape[0]
        noise = tf.random.stateless_normal([samples], [self.seed, 0], stddev=self.noise)
        begin = ops.cast(drawn * samples, "int32")
        return ops.take(noise, ops.mod(index + begin[:, None], samples), axis=0)

    def compute_output_shape(self, shape: Shape) -> Shape:
        return shape

    def get_config(self) -> dict[str, Any]:
        names = ("shift", "decibels", "noise", "spans", "span")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
