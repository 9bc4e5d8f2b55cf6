"""The head that predicts an image."""

from typing import Annotated, Any, ClassVar, Literal, Self

import pydantic
from pydantic import Field

from multimodal_tf.config.heads.bases import LabelColumn
from multimodal_tf.config.inputs import ImageInput
from multimodal_tf.config.names import NonNegative, Pixels, Side, Widths

# height and width of the map from which the decoder starts
_COARSEST = 64


class ImageHead(LabelColumn):
    """An image, such as a drawing of what a row says, predicted by a convolutional decoder.

    The decoder starts from the fused vector: a dense layer gives a coarse map, which is doubled in
    height and width and convolved once for each of `filters`, the coarsest first. Targets are read,
    checked and resized as those of an image input. Where the column is that of an input, the model
    is an autoencoder, which learns features without labels. A row without a target teaches nothing;
    a row without any input gets the mean image of the training split.

    The loss of a row is the mean over its pixels' channels of their binary cross-entropy, less the
    target's own entropy: 0 where the image is right. With `latent` it is a conditional variational
    autoencoder: in training a second network reads the target and gives the distribution of a
    vector of so many numbers, which the decoder reads beside the fused vector; `kl_weight` times
    its Kullback-Leibler divergence from a standard normal distribution, over the number of pixels'
    channels, joins the loss. The prediction is the image of the vector 0.

    Source: Kingma and Welling 2013, arXiv:1312.6114; Sohn, Lee and Yan 2015, «Learning Structured
    Output Representation using Deep Conditional Generative Models».
    """

    target_type = "image"
    generates = True
    is_media: ClassVar[bool] = True
    cell_settings = ("max_pixels",)

    type: Literal["image"] = "image"
    height: Side = 32
    width: Side = 32
    channels: Literal[1, 3] = 3
    max_pixels: Pixels = 50_000_000
    # of the decoder's convolutions; each doubles height and width
    filters: Widths = [128, 64, 32]
    # numbers of the latent vector; 0: the image follows from the inputs alone
    latent: Annotated[int, Field(ge=0, le=16_384)] = 0
    # of the divergence in the loss, where there is a latent vector; 1: that of the likelihood
    kl_weight: NonNegative = 1.0

    @pydantic.model_validator(mode="after")
    def _levels_fit_the_size(self) -> Self:
        levels, larger = len(self.filters), max(self.height, self.width)
        if larger > _COARSEST * 2**levels:
            raise ValueError(
                f"filters must be enough to double {_COARSEST} to the {larger} of the image's "
                f"larger side, received {levels}"
            )
        if levels > 1 and 2 ** (levels - 1) >= larger:
            raise ValueError(
                f"filters must be at most {max(1, (larger - 1).bit_length())}, which double 1 to "
                f"the {larger} of the image's larger side, received {levels}"
            )
        return self

    @property
    def cell_input(self) -> ImageInput:
        """The image input that reads the target's cells."""
        return ImageInput(
            height=self.height,
            width=self.width,
            channels=self.channels,
            max_pixels=self.max_pixels,
        )

    @property
    def samples(self) -> bool:
        """Its latent vector is drawn."""
        return self.latent > 0

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of one row's target, uint8."""
        return self.height, self.width, self.channels

    @property
    def stats_settings(self) -> list[Any]:
        """The shape of the mean image."""
        return [self.target_shape]

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """The row's loss, its squared error, its divergence, and 1 if it has an input."""
        return (4,)
