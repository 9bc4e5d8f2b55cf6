"""Columns of labels: which column is one, and which head learns from it."""

import collections
from typing import Literal, get_args

from multimodal_tf.config import ClassificationHead, MultiLabelHead
from multimodal_tf.config.heads import LabelledHead
from multimodal_tf.config.number_format import NumberFormat
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.describe.class_shares import ClassShares
from multimodal_tf.data.describe.sample import COUNTED, Cell, Column
from multimodal_tf.data.kinds.label import read_label
from multimodal_tf.data.kinds.lists import list_of
from multimodal_tf.data.kinds.number import read_number

# the heads that a column can be given, by type; `describe_head_column` chooses from some of them
HEADS: dict[str, type[LabelledHead]] = {head().type: head for head in get_args(LabelledHead)}
# the first of these is the label
LABEL_NAMES = ("label", "class", "target", "category", "labels", "classes", "y", "tags")

_SEPARATORS = (";", "|", ",")


def label_column(names: list[str]) -> str | None:
    """The column with a usual name of a label, if there is one."""
    lower = {name.strip().lower(): name for name in reversed(names)}
    return next((lower[name] for name in LABEL_NAMES if name in lower), None)


def describe_head_column(column: Column) -> tuple[str, str, str | None]:
    """The type of a label's head, why, and the separator of several labels in one text."""
    if column.share("list") >= 0.5:
        return "multi_label", "cells are lists", None
    texts = column.texts()
    if texts and 2 * sum(list_of(text) is not None for text in texts) >= len(column.cells):
        return "multi_label", "cells are lists, written as text", None
    if _has_number(column, texts):
        why = f", {column.written.why}" if column.written.why else ""
        return "regression", f"numbers that take many values{why}", None
    separator = None if _is_doubtful(column) else _separator(texts)
    if separator is not None:
        return "multi_label", f"cells join labels that recur by {separator!r}", separator
    distinct = f"{column.distinct} or more" if column.distinct >= COUNTED else column.distinct
    doubt = f"; {column.written.why}" if _is_doubtful(column) else ""
    return "classification", f"{distinct} distinct values{doubt}", None


def head_config(
    kind: str, separator: str | None = None, written: NumberFormat | None = None
) -> LabelledHead:
    """The configuration of a head.

    Args:
        kind: its type.
        separator: joins several labels in a text.
        written: how texts write numbers.
    """
    if written is not None and HEADS[kind].target_type == "number":
        return HEADS[kind].model_validate({"format": written})
    if separator is not None and HEADS[kind] is MultiLabelHead:
        return MultiLabelHead(separator=separator)
    return HEADS[kind]()


def proposed_head(
    kind: str,
    separator: str | None,
    shares: ClassShares | None,
    empty: Literal["unknown", "none"] = "unknown",
) -> LabelledHead:
    """With weights where the classes are unequal, and thresholds that validation rows give.

    Without label smoothing: where a head begins as logistic regression, whose probabilities are
    those of the classes, it would only make them less sure.
    """
    head = head_config(kind, separator)
    if isinstance(head, MultiLabelHead):
        head.threshold = "fitted"
        head.empty = empty
    if isinstance(head, ClassificationHead):
        head.label_smoothing = 0.0
        if shares and shares.is_unequal:
            head.class_weight = "balanced"
    return head


def label_rejection(
    cell: Cell, kind: str, separator: str | None, written: NumberFormat | None = None
) -> str:
    """Why a cell cannot be a label of such a head; "" if it can."""
    if cell.value is None:
        return cell.reason or f"{cell.kind}, not a label"
    try:
        read_label(cell.value, head_config(kind, separator, written))
    except CellError as error:
        return str(error)
    return ""


def _is_doubtful(column: Column) -> bool:
    """Whether texts may be numbers in more than one way."""
    return column.written.format is None and bool(column.written.why)


def _has_number(column: Column, texts: list[str]) -> bool:
    """Whether the labels are numbers, and no classes that are called by numbers."""
    written = column.written.format
    if written is not None and written.decimal == "," and _are_lists(texts):
        return False
    return column.holds_numbers and _continuous(column)


def _are_lists(texts: list[str]) -> bool:
    """Whether numbers with a comma are lists of two: 1,2 and 2,3 rise, decimals need not."""
    pairs = [text.split(",") for text in texts if "," in text]
    return all(
        all(part.strip().isdecimal() for part in pair) and int(pair[0]) < int(pair[1])
        for pair in pairs
    )


def _continuous(column: Column) -> bool:
    written = column.written.format or NumberFormat()
    found = (_number(cell, written) for cell in column.cells)
    values = [value for value in found if value is not None]
    if any(not value.is_integer() for value in values):
        return column.distinct > 10
    return column.distinct > 20 and column.distinct > min(1000, column.present / 20)


def _number(cell: Cell, written: NumberFormat) -> float | None:
    try:
        return read_number(cell.value, written) if cell.kind in ("number", "text") else None
    except CellError:
        return None


def _separator(texts: list[str]) -> str | None:
    """The sign that joins labels: it is in a tenth of the cells, and the labels recur."""
    for sign in _SEPARATORS:
        if sum(sign in text for text in texts) < max(1, len(texts) / 10):
            continue
        rows = [
            {label.strip() for label in text.split(sign)} - {""} for text in dict.fromkeys(texts)
        ]
        counts = collections.Counter(label for labels in rows for label in labels)
        if counts and max(counts.values()) > 1 and len(counts) <= len(rows):
            return sign
    return None
