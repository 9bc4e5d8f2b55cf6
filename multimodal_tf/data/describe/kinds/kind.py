"""What `describe` knows of one kind of input."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from multimodal_tf.config import Input
from multimodal_tf.data.describe.column_description import ColumnDescription, Spread
from multimodal_tf.data.describe.sample import Cell
from multimodal_tf.data.describe.shown import Shown
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.presets.folder import PresetFolder

# a recurrent layer over time is the default from so many rows on (rule of thumb)
RECURRENT_ROWS = 10_000
ARRAYS = (list, tuple, np.ndarray)
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
        measure_together: fills in what is cheaper to find of the cells of all columns at once.
        summarize: fields of `ColumnDescription` from the cells that can be read.
        render: these fields as text.
        shows: what a notebook shows of a cell: `(content, table cell, root)`.
        also_reads: kinds of other cells that can be read as this one.
        preset_kind: of the pretrained networks that read this kind; "": there are none.
        of_preset: the default configuration with a frozen pretrained tower instead; None: the
            preset depends on the cells.
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
    measure_together: Callable[[list[Cell]], None] = lambda cells: None
    summarize: Callable[[list[Cell]], Measures] = lambda cells: {}
    render: Callable[[ColumnDescription], str] = lambda column: ""
    shows: Callable[[Any, Any, PathLike], Shown | None] = lambda content, value, root: None
    also_reads: tuple[str, ...] = ()
    preset_kind: str = ""
    of_preset: Callable[[PresetFolder, Input], Input] | None = None


def time_measures(cells: list[Cell], rate: str) -> Measures:
    """Durations and rates of cells that have them; `rate` is the field of the rates."""
    known = [cell for cell in cells if cell.seconds is not None]
    return {
        "seconds": Spread.of([cell.seconds for cell in known if cell.seconds is not None]),
        rate: Spread.of([cell.rate for cell in known if cell.rate is not None]),
    }


def from_to(spread: Spread, form: str = ".0f") -> str:
    """`32 to 96`; one number where all are equal."""
    return " to ".join(dict.fromkeys(format(value, form) for value in (spread.min, spread.max)))


def pays(bound: int, rows: int) -> str:
    """Why a larger tower is the default, or is not."""
    return f"pays from {bound:,} rows, here are {rows:,}"


def nested(cell: Any) -> bool:
    """Whether an array or a list holds others."""
    return bool(len(cell)) and isinstance(cell[0], ARRAYS)
