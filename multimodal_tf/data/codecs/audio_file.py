"""Any audio file or array -> a mono WAV, the only audio format of records and the served graph."""

import functools
import math
import re
import struct
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from multimodal_tf.data.codecs import audio_decoders, riff
from multimodal_tf.data.codecs.audio_decoders import Decoded
from multimodal_tf.data.codecs.cell import CellError

# in messages
_NOUN = "audio file"
_WAVE = re.compile(rb"(RIFF|RF64)....WAVE", re.DOTALL)
# bytes of the beginning of a WAV that are read into memory
_LONGEST = 2**30
# bytes of a WAV without samples that are read to tell what is wrong with it
_HEAD = 2**16


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
    samples, rate, lossy = (
        _wave(file, seconds) if _WAVE.match(head) else audio_decoders.decode(file, seconds, _NOUN)
    )
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


def _wave(file: BinaryIO, seconds: float) -> Decoded:
    """Reads a WAV with the served graph's decoder, so that both have the same samples.

    libsndfile reads a few more encodings (mu-law, ADPCM).
    """
    try:
        samples, rate = _parse(_beginning(file, seconds))
    except tf.errors.OpError as error:
        try:
            return audio_decoders.by_libsndfile(file, seconds, _NOUN)
        except CellError:
            raise CellError(
                error.message.partition("assertion failed: [")[2].partition("]")[0].strip("'b\"")
                or "a broken WAV"
            ) from None
    return Decoded(samples, rate, False)


def _parse(file: bytes) -> tuple[npt.NDArray[np.float32], int]:
    """Decodes piece by piece: samples take several times the memory of the file's bytes."""
    data, parse_piece = tf.constant(file), _parse_piece()
    pieces: list[npt.NDArray[np.float32]] = []
    while not pieces or len(pieces[-1]):
        piece, rate = parse_piece(data, tf.constant(len(pieces), tf.int64))
        pieces.append(piece.numpy())
        if len(file) <= riff.PIECE:
            break
    return np.concatenate(pieces), int(rate)


@functools.cache
def _parse_piece() -> Any:
    """`riff.parse`, traced once; a concrete function binds its arguments faster."""
    signature = [tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int64)]
    return tf.function(riff.parse, signature, autograph=False).get_concrete_function()


def _beginning(file: BinaryIO, seconds: float) -> bytes:
    """A WAV file up to the last sample that is kept, so that a long file is never all in memory.

    Of a file in which the graph, too, finds no samples it is the head.

    Raises:
        CellError: that is more than a gigabyte.
    """
    file.seek(12)
    bytes_per_second = 0
    for _ in range(riff.CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            break
        name, size = struct.unpack("<4sI", head)
        after = file.tell() + size + size % 2
        if name == b"data":
            end = min(file.tell() + _kept(seconds, bytes_per_second), file.seek(0, 2))
            if end > _LONGEST:
                raise CellError(f"a WAV of which more than {_LONGEST} bytes would have to be read")
            file.seek(0)
            return file.read(end)
        form = file.read(16)
        if name == b"fmt " and len(form) == 16 and not bytes_per_second:
            _, channels, rate, _, _, bits = struct.unpack("<HHIIHH", form)
            bytes_per_second = rate * channels * ((bits + 7) // 8)
        file.seek(after)
    file.seek(0)
    return file.read(_HEAD)


def _kept(seconds: float, bytes_per_second: int) -> int:
    return (math.ceil(seconds) + 2) * bytes_per_second
