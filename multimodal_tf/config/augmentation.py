"""Random changes of an input in training."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from multimodal_tf.config.names import Fraction, Strict


class ImageAugmentation(Strict):
    """Augmentation of an image by Keras' own layers, in this order; in training only."""

    flip: Literal["horizontal", "vertical", "both"] | None = None
    # share of height and width that is cropped at a random position; the rest is resized
    crop: Fraction = 0.0
    # strength of RandAugment (Cubuk et al. 2020); 0: none
    rand_augment: Fraction = 0.0
    # largest share of the image that is erased (Zhong et al. 2020); 0: none
    erasing: Fraction = 0.0


class AudioAugmentation(Strict):
    """Augmentation of a waveform and its spectrogram, in this order; in training only."""

    # largest shift in time, to either side
    shift_ms: NonNegativeFloat = 0.0
    # largest change of loudness, up or down
    gain_db: NonNegativeFloat = 0.0
    # level of white noise, in decibels of full scale; null: none
    noise_db: float | None = Field(None, le=0)
    # SpecAugment (Park et al. 2019): number of time masks,
    time_masks: int = Field(0, ge=0)
    # and the longest,
    time_mask_ms: NonNegativeFloat = 200.0
    # number of frequency masks,
    frequency_masks: int = Field(0, ge=0)
    # and the widest
    frequency_mask_bins: PositiveInt = 8
