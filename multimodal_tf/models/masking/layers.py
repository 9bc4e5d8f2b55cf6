"""Layers that hide parts of a cell, drawn for each row by its content and the step of training."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from multimodal_tf.models.draws import DrawsPerRow
from multimodal_tf.models.masking.patches import (
    Grid,
    Spans,
    mask_patches,
    mask_spans,
)
from multimodal_tf.models.masking.text import Masked, count_of, mask_tokens
from multimodal_tf.models.masking.words import TokenIds
from multimodal_tf.models.towers.text import padding_mask


class _Hidden(DrawsPerRow):
    """A layer that returns the parts of `Masked`; rows whose input is missing count nowhere.

    Args:
        share: float, 0 to 1. Of the parts of a cell, that are hidden.
        seed: as of `DrawsPerRow`.
    """

    def __init__(self, share: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.share = share

    def _counted(self, masked: Masked, present: Any) -> Masked:
        if present is None:
            return masked
        return masked._replace(counted=masked.counted & (present > 0.5)[:, tf.newaxis])

    def _spec(self, cell: Any, places: int, target: Sequence[int]) -> tuple[Any, ...]:
        batch = cell.shape[0]
        target_dtype = "float32" if target else "int32"
        return (
            keras.KerasTensor(cell.shape, cell.dtype),
            keras.KerasTensor((batch, places), "int32"),
            keras.KerasTensor((batch, places), "bool"),
            keras.KerasTensor((batch, places, *target), target_dtype),
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "share": self.share}


@keras.saving.register_keras_serializable("multimodal_tf")
class HiddenTokens(_Hidden):
    """Hides tokens of a text; see `mask_tokens`.

    Args:
        ids: `TokenIds`, or a list of its values.
        padding, ends_with_padding: as of `towers.text.PaddingMask`.
        share, seed: as of the base class.

    Call:
        `tokens` is int32 `(batch, length)`, `present`, if given, float `(batch,)`. Returns the
        values of `Masked`.
    """

    def __init__(
        self, ids: Sequence[Any], padding: int = 0, ends_with_padding: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.ids = TokenIds(*ids)
        self.padding, self.ends_with_padding = padding, ends_with_padding

    def call(self, tokens: Any, present: Any = None, training: bool | None = None) -> Masked:
        length = tokens.shape[1]
        valid = padding_mask(tokens, self.padding, self.ends_with_padding)
        draws = tf.reshape(self.uniform(tokens, 3 * length, training), [-1, 3, length])
        return self._counted(mask_tokens(tokens, valid, draws, self.ids, self.share), present)

    def compute_output_spec(
        self, tokens: Any, present: Any = None, training: bool | None = None
    ) -> tuple[Any, ...]:
        return self._spec(tokens, count_of(self.share, tokens.shape[1]), [])

    def get_config(self) -> dict[str, Any]:
        own = {
            "ids": list(self.ids),
            "padding": self.padding,
            "ends_with_padding": self.ends_with_padding,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("multimodal_tf")
class HiddenPatches(_Hidden):
    """Hides patches of a picture; see `mask_patches`.

    Args:
        grid: `Grid`, or a list of its values.
        share, seed: as of the base class.

    Call:
        `pixels` is float32 `(batch, height, width, channels)`; `cells` the same before any
        augmentation, on which the draws depend; `present`, if given, float `(batch,)`. Returns the
        values of `Masked`.
    """

    def __init__(self, grid: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.grid = Grid(*grid)

    def call(
        self, pixels: Any, cells: Any, present: Any = None, training: bool | None = None
    ) -> Masked:
        draws = self.uniform(cells, self.grid.rows * self.grid.columns, training)
        return self._counted(mask_patches(pixels, draws, self.grid, self.share), present)

    def compute_output_spec(
        self, pixels: Any, cells: Any, present: Any = None, training: bool | None = None
    ) -> tuple[Any, ...]:
        size, rows, columns = self.grid
        count = count_of(self.share, rows * columns)
        return self._spec(pixels, count, [size * size * pixels.shape[3]])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "grid": list(self.grid)}


@keras.saving.register_keras_serializable("multimodal_tf")
class HiddenSpans(_Hidden):
    """Hides spans of time of a sound; see `mask_spans`.

    Args:
        spans: `Spans`, or a list of its values.
        share, seed: as of the base class.

    Call:
        `clip` is float32 `(batch, samples)`, `spectrogram` float32 `(batch, frames, mel_bins)`,
        dB; `cells` the clip before any augmentation, on which the draws depend; `present`, if
        given, float `(batch,)`. Returns the values of `Masked`.
    """

    def __init__(self, spans: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spans = Spans(*spans)

    def call(
        self,
        clip: Any,
        spectrogram: Any,
        cells: Any,
        present: Any = None,
        training: bool | None = None,
    ) -> Masked:
        draws = self.uniform(cells, self.spans.number, training)
        masked = mask_spans(clip, spectrogram, draws, self.spans, self.share)
        return self._counted(masked, present)

    def compute_output_spec(
        self,
        clip: Any,
        spectrogram: Any,
        cells: Any,
        present: Any = None,
        training: bool | None = None,
    ) -> tuple[Any, ...]:
        count = count_of(self.share, self.spans.number)
        return self._spec(clip, count, [self.spans.frames * spectrogram.shape[2]])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "spans": list(self.spans)}
