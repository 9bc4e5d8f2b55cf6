"""Changes of a sound that keep its meaning, in training only. (Keras 3.15 has such layers for
images alone.)

They take rows of a fixed length, a sound and then zeros, and leave the zeros behind it as they are:
a tower still sees where it ends. All draw anew for every row and step. Outside training they hand
on what they get.
"""

import keras
from keras import ops

from multimodal_tf.models.random_in_training import RandomInTraining
from multimodal_tf.models.towers.audio_mask import SILENCE, sound_length


@keras.saving.register_keras_serializable("multimodal_tf")
class TimeShift(RandomInTraining):
    """The sound begins up to `samples` later or earlier; what leaves at one end is cut off, at the
    other there is silence.

    A row of which nothing would be left stays where it is.

    Args:
        samples: int.
        seed: int or None.

    Call:
        `x` is float `(batch, samples)`. Returns the same.
    """

    def __init__(self, samples, **kwargs):
        super().__init__(**kwargs)
        self.samples = samples

    def change(self, x):
        batch, length = ops.shape(x)[0], ops.shape(x)[1]
        shift = keras.random.randint(
            (batch, 1), -self.samples, self.samples + 1, seed=self.seed_generator
        )
        source = ops.arange(length, dtype="int32") - shift
        moved = ops.take_along_axis(x, ops.clip(source, 0, length - 1), axis=1)
        moved = ops.where(ops.logical_and(source >= 0, source < length), moved, ops.zeros_like(x))
        return ops.where(ops.any(ops.not_equal(moved, 0), axis=1, keepdims=True), moved, x)

    def get_config(self):
        return super().get_config() | {"samples": self.samples}


@keras.saving.register_keras_serializable("multimodal_tf")
class RandomGain(RandomInTraining):
    """The sound is up to `decibels` louder or softer, evenly in decibels. It may leave -1..1:
    nothing is clipped.

    Args:
        decibels: float, dB.
        seed: int or None.

    Call:
        `x` is float `(batch, samples)`. Returns the same.
    """

    def __init__(self, decibels, **kwargs):
        super().__init__(**kwargs)
        self.decibels = decibels

    def change(self, x):
        gain = keras.random.uniform(
            (ops.shape(x)[0], 1),
            -self.decibels,
            self.decibels,
            dtype=x.dtype,
            seed=self.seed_generator,
        )
        return x * ops.power(10.0, gain / 20)

    def get_config(self):
        return super().get_config() | {"decibels": self.decibels}


@keras.saving.register_keras_serializable("multimodal_tf")
class WhiteNoise(RandomInTraining):
    """White noise under the sound, up to its last sample; silence alone and absent rows stay
    silent.

    Args:
        decibels: float, dB of full scale: the noise's root mean square is `10^(decibels / 20)`.
        seed: int or None.

    Call:
        `x` is float `(batch, samples)`. Returns the same.
    """

    def __init__(self, decibels, **kwargs):
        super().__init__(**kwargs)
        self.decibels = decibels

    def change(self, x):
        noise = keras.random.normal(
            ops.shape(x), stddev=10 ** (self.decibels / 20), dtype=x.dtype, seed=self.seed_generator
        )
        there = ops.arange(ops.shape(x)[1], dtype="int32") < ops.expand_dims(sound_length(x), 1)
        return x + ops.where(there, noise, ops.zeros_like(x))

    def get_config(self):
        return super().get_config() | {"decibels": self.decibels}


@keras.saving.register_keras_serializable("multimodal_tf")
class SpecAugment(RandomInTraining):
    """Stretches of time and bands of a spectrogram fall silent.

    A mask's width is drawn from 0 to the widest, its place from all at which it lies within the
    sound; masks may overlap.

    Args:
        time_masks, frequency_masks: int. How many.
        time_width: int, frames, the widest.
        frequency_width: int, mel bands, the widest.
        seed: int or None.

    Call:
        `x` is float `(batch, frames, mel_bins)`, dB; `mask` bool `(batch, frames)`, which frames
        hold sound, the first ones. Returns `x`'s shape.

    Source: Park et al. 2019, arXiv:1904.08779, without time warping.
    """

    def __init__(self, time_masks, time_width, frequency_masks, frequency_width, **kwargs):
        super().__init__(**kwargs)
        self.time_masks, self.time_width = time_masks, time_width
        self.frequency_masks, self.frequency_width = frequency_masks, frequency_width

    def call(self, x, mask, training=False):  # type: ignore[override]  # it alone needs the mask
        if not training:
            return x
        frames, bins = ops.shape(x)[1], ops.shape(x)[2]
        sound = ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)
        silent = ops.expand_dims(
            self._stretches(self.time_masks, self.time_width, sound, frames), 2
        )
        bands = ops.expand_dims(
            self._stretches(
                self.frequency_masks, self.frequency_width, ops.full_like(sound, bins), bins
            ),
            1,
        )
        return ops.where(ops.logical_or(silent, bands), ops.full_like(x, SILENCE), x)

    def _stretches(self, count, widest, within, length):
        """bool `(batch, length)`: `count` stretches of 0 to `widest` among the first `within` (int
        `(batch, 1)`) places.
        """
        if not count:
            return ops.zeros((1, length), "bool")
        share = keras.random.uniform((2, ops.shape(within)[0], count), seed=self.seed_generator)
        widths = _up_to(ops.minimum(within, widest), share[0])
        begins = _up_to(within - widths, share[1])
        places = ops.arange(length, dtype="int32")
        begins, ends = ops.expand_dims(begins, 2), ops.expand_dims(begins + widths, 2)
        return ops.any(ops.logical_and(places >= begins, places < ends), axis=1)

    def get_config(self):
        names = ("time_masks", "time_width", "frequency_masks", "frequency_width")
        return super().get_config() | {name: getattr(self, name) for name in names}


def augmented(part, x, name):
    """A sound, augmented as `part.augmentation` says, in this order: time shift, gain, noise.

    Args:
        part: `config.AudioInput`.
        x: float32 `(batch, samples)`; absent rows are zeros and stay so.
        name: str. The input's.

    Returns:
        Like `x`; `x` itself, and no layer, where nothing is to be done.

    Raises:
        ValueError: the shift is as long as the input.
    """
    ours, shift = part.augmentation, round(part.sample_rate * part.augmentation.shift_ms / 1000)
    if shift >= part.samples:
        raise ValueError(
            f"inputs.{name}.augmentation.shift_ms: must be less than the input's {part.seconds} seconds, received {ours.shift_ms}"
        )
    # float32 under mixed precision too, as the sound is
    if shift:
        x = TimeShift(shift, name=f"{name}_shift", dtype="float32")(x)
    if ours.gain_db:
        x = RandomGain(ours.gain_db, name=f"{name}_gain", dtype="float32")(x)
    if ours.noise_db is not None:
        x = WhiteNoise(ours.noise_db, name=f"{name}_noise", dtype="float32")(x)
    return x


def _up_to(highest, share):
    """Whole numbers from 0 to `highest` (inclusive), as a share from 0 to 1 (exclusive) says;
    int32.
    """
    highest = ops.cast(highest, "float32")
    return ops.cast(ops.minimum(ops.floor(share * (highest + 1)), highest), "int32")
