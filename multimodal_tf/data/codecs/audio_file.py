"""Any audio file or array -> a mono WAV, the only audio format of records and the served graph."""

import math
import re
import struct
from typing import Any, BinaryIO

import av
import numpy as np
import numpy.typing as npt
import soundfile
import tensorflow as tf

from multimodal_tf.data.codecs import riff
from multimodal_tf.data.codecs.cell import CellError

MAGIC = re.compile(
    rb"RIFF....WAVE|RF64|fLaC|OggS|ID3|\xff[\xe0-\xff]|....ftyp|FORM....AIF[FC]|caff|\.snd|"
    rb"\x1aE\xdf\xa3",
    re.DOTALL,
)
# the only formats that PyAV may read: FFmpeg's playlists open other files and addresses
_AV_FORMATS = {
    "mp4": re.compile(rb"....ftyp", re.DOTALL),
    "matroska": re.compile(rb"\x1aE\xdf\xa3"),
    "aac": re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"),
}
_WAVE = re.compile(rb"(RIFF|RF64)....WAVE", re.DOTALL)
_LOSSY = ("VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")
# `(samples, rate, lossy)`: mono, full scale -1..1; Hz; whether rounding to 16 bits is allowed
_Decoded = tuple[npt.NDArray[np.float32], int, bool]
# frames decoded at a time, so that many channels are never all in memory
_BLOCK = 2**16


def to_wav(file: BinaryIO, seconds: float) -> bytes:
    """Decodes an audio file to a mono WAV at its own rate.

    Args:
        file: binary file at its start, seekable.
        seconds: duration that the model reads. Two more seconds are kept and the rest is cut, which
            does not change the model's input.

    Returns:
        WAV of the mean of all channels; 16-bit if the source is lossy or loses nothing by it,
        otherwise 32-bit float.

    Raises:
        CellError: it is no audio file, broken, or without samples.
    """
    head = file.read(16)
    if _WAVE.match(head):
        samples, rate, lossy = _wave(file, seconds)
    else:
        file.seek(0)
        samples, rate, lossy = _compressed(file, head, seconds)
    if not len(samples):
        raise CellError("an audio file without samples")
    return wav(samples, rate, lossy)


def from_array(array: npt.NDArray[Any], rate: int) -> bytes:
    """A WAV of `(samples,)` 16-bit integers or floats -1..1, sampled at `rate` Hz.

    Raises:
        CellError: another shape or range.
    """
    if array.ndim != 1:
        raise CellError(f"an audio array must be (samples,), mono, received {array.shape}")
    if array.dtype.kind == "f":
        # NaN fails too
        if not (array.min() >= -1 and array.max() <= 1):
            raise CellError(
                f"an audio array of floats must lie in -1..1, received {array.min()}..{array.max()}"
            )
        return wav(array.astype(np.float32), rate, lossy=False)
    if array.min() < -32768 or array.max() > 32767:
        raise CellError(
            "an audio array of integers must lie in -32768..32767, received"
            f" {array.min()}..{array.max()}"
        )
    return wav(array.astype(np.float32) / np.float32(32768), rate, lossy=False)


def wav(samples: npt.NDArray[np.float32], rate: int, lossy: bool) -> bytes:
    """A WAV file, the same bytes for the same samples.

    libsndfile would write the date into float WAVs.

    Args:
        samples: float32 `(samples,)`, full scale -1..1.
        rate: Hz.
        lossy: whether rounding to 16 bits is allowed. If not, 32-bit float is written where
            rounding would change a sample.
    """
    scaled = samples * np.float32(32768)
    whole = np.clip(np.nan_to_num(np.rint(scaled)), -32768, 32767)
    if lossy or np.array_equal(whole, scaled):
        data: bytes = whole.astype("<i2").tobytes()
        return _header(1, 2, rate, len(samples)) + data
    return _header(3, 4, rate, len(samples)) + samples.astype("<f4").tobytes()


def _header(code: int, width: int, rate: int, count: int) -> bytes:
    size = count * width
    form = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, code, 1, rate, rate * width & 0xFFFFFFFF, width, 8 * width
    )
    return (
        struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE")
        + form
        + struct.pack("<4sI", b"data", size)
    )


def _wave(file: BinaryIO, seconds: float) -> _Decoded:
    """Reads a WAV with the served graph's decoder, so that both have the same samples.

    libsndfile reads a few more encodings (mu-law, ADPCM).
    """
    try:
        samples, rate = _parse(_beginning(file, seconds))
        return samples.numpy(), int(rate), False
    except tf.errors.InvalidArgumentError as error:
        file.seek(0)
        try:
            return _soundfile(file, seconds)
        except (soundfile.LibsndfileError, RuntimeError):
            raise CellError(
                error.message.partition("assertion failed: [")[2].partition("]")[0].strip("'b\"")
                or "a broken WAV"
            ) from None


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _parse(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    samples, rate = riff.parse(data)
    return samples, rate


def _beginning(file: BinaryIO, seconds: float) -> bytes:
    """A WAV file up to the last sample that is kept; all of a file that is no valid WAV.

    So a long file is never all in memory.
    """
    file.seek(12)
    bytes_per_second = 0
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"data":
            end = file.tell() + _kept(seconds, bytes_per_second)
            file.seek(0)
            return file.read(end)
        after = file.tell() + size + size % 2
        form = file.read(16)
        if name == b"fmt " and len(form) == 16 and not bytes_per_second:
            _, channels, rate, _, _, bits = struct.unpack("<HHIIHH", form)
            bytes_per_second = rate * channels * ((bits + 7) // 8)
        file.seek(after)
    file.seek(0)
    return file.read()


def _compressed(file: BinaryIO, head: bytes, seconds: float) -> _Decoded:
    """Reads other formats than WAV: with libsndfile, or with PyAV what libsndfile cannot read."""
    try:
        return _soundfile(file, seconds)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        name = next((name for name, magic in _AV_FORMATS.items() if magic.match(head)), None)
        if name is None:
            raise CellError(_reason(error, head)) from None
        file.seek(0)
        return _pyav(file, name, seconds)


def _soundfile(file: BinaryIO, seconds: float) -> _Decoded:
    with soundfile.SoundFile(file) as sound:
        blocks, left = [], _kept(seconds, sound.samplerate)
        while left and len(block := sound.read(min(left, _BLOCK), dtype="float32", always_2d=True)):
            blocks.append(_mono(block))
            left -= len(block)
        return _joined(blocks), sound.samplerate, sound.subtype in _LOSSY


def _pyav(file: BinaryIO, name: str, seconds: float) -> _Decoded:
    try:
        with av.open(file, "r", format=name, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise CellError("a file without an audio stream")
            rate = container.streams.audio[0].rate
            # one sample format; frames of another rate are resampled
            resampler = av.AudioResampler(format="fltp", rate=rate)
            blocks, left = [], _kept(seconds, rate)
            for frame in container.decode(audio=0):
                for even in resampler.resample(frame):
                    block = _mono(even.to_ndarray().T.astype(np.float32, copy=False))[
                        : max(left, 0)
                    ]
                    blocks.append(block)
                    left -= len(block)
                if left <= 0:
                    break
            return _joined(blocks), rate, True
    except av.FFmpegError as error:
        raise CellError(f"a broken audio file: {error.strerror}") from None


def _mono(block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    mean: npt.NDArray[np.float32] = block.mean(axis=1, dtype=np.float32)
    return mean


def _joined(blocks: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _kept(seconds: float, rate: int) -> int:
    return (math.ceil(seconds) + 2) * rate


def _reason(error: Exception, head: bytes) -> str:
    if not MAGIC.match(head):
        return "not an audio file"
    text = getattr(error, "error_string", str(error))
    return f"a broken audio file: {' '.join(text.split()).removesuffix('.')}"
