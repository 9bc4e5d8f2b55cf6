"""One module for every kind of input: its cells in a table, in a record and in the graph."""

from collections.abc import Collection
from typing import Any, assert_never

from multimodal_tf.config import (
    AudioInput,
    BooleanInput,
    CategoryInput,
    DateInput,
    ImageInput,
    NumberInput,
    TextInput,
    VectorInput,
    VideoInput,
)
from multimodal_tf.config.inputs import Input
from multimodal_tf.data.codecs.cell import Cell
from multimodal_tf.data.filesystem import Root
from multimodal_tf.data.kinds.audio import AudioKind
from multimodal_tf.data.kinds.boolean import BooleanKind
from multimodal_tf.data.kinds.category import CategoryKind
from multimodal_tf.data.kinds.cell import is_gap, readable
from multimodal_tf.data.kinds.date import DateKind
from multimodal_tf.data.kinds.image import ImageKind
from multimodal_tf.data.kinds.kind import Kind
from multimodal_tf.data.kinds.number import NumberKind
from multimodal_tf.data.kinds.text import TextKind
from multimodal_tf.data.kinds.vector import VectorKind
from multimodal_tf.data.kinds.video import VideoKind


def kind_of(input_config: Input) -> Kind[Any, Any]:
    """What the data pipeline does with the cells of an input.

    Example:
        >>> from multimodal_tf.config import TextInput
        >>> kind_of(TextInput()).problem(b"caf\\xe9")
        'invalid UTF-8'
    """
    match input_config:
        case ImageInput():
            return ImageKind(input_config)
        case TextInput():
            return TextKind(input_config)
        case AudioInput():
            return AudioKind(input_config)
        case VideoInput():
            return VideoKind(input_config)
        case NumberInput():
            return NumberKind(input_config)
        case CategoryInput():
            return CategoryKind(input_config)
        case BooleanInput():
            return BooleanKind(input_config)
        case DateInput():
            return DateKind(input_config)
        case VectorInput():
            return VectorKind(input_config)
        case _:
            assert_never(input_config)


def read_cell(
    value: Any, input_config: Input, root: Root = ".", missing: Collection[str] = ()
) -> Cell | None:
    """Converts a cell of a table to what a record holds and the served model reads.

    Ingest and the serving client share it, so that both send the same bytes to the graph. It does
    not decode the whole file: a truncated JPEG is found by `Kind.problem`, which ingest calls on
    every cell, and by the served graph.

    Args:
        value: what it may be depends on the kind of input: see its class in `data.kinds`. None,
            NaN, NaT, "", b"" and white space are missing.
        input_config: the input's configuration, such as `config.inputs["photo"]`.
        root: directory that relative paths start from; None: a cell that names a file is broken,
            and no file is looked for.
        missing: words that stand for gaps, such as `config.missing`.

    Returns:
        bytes, float, or a list of bytes or floats, by the kind of input; None where the cell is
        missing.

    Raises:
        CellError: the cell is broken; the message is the reason, without row or column.

    Example:
        >>> read_cell(" red ", CategoryInput()), read_cell("7.5", NumberInput())
        (b'red', 7.5)
    """
    value = readable(value)
    return (
        None if value is None or is_gap(value, missing) else kind_of(input_config).read(value, root)
    )
