"""Augmentation of waveforms, in training only. (Keras 3.15 augments images alone.)

The layers take rows of a fixed length, a clip padded with zeros, and keep that padding, so that a
tower still sees where the clip ends. All draw anew for every row and step. In inference, they
return their input.
"""

from typing import Any

import keras
from keras import KerasTensor, ops

from multimodal_tf.config import AudioAugmentation
from multimodal_tf.models.random_in_training import RandomInTraining
from multimodal_tf.models.towers.audio_mask import SILENCE, clip_length


@keras.saving.register_keras_serializable("multimodal_tf")
class TimeShift(RandomInTraining):
    """Shifts a clip by up to `samples` samples, later or earlier, and fills up with silence.

    A row that would become silent is not shifted.

    Args:
        samples: int.
        seed: int or None.

    Call:
        `x` is float `(batch, samples)`. Returns the same shape.
    """

    def __init__(self, samples: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.samples = samples

    def change(self, x: KerasTensor) -> KerasTensor:
        batch, length = ops.shape(x)[0], ops.shape(x)[1]
        shift = keras.random.randint(
            (batch, 1), -self.samples, self.samples + 1, seed=self.seed_generator
        )
        source = ops.arange(length, dtype="int32") - shift
        shifted = ops.take_along_axis(x, ops.clip(source, 0, length - 1), axis=1)
        inside = ops.logical_and(source >= 0, source < length)
        shifted = ops.where(inside, shifted, ops.zeros_like(x))
        return ops.where(ops.any(ops.not_equal(shifted, 0), axis=1, keepdims=True), shifted, x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "samples": self.samples}


@keras.saving.register_keras_serializable("multimodal_tf")
class RandomGain(RandomInTraining):
    """Amplifies or attenuates a clip by up to `decibels`, uniformly in dB, without clipping to ±1.

    Args:
        decibels: float, dB.
        seed: int or None.

    Call:
        `x` is float `(batch, samples)`. Returns the same shape.
    """

    def __init__(self, decibels: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.decibels = decibels

    def change(self, x: KerasTensor) -> KerasTensor:
        gain = keras.random.uniform(
            (ops.shape(x)[0], 1),
            -self.decibels,
            self.decibels,
            dtype=x.dtype,
            seed=self.seed_generator,
        )
        return x * ops.power(10.0, gain / 20)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "decibels": self.decibels}


@keras.saving.register_keras_serializable("multimodal_tf")
class WhiteNoise(RandomInTraining):
    """Adds white noise up to a clip's last sample; silent and missing rows stay silent.

    Args:
        decibels: float, dB of full scale: the RMS of the noise is `10^(decibels / 20)`.
        seed: int or None.

    Call:
        `x` is float `(batch, samples)`. Returns the same shape.
    """

    def __init__(self, decibels: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.decibels = decibels

    def change(self, x: KerasTensor) -> KerasTensor:
        noise = keras.random.normal(
            ops.shape(x), stddev=10 ** (self.decibels / 20), dtype=x.dtype, seed=self.seed_generator
        )
        inside = ops.arange(ops.shape(x)[1], dtype="int32") < ops.expand_dims(clip_length(x), 1)
        return x + ops.where(inside, noise, ops.zeros_like(x))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "decibels": self.decibels}


@keras.saving.register_keras_serializable("multimodal_tf")
class SpecAugment(RandomInTraining):
    """Silences random spans of time and bands of frequency in a spectrogram.

    A mask's width is uniform from 0 to the maximum, its start uniform over all at which it lies
    within the clip. Masks may overlap.

    Args:
        time_masks, frequency_masks: int. Number of masks.
        time_width: int, frames, the maximum.
        frequency_width: int, mel bins, the maximum.
        seed: int or None.

    Call:
        `x` is float `(batch, frames, mel_bins)`, dB; `mask` bool `(batch, frames)`, True for the
        frames of the clip, which come first. Returns `x`'s shape.

    Source: Park et al. 2019, arXiv:1904.08779, without time warping.
    """

    def __init__(
        self,
        time_masks: int,
        time_width: int,
        frequency_masks: int,
        frequency_width: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.time_masks, self.time_width = time_masks, time_width
        self.frequency_masks, self.frequency_width = frequency_masks, frequency_width

    # Only this one of the random layers takes a mask.
    def call(  # type: ignore[override]
        self, x: KerasTensor, mask: KerasTensor, training: bool = False
    ) -> KerasTensor:
        if not training:
            return x
        frames, bins = ops.shape(x)[1], ops.shape(x)[2]
        clip = ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)
        spans = self._spans(self.time_masks, self.time_width, clip, frames)
        bands = self._spans(
            self.frequency_masks, self.frequency_width, ops.full_like(clip, bins), bins
        )
        masked = ops.logical_or(ops.expand_dims(spans, 2), ops.expand_dims(bands, 1))
        return ops.where(masked, ops.full_like(x, SILENCE), x)

    def _spans(self, count: int, width: int, within: KerasTensor, length: int) -> KerasTensor:
        """bool `(batch, length)`: `count` spans of 0 to `width` among the first `within` indices.

        `within` is int `(batch, 1)`.
        """
        if not count:
            return ops.zeros((1, length), "bool")
        fraction = keras.random.uniform((2, ops.shape(within)[0], count), seed=self.seed_generator)
        widths = _up_to(ops.minimum(within, width), fraction[0])
        begins = _up_to(within - widths, fraction[1])
        indices = ops.arange(length, dtype="int32")
        begins, ends = ops.expand_dims(begins, 2), ops.expand_dims(begins + widths, 2)
        return ops.any(ops.logical_and(indices >= begins, indices < ends), axis=1)

    def get_config(self) -> dict[str, Any]:
        names = ("time_masks", "time_width", "frequency_masks", "frequency_width")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def augment(
    augmentation: AudioAugmentation, x: KerasTensor, sample_rate: int, name: str
) -> KerasTensor:
    """Augments a clip in training: time shift, then gain, then noise.

    Args:
        augmentation: what is changed.
        x: float32 `(batch, samples)`; missing rows are zeros and stay zeros.
        sample_rate: Hz.
        name: str. The input's.

    Returns:
        The same shape; `x` itself, without a layer, if nothing is configured.

    Raises:
        ValueError: the shift is not shorter than the input.
    """
    shift = _shift(augmentation, sample_rate)
    if shift >= x.shape[1]:
        raise ValueError(
            f"inputs.{name}.augmentation.shift_ms: must be less than the input's"
            f" {x.shape[1] / sample_rate} seconds, received {augmentation.shift_ms}"
        )
    # In float32 under mixed precision too, because `x` is float32.
    if shift:
        x = TimeShift(shift, name=f"{name}_shift", dtype="float32")(x)
    if augmentation.gain_db:
        x = RandomGain(augmentation.gain_db, name=f"{name}_gain", dtype="float32")(x)
    if augmentation.noise_db is not None:
        x = WhiteNoise(augmentation.noise_db, name=f"{name}_noise", dtype="float32")(x)
    return x


def last_layer(augmentation: AudioAugmentation, sample_rate: int, name: str) -> str | None:
    """Name of the layer behind which a waveform is augmented; None: nothing is configured."""
    if augmentation.noise_db is not None:
        return f"{name}_noise"
    if augmentation.gain_db:
        return f"{name}_gain"
    return f"{name}_shift" if _shift(augmentation, sample_rate) else None


def _shift(augmentation: AudioAugmentation, sample_rate: int) -> int:
    """The largest shift, in samples."""
    return round(sample_rate * augmentation.shift_ms / 1000)


def _up_to(highest: KerasTensor, fraction: KerasTensor) -> KerasTensor:
    """int32 from 0 to `highest` (inclusive) by a fraction from 0 to 1 (exclusive)."""
    highest = ops.cast(highest, "float32")
    return ops.cast(ops.minimum(ops.floor(fraction * (highest + 1)), highest), "int32")
