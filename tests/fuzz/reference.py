"""Foreign files as the package reads them against plain Pillow, libsndfile, FFmpeg and pandas."""

import io
import pathlib

import av
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet
import soundfile
from PIL import Image, ImageOps, ImageSequence

from fuzz.outcomes import WrongError
from fuzz.targets import Media, table
from multimodal_tf.config import AudioInput, ImageInput, VideoInput
from multimodal_tf.data.table import read_table

# mean absolute differences of 0..255, and of samples in -1..1, that decoders may have
_PIXELS = 6.0
_FRAMES = 12.0
_SAMPLES = 0.01
# frames of a reference video
_MOST = 2000
_FRAME_COUNT = 4

Pixels = npt.NDArray[np.float64]


class ForeignImage(Media):
    """An image, and what Pillow makes of it: oriented, on white."""

    def __init__(self) -> None:
        super().__init__(ImageInput(), raw=True)

    def __call__(self, data: bytes, path: pathlib.Path) -> str:
        """As a `fuzz.child.Attempt`."""
        refusal = super().__call__(data, path)
        expected = None if refusal else _image(data)
        if expected is not None:
            _compare(self.decoded(self.record(data)), expected, _PIXELS, "Pillow")
        return refusal


class ForeignSound(Media):
    """A sound, and what libsndfile or FFmpeg makes of it."""

    def __init__(self) -> None:
        super().__init__(AudioInput(seconds=5.0), raw=False)

    def __call__(self, data: bytes, path: pathlib.Path) -> str:
        """As a `fuzz.child.Attempt`."""
        refusal = super().__call__(data, path)
        expected = None if refusal else _sound(data)
        if expected is not None:
            samples, rate = expected
            own, own_rate = soundfile.read(io.BytesIO(self.record(data)))
            if rate != own_rate:
                raise WrongError(f"{own_rate} Hz, by the reference {rate} Hz")
            both = min(len(own), len(samples))
            if not 0.95 * min(len(samples), 7 * rate) - 5000 <= len(own) <= len(samples) + 5000:
                raise WrongError(f"{len(own)} samples, by the reference {len(samples)}")
            _compare(own[:both], np.clip(samples[:both], -1, 1), _SAMPLES, "the reference")
        return refusal


class ForeignVideo(Media):
    """A video or a GIF, and all the frames that FFmpeg or Pillow gives."""

    def __init__(self) -> None:
        super().__init__(VideoInput(frames=_FRAME_COUNT, height=48, width=64), raw=False)

    def __call__(self, data: bytes, path: pathlib.Path) -> str:
        """As a `fuzz.child.Attempt`."""
        refusal = super().__call__(data, path)
        frames = None if refusal else _frames(data)
        if frames:
            own = self.decoded(self.record(data)).astype(float)
            for number, shown in enumerate(own):
                nearest = min(float(np.abs(frame - shown).mean()) for frame in frames)
                if nearest > _FRAMES:
                    raise WrongError(f"frame {number + 1} differs by {nearest:.1f} of 255")
        return refusal


def foreign_table(data: bytes, path: pathlib.Path) -> str:
    """A table, and what pandas or pyarrow makes of it; as a `fuzz.child.Attempt`."""
    refusal = table(data, path)
    expected = None if refusal else _table(path)
    if expected is not None:
        opened = read_table(path)
        rows = sum(len(chunk) for chunk in opened.chunks(1000))
        if (rows, len(opened.columns)) != expected.shape:
            received = f"{rows} rows and {len(opened.columns)} columns"
            raise WrongError(f"{received}, by the reference {expected.shape}")
    return refusal


def _compare(own: npt.ArrayLike, expected: npt.ArrayLike, most: float, name: str) -> None:
    difference = float(np.abs(np.asarray(own, float) - np.asarray(expected, float)).mean())
    if not difference <= most:
        raise WrongError(f"differs from {name} by {difference:.3g} on average")


def _image(data: bytes) -> Pixels | None:
    """96 x 96 pixels; None where Pillow does not read the file, or not as colours."""
    try:
        with Image.open(io.BytesIO(data)) as opened:
            # Pillow also goes by XMP and by text chunks of ImageMagick, which browsers do not
            is_turned = "exif" in opened.info or opened.format in ("TIFF", "MPO")
            picture: Image.Image = ImageOps.exif_transpose(opened) if is_turned else opened
            if picture.mode in ("F", "I") or (
                picture.mode.startswith("I;16") and "transparency" in opened.info
            ):
                return None
            if picture.mode.startswith("I;16"):
                picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
            return _shown(picture, 96, 96)
    # the reference need not read what is tried
    except Exception:  # noqa: BLE001
        return None


def _shown(picture: Image.Image, width: int, height: int) -> Pixels:
    """Pixels on white, resized."""
    whole = picture.convert("RGBA")
    white = Image.new("RGBA", whole.size, "white")
    white.alpha_composite(whole)
    shown = white.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(shown, float)


def _sound(data: bytes) -> tuple[Pixels, int] | None:
    """Mono samples and their rate; None where neither library reads the file to its end."""
    try:
        samples, rate = soundfile.read(io.BytesIO(data), always_2d=True)
        return samples.mean(axis=1), rate
    except (soundfile.LibsndfileError, RuntimeError, TypeError):
        pass
    try:
        with av.open(io.BytesIO(data)) as container:
            resampler, blocks, rate = None, [], 0
            for frame in container.decode(audio=0):
                rate = rate or frame.sample_rate
                resampler = resampler or av.AudioResampler(
                    format="flt", layout=frame.layout, rate=rate
                )
                channels = frame.layout.nb_channels
                blocks += [
                    one.to_ndarray().reshape(-1, channels).mean(axis=1)
                    for one in resampler.resample(frame)
                ]
            return np.concatenate(blocks), rate
    # the reference need not read what is tried
    except Exception:  # noqa: BLE001
        return None


def _frames(data: bytes) -> list[Pixels]:
    """All frames, 64 x 48; none where the reference does not read the file."""
    frames: list[Pixels] = []
    try:
        # of a GIF whose frames are removed Pillow and FFmpeg show different things below
        if data[:4] == b"GIF8":
            with Image.open(io.BytesIO(data)) as opened:
                frames += [_shown(frame, 64, 48) for frame in ImageSequence.Iterator(opened)]
        with av.open(io.BytesIO(data)) as container:
            for frame in container.decode(video=0):
                turned = int(getattr(frame, "rotation", 0) or 0)
                pixels = Image.fromarray(frame.to_ndarray(format="rgba"))
                picture = pixels.rotate(turned, expand=True)
                frames.append(_shown(picture, 64, 48))
                if len(frames) == _MOST:
                    return []
        return frames
    # the reference need not read what is tried
    except Exception:  # noqa: BLE001
        return []


def _table(path: pathlib.Path) -> pd.DataFrame | None:
    try:
        if path.suffix == ".parquet":
            return pyarrow.parquet.read_table(path).to_pandas(ignore_metadata=True)
        name = path.name.removesuffix(".gz")
        if name.endswith(("jsonl", "ndjson")):
            return pd.read_json(path, lines=True)
        return pd.read_csv(
            path,
            sep="\t" if name.endswith("tsv") else ",",
            dtype=str,
            keep_default_na=False,
            encoding_errors="replace",
        )
    # the reference need not read what is tried
    except Exception:  # noqa: BLE001
        return None
