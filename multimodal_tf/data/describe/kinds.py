"""What `describe` knows of each kind of input: its cells, its measures, its default configuration.

`KINDS` alone lists the kinds. A larger tower is the default from a bound on, in rows with a value.
The bounds are those of published comparisons where there are some, rules of thumb elsewhere.
"""

import collections
import dataclasses
import io
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import soundfile
import tensorflow as tf
from PIL import Image

from multimodal_tf import config as configuration
from multimodal_tf.config import Input
from multimodal_tf.data.codecs import video_file
from multimodal_tf.data.describe.column_description import ColumnDescription, Spread
from multimodal_tf.data.describe.sample import Cell
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.kinds.files import open_file
from multimodal_tf.data.kinds.vector import numbers_of
from multimodal_tf.data.tokenizers import normalization

# seconds of sound that are decoded; a longer clip counts as this long
LISTEN = 30.0

# word order, per word of a median text: Google's Text Classification Guide, step 2.5
# (450,000 trainings)
ROWS_A_WORD = 1_500
# and at least this many (rule of thumb: the shorter the texts, the less their order matters)
ORDER_ROWS = 10_000
# self-attention in place of an LSTM (rule of thumb; on small corpora LSTMs lead: Ezen-Can 2020,
# arXiv:2009.05451)
ATTENTION_ROWS = 100_000
# residual blocks (rule of thumb; with few rows plain CNNs are as good: Brigato, Iocchi 2020,
# arXiv:2003.12843)
RESIDUAL_ROWS = 10_000
# a recurrent layer over time (rule of thumb)
RECURRENT_ROWS = 10_000

# pixels
_SMALL = 32
# numbers in a row that count as sound: 25 ms at 16 kHz, one window of the spectrogram
_SHORTEST_SOUND = 400
# the bounds of `VectorInput.dim`; a longer array is sound, a shorter one too if its type is given
_SHORTEST_VECTOR, _LONGEST_VECTOR = 8, 4096
# words, such as Chinese characters, from one space to the next
_UNSPACED = 3
# subwords per word, at the vocabulary's default size (rule of thumb)
_SUBWORDS = 1.5
_ARRAYS = (list, tuple, np.ndarray)
_NO_SUFFIX = re.compile("(?!)")

Measures = dict[str, Any]
Default = tuple[Input, str]


@dataclasses.dataclass(frozen=True)
class Kind:
    """How `describe` treats one kind of input.

    Attributes:
        config: reads a cell, as `read_cell` takes it.
        default: a column's configuration, without `column`, and why it has this tower; takes the
            column and its rows with a value.
        noun: cells of this kind, in the plural; "" where cells are not opened.
        suffixes: endings of file names.
        holds: whether an array or nested list could be of this kind.
        frames_of: the kind of the items, where a list of files is of this kind.
        recognizes: whether a cell that is no file is certainly of this kind.
        config_of: the configuration of a column's cells, where it depends on them; None: `config`.
        check: the cheapest configuration that finds what is broken; None: `config`.
        measure: fills in what a cell's content shows: `(cell, content, table cell, root)`.
        summarize: fields of `ColumnDescription` from the cells that can be read.
        render: these fields as text.
        also_reads: kinds of other cells that can be read as this one.
    """

    config: Input
    default: Callable[[ColumnDescription, int], Default]
    noun: str = ""
    suffixes: re.Pattern[str] = _NO_SUFFIX
    holds: Callable[[Any], bool] = lambda cell: False
    frames_of: str = ""
    recognizes: Callable[[Any], bool] = lambda cell: False
    config_of: Callable[[list[Cell]], Input] | None = None
    check: Input | None = None
    measure: Callable[[Cell, Any, Any, PathLike], None] = lambda cell, content, value, root: None
    summarize: Callable[[list[Cell]], Measures] = lambda cells: {}
    render: Callable[[ColumnDescription], str] = lambda column: ""
    also_reads: tuple[str, ...] = ()


# --- images


def _measure_image(cell: Cell, data: bytes, value: Any, root: PathLike) -> None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            cell.size, cell.grey = image.size, image.mode in ("1", "L", "LA", "I;16")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        cell.reason = cell.reason or "not an image"


def _image_measures(cells: list[Cell]) -> Measures:
    sizes = [cell.size for cell in cells if cell.size]
    grey = bool(sizes) and all(cell.grey for cell in cells if cell.size)
    return {
        "width": Spread.of([width for width, _ in sizes]),
        "height": Spread.of([height for _, height in sizes]),
        "grey": grey,
    }


def _image_values(column: ColumnDescription) -> str:
    if not (column.width and column.height):
        return ""
    grey = ", grey" if column.grey else ""
    return f"{_range(column.width)} x {_range(column.height)} pixels{grey}"


def _default_image(column: ColumnDescription, rows: int) -> Default:
    height, width = _default_size(column)
    small = rows < RESIDUAL_ROWS
    config = configuration.ImageInput(
        height=height,
        width=width,
        channels=1 if column.grey else 3,
        tower=configuration.ConvTower() if small else configuration.ResNetTower(),
    )
    why = "plain CNN: a ResNet" if small else "ResNet 18: it"
    return config, f"{why} {_pays(RESIDUAL_ROWS, rows)}"


def _default_size(column: ColumnDescription) -> tuple[int, int]:
    small = (
        column.width is not None
        and column.height is not None
        and max(column.width.median, column.height.median) <= _SMALL
    )
    return (_SMALL, _SMALL) if small else (96, 96)


# --- videos


def _measure_video(cell: Cell, frames: list[bytes], value: Any, root: PathLike) -> None:
    if isinstance(value, _ARRAYS) or frames[0].startswith(video_file.GIF):
        _measure_image(cell, frames[0], value, root)
        return
    with open_file(value, root, video_file.MAGIC) as file:
        width, height, cell.seconds, cell.rate = video_file.measure(
            file, configuration.VideoInput().max_pixels
        )
        cell.size = width, height


def _video_measures(cells: list[Cell]) -> Measures:
    return _image_measures(cells) | _time_measures(cells, "frame_rate")


def _video_values(column: ColumnDescription) -> str:
    seconds = f", {_range(column.seconds, '.1f')} s" if column.seconds else ""
    return _image_values(column) + seconds


def _default_video(column: ColumnDescription, rows: int) -> Default:
    height, width = _default_size(column)
    small = rows < RECURRENT_ROWS
    over = configuration.FramesAverage() if small else configuration.FramesLSTM()
    config = configuration.VideoInput(
        height=height, width=width, tower=configuration.FramesTower(over=over)
    )
    why = (
        "CNN on each frame, averaged: an LSTM over them"
        if small
        else "CNN on each frame, LSTM over them: it"
    )
    return config, f"{why} {_pays(RECURRENT_ROWS, rows)}"


# --- audio


def _measure_audio(cell: Cell, wav: bytes, value: Any, root: PathLike) -> None:
    try:
        info = soundfile.info(io.BytesIO(wav))
    except soundfile.SoundFileError:
        # a WAV that libsndfile refuses but the graph reads
        return
    cell.seconds, cell.rate = min(info.duration, LISTEN), info.samplerate


def _audio_measures(cells: list[Cell]) -> Measures:
    return _time_measures(cells, "sample_rate")


def _time_measures(cells: list[Cell], rate: str) -> Measures:
    known = [cell for cell in cells if cell.seconds is not None]
    return {
        "seconds": Spread.of([cell.seconds for cell in known if cell.seconds is not None]),
        rate: Spread.of([cell.rate for cell in known if cell.rate is not None]),
    }


def _audio_values(column: ColumnDescription) -> str:
    if not (column.seconds and column.sample_rate):
        return ""
    more = " or more" if column.seconds.max >= LISTEN else ""
    return f"{_range(column.seconds, '.2f')}{more} s, {_range(column.sample_rate)} Hz"


def _default_audio(column: ColumnDescription, rows: int) -> Default:
    small = rows < RECURRENT_ROWS
    seconds = min(10.0, math.ceil(column.seconds.p95 * 2) / 2) if column.seconds else 2.0
    rate = min(16_000, int(column.sample_rate.max)) if column.sample_rate else 16_000
    config = configuration.AudioInput(
        seconds=max(0.5, seconds),
        sample_rate=max(1000, rate),
        tower=configuration.SpectrogramTower() if small else configuration.CRNNTower(),
    )
    why = (
        "CNN on a spectrogram: a recurrent layer behind it"
        if small
        else "CNN on a spectrogram, then a GRU: it"
    )
    return config, f"{why} {_pays(RECURRENT_ROWS, rows)}"


# --- texts


def _text_measures(cells: list[Cell]) -> Measures:
    texts = [str(cell.value) for cell in cells if cell.value is not None]
    if not texts:
        return {"words": None}
    words = normalization.words(tf.constant(texts)).row_lengths().numpy()
    spaced = sum(len(text.split()) for text in texts)
    return {"words": Spread.of(words.tolist()), "unspaced": bool(words.sum() > _UNSPACED * spaced)}


def _text_values(column: ColumnDescription) -> str:
    return f"{_range(column.words)} words" if column.words else ""


def _default_text(column: ColumnDescription, rows: int) -> Default:
    words = math.ceil(column.words.p95) if column.words else 32
    median = column.words.median if column.words else 0
    order = max(ORDER_ROWS, math.ceil(ROWS_A_WORD * median))
    if rows < order:
        return (
            configuration.TextInput(max_tokens=_tokens(words)),
            f"bag of words: reading their order {_pays(order, rows)}",
        )
    if rows < max(order, ATTENTION_ROWS):
        return (
            configuration.TextInput(max_tokens=_tokens(words), tower=configuration.LSTMTower()),
            f"LSTM: {rows:,} rows are enough to read order (from {order:,}), not for"
            f" self-attention (from {ATTENTION_ROWS:,})",
        )
    config = configuration.TextInput(
        max_tokens=_tokens(math.ceil(words * _SUBWORDS)),
        tower=configuration.TransformerTower(),
        tokenizer=configuration.SentencePieceTokenizer()
        if column.unspaced
        else configuration.WordPieceTokenizer(),
    )
    return config, f"transformer over subwords: it {_pays(max(order, ATTENTION_ROWS), rows)}"


def _tokens(tokens: int) -> int:
    return min(256, max(8, tokens))


# --- vectors


def _length(cell: Any) -> int | None:
    """Numbers of a list, or of JSON of one, if a vector may have as many."""
    numbers = None if isinstance(cell, str) and "[" not in cell[:9] else numbers_of(cell)
    if numbers is None or numbers.ndim != 1:
        return None
    return len(numbers) if _SHORTEST_VECTOR <= len(numbers) <= _LONGEST_VECTOR else None


def _measure_vector(cell: Cell, content: Any, value: Any, root: PathLike) -> None:
    cell.length = _length(value)


def _vector_of(cells: list[Cell]) -> Input:
    """The most frequent length, ties to the longer one."""
    lengths = collections.Counter(cell.length for cell in cells if cell.length)
    dim = max(lengths, key=lambda length: (lengths[length], length), default=_SHORTEST_VECTOR)
    return configuration.VectorInput(dim=dim)


def _vector_values(column: ColumnDescription) -> str:
    return f"{_range(column.length)} numbers" if column.length else ""


def _default_vector(column: ColumnDescription, rows: int) -> Default:
    dim = int(column.length.max) if column.length else _SHORTEST_VECTOR
    return configuration.VectorInput(dim=dim), "a Dense layer over the standardized numbers"


# --- all of them


def _range(spread: Spread, form: str = ".0f") -> str:
    return " to ".join(dict.fromkeys(format(value, form) for value in (spread.min, spread.max)))


def _pays(bound: int, rows: int) -> str:
    return f"pays from {bound:,} rows, here are {rows:,}"


def _nested(cell: Any) -> bool:
    return bool(len(cell)) and isinstance(cell[0], _ARRAYS)


def _tabular(config: Input, *also_reads: str) -> Kind:
    """A kind without sizes; `defaults.default_tabular` explains the tower of all such columns."""
    return Kind(
        config, lambda column, rows: (config.model_copy(deep=True), ""), also_reads=also_reads
    )


# Kinds of files are tried in this order: a moving GIF is an image unless its column's type is
# given, and a video has sound as well.
KINDS: dict[str, Kind] = {
    "image": Kind(
        configuration.ImageInput(),
        _default_image,
        noun="images",
        suffixes=re.compile(
            r"\.(jpe?g|png|gif|bmp|webp|tiff?|jp2|avif|ppm|pgm|ico|svg|heic)", re.IGNORECASE
        ),
        holds=_nested,
        measure=_measure_image,
        summarize=_image_measures,
        render=_image_values,
    ),
    "video": Kind(
        configuration.VideoInput(),
        _default_video,
        noun="videos",
        suffixes=re.compile(r"\.(mp4|m4v|mov|webm|mkv|avi|3gp)", re.IGNORECASE),
        holds=_nested,
        frames_of="image",
        measure=_measure_video,
        summarize=_video_measures,
        render=_video_values,
    ),
    "audio": Kind(
        configuration.AudioInput(seconds=LISTEN),
        _default_audio,
        noun="audio clips",
        suffixes=re.compile(r"\.(wav|flac|ogg|oga|opus|mp3|m4a|aac|aiff?|wma|mka)", re.IGNORECASE),
        holds=lambda cell: not _nested(cell) and len(cell) >= _SHORTEST_SOUND,
        # what the graph finds broken shows in the first second
        check=configuration.AudioInput(seconds=1.0),
        measure=_measure_audio,
        summarize=_audio_measures,
        render=_audio_values,
        # a short clip among longer ones
        also_reads=("vector",),
    ),
    "text": Kind(
        configuration.TextInput(),
        _default_text,
        summarize=_text_measures,
        render=_text_values,
        also_reads=("number", "date"),
    ),
    "number": _tabular(configuration.NumberInput()),
    "category": _tabular(configuration.CategoryInput(), "text", "number", "date"),
    "boolean": _tabular(configuration.BooleanInput()),
    "date": _tabular(configuration.DateInput()),
    "vector": Kind(
        configuration.VectorInput(dim=_SHORTEST_VECTOR),
        _default_vector,
        noun="vectors",
        recognizes=lambda cell: _length(cell) is not None,
        config_of=_vector_of,
        measure=_measure_vector,
        summarize=lambda cells: {"length": Spread.of([one.length for one in cells if one.length])},
        render=_vector_values,
    ),
}
# kinds that a cell shows by itself, and those of them that are files
OPENED = {name: kind for name, kind in KINDS.items() if kind.noun}
FILES = {name: kind for name, kind in OPENED.items() if kind.config.is_media}
