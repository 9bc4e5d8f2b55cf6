"""What a column that is no label is for, from its name, its counts and its sampled cells."""

import re

import numpy as np

from multimodal_tf.data.codecs.dates import looks_like_date
from multimodal_tf.data.describe.kinds import FILES, OPENED
from multimodal_tf.data.describe.sample import Column
from multimodal_tf.data.describe.splits import about_name, proposed_split

# a column's type and why, as a phrase
Found = tuple[str, str]

_ROW_NAME = re.compile(
    r"(row|image|item|record|sample)?[ _-]?(id|index|key|uuid|guid|no|nr)|unnamed: \d+|#",
    re.IGNORECASE,
)
# one word with a digit, slash or underscore
_KEY = re.compile(r"(?=.*[\d/\\_])[!-~]+")
# without repetition in fewer values, a column need not identify the row
_ENOUGH = 10
_GROUP_NAME = re.compile(
    r"(.*_)?group([ _-]?id)?"
    r"|(cluster|family|patient|subject|speaker|user|session|customer|author)([ _-]?id)?",
    re.IGNORECASE,
)
# words for true and false
_PAIRS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"}, {"1", "0"}, {"1.0", "0.0"})


def describe_input_column(column: Column) -> Found:
    """The type of a column that is no label, and why, as a phrase.

    Returns:
        `(type, why)`; the type is an input's, or "split", "group" or "ignored".
    """
    if not column.cells:
        return "ignored", "no value in the sampled rows"
    for rule in (_split, _opened, _unreadable, _date, _row, _group, _boolean, _number, _category):
        found = rule(column)
        if found is not None:
            kind, why = found
            why += "" if kind in ("date", "split") else _doubt(column)
            return kind, why if rule is _split or kind == "ignored" else why + about_name(column)
    why = "texts that seldom repeat" if column.present > 1 else "a text"
    return "text", why + _doubt(column) + about_name(column)


def _doubt(column: Column) -> str:
    """What is to be said of cells that may be numbers or dates."""
    found = [one.why for one in (column.written, column.dates) if one.format is None and one.why]
    return "".join(f"; {why}" for why in found)


def _split(column: Column) -> Found | None:
    found = proposed_split(column)
    return None if found is None else found[:2]


def _opened(column: Column) -> Found | None:
    for name, kind in OPENED.items():
        if column.share(name) >= 0.5:
            good = sum(cell.kind == name and not cell.reason for cell in column.cells)
            return name, f"{good} of {len(column.cells)} cells open as {kind.noun}"
    return None


def _unreadable(column: Column) -> Found | None:
    if column.share("broken") >= 0.5:
        return "ignored", "most cells cannot be read"
    if column.share("list") >= 0.5:
        return "ignored", "lists, which can only be labels"
    if column.share("other") >= 0.5:
        nouns = ", ".join(kind.noun for kind in FILES.values())
        return "ignored", f"neither texts, numbers, {nouns}"
    return None


def _row(column: Column) -> Found | None:
    if column.repeats:
        return None
    name = column.name.strip()
    if _ROW_NAME.fullmatch(name) or (column.name.lower().endswith("_id") and column.present > 1):
        return "ignored", "identifies the row: named as an id, and never repeats"
    texts = column.texts()
    if (
        len(texts) >= _ENOUGH
        and not column.holds_numbers
        and sum(bool(_KEY.fullmatch(text)) for text in texts) >= 0.9 * len(texts)
    ):
        return "ignored", "identifies the row: a code, path or address that never repeats"
    return None


def _group(column: Column) -> Found | None:
    if _GROUP_NAME.fullmatch(column.name.strip()) and column.repeats:
        return "group", "named as a group, and repeats: a group stays in one split"
    return None


def _date(column: Column) -> Found | None:
    dates = sum(
        cell.kind == "date" or (cell.kind == "text" and looks_like_date(str(cell.value)))
        for cell in column.cells
    )
    share = dates / len(column.cells)
    if share >= 0.9:
        return "date", "dates" if share == 1 else f"{share:.0%} dates"
    return None if column.dates.format is None else ("date", f"dates, {column.dates.why}")


def _boolean(column: Column) -> Found | None:
    """Only two words in all rows: a boolean would reject a third one, which a category keeps."""
    texts = column.texts()
    words = {text.lower() for text in texts}
    if words in _PAIRS and len(texts) == len(column.cells) and column.distinct <= len(set(texts)):
        return "boolean", f"nothing but {' and '.join(sorted(words))}"
    return None


def _number(column: Column) -> Found | None:
    share = column.share("number")
    if column.written.format is not None:
        return "number", f"numbers, {column.written.why}"
    if not column.holds_numbers:
        return None
    return "number", "numbers" if share == 1 else f"{share:.0%} numbers"


def _category(column: Column) -> Found | None:
    few = column.distinct <= 1000 and column.distinct <= max(20, column.present / 20)
    short = np.median([len(text.split()) for text in column.texts()] or [0]) <= 3
    if few and short and column.distinct * 2 <= column.present:
        return "category", f"short texts, {column.distinct} distinct values"
    return None
