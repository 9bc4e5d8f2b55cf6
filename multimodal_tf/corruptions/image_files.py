"""Decodes and encodes image files with Pillow, outside the graph."""

import functools
import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageOps, ImageSequence

# takes pixels, a strength and a generator; returns pixels, or the bytes of an image file
PixelChange = Callable[[np.ndarray, Any, np.random.Generator], np.ndarray | bytes]

_WHITE = (255, 255, 255, 255)
# formats whose orientation the graph applies
_ORIENTED = ("JPEG", "MPO", "PNG", "WEBP")
# milliseconds: a GIF frame with a shorter delay gets the default delay, as in the graph
_SHORTEST, _NO_DELAY = 20, 100
# frames that a GIF is expanded to; a model reads at most 256
_MAX_FRAMES = 1024


def on_images(
    change: PixelChange, cell: bytes | list[bytes], strength: Any, random: np.random.Generator
) -> bytes | list[bytes]:
    """Applies a change of pixels to an image file, or to every frame of a list or a GIF.

    All frames of a cell get the same random draws, such as a smear on the lens.

    Args:
        change: `(pixels, strength, random)` to pixels or to the bytes of a file. Pixels are uint8
            `(height, width)` for grey images, else `(height, width, 3)`. The result is uint8, or
            float 0..255, which is rounded and clipped.
        cell: bytes of an image file, or a list of them.
        strength: passed to `change`.
        random: passed to `change`.

    Returns:
        bytes of a PNG or of the file that `change` returned; for a list of frames a list of them.

    Raises:
        ValueError: Pillow cannot decode the file.
    """
    if not isinstance(cell, list):
        return _encode(change(decode(cell), strength, random))
    state, changed = random.bit_generator.state, []
    for frame in _frames(cell):
        random.bit_generator.state = state
        changed.append(_encode(change(frame, strength, random)))
    return changed


def decode(data: bytes) -> np.ndarray:
    """The pixels that the served graph sees.

    They are upright, on white where transparent, in 8 bits, of the first frame. Grey images stay
    grey.

    Args:
        data: bytes of an image file.

    Returns:
        uint8 `(height, width)` or `(height, width, 3)`.

    Raises:
        ValueError: Pillow cannot decode the file.
    """
    with _opened(data) as image:
        upright = ImageOps.exif_transpose(image) if image.format in _ORIENTED else image
        return _opaque(upright)


def encode_png(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 pixels.

    It is not compressed: it is read once, and compression would dominate the run time.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    return file.getvalue()


def _encode(changed: np.ndarray | bytes) -> bytes:
    if isinstance(changed, bytes):
        return changed
    is_8_bit = changed.dtype == np.uint8
    return encode_png(changed if is_8_bit else np.clip(np.rint(changed), 0, 255).astype(np.uint8))


def _opened(data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    # the decoders of Pillow may raise anything
    except Exception as error:  # noqa: BLE001
        raise ValueError(
            f"an image must be one that can be decoded, received {len(data)} bytes that cannot "
            f"({error})"
        ) from error
    return image


def _opaque(image: Image.Image) -> np.ndarray:
    # 16 bits: the graph takes the upper 8
    if image.mode.startswith("I"):
        return (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image.convert("RGBA"))
    return np.asarray(image.convert("L" if grey else "RGB"))


def _frames(cell: Sequence[bytes]) -> list[np.ndarray]:
    files = [file for file in cell if file]
    if len(files) > 1 or files[0][:4] != b"GIF8":
        return [decode(file) for file in files]
    with _opened(files[0]) as animation:
        frames = [
            (_opaque(frame), frame.info.get("duration", 0))
            for frame in ImageSequence.Iterator(animation)
        ]
    delays = [_NO_DELAY if delay < _SHORTEST else round(delay) for _, delay in frames]
    return [frames[index][0] for index in _at_equal_steps(delays)]


def _at_equal_steps(delays: Sequence[int]) -> np.ndarray:
    """Indices of frames at equal steps of time: each frame repeats in proportion to its delay."""
    ends = np.cumsum(delays)
    steps = min(int(ends[-1]) // functools.reduce(math.gcd, delays), _MAX_FRAMES)
    return np.asarray(np.searchsorted(ends, (np.arange(steps) + 0.5) * ends[-1] / steps, "right"))
