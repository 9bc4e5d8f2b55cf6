"""Cells that are objects of other libraries, as what they stand for: Pillow, tensors, Datasets."""

import io
import sys
from typing import Any

import numpy as np
import pandas as pd

from multimodal_tf.data.codecs.cell import CellError

# modes that a PNG holds as they are
_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def plain(value: Any) -> Any:
    """The bytes of a picture of Pillow or of a clip of Datasets, the array of a tensor.

    Any other value is unchanged.

    Raises:
        CellError: it cannot be read.

    Example:
        >>> import tensorflow as tf
        >>> plain(tf.constant([1, 2])), plain("red")
        (array([1, 2], dtype=int32), 'red')
    """
    if isinstance(value, dict):
        return _clip(value) if {"array", "sampling_rate"} <= value.keys() else value
    # whoever has such a picture has loaded Pillow
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(value, pillow.Image):
        return _picture(value)
    if isinstance(value, np.ndarray | np.generic | pd.NaT.__class__) or not hasattr(
        type(value), "__array__"
    ):
        return value
    try:
        return np.asarray(value)
    # a tensor of any library may raise anything
    except Exception as error:  # noqa: BLE001
        raise CellError(_reason(f"a {type(value).__name__} without values", error)) from None


def _picture(value: Any) -> bytes:
    from PIL import ImageOps

    data = io.BytesIO()
    try:
        turned = ImageOps.exif_transpose(value)
        (turned if turned.mode in _PNG else turned.convert("RGB")).save(data, "PNG")
    # Pillow's decoders, which may run only now, may raise anything
    except Exception as error:  # noqa: BLE001
        raise CellError(_reason("a picture that Pillow cannot read", error)) from None
    return data.getvalue()


def _clip(value: dict[str, Any]) -> Any:
    """The WAV of an array with its rate; without the array what the dict says else."""
    from multimodal_tf.data.codecs import audio_file

    samples, rate = value["array"], value["sampling_rate"]
    if samples is None:
        return value
    try:
        array, hertz = np.asarray(plain(samples)), int(rate)
    except (TypeError, ValueError, OverflowError):
        hertz, array = 0, np.zeros(0)
    if hertz < 1 or hertz != rate or array.dtype.kind not in "iuf" or not array.size:
        raise CellError(
            "a dict with array and sampling_rate must hold numbers and a whole number of Hz"
        )
    return audio_file.from_array(array, hertz)


def _reason(what: str, error: Exception) -> str:
    return f"{what}: {type(error).__name__} {' '.join(str(error).split())}"[:200].strip()
