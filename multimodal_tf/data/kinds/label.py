"""Labels: the cells of a head's column."""

from typing import Any

import numpy as np

from multimodal_tf.config import Head
from multimodal_tf.config.number_format import NumberFormat
from multimodal_tf.config.spelling import canonical
from multimodal_tf.data import record_files
from multimodal_tf.data.codecs.cell import Cell, CellError
from multimodal_tf.data.filesystem import Root
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.data.kinds.cell import is_missing, read_text, read_value, readable
from multimodal_tf.data.kinds.lists import is_bracketed, list_of
from multimodal_tf.data.kinds.number import read_number


def read_label(value: Any, head: Head, root: Root = ".") -> Cell | str | None:
    """Converts a cell to a label.

    Args:
        value: a class or a number, as in a category or number input, a target text, or a target
            image, as in an image input. Several
            labels are a list, the text of a list (`lists.list_of`), or one text that the head's
            separator divides. An empty list or a separator alone means that no label applies; a
            missing cell means what the head's `empty` says.
        head: the head's configuration, such as `config.heads["label"]`.
        root: folder that relative paths start from.

    Returns:
        str (several labels: joined by `record_files.LABEL_SEPARATOR`), float, or the bytes of an
        image; None where the label is missing.

    Raises:
        CellError: the label is broken.

    Example:
        >>> from multimodal_tf.config import RegressionHead
        >>> read_label(" 7.5", RegressionHead())
        7.5
    """
    value = readable(value)
    if value is None:
        return record_files.LABEL_SEPARATOR if getattr(head, "empty", "") == "none" else None
    if head.cell_input is not None:
        return kind_of(head.cell_input).read_checked(value, root)
    if head.target_type == "number":
        return _read_number(value, head)
    if head.target_type == "class":
        return _read_class(value)
    if head.target_type == "text":
        return canonical(read_text(value)) or None
    several = (
        value
        if isinstance(value, (list, tuple, set, frozenset, np.ndarray))
        else _divided(read_text(value), getattr(head, "separator", ""))
    )
    labels = sorted({_read_class(one) for one in several if not is_missing(one)})
    return record_files.LABEL_SEPARATOR.join(labels) or record_files.LABEL_SEPARATOR


def _read_number(value: Any, head: Head) -> float | None:
    number = read_number(value, getattr(head, "format", NumberFormat()))
    problem = "" if number is None else head.number_problem(number)
    if problem:
        raise CellError(problem)
    return number


def _divided(text: str, separator: str) -> list[Any]:
    """The labels in one text."""
    listed = text.strip()
    if is_bracketed(listed):
        found = list_of(listed)
        if found is not None:
            return found
        # [a];[b] are two labels in brackets
        if not {"[", "]"} & {*listed[1:-1]}:
            raise CellError(
                f"a list of labels is JSON, or as Python writes it, received {listed!r:.60}"
            )
    return list(text.split(separator))


def _read_class(value: Any) -> str:
    text = read_value(value)
    if is_bracketed(text):
        found = list_of(text)
        if found and all(isinstance(one, str) for one in found):
            raise CellError(
                f"a list, which a head of several labels reads, and no class: {text!r:.60}"
            )
    if record_files.LABEL_SEPARATOR in text:
        raise CellError("a label may not hold the control character U+001F")
    return text
