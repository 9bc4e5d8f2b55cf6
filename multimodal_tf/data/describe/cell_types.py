"""What one cell of a table holds, found by opening it: an image, a sound, a number, a date, a text,
a list, or something else.
"""

import dataclasses
import io
import numbers
import re

import numpy
import soundfile
from PIL import Image

from multimodal_tf.config import (
    AudioInput,
    BooleanInput,
    CategoryInput,
    DateInput,
    ImageInput,
    NumberInput,
    TextInput,
    VideoInput,
)
from multimodal_tf.data.codecs import dates, video_file
from multimodal_tf.data.kinds import check
from multimodal_tf.data.kinds.cells import CellError, file_of, opened, read_cell

# seconds of a sound that are read; a longer one counts as this long
LISTEN = 30.0
PARTS = {
    "image": ImageInput(),
    "video": VideoInput(),
    "audio": AudioInput(seconds=LISTEN),
    "number": NumberInput(),
    "text": TextInput(),
    "category": CategoryInput(),
    "boolean": BooleanInput(),
    "date": DateInput(),
}

# what the graph would say of a sound shows in its first second
_SECOND = AudioInput(seconds=1.0)
# characters of a text that are kept to be counted; preprocessing reads no more
_KEPT = 2**16
# labels of one row that are kept
_LONGEST_LIST = 1000
# characters
_LONGEST_PATH = 4096
# numbers in a row that are taken for a sound: 25 ms at 16 kHz, one window of the spectrogram
_SHORTEST_SOUND = 400
_ARRAYS = (list, tuple, numpy.ndarray)
_ENDINGS = {
    "image": re.compile(
        r"\.(jpe?g|png|gif|bmp|webp|tiff?|jp2|avif|ppm|pgm|ico|svg|heic)", re.IGNORECASE
    ),
    "video": re.compile(r"\.(mp4|m4v|mov|webm|mkv|avi|3gp)", re.IGNORECASE),
    "audio": re.compile(r"\.(wav|flac|ogg|oga|opus|mp3|m4a|aac|aiff?|wma|mka)", re.IGNORECASE),
}


@dataclasses.dataclass
class Seen:
    """One cell, opened.

    Attributes:
        row: number of the row in the table, from 0.
        kind: image, video, audio, number, date (an object, not its text), text, list or other.
        value: the cell where it is a number, the text of a date, a text (its beginning), a path or
            a list; otherwise None, so that no file stays in memory.
        reason: why the cell cannot be read as its kind; "" where it can.
        opened: whether it is a file that is of its kind without doubt, even if broken.
        size: (width, height) of an image or a video's frame, where known.
        grey: whether an image has no colours.
        seconds: duration of a sound, where known, at most `LISTEN`, or of a video.
        rate: samples a second of a sound, frames a second of a video.
    """

    row: int
    kind: str
    value: object = None
    reason: str = ""
    opened: bool = False
    size: tuple[int, int] | None = None
    grey: bool = False
    seconds: float | None = None
    rate: float | None = None


def look(row, cell, root, kind=None) -> Seen:
    """Opens a cell that is not missing.

    Args:
        row: int, for the answer.
        cell: any cell of a `Table`'s chunk.
        root: folder that relative paths start from.
        kind: image, video or audio: read it as that and nothing else; "plain": a number, text or
        list, never a file; None: find out.
    """
    if kind in _MEASURES:
        return _file(row, cell, root, kind)
    if isinstance(cell, list) and cell and not isinstance(cell[0], (list, numbers.Number)):
        frames = kind is None and (isinstance(cell[0], bytes) or _named(cell[0], root) == "image")
        return _file(row, cell, root, "video") if frames else Seen(row, "list", cell)
    if _is_number(cell):
        return Seen(row, "number", cell)
    if isinstance(cell, dates.TYPES):
        return _date(row, cell)
    for media in () if kind == "plain" else _possible(cell):
        seen = _file(row, cell, root, media)
        if seen.opened or _named(cell, root) == media:
            return seen
    return _plain(row, cell)


def recheck(seen, kind, root) -> str:
    """Why a cell that was seen as one kind cannot be read as the column's type; "" where it can."""
    if seen.kind == kind or (
        kind in ("text", "category") and seen.kind in ("text", "number", "date")
    ):
        return seen.reason
    if seen.value is None or kind not in PARTS:
        return f"{seen.kind}, not {kind}"
    try:
        read_cell(seen.value, PARTS[kind], root)
    except CellError as error:
        return str(error)
    return ""


def _is_number(cell):
    if not isinstance(cell, (str, numbers.Number, numpy.bool_)):
        return False
    try:
        read_cell(cell, PARTS["number"])
    except CellError:
        return False
    return True


def _date(row, cell):
    try:
        return Seen(row, "date", read_cell(cell, PARTS["date"]).decode())
    except CellError as error:
        return Seen(row, "date", str(cell), str(error))


def _possible(cell):
    """What a cell that is no number could hold besides text."""
    if not isinstance(cell, _ARRAYS):
        return tuple(_MEASURES)
    return (
        ("image", "video") if _nested(cell) else ("audio",) if len(cell) >= _SHORTEST_SOUND else ()
    )


def _nested(cell):
    return bool(len(cell)) and isinstance(cell[0], _ARRAYS)


def _named(cell, root):
    """Which kind of file the cell's text says that it is."""
    path = file_of(cell, root)
    if path is not None:
        return next(
            (kind for kind, ending in _ENDINGS.items() if ending.fullmatch(path.suffix)), None
        )
    head = cell[:12].lower() if isinstance(cell, str) else ""
    return next((kind for kind in _ENDINGS if head.startswith(f"data:{kind}/")), None)


def _file(row, cell, root, kind):
    seen = Seen(row, kind, cell if isinstance(cell, str) and len(cell) <= _LONGEST_PATH else None)
    try:
        data = read_cell(cell, PARTS[kind], root)
    except CellError as error:
        seen.reason = str(error)
        return seen
    seen.opened = True
    seen.reason = check.problem(_SECOND if kind == "audio" else PARTS[kind], data)
    _MEASURES[kind](seen, data, cell, root)
    return seen


def _measure_image(seen, data, cell, root):
    try:
        with Image.open(io.BytesIO(data)) as image:
            seen.size, seen.grey = image.size, image.mode in ("1", "L", "LA", "I;16")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        seen.reason = seen.reason or "not an image"


def _measure_video(seen, frames, cell, root):
    if isinstance(cell, _ARRAYS) or frames[0].startswith(video_file.GIF):
        _measure_image(seen, frames[0], cell, root)
        return
    with opened(cell, root, video_file.MAGIC) as file:
        width, height, seen.seconds, seen.rate = video_file.measure(file, PARTS["video"])
        seen.size = width, height


def _measure_sound(seen, wav, cell, root):
    try:
        sound = soundfile.info(io.BytesIO(wav))
    except soundfile.SoundFileError:
        # a WAV that libsndfile refuses and the graph reads all the same
        return
    seen.seconds, seen.rate = min(sound.duration, LISTEN), sound.samplerate


# in the order in which they are tried: a moving GIF is an image, unless its column's type is given,
# and a video has sound as well
_MEASURES = {"image": _measure_image, "video": _measure_video, "audio": _measure_sound}


def _plain(row, cell):
    if isinstance(cell, _ARRAYS):
        return Seen(row, "list", None if _nested(cell) else list(cell[:_LONGEST_LIST]))
    try:
        data = read_cell(cell, PARTS["text"])
    except CellError as error:
        return Seen(row, "text" if isinstance(cell, str) else "other", reason=str(error))
    return Seen(row, "text" if isinstance(cell, (str, bytes)) else "other", data.decode()[:_KEPT])
