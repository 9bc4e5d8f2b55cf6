"""Views of images: crops, turns, flips and colours, drawn row by row."""

import math
from typing import Any

import keras
from keras import KerasTensor, ops

from multimodal_tf.config import ImageAugmentation, ImageInput
from multimodal_tf.models.chain import Shape
from multimodal_tf.models.draws import DrawsPerRow

# where the input has no augmentation of its own; no flip: letters and digits do not survive it
STRONG = ImageAugmentation(crop=0.5, rand_augment=0.5)
# at strength 1: the angle in radians, and factors of brightness, contrast and saturation, as in
# Chen et al. 2020, appendix A
_ANGLE, _BRIGHTNESS, _CONTRAST = math.radians(30), 0.4, 0.8
# luminance of red, green and blue, ITU-R BT.601
_LUMINANCE = (0.299, 0.587, 0.114)


def image_view(input_config: ImageInput, x: KerasTensor, name: str) -> KerasTensor:
    """A view of images, by the input's augmentation, or `STRONG` where it has none.

    Args:
        input_config: the configuration.
        x: float32 `(batch, height, width, channels)`, 0 to 1.
        name: of the layer.
    """
    own = input_config.augmentation
    chosen = STRONG if own == ImageAugmentation() else own
    layer = ImageView(
        crop=chosen.crop,
        strength=chosen.rand_augment,
        horizontal=chosen.flip in ("horizontal", "both"),
        vertical=chosen.flip in ("vertical", "both"),
        erasing=chosen.erasing,
        dtype="float32",
        name=name,
    )
    return layer(x)


@keras.saving.register_keras_serializable("multimodal_tf")
class ImageView(DrawsPerRow):
    """Crops and resizes, turns, flips, changes colours, and erases a square.

    Keras' own layers draw for a whole batch: what a row gets depends on its place there.

    Args:
        crop: float, 0 to 1 (exclusive). The largest share of both sides that is cut off, uniformly
            from 0; the position is random.
        strength: float, 0 to 1. Largest changes: a turn of 30 degrees, brightness by 0.4, contrast
            and saturation by 80 %, each times this.
        horizontal, vertical: bool. Whether half of the rows are flipped so.
        erasing: float, 0 to 1 (exclusive). The largest area of the square that gets the image's
            mean, uniformly from 0.
        seed: as of `DrawsPerRow`.

    Call:
        `x` is float `(batch, height, width, channels)`, 0 to 1. Returns the same.

    Source: Chen et al. 2020, arXiv:2002.05709, section 3 and appendix A.
    """

    def __init__(
        self,
        crop: float = 0.0,
        strength: float = 0.0,
        horizontal: bool = False,
        vertical: bool = False,
        erasing: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.crop, self.strength, self.erasing = crop, strength, erasing
        self.horizontal, self.vertical = horizontal, vertical

    def call(self, x: KerasTensor, training: bool | None = None) -> KerasTensor:
        x = ops.cast(x, "float32")
        drawn = ops.unstack(self.uniform(x, 12, training), num=12, axis=1)
        moved = ops.image.affine_transform(
            x,
            self._transform(drawn[:6], x.shape[1], x.shape[2]),
            interpolation="bilinear",
            fill_mode="nearest",
            data_format="channels_last",
        )
        view = self._erased(self._coloured(moved, drawn[6:9]), drawn[9:])
        return ops.cast(view, self.compute_dtype)

    def _transform(self, drawn: Any, height: int, width: int) -> Any:
        """From places of the view to those of the image, `(batch, 8)`, as Keras takes it."""
        kept = 1 - self.crop * drawn[0]
        angle = _signed(drawn[1]) * self.strength * _ANGLE
        flips = [
            ops.where(one < 0.5, -1.0, 1.0) if flips else 1.0
            for one, flips in zip(drawn[2:4], (self.horizontal, self.vertical))
        ]
        across, down = kept * ops.cos(angle), kept * ops.sin(angle)
        rows = []
        for own, other, place, side in (
            (across * flips[0], -down * flips[1], drawn[4], (width, height)),
            (across * flips[1], down * flips[0], drawn[5], (height, width)),
        ):
            centre, other_centre = ((one - 1) / 2 for one in side)
            offset = (place - 0.5) * (1 - kept) * side[0]
            rows.append((own, other, centre + offset - own * centre - other * other_centre))
        (a, b, c), (e, d, f) = rows
        zeros = ops.zeros_like(a)
        return ops.stack([a, b, c, d, e, f, zeros, zeros], axis=1)

    def _coloured(self, x: Any, drawn: Any) -> Any:
        if not self.strength:
            return x
        brightness, contrast, saturation = (
            (_signed(one) * self.strength)[:, None, None, None] for one in drawn
        )
        if x.shape[3] == len(_LUMINANCE):
            grey = ops.sum(x * ops.array(_LUMINANCE), axis=3, keepdims=True)
            x = grey + (x - grey) * (1 + _CONTRAST * saturation)
        mean = ops.mean(x, axis=(1, 2, 3), keepdims=True)
        x = mean + (x - mean) * (1 + _CONTRAST * contrast)
        return ops.clip(x + _BRIGHTNESS * brightness, 0.0, 1.0)

    def _erased(self, x: Any, drawn: Any) -> Any:
        if not self.erasing:
            return x
        size = ops.sqrt(self.erasing * drawn[0])
        down, across = (
            _within(place * (1 - size), size, length)
            for place, length in zip(drawn[1:], x.shape[1:3])
        )
        inside = ops.logical_and(down[:, :, None, None], across[:, None, :, None])
        return ops.where(inside, ops.mean(x, axis=(1, 2, 3), keepdims=True), x)

    def compute_output_shape(self, shape: Shape) -> Shape:
        return shape

    def get_config(self) -> dict[str, Any]:
        names = ("crop", "strength", "horizontal", "vertical", "erasing")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _within(begin: Any, size: Any, length: int) -> Any:
    """bool `(batch, length)`: which pixels of a side lie in a share of it."""
    index = (ops.arange(length, dtype="float32") + 0.5) / length
    return ops.logical_and(index >= begin[:, None], index < (begin + size)[:, None])


def _signed(fraction: Any) -> Any:
    """From -1 to 1, by a number from 0 to 1."""
    return 2 * fraction - 1
