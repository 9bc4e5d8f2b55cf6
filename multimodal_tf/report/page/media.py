"""Thumbnails and clips small enough for a page, in base64; templates write the data URIs."""

import base64
import io
import math

import numpy as np
import soundfile
from PIL import Image, ImageOps
from scipy.signal import resample_poly

# pixels of the longer side of a thumbnail, at most
SIDE = 256
# pixels: a smaller image is enlarged by an integer factor, with square pixels
_SMALLEST = 96
# pixels: images up to this side are stored without loss
_DRAWN = 64
# seconds of a clip, at most
SECONDS = 10.0
# Hz, at most
RATE = 22_050


def thumbnail(data: bytes) -> tuple[str, int, int] | None:
    """A small WebP of an image file.

    Returns:
        `(base64 of a WebP, width, height)` in pixels, neither above `SIDE`; None where Pillow
        cannot read the file or refuses its size.

    Example:
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (1024, 512)).save(file, "PNG")
        >>> thumbnail(file.getvalue())[1:]
        (256, 128)
    """
    try:
        with Image.open(io.BytesIO(data)) as opened:
            # decodes a large JPEG at a smaller size
            opened.draft("RGB", (2 * SIDE, 2 * SIDE))
            image = ImageOps.exif_transpose(opened).convert("RGBA" if _has_alpha(opened) else "RGB")
    # the decoders of Pillow may raise anything
    except Exception:  # noqa: BLE001
        return None
    lossless = max(image.size) <= _DRAWN
    image.thumbnail((SIDE, SIDE))
    factor = math.ceil(_SMALLEST / max(image.size))
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=80, lossless=lossless)
    return _base64(file), image.width, image.height


def clip(data: bytes) -> tuple[str, float, float] | None:
    """The beginning of a sound file as mono 16-bit WAV.

    Returns:
        `(base64 of a WAV, seconds of the clip, seconds of the file)`; None where libsndfile
        cannot read the file, or it is empty.

    Example:
        >>> file = io.BytesIO()
        >>> soundfile.write(file, np.zeros((480_000, 2)), 24_000, format="WAV")
        >>> clip(file.getvalue())[1:]
        (10.0, 20.0)
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate, whole = file.samplerate, file.frames / file.samplerate
            samples = file.read(
                int(min(whole, SECONDS) * rate), dtype="float32", always_2d=True
            ).mean(axis=1)
    except (soundfile.SoundFileError, ValueError, TypeError):
        return None
    if not len(samples):
        return None
    if rate > RATE:
        divisor = math.gcd(rate, RATE)
        samples, rate = resample_poly(samples, RATE // divisor, rate // divisor), RATE
    file = io.BytesIO()
    soundfile.write(
        file, np.clip(np.nan_to_num(samples), -1, 1), rate, format="WAV", subtype="PCM_16"
    )
    return _base64(file), len(samples) / rate, whole


def _has_alpha(image: Image.Image) -> bool:
    return "A" in image.getbands() or "transparency" in image.info


def _base64(file: io.BytesIO) -> str:
    return base64.b64encode(file.getvalue()).decode()
