"""Image files and videos to pixels and back, outside the graph."""

import functools
import io
import math
import struct

import numpy as np
from PIL import Image, ImageOps, ImageSequence

_WHITE = (255, 255, 255, 255)
# milliseconds: a picture of a GIF that would be shown shorter than that is shown so long, as in the
# graph
_SHORTEST, _NO_DELAY = 20, 100
# frames that a GIF is expanded to; a model reads at most 256
_MOST = 1024


def on_pictures(change, cell, strength, random):
    """A change of pixels as a change of a cell.

    All frames of a video meet the same draws: a smear on the lens, a turned camera.

    Args:
        change: `(pixels, strength, random)` to pixels, or to the bytes of a file; pixels are
            `(height, width)` where they are grey, otherwise `(height, width, 3)`; uint8 in, and
            uint8 or 0..255 as floats out, which are rounded and clipped.
        cell: bytes of an image file, or a list of them.

    Returns:
        bytes of a PNG, or what `change` made; or a list of them.

    Raises:
        ValueError: the file is no image that Pillow reads whole.
    """
    if not isinstance(cell, list):
        return _encoded(change(pixels(cell), strength, random))
    state, made = random.bit_generator.state, []
    for frame in _frames(cell):
        random.bit_generator.state = state
        made.append(_encoded(change(frame, strength, random)))
    return made


def pixels(data):
    """The pixels that the served graph sees: on white where transparent, upright, 8 bits, the first
    frame; grey images stay grey.

    Args:
        data: bytes of an image file.

    Returns:
        uint8 `(height, width)` or `(height, width, 3)`.
    """
    with _opened(data) as image:
        if image.format in ("JPEG", "MPO"):
            image = ImageOps.exif_transpose(image)
        return _opaque(image)


def png(array):
    """A PNG of uint8 pixels, not compressed: it is read once, and compression would take as long as
    all the rest.
    """
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG", compress_level=0)
    return file.getvalue()


def _encoded(made):
    if isinstance(made, bytes):
        return made
    return png(made if made.dtype == np.uint8 else np.clip(np.rint(made), 0, 255).astype(np.uint8))


def _opened(data):
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise ValueError(
            f"an image must be one that can be decoded, received {len(data)} bytes that cannot ({error})"
        ) from error
    return image


def _opaque(image):
    # 16 bits, of which the graph takes the upper ones
    if image.mode.startswith("I"):
        return (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image.convert("RGBA"))
    return np.asarray(image.convert("L" if grey else "RGB"))


def _frames(cell):
    files = [file for file in cell if file]
    if len(files) > 1 or files[0][:4] != b"GIF8":
        return [pixels(file) for file in files]
    with _opened(files[0]) as animation:
        shown = [
            (_opaque(frame), frame.info.get("duration", 0))
            for frame in ImageSequence.Iterator(animation)
        ]
    return [
        shown[number][0]
        for number in _in_time(
            [_NO_DELAY if delay < _SHORTEST else round(delay) for _, delay in shown]
        )
    ]


def _in_time(delays):
    """The numbers of the pictures in equal steps of time, so that each is there as often as it is
    shown long.
    """
    ends = np.cumsum(delays)
    steps = min(int(ends[-1]) // functools.reduce(math.gcd, delays), _MOST)
    return np.searchsorted(ends, (np.arange(steps) + 0.5) * ends[-1] / steps, "right")
