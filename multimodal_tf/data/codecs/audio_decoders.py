"""libsndfile and FFmpeg: files of sound other than plain WAV -> samples of one channel."""

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import av
import numpy as np
import numpy.typing as npt
import soundfile

from multimodal_tf.data.codecs import mp4_samples, riff
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.codecs.decoder_file import decoding

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
    "flac": re.compile(rb"fLaC"),
    "ogg": re.compile(rb"OggS"),
    # what is written before the first frame of an MP3: old tags, or nothing
    "mp3": re.compile(rb"\xff[\xe0-\xff]|ID3|TAG|APETAGEX|\0{8}"),
}
# a FLAC whose checksums are wrong is broken, as in libsndfile
_AV_OPTIONS = {"flac": {"err_detect": "crccheck+explode"}}
_LOSSY = ("VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")
_LOSSY_CODEC: Any = av.codec.Properties.LOSSY.value
# of all streams of an MP4
_PACKETS = 4_000_000
# libsndfile's number of frames where a file does not say it
_UNKNOWN = 2**62
# frames decoded at a time, so that many channels are never all in memory
_BLOCK = 2**16
# bytes that are read to find the first sample, and for each second; much more than films have
_HEADER, _SECOND = 2**26, 2**24


class Decoded(NamedTuple):
    """Samples of one channel."""

    # float32 `(samples,)`, full scale -1..1
    samples: npt.NDArray[np.float32]
    # Hz
    rate: int
    # whether rounding to 16 bits is allowed
    lossy: bool


def decode(file: BinaryIO, seconds: float, noun: str) -> Decoded:
    """Decodes the beginning of a file, as much of it as `kept` says.

    libsndfile decodes, or FFmpeg what libsndfile does not know.

    Args:
        file: binary file, seekable.
        seconds: as in `kept`.
        noun: what it should be, for the message of an error.

    Raises:
        CellError: no decoder knows it, or it is broken.
    """
    file.seek(0)
    head = file.read(16)
    try:
        return by_libsndfile(file, seconds, noun)
    except _UnknownError as error:
        try:
            name = _format(file, head)
            if name is None:
                raise CellError(str(error)) from None
            return _by_ffmpeg(file, name, seconds, noun)
        except CellError:
            if MAGIC.match(head):
                raise
            raise CellError(f"not an {noun}") from None


def by_libsndfile(file: BinaryIO, seconds: float, noun: str) -> Decoded:
    """As `decode`, with libsndfile alone."""
    file.seek(0)
    blocks: list[npt.NDArray[np.float32]] = []
    is_known = False
    try:
        with (
            decoding(file, noun, _most(seconds)) as guarded,
            soundfile.SoundFile(guarded) as sound,
        ):
            # a FLAC that was written to a pipe does not say how long it is, and cannot be read
            is_known = sound.frames < _UNKNOWN
            rate, left = sound.samplerate, kept(seconds, sound.samplerate)
            while left and len(block := _read(sound, min(left, _BLOCK))):
                blocks.append(mono(block))
                left -= len(block)
            return _joined(blocks, rate, sound.subtype in _LOSSY)
    except CellError as error:
        if is_known or guarded.problem:
            raise
        raise _UnknownError(str(error)) from None


def kept(seconds: float, rate: int) -> int:
    """Samples that are kept where the model reads `seconds`: two more seconds.

    Raises:
        CellError: the graph reads no file of such a rate.
    """
    if rate > riff.HIGHEST_RATE:
        raise CellError(riff.RATES + str(rate))
    return (math.ceil(seconds) + 2) * rate


def mono(block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The mean of the channels of `(samples, channels)`.

    NaN and infinite samples count as 0 and loud ones are clipped, as in the graph.
    """
    # NaN fails too
    if block.size and not max(block.max(), -block.min()) <= riff.LOUDEST:
        block = np.where(np.isfinite(block), block.clip(-riff.LOUDEST, riff.LOUDEST), 0)
    mean: npt.NDArray[np.float32] = block.mean(axis=1, dtype=np.float32)
    return mean


def _most(seconds: float) -> int:
    return _HEADER + round(seconds * _SECOND)


class _UnknownError(CellError):
    """libsndfile does not know the format of a file."""


def _joined(blocks: list[npt.NDArray[np.float32]], rate: int, lossy: bool) -> Decoded:
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    return Decoded(samples, rate, lossy)


def _read(sound: soundfile.SoundFile, frames: int) -> npt.NDArray[np.float32]:
    block: npt.NDArray[np.float32] = sound.read(frames, dtype="float32", always_2d=True)
    return block


def _format(file: BinaryIO, head: bytes) -> str | None:
    """FFmpeg's name of a file's format; None: not one of those that it may read."""
    if head.startswith(b"ID3"):
        # the length has seven bits a byte
        length = sum((byte & 127) << 7 * place for place, byte in enumerate(reversed(head[6:10])))
        file.seek(10 + length)
        head = file.read(16)
        if not any(magic.match(head) for magic in _AV_FORMATS.values()):
            return "mp3"
    return next((name for name, magic in _AV_FORMATS.items() if magic.match(head)), None)


def _by_ffmpeg(file: BinaryIO, name: str, seconds: float, noun: str) -> Decoded:
    file.seek(0)
    if name == "mp4":
        mp4_samples.check(file, _PACKETS)
    with (
        decoding(file, noun, _most(seconds)) as guarded,
        av.open(guarded, "r", format=name, metadata_errors="replace") as container,
    ):
        if not container.streams.audio:
            raise CellError("a file without sound")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise CellError("sound of an unknown codec")
        stream.codec_context.options = _AV_OPTIONS.get(name, {})
        frames = container.decode(stream)
        first = next(frames, None)
        if first is None:
            return _joined([], 0, True)
        rate = first.sample_rate
        blocks, left = [], kept(seconds, rate)
        for block in _blocks(itertools.chain([first], frames), rate):
            blocks.append(mono(block[: max(left, 0)]))
            left -= len(block)
            if left <= 0:
                break
        lossy = bool(stream.codec_context.codec.properties & _LOSSY_CODEC)
        return _joined(blocks, rate, lossy)


def _blocks(frames: Iterator[av.AudioFrame], rate: int) -> Iterator[npt.NDArray[np.float32]]:
    """The samples `(samples, channels)` of decoded frames at one rate."""
    resampler, form = None, None
    for frame in frames:
        if resampler is None or form != (frame.format.name, frame.layout.name, frame.sample_rate):
            form = (frame.format.name, frame.layout.name, frame.sample_rate)
            # Packed floats: `to_ndarray` of planar ones ends the process at eight channels.
            resampler = av.AudioResampler(format="flt", rate=rate)
        for even in resampler.resample(frame):
            samples = even.to_ndarray().astype(np.float32, copy=False)
            yield samples.reshape(-1, even.layout.nb_channels)
