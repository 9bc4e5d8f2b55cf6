"""What a notebook shows of a cell that is a file: small copies, in base64."""

import base64
import dataclasses
import io
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
import soundfile
from PIL import Image, ImageOps

# pixels of the longer side
SIDE = 128
# seconds and Hz of a clip, at most
_SECONDS, _RATE = 5, 11_025
# bytes of a file that is shown whole
_WHOLE = 2**19
_FRAME_MILLISECONDS = 250


@dataclasses.dataclass(frozen=True)
class Shown:
    """An element of a page with its data.

    Args:
        tag: of the HTML element.
        mime: type of the data.
        data: base64.
        width, height: pixels; 0 for what has no size.
        note: what else is to be said, such as how much was left out.
    """

    tag: str
    mime: str
    data: str
    width: int = 0
    height: int = 0
    note: str = ""


def picture(data: bytes) -> Shown:
    """A thumbnail of an image file.

    Raises:
        OSError: Pillow cannot read it.
    """
    with Image.open(io.BytesIO(data)) as opened:
        note = f"{opened.width} x {opened.height}"
        return _image([_thumbnail(opened)], note)


def moving(frames: Iterable[bytes]) -> Shown:
    """A small animation of image files, such as the frames of a film.

    Raises:
        OSError: Pillow cannot read one.
    """
    images = []
    for data in frames:
        with Image.open(io.BytesIO(data)) as opened:
            images.append(_thumbnail(opened))
    return _image(images, f"{len(images)} frames" if len(images) > 1 else "")


def waveform(wav: bytes, tag: str, mime: str) -> Shown | None:
    """The beginning of a WAV, for a player; None where libsndfile cannot read it."""
    try:
        with soundfile.SoundFile(io.BytesIO(wav)) as file:
            rate, frames = file.samplerate, file.frames
            samples = file.read(_SECONDS * rate, dtype="float32", always_2d=True).mean(axis=1)
    except (soundfile.SoundFileError, ValueError, TypeError):
        return None
    # every so many samples are averaged: rough, but it can be recognised
    step = max(1, -(-rate // _RATE))
    samples = samples[: len(samples) // step * step].reshape(-1, step).mean(axis=1)
    if not len(samples):
        return None
    found = io.BytesIO()
    samples = np.clip(np.nan_to_num(samples), -1, 1)
    soundfile.write(found, samples, max(1, rate // step), format="WAV", subtype="PCM_16")
    total = frames / rate
    note = f"{total:.1f} s" if total <= _SECONDS else f"the first {_SECONDS} of {total:.1f} s"
    return Shown(tag, mime, _base64(found.getvalue()), note=note)


def whole(file: BinaryIO, tag: str, mime: str) -> Shown | None:
    """A file as it is, for a player; None if it is large."""
    data = file.read(_WHOLE + 1)
    return Shown(tag, mime, _base64(data)) if len(data) <= _WHOLE else None


def _thumbnail(opened: Image.Image) -> Image.Image:
    # decodes a large JPEG at a smaller size
    opened.draft("RGB", (2 * SIDE, 2 * SIDE))
    has_alpha = "A" in opened.getbands() or "transparency" in opened.info
    image = ImageOps.exif_transpose(opened).convert("RGBA" if has_alpha else "RGB")
    image.thumbnail((SIDE, SIDE))
    return image


def _image(images: list[Image.Image], note: str) -> Shown:
    file, first = io.BytesIO(), images[0]
    frames = {"save_all": True, "append_images": images[1:], "duration": _FRAME_MILLISECONDS}
    first.save(file, "WEBP", quality=75, loop=0, **(frames if len(images) > 1 else {}))
    data = _base64(file.getvalue())
    return Shown("img", "image/webp", data, first.width, first.height, note)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
