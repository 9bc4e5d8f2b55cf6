"""One cell of a table -> what the served graph reads: image bytes, WAV bytes, UTF-8 text, a float,
or None where it is missing.

Used alike by ingest and by the serving client, so that both hand the same bytes to the graph.
Sounds are in `data.codecs.audio_file`, videos in `data.codecs.video_file`.
"""

import base64
import binascii
import decimal
import errno
import io
import math
import numbers
import os
import pathlib
import re
import stat
import urllib.parse

import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

from multimodal_tf.data import record_files
from multimodal_tf.data.codecs import audio_file, dates, video_file
from multimodal_tf.data.codecs.audio_file import CellError

__all__ = [
    "MAX_BYTES",
    "CellError",
    "convert_image",
    "file_of",
    "is_missing",
    "opened",
    "read_cell",
    "read_label",
]

# a larger file is refused: a record holds less than 2 GiB, and a cell is read into memory
MAX_BYTES = 2**30
# PATH_MAX of Linux: longer text is no path
_LONGEST_PATH = 4096
_DATA_URI = re.compile(r"data:(?P<type>[^,]*?)(?P<base64>;base64)?,", re.IGNORECASE)
_IMAGE_MAGIC = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a|BM|RIFF....WEBP|II[*+]\0|MM\0[*+]|\0\0\0\x0cjP  |....ftypavi[fs]|P[1-7]\s",
    re.DOTALL,
)
_TRUTH = dict.fromkeys(("true", "yes", "t", "y", "1", "1.0"), 1.0) | dict.fromkeys(
    ("false", "no", "f", "n", "0", "0.0"), 0.0
)
# Pillow's modes that go into a PNG as they are
_SHOWABLE = ("1", "L", "LA", "RGB", "RGBA", "I;16", "I;16B")
# Pillow would start Ghostscript for the first, and knows no size for the others
_UNSAFE = {"EPS", "WMF", "FITS"}


def read_cell(value, part, root="."):
    """Turns a cell into what the served graph reads.

    Missing are None, NaN, NaT, "", b"" and text of white space alone. What only decoding shows (a
    truncated JPEG, too many pixels in a format that the graph reads itself) is found by
    `check.problem`, which ingest calls on every cell, and by the served graph.

    Args:
        value: for an image or a sound: a path, a data URI, base64 (where no such file is), bytes of
            a file, an array, or `{"bytes": ..., "path": ...}` as Hugging Face's tables have it.
            Image arrays are `(height, width)` or `(height, width, 1|3|4)`, 0..255 as integers or
            0..1 as floats; sound arrays are `(samples,)`, 16-bit integers or floats -1..1, at the
            input's own `sample_rate`. For a video: such a file, a list of image cells, or an array
            `(frames, height, width, 1|3|4)`, of which evenly spaced frames are taken
            (`data.codecs.video_file`). For text and a category: a string, bytes in UTF-8 or a
            number. For a number: a number or its text. For a boolean: a bool, 1 or 0, or one of the
            words true, false, yes, no, t, f, y, n in any case. For a date: ISO 8601
            (`data.codecs.iso8601` says which forms), or a date of Python, pandas or NumPy.
        part: the input's configuration, such as `config.inputs["photo"]`.
        root: directory that relative paths start from.

    Returns:
        bytes, a list of bytes for a video, or a float for a number or a boolean (1 or 0); None
        where the cell is missing. An image's own bytes where the graph reads the format (JPEG, PNG,
        GIF, uncompressed BMP, WebP), otherwise a PNG. A sound is a mono WAV at its own
        rate, cut to what the model can use: 16-bit if its source is lossy or nothing is lost by it,
        otherwise 32-bit float. A date is ISO 8601 in UTC. A video is a list of images, at most
        `part.frames` of them and
        at least one: JPEGs of a file's frames, PNGs of arrays, images as above; a GIF stays one, as
        the only element.

    Raises:
        CellError: the cell is broken; the message is the reason, without row or column.

    Example:
        >>> from multimodal_tf.config import CategoryInput, NumberInput
        >>> read_cell(" red ", CategoryInput()), read_cell("7.5", NumberInput()), read_cell("", NumberInput())
        (b'red', 7.5, None)
    """
    if is_missing(value):
        return None
    if part.type == "image":
        return _image(value, part, root)
    if part.type == "audio":
        return _audio(value, part, root)
    if part.type == "video":
        return _video(value, part, root)
    if part.type == "number":
        return _number(value)
    if part.type == "boolean":
        return _boolean(value)
    if part.type == "date":
        return dates.to_iso(value if isinstance(value, dates.TYPES) else _text(value)).encode()
    text = _text(value)
    return text.strip().encode() if part.type == "category" else text.encode()


def read_label(value, head):
    """Turns a cell into a label.

    Args:
        value: a class: as a category. Multi-label: a list of labels, or labels joined by the head's
            separator; no label at all (an empty list, a separator alone) says that none applies,
            which is not the same as missing. A number: as one.
        head: the head's configuration, such as `config.heads["label"]`.

    Returns:
        str (multi-label: joined by `record_files.LABEL_SEPARATOR`) or float; None where the label is
        missing.

    Raises:
        CellError: the label is broken.

    Example:
        >>> from multimodal_tf.config import MultiLabelHead
        >>> read_label("red; round", MultiLabelHead()).split(record_files.LABEL_SEPARATOR)
        ['red', 'round']
    """
    if is_missing(value):
        return None
    if head.target_type == "number":
        return _number(value)
    if head.target_type == "class":
        return _label(value)
    several = (
        value
        if isinstance(value, (list, tuple, set, frozenset, np.ndarray))
        else _text(value).split(head.separator)
    )
    labels = sorted({_label(one) for one in several if not is_missing(one)})
    return record_files.LABEL_SEPARATOR.join(labels) or record_files.LABEL_SEPARATOR


def is_missing(value):
    """Whether a cell holds nothing: None, NaN, NaT, "", b"" or white space."""
    if isinstance(value, str):
        return not value or value.isspace()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return not len(value)
    if isinstance(value, dict):
        return all(map(is_missing, value.values()))
    if isinstance(value, np.datetime64):
        return bool(np.isnat(value))
    return (
        value is None
        or value is pd.NaT
        or value is pd.NA
        or (isinstance(value, (float, np.floating)) and math.isnan(value))
    )


def file_of(value, root="."):
    """The path that an image or sound cell names, whether or not a file is there; None for bytes,
    arrays, data URIs and long text.
    """
    if isinstance(value, dict) and is_missing(value.get("bytes")):
        value = value.get("path")
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if (
        not isinstance(value, str)
        or is_missing(value)
        or len(value) > _LONGEST_PATH
        or "\0" in value
        or _DATA_URI.match(value)
    ):
        return None
    return pathlib.Path(root, value)


def convert_image(data, part):
    """Turns the bytes of any image that Pillow reads into PNG: first frame, EXIF orientation
    applied, at most 16 bits a channel.

    Raises:
        CellError: Pillow cannot read it, or it has more than `part.max_pixels` pixels (known from
        the header, before decoding).
    """
    try:
        with Image.open(io.BytesIO(data), formats=_formats()) as image:
            _check_pixels(*image.size, part)
            return _png(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise CellError(f"not an image: it begins with {bytes(data[:12])!r}") from None
    except Image.DecompressionBombError:
        # Pillow's own, which it checks before it tells the size
        bound = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise CellError(f"more pixels than max_pixels = {min(bound, part.max_pixels)}") from None
    except (
        OSError,
        ValueError,
        SyntaxError,
        TypeError,
        IndexError,
        KeyError,
        EOFError,
        OverflowError,
        MemoryError,
    ) as error:
        if isinstance(error, CellError):
            raise
        raise CellError(
            f"a broken image: {' '.join(str(error).split()) or type(error).__name__}"
        ) from error


def _image(value, part, root):
    array = _array(value)
    if array is not None:
        return _array_image(array, part)
    with opened(value, root, _IMAGE_MAGIC) as file:
        data = _read(file)
    return data if _graph_reads(data) else convert_image(data, part)


def _audio(value, part, root):
    array = _array(value)
    if array is not None:
        return audio_file.from_array(array, part.sample_rate)
    with opened(value, root, audio_file.MAGIC) as file:
        if not file.read(1):
            raise CellError("an empty file (0 bytes)")
        file.seek(0)
        return audio_file.to_wav(file, part.seconds)


def _number(value):
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    try:
        number = float(
            value if isinstance(value, (numbers.Real, decimal.Decimal, np.bool_)) else _text(value)
        )
    except (ValueError, TypeError, OverflowError):
        raise CellError(f"not a number: {value!r:.60}") from None
    # Python reads 1_000, nobody else does
    if isinstance(value, str) and "_" in value:
        raise CellError(f"not a number: {value!r:.60}")
    if abs(number) > float(np.finfo(np.float32).max):
        raise CellError(f"not a finite 32-bit number: {value!r:.60}")
    return None if math.isnan(number) else number


def _boolean(value):
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    word = (
        str(value).lower() if isinstance(value, (bool, np.bool_)) else _text(value).strip().lower()
    )
    if word not in _TRUTH:
        raise CellError(f"neither true nor false: {value!r:.60}")
    return _TRUTH[word]


def _text(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        try:
            return bytes(value).decode("utf-8")
        except UnicodeDecodeError as error:
            raise CellError(f"not UTF-8: byte {value[error.start]:#04x} at {error.start}") from None
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        # pandas turns the integers of a column with gaps into floats: 3.0 means 3
        return str(int(value))
    if not isinstance(value, (str, numbers.Number, np.bool_, *dates.TYPES)):
        raise CellError(f"neither text nor a number, but {type(value).__name__}")
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        # `data.table` reads the byte E9, where it is not UTF-8, as U+DCE9
        code = ord(text[error.start])
        what = f"byte {code - 0xDC00:#04x}" if 0xDC80 <= code <= 0xDCFF else "a lone surrogate"
        raise CellError(f"not UTF-8: {what}") from None
    return text


def _label(value):
    text = _text(value).strip()
    if record_files.LABEL_SEPARATOR in text:
        raise CellError("a label may not hold the control character U+001F")
    return text


def _array(value):
    """The cell as an array, where it is one: nested lists come from JSON, arrays of arrays from
    Parquet.
    """
    if not isinstance(value, (np.ndarray, list, tuple)):
        return None
    try:
        array = np.array(
            value.tolist() if isinstance(value, np.ndarray) and value.dtype == object else value
        )
        # a Parquet list of lists of lists: one level more
        if array.dtype == object:
            array = np.array([np.stack(row) for row in array])
    except (ValueError, TypeError):
        raise CellError("not an array: its rows differ in length") from None
    if array.dtype.kind not in "buif":
        raise CellError(f"not an array of numbers, but of {array.dtype}")
    if not array.size:
        raise CellError("an empty array")
    return array


def _video(value, part, root):
    """The frames of a file, or those that stand for a list of images; None for a list without any."""
    if not isinstance(value, (list, tuple, np.ndarray)):
        with opened(value, root, video_file.MAGIC) as file:
            if not (head := file.read(4)):
                raise CellError("an empty file (0 bytes)")
            file.seek(0)
            return [_read(file)] if head == video_file.GIF else video_file.to_frames(file, part)
    if isinstance(value, np.ndarray) and value.dtype != object and value.ndim != 4:
        raise CellError(
            f"a video array must be (frames, height, width, 1, 3 or 4), received {value.shape}"
        )
    pictures = [(number, one) for number, one in enumerate(value, start=1) if not is_missing(one)]
    chosen = (
        range(len(pictures))
        if len(pictures) <= part.frames
        else video_file.choose(len(pictures), part.frames)
    )
    return [_frame(*pictures[place], part, root) for place in chosen] or None


def _frame(number, value, part, root):
    try:
        array = _array(value)
        if array is None:
            return _image(value, part, root)
        if array.ndim != 3:
            raise CellError(f"an array must be (height, width, 1, 3 or 4), received {array.shape}")
        return _png(video_file.shrunk(_array_pixels(array, part), part))
    except CellError as error:
        raise CellError(f"frame {number}: {error}") from None


def _array_image(array, part):
    return _png(_array_pixels(array, part))


def _array_pixels(array, part):
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise CellError(
            f"an image array must be (height, width) or (height, width, 1, 3 or 4), received {array.shape}"
        )
    _check_pixels(array.shape[1], array.shape[0], part)
    top = 1 if array.dtype.kind in "bf" else 255
    # NaN fails too
    if not (array.min() >= 0 and array.max() <= top):
        raise CellError(
            f"an image array of {array.dtype} must lie in 0..{top}, received {array.min()}..{array.max()}"
        )
    pixels = (
        np.rint(array * np.float64(255)).astype(np.uint8) if top == 1 else array.astype(np.uint8)
    )
    return Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)


def opened(value, root, magic):
    """A binary file over a cell's bytes, wherever they are; `magic` is a pattern of how such a file
    begins, where they are in base64.
    """
    if isinstance(value, dict):
        value = value.get("path") if is_missing(value.get("bytes")) else value["bytes"]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return io.BytesIO(value)
    path = file_of(value, root)
    if path is None and not isinstance(value, str):
        raise CellError(f"neither a path nor bytes nor an array, but {type(value).__name__}")
    uri = _DATA_URI.match(value) if isinstance(value, str) else None
    if uri:
        return io.BytesIO(_data_uri(value[uri.end() :], uri["base64"]))
    file = None if path is None else _open_file(path)
    return file or io.BytesIO(_base64(value, magic))


def _open_file(path):
    """The regular file at `path`, opened; None where there is none, or where the text cannot be a
    path.
    """
    try:
        # blocking, a named pipe would wait for its writer for ever
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, UnicodeEncodeError):
        return None
    except PermissionError:
        raise CellError("no permission to read the file") from None
    except OSError as error:
        # base64, or no path at all
        if error.errno == errno.ENAMETOOLONG:
            return None
        raise CellError(f"the file cannot be opened: {error.strerror}") from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise CellError("a directory, not a file" if stat.S_ISDIR(mode) else "not a regular file")


def _base64(value, magic):
    packed = "".join(str(value).split())
    try:
        data = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not magic.match(data):
        raise CellError(
            "no such file"
            if len(str(value)) <= 255
            else "neither a file's path nor base64 of a known format"
        )
    return data


def _data_uri(payload, is_base64):
    try:
        data = (
            base64.b64decode("".join(payload.split()), validate=True)
            if is_base64
            else urllib.parse.unquote_to_bytes(payload)
        )
    except (binascii.Error, ValueError):
        raise CellError("a data URI whose base64 is broken") from None
    if not data:
        raise CellError("an empty data URI")
    return data


def _read(file):
    try:
        data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CellError(f"the file cannot be read: {error.strerror}") from None
    if not data:
        raise CellError("an empty file (0 bytes)")
    if len(data) > MAX_BYTES:
        raise CellError(f"larger than {MAX_BYTES} bytes")
    return data


def _graph_reads(data):
    """Whether the served graph decodes this format: JPEG, PNG, GIF, WebP, and the usual kinds of
    BMP.
    """
    if data[:2] == b"BM":
        bits, compression = data[28:30], data[30:34]
        return int.from_bytes(bits, "little") in (1, 4, 8, 24, 32) and compression == bytes(4)
    return (
        data[:3] == b"\xff\xd8\xff"
        or data[:4] in (b"\x89PNG", b"GIF8")
        or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
    )


def _check_pixels(width, height, part):
    if width * height > part.max_pixels:
        raise CellError(f"{width} x {height} pixels, more than max_pixels = {part.max_pixels}")


def _formats():
    Image.init()
    return [name for name in Image.OPEN if name not in _UNSAFE]


def _png(image):
    if image.mode == "F":
        return _array_png_of_floats(image)
    # 32-bit integers are how Pillow holds some 16-bit images
    if image.mode == "I":
        low, high = image.getextrema()
        if low < 0 or high > 65535:
            raise CellError(f"an image of integers must lie in 0..65535, received {low}..{high}")
        image = image.convert("I;16")
    if image.mode not in _SHOWABLE:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    file = io.BytesIO()
    image.save(file, format="PNG", icc_profile=None)
    return file.getvalue()


def _array_png_of_floats(image):
    low, high = image.getextrema()
    if not (low >= 0 and high <= 1):
        raise CellError(f"an image of floats must lie in 0..1, received {low}..{high}")
    return _png(Image.fromarray(np.rint(np.asarray(image) * 255.0).astype(np.uint8)))
