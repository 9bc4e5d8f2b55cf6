"""Any video file -> the image files that records and the served graph know a video by."""

import contextlib
import io
import re
import typing

import av
import numpy as np
from PIL import Image

from multimodal_tf.data.codecs.cell import CellError

MAGIC = re.compile(
    rb"....(ftyp|moov|mdat|free|skip|wide)|\x1aE\xdf\xa3|RIFF....AVI |GIF8[79]a", re.DOTALL
)
GIF = b"GIF8"
# what PyAV is asked for, and nothing else: FFmpeg's playlists open other files and addresses
_FORMATS = {
    # QuickTime too
    "mp4": re.compile(rb"....(ftyp|moov|mdat|free|skip|wide)", re.DOTALL),
    # WebM too
    "matroska": re.compile(rb"\x1aE\xdf\xa3"),
    "avi": re.compile(rb"RIFF....AVI ", re.DOTALL),
}
# pixels that may be decoded for the sake of the exact frames: some ten seconds of one processor
_DECODED = 2_000_000_000
# a time beyond it is nonsense
_LATEST = 2**60
# pixels: decoders count the margins of what they decode
_MARGIN = 2**20
# of the JPEGs; their source is lossy already, and the model sees them at half their size
_QUALITY = 95


class Measures(typing.NamedTuple):
    """What a video is like, before any frame is chosen."""

    # pixels
    width: int
    height: int
    seconds: float
    # frames a second, on average
    rate: float


class _Index(typing.NamedTuple):
    """When what is shown, in the stream's own unit of time; int64, rising."""

    # of every frame
    times: np.ndarray
    # of those from which decoding can begin
    keys: np.ndarray
    # for each of these, the time to seek where containers go by the order of decoding
    seeks: dict[int, int]
    end: int


def choose(count, frames):
    """Which of `count` pictures, each shown equally long, stand for a video: those at the centres
    of `frames` equal stretches.

    Returns:
        list of int, rising; a picture is there several times where there are fewer than `frames`.

    Example:
        >>> choose(16, 4), choose(3, 4)
        ([2, 6, 10, 14], [0, 1, 1, 2])
    """
    return [(2 * place + 1) * count // (2 * frames) for place in range(frames)]


def to_frames(file, part):
    """Decodes `part.frames` frames of a video, evenly spaced in time.

    Time from the first frame's to the end of the last one's is cut into `part.frames` equal
    stretches, and the frame that is shown in the middle of each is taken; a video of fewer frames
    repeats some. Frames are found by their times: those of every packet are read first, without
    decoding. Then decoding starts at the last keyframe before each frame. Where that would decode
    more than two thousand million pixels (an hour of video does not by itself: a thousand frames of
    1920 x 1080 do), the nearest keyframe stands for a frame, if it lies in the same stretch. A file
    that breaks off is read as far as it goes, and what cannot be decoded on the way is left out.

    Memory holds one frame at a time, as the decoder does, and the times of all.

    Args:
        file: binary file at its start, seekable.
        part: `config.VideoInput`.

    Returns:
        list of `part.frames` bytes: JPEGs, turned as the file says, each side at most twice as long
        as the model wants it. A GIF is
        the whole file, as the only element: the graph chooses its frames by the same rule.

    Raises:
        CellError: no video, broken, without frames, or of more than `part.max_pixels` pixels a
        frame.
    """
    with _explained():
        index, pixels = _read_index(file, part)
        start, length = int(index.times[0]), index.end - int(index.times[0])
        centres = [
            start + (2 * place + 1) * length // (2 * part.frames) for place in range(part.frames)
        ]
        wanted = [int(_latest(index.times, centre)) for centre in centres]
        if _to_decode(index, wanted) * pixels > _DECODED:
            wanted = [
                _nearby_key(index, *pair, length / (2 * part.frames))
                for pair in zip(wanted, centres)
            ]
        with _opened(file, part.max_pixels) as (container, stream):
            shown = {
                time: _jpeg(frame, part)
                for time, frame in _frames(container, stream, index, sorted(set(wanted)))
            }
    return [shown[time] for time in wanted]


def measure(file, part):
    """`Measures` of a video that is no GIF; raises as `to_frames`."""
    with _explained():
        index, _ = _read_index(file, part)
        with _opened(file, part.max_pixels) as (_, stream):
            seconds = float((index.end - int(index.times[0])) * stream.time_base)
            return Measures(
                stream.codec_context.width,
                stream.codec_context.height,
                seconds,
                len(index.times) / seconds,
            )


def shrunk(image, part):
    """A Pillow image, each side at most twice as long as the model wants it."""
    size = _size(image.width, image.height, part.width, part.height)
    return image if size == image.size else image.resize(size, Image.Resampling.BOX)


@contextlib.contextmanager
def _explained():
    try:
        yield
    except av.FFmpegError as error:
        raise CellError(f"a broken video: {error.strerror}") from None


@contextlib.contextmanager
def _opened(file, max_pixels):
    """`(container, stream)` of a file's first moving pictures; decoding refuses frames larger than
    the header says.
    """
    file.seek(0)
    head = file.read(16)
    file.seek(0)
    name = next((name for name, magic in _FORMATS.items() if magic.match(head)), None)
    if name is None:
        raise CellError(f"not a video: it begins with {head[:12]!r}")
    limit = {"max_pixels": str(max_pixels + _MARGIN)}
    with av.open(file, format=name, options=limit, metadata_errors="replace") as container:
        # a song's cover
        streams = [
            one
            for one in container.streams.video
            if not one.disposition & av.stream.Disposition.attached_pic
        ]
        if not streams:
            raise CellError("a file without moving pictures")
        context = streams[0].codec_context
        if context is None:
            raise CellError("a video of an unknown codec")
        if context.width * context.height > max_pixels:
            raise CellError(
                f"{context.width} x {context.height} pixels, more than max_pixels = {max_pixels}"
            )
        context.options = limit
        yield container, streams[0]


def _read_index(file, part):
    """`(_Index, pixels of a frame)`, from the packets alone."""
    shown, keys = {}, {}
    with _opened(file, part.max_pixels) as (container, stream):
        for packet in _packets(container, stream):
            time = packet.pts if packet.pts is not None else packet.dts
            if time is None or abs(time) > _LATEST or not packet.size:
                continue
            # an edit list leaves it out
            if not packet.is_discard:
                shown[time] = min(max(packet.duration or 0, 0), _LATEST)
            if packet.is_keyframe:
                keys[time] = min(time, time if packet.dts is None else packet.dts)
        if not shown:
            raise CellError("a video without frames")
        times = np.array(sorted(shown), np.int64)
        last = shown[int(times[-1])] or _usual(times, stream)
        pixels = stream.codec_context.width * stream.codec_context.height
    return _Index(
        times, np.array(sorted(keys) or times[:1], np.int64), keys, int(times[-1]) + last
    ), pixels


def _packets(container, stream):
    """The packets up to the end, or to where the file is broken."""
    with contextlib.suppress(av.FFmpegError):
        yield from container.demux(stream)


def _usual(times, stream):
    """How long a frame is shown that does not say it."""
    if len(times) > 1:
        return max(1, int(np.median(np.diff(times))))
    return max(1, round(1 / (stream.average_rate * stream.time_base))) if stream.average_rate else 1


def _latest(times, time):
    """The last of the times that is not after `time`; the first where all are."""
    return times[max(0, np.searchsorted(times, time, "right") - 1)]


def _to_decode(index, wanted):
    """How many frames will be decoded for the sake of those wanted."""
    before = [-(2**62), *wanted[:-1]]
    starts = [max(_latest(index.keys, time), earlier) for time, earlier in zip(wanted, before)]
    return sum(np.searchsorted(index.times, wanted) - np.searchsorted(index.times, starts) + 1)


def _nearby_key(index, time, centre, reach):
    """The keyframe nearest to `centre`, if it is at most `reach` from there; otherwise `time`."""
    nearest = int(index.keys[np.argmin(np.abs(index.keys - centre))])
    return nearest if abs(nearest - centre) <= reach else time


def _frames(container, stream, index, wanted):
    """Yields `(time, frame)` for every wanted time, rising: the frame that is shown then, or the
    nearest that can be decoded.
    """
    decoded: typing.Iterator = iter(())
    position, shown, ahead = None, None, None
    for time in wanted:
        key = int(_latest(index.keys, time))
        if position is None or key > position:
            decoded, ahead = _from(container, stream, key)
            # another keyframe, as far as that is behind
            if ahead is None or (ahead.pts is not None and ahead.pts > key):
                decoded, ahead = _from(container, stream, index.seeks.get(key, key))
        while ahead is not None and (shown is None or ahead.pts is None or ahead.pts <= time):
            shown, ahead = ahead, next(decoded, None)
        if shown is None:
            raise CellError("a video whose frames cannot be decoded")
        position = time
        yield time, shown


def _from(container, stream, time):
    """`(frames, first frame)` from the keyframe on that is the last one before a time."""
    container.seek(time, stream=stream)
    decoded = _decoded(container, stream)
    return decoded, next(decoded, None)


def _decoded(container, stream):
    """The frames from here on; a broken packet has none."""
    for packet in _packets(container, stream):
        with contextlib.suppress(av.FFmpegError):
            yield from packet.decode()


def _jpeg(frame, part):
    # anticlockwise
    turns = round(frame.rotation / 90) % 4
    width, height = (part.height, part.width) if turns % 2 else (part.width, part.height)
    width, height = _size(frame.width, frame.height, width, height)
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    file = io.BytesIO()
    Image.fromarray(np.rot90(pixels, turns)).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _size(width, height, wanted_width, wanted_height):
    return min(width, 2 * wanted_width), min(height, 2 * wanted_height)
