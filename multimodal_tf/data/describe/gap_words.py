"""Words that stand for gaps, such as NA and ?: where a column of numbers has them."""

from collections.abc import Mapping, Sequence
from typing import Any

from multimodal_tf.config.spelling import spelling
from multimodal_tf.config.split import split_key
from multimodal_tf.data.codecs.dates import looks_like_date
from multimodal_tf.data.describe.heads import HEADS
from multimodal_tf.data.describe.number_formats import ENOUGH
from multimodal_tf.data.describe.sample import COUNTED, Cell, Column

# in lower case
_WORDS = frozenset(
    ["na", "n/a", "n.a.", "#n/a", "#na", "<na>", "nan", "null", "(null)", "none", "nil", "nd"]
    + ["?", "??", "-", "--", "---", "\u2013", "\u2014", ".", "..", "\\n"]
    + ["missing", "unknown", "not available", "no data"]
)
_LONGEST = max(map(len, _WORDS)) + 2
# columns that are named
_SHOWN = 5


def gap_word(cell: Any) -> str | None:
    """A cell that is a word for a gap in some tables, without outer spaces.

    Example:
        >>> gap_word(" NA"), gap_word("Namibia")
        ('NA', None)
    """
    if not isinstance(cell, str) or len(cell) > _LONGEST:
        return None
    word = cell.strip()
    return word if word.lower() in _WORDS else None


def find_gap_words(columns: Sequence[Column], given: Mapping[str, str]) -> tuple[list[str], str]:
    """The words that stand for gaps in columns of numbers or dates, and so in all columns.

    Args:
        columns: with their sampled cells.
        given: types that the caller gives.

    Returns:
        `(words, why)`: sorted, and a sentence that says where they are; "" without any.
    """
    found = {column.name: sorted(column.gaps) for column in columns if _has_gaps(column, given)}
    words = sorted({word for several in found.values() for word in several})
    if not words:
        return [], ""
    names = ", ".join(map(repr, list(found)[:_SHOWN])) + (
        f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    )
    listed = ", ".join(map(repr, words))
    others = [
        column.name for column in columns if column.name not in found and {*words} & {*column.gaps}
    ]
    too = f", also in {', '.join(map(repr, others[:_SHOWN]))}" if others else ""
    return (
        words,
        f"{listed} stand for gaps among the numbers of {names}, so in all columns{too}"
        + (" (missing)"),
    )


def without_gaps(columns: Sequence[Column], words: Sequence[str]) -> None:
    """Counts these words as missing cells."""
    for column in columns:
        mine = [word for word in words if word in column.gaps]
        if not mine:
            continue
        column.missing += sum(column.gaps[word] for word in mine)
        if column.distinct < COUNTED:
            column.distinct -= len(mine)
        column.cells = [cell for cell in column.cells if not _is_gap(cell, words)]
        if column.words is not None:
            keys = set(map(split_key, mine))
            column.words = {key: word for key, word in column.words.items() if key not in keys}


def _has_gaps(column: Column, given: Mapping[str, str]) -> bool:
    kind = given.get(column.name, "label")
    is_number = kind in HEADS and HEADS[kind].target_type == "number"
    if not column.gaps or not (is_number or kind in ("label", "number", "date")):
        return False
    others = Column(column.name, cells=[cell for cell in column.cells if not gap_word(cell.value)])
    others.decimal = column.decimal
    if len(others.cells) < 2 or len(others.cells) == len(column.cells):
        return False
    if others.holds_numbers or others.dates.format is not None:
        return True
    dates = sum(
        cell.kind == "date" or (cell.kind == "text" and looks_like_date(str(cell.value)))
        for cell in others.cells
    )
    return dates >= ENOUGH * len(others.cells)


def _is_gap(cell: Cell, words: Sequence[str]) -> bool:
    return isinstance(cell.value, str) and spelling(cell.value) in words
