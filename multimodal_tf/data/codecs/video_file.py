"""Any video file -> image files of evenly spaced frames, as records hold them."""

import contextlib
import dataclasses
import io
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from PIL import Image

from multimodal_tf.config import VideoInput
from multimodal_tf.data.codecs import mp4_samples
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.codecs.decoder_file import DecoderFile, decoding

MAGIC = re.compile(
    rb"....(ftyp|moov|mdat|free|skip|wide)|\x1aE\xdf\xa3|RIFF....AVI |GIF8[79]a", re.DOTALL
)
GIF = b"GIF8"
# the only formats that PyAV may read: FFmpeg's playlists open other files and addresses
_FORMATS = {
    # QuickTime too
    "mp4": re.compile(rb"....(ftyp|moov|mdat|free|skip|wide)", re.DOTALL),
    # WebM too
    "matroska": re.compile(rb"\x1aE\xdf\xa3"),
    "avi": re.compile(rb"RIFF....AVI ", re.DOTALL),
}
# pixels that may be decoded to get the exact frames: some ten seconds of one processor
_DECODED = 2_000_000_000
# pixels that are decoded where no keyframe is near a frame; less than a minute
_MOST_DECODED = 5 * _DECODED
# a smaller frame takes as long to decode
_SMALL = 2**13
# packets of all streams: a video of ten hours has about as many
_PACKETS = 4_000_000
# bytes that are read to find the first packet, and for each packet besides its own
_HEADER, _AROUND = 2**26, 2**16
# later times are invalid
_LATEST = 2**60
# pixels: decoders count the padding of frames
_MARGIN = 2**20
# of the JPEGs; their source is lossy already, and the model reads them at half their size
_QUALITY = 95


class Measures(NamedTuple):
    """Size, duration and rate of a whole video."""

    # pixels
    width: int
    height: int
    seconds: float
    # frames per second, on average
    rate: float


@dataclasses.dataclass
class _Source:
    """A file's first video stream, opened."""

    file: DecoderFile
    container: InputContainer
    stream: av.VideoStream
    # that were decoded
    pixels: int = 0

    def packets(self) -> Iterator[Any]:
        """The packets up to the end, or to where the file is truncated."""
        with contextlib.suppress(av.FFmpegError):
            for count, packet in enumerate(self.container.demux()):
                if count == _PACKETS:
                    raise CellError(f"a video file of more than {_PACKETS} packets")
                self.file.most += 2 * packet.size + _AROUND
                if packet.stream_index == self.stream.index:
                    yield packet

    def decoded(self) -> Iterator[av.VideoFrame]:
        """The frames from the current position on; broken packets are skipped."""
        for packet in self.packets():
            self.pixels += _pixels(self.stream)
            if self.pixels > _MOST_DECODED:
                raise _too_much()
            with contextlib.suppress(av.FFmpegError):
                yield from packet.decode()


class _Index(NamedTuple):
    """Times of a stream's frames, in its own unit; int64, ascending."""

    # of every frame
    times: npt.NDArray[np.int64]
    # of keyframes
    keys: npt.NDArray[np.int64]
    # for each keyframe, the time to seek in containers that are ordered by decoding time
    seeks: dict[int, int]
    end: int


def choose(count: int, frames: int) -> list[int]:
    """Indices of the images at the centers of `frames` equal stretches of a list of `count`.

    Returns:
        Indices in ascending order, with repetitions where `count` is less than `frames`.

    Example:
        >>> choose(16, 4), choose(3, 4)
        ([2, 6, 10, 14], [0, 1, 1, 2])
    """
    return [(2 * index + 1) * count // (2 * frames) for index in range(frames)]


def to_frames(file: BinaryIO, input_config: VideoInput) -> list[bytes]:
    """Decodes `input_config.frames` frames of a video, evenly spaced in time.

    The time from the first frame to the end of the last one is cut into equal stretches, and the
    frame that is shown at the center of each is taken; a video of fewer frames repeats some. The
    times of all packets are read first, without decoding. Then decoding starts at the last keyframe
    before each frame. Where that would decode more than 2e9 pixels (a thousand frames of 1920 x
    1080), the nearest keyframe is taken instead, if it lies in the same stretch. A truncated file
    is read up to its end, and packets that cannot be decoded are skipped.

    A file is refused where more than 1e10 pixels would have to be decoded, or more than 4e6 packets
    read, or where 64 MB without a packet are in it.

    Memory holds the decoder's frames and the times of all packets.

    Args:
        file: binary file at its start, seekable.
        input_config: `config.VideoInput`.

    Returns:
        As many JPEGs as frames, rotated as the file says, each side at most twice as long as in the
        model's input.

    Raises:
        CellError: the file is no video, broken, without frames, or has more than `max_pixels`
            pixels per frame.
    """
    with _opened(file, input_config.max_pixels) as source:
        index, pixels = _read_index(source), _pixels(source.stream)
    start, length = int(index.times[0]), index.end - int(index.times[0])
    centers = [
        start + (2 * index + 1) * length // (2 * input_config.frames)
        for index in range(input_config.frames)
    ]
    wanted = [(_latest(index.times, center)) for center in centers]
    if _to_decode(index, wanted) * pixels > _DECODED:
        wanted = [
            _nearby_key(index, *pair, length / (2 * input_config.frames))
            for pair in zip(wanted, centers)
        ]
        if _to_decode(index, wanted) * pixels > _MOST_DECODED:
            raise _too_much()
    with _opened(file, input_config.max_pixels) as source:
        shown = {
            time: _jpeg(frame, input_config)
            for time, frame in _frames(source, index, sorted(set(wanted)))
        }
    return [shown[time] for time in wanted]


def measure(file: BinaryIO, max_pixels: int) -> Measures:
    """`Measures` of a video other than a GIF; errors as `to_frames`."""
    with _opened(file, max_pixels) as source:
        index, context = _read_index(source), source.stream.codec_context
        seconds = float((index.end - int(index.times[0])) * (source.stream.time_base or 1))
        return Measures(context.width, context.height, seconds, len(index.times) / seconds)


def shrunk(image: Image.Image, input_config: VideoInput) -> Image.Image:
    """A Pillow image, each side at most twice as long as in the model's input."""
    size = _size(image.width, image.height, input_config.width, input_config.height)
    return image if size == image.size else image.resize(size, Image.Resampling.BOX)


@contextlib.contextmanager
def _opened(file: BinaryIO, max_pixels: int) -> Iterator[_Source]:
    """The first video stream of a file.

    Decoding refuses frames that are larger than the header says.
    """
    file.seek(0)
    head = file.read(16)
    file.seek(0)
    name = next((name for name, magic in _FORMATS.items() if magic.match(head)), None)
    if name is None:
        raise CellError("not a video")
    if name == "mp4":
        mp4_samples.check(file, _PACKETS)
    limit = {"max_pixels": str(max_pixels + _MARGIN)}
    with (
        decoding(file, "video", _HEADER) as guarded,
        av.open(guarded, "r", format=name, options=limit, metadata_errors="replace") as container,
    ):
        # the cover of a song is no video
        streams = [
            one
            for one in container.streams.video
            if not one.disposition & av.stream.Disposition.attached_pic
        ]
        if not streams:
            raise CellError("a file without a video stream")
        context = streams[0].codec_context
        if context is None:
            raise CellError("a video of an unknown codec")
        if context.width * context.height > max_pixels:
            raise CellError(
                f"{context.width} x {context.height} pixels, more than max_pixels = {max_pixels}"
            )
        context.options = limit
        yield _Source(guarded, container, streams[0])


def _pixels(stream: av.VideoStream) -> int:
    """Pixels of a frame, at least as many as take the time of a small one."""
    return max(stream.codec_context.width * stream.codec_context.height, _SMALL)


def _too_much() -> CellError:
    return CellError(
        f"more than {_MOST_DECODED} pixels would have to be decoded: its keyframes are too far"
        " from one another"
    )


def _read_index(source: _Source) -> _Index:
    """The times of all frames, from the packets, without decoding."""
    shown, keys = {}, {}
    for packet in source.packets():
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None or abs(time) > _LATEST or not packet.size:
            continue
        # an edit list may leave a packet out
        if not packet.is_discard:
            shown[time] = min(max(packet.duration or 0, 0), _LATEST)
        if packet.is_keyframe:
            keys[time] = min(time, time if packet.dts is None else packet.dts)
    if not shown:
        raise CellError("a video without frames")
    times = np.array(sorted(shown), np.int64)
    last = shown[int(times[-1])] or _usual(times, source.stream)
    return _Index(times, np.array(sorted(keys) or times[:1], np.int64), keys, int(times[-1]) + last)


def _usual(times: npt.NDArray[np.int64], stream: av.VideoStream) -> int:
    """The usual duration of a frame, for a last frame without one."""
    if len(times) > 1:
        return max(1, int(np.median(np.diff(times))))
    rate = stream.average_rate
    return max(1, round(1 / (rate * (stream.time_base or 1)))) if rate else 1


def _latest(times: npt.NDArray[np.int64], time: int) -> int:
    """The last of the times that is not after `time`; the first where all are after it."""
    return int(times[max(0, int(np.searchsorted(times, time, "right")) - 1)])


def _to_decode(index: _Index, wanted: list[int]) -> int:
    """Number of frames that have to be decoded to get the wanted ones."""
    before = [-(2**62), *wanted[:-1]]
    starts = [max(_latest(index.keys, time), earlier) for time, earlier in zip(wanted, before)]
    counts = np.searchsorted(index.times, wanted) - np.searchsorted(index.times, starts) + 1
    return int(counts.sum())


def _nearby_key(index: _Index, time: int, center: int, reach: float) -> int:
    """The keyframe nearest to `center` if it is within `reach`; otherwise `time`."""
    nearest = int(index.keys[np.argmin(np.abs(index.keys - center))])
    return nearest if abs(nearest - center) <= reach else time


def _frames(
    source: _Source, index: _Index, wanted: list[int]
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yields `(time, frame)` for every wanted time, in ascending order.

    It is the frame that is shown at that time, or the nearest one that can be decoded.
    """
    decoded: Iterator[av.VideoFrame] = iter(())
    position, shown, ahead = None, None, None
    for time in wanted:
        key = _latest(index.keys, time)
        if position is None or key > position:
            decoded, ahead = _from(source, key)
            # the seek ended behind the keyframe
            if ahead is None or (ahead.pts is not None and ahead.pts > key):
                decoded, ahead = _from(source, index.seeks.get(key, key))
        while ahead is not None and (shown is None or ahead.pts is None or ahead.pts <= time):
            shown, ahead = ahead, next(decoded, None)
        if shown is None:
            raise CellError("a video whose frames cannot be decoded")
        position = time
        yield time, shown


def _from(source: _Source, time: int) -> tuple[Iterator[av.VideoFrame], av.VideoFrame | None]:
    """`(frames, first frame)` from the last keyframe before a time on."""
    source.container.seek(time, stream=source.stream)
    decoded = source.decoded()
    return decoded, next(decoded, None)


def _jpeg(frame: av.VideoFrame, input_config: VideoInput) -> bytes:
    # counterclockwise
    turns = round(frame.rotation / 90) % 4
    wanted = (input_config.width, input_config.height)
    width, height = _size(frame.width, frame.height, *(wanted[::-1] if turns % 2 else wanted))
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    file = io.BytesIO()
    Image.fromarray(np.rot90(pixels, turns)).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _size(width: int, height: int, wanted_width: int, wanted_height: int) -> tuple[int, int]:
    return min(width, 2 * wanted_width), min(height, 2 * wanted_height)
