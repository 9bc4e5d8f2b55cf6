"""Random changes of an input in training."""

from typing import Annotated, Literal

from pydantic import Field

from multimodal_tf.config.names import Fraction, Span, Strict


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
    shift_ms: Annotated[float, Field(ge=0, le=600_000)] = 0.0
    # largest change of loudness, up or down
    gain_db: Annotated[float, Field(ge=0, le=200)] = 0.0
    # level of white noise, in decibels of full scale; null: none
    noise_db: float | None = Field(None, ge=-400, le=0)
    # SpecAugment (Park et al. 2019): number of time masks,
    time_masks: int = Field(0, ge=0, le=1000)
    # and the longest,
    time_mask_ms: Annotated[float, Field(ge=0, le=600_000)] = 200.0
    # number of frequency masks,
    frequency_masks: int = Field(0, ge=0, le=1000)
    # and the widest
    frequency_mask_bins: Span = 8
