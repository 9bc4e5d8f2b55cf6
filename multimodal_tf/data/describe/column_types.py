"""What a column is for, from its name, its counts and a sample of its cells."""

import collections
import dataclasses
import re

import numpy

from multimodal_tf.data.codecs.dates import looks_like_date
from multimodal_tf.data.describe.cell_types import Seen
from multimodal_tf.data.split import SPLIT_WORDS

# the first of these is the label
LABEL_NAMES = ("label", "class", "target", "category", "labels", "classes", "y", "tags")
# distinct values are counted up to here
COUNTED = 10_000

_SPLIT_NAMES = ("split", "subset", "partition", "set", "fold")
_ROW_NAME = re.compile(
    r"(row|image|item|record|sample)?[ _-]?(id|index|key|uuid|guid|no|nr)|unnamed: \d+|#",
    re.IGNORECASE,
)
# one word with a digit, slash or underscore
_KEY = re.compile(r"(?=.*[\d/\\_])[!-~]+")
# values that never repeat, for that to mean something
_ENOUGH = 10
_GROUP_NAME = re.compile(
    r"(.*_)?group([ _-]?id)?|(cluster|family|patient|subject|speaker|user|session|customer|author)([ _-]?id)?",
    re.IGNORECASE,
)
# 007 is a code, not seven
_CODE = re.compile(r"[+-]?0\d")
# words for true and false
_PAIRS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"}, {"1", "0"}, {"1.0", "0.0"})
_SEPARATORS = (";", "|", ",")


@dataclasses.dataclass
class Column:
    """A column's name, counts over all rows (`distinct` up to `COUNTED`) and sampled cells that are
    not missing.
    """

    name: str
    rows: int = 0
    missing: int = 0
    distinct: int = 0
    seen: list[Seen] = dataclasses.field(default_factory=list)

    @property
    def present(self):
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def repeats(self):
        """Whether some value stands in two rows; beyond `COUNTED` distinct values, whether that is
        likely.
        """
        return self.distinct < min(self.present, COUNTED)

    def share(self, kind):
        """The part of the sampled cells that are of this kind."""
        return sum(seen.kind == kind for seen in self.seen) / max(1, len(self.seen))

    def texts(self):
        """The sampled cells that are texts or numbers, as stripped texts."""
        return [
            str(seen.value).strip()
            for seen in self.seen
            if seen.kind in ("text", "number") and seen.value is not None
        ]


def describe_input_column(column) -> tuple[str, str]:
    """The type of a column that is no label: an input's type, "split", "group" or "ignored"; and
    why, as a phrase.
    """
    if not column.seen:
        return "ignored", "no value in any row that was looked at"
    for rule in (_split, _media, _unreadable, _date, _row, _group, _boolean, _number, _category):
        found = rule(column)
        if found is not None:
            return found
    return "text", "texts that seldom repeat" if column.present > 1 else "a text"


def describe_head_column(column) -> tuple[str, str, str | None]:
    """The type of a label's head, why, and for a multi-label head of texts the separator."""
    if column.share("list") >= 0.5:
        return "multi_label", "cells are lists", None
    separator = _separator(column.texts())
    if separator is not None:
        return "multi_label", f"cells join labels that recur by {separator!r}", separator
    if column.share("number") >= 0.9 and not _codes(column) and _continuous(column):
        return "regression", "numbers that take many values", None
    return "classification", f"{_counted(column.distinct)} distinct values", None


def label_column(names):
    """The column that is called as labels are, or None."""
    lower = {name.strip().lower(): name for name in reversed(names)}
    return next((lower[name] for name in LABEL_NAMES if name in lower), None)


def _split(column):
    texts = column.texts()
    if (
        column.name.strip().lower() in _SPLIT_NAMES
        and len(texts) == len(column.seen)
        and all(text.lower() in SPLIT_WORDS for text in texts)
    ):
        return "split", "says train, validation or test in every row that was looked at"
    return None


def _media(column):
    for kind, noun in (("image", "images"), ("video", "videos"), ("audio", "sounds")):
        if column.share(kind) >= 0.5:
            good = sum(seen.kind == kind and not seen.reason for seen in column.seen)
            return kind, f"{good} of {len(column.seen)} cells open as {noun}"
    return None


def _unreadable(column):
    if column.share("list") >= 0.5:
        return "ignored", "lists, which only a multi-label head reads"
    if column.share("other") >= 0.5:
        return "ignored", "neither text, number, image, video nor sound"
    return None


def _row(column):
    if column.repeats:
        return None
    if _ROW_NAME.fullmatch(column.name.strip()) or (
        column.name.lower().endswith("_id") and column.present > 1
    ):
        return "ignored", "identifies the row: called an id, and never repeats"
    texts = column.texts()
    if (
        len(texts) >= _ENOUGH
        and (column.share("number") < 0.9 or _codes(column))
        and sum(bool(_KEY.fullmatch(text)) for text in texts) >= 0.9 * len(texts)
    ):
        return "ignored", "identifies the row: a code, path or address that never repeats"
    return None


def _group(column):
    if _GROUP_NAME.fullmatch(column.name.strip()) and column.repeats:
        return (
            "group",
            "called as groups are, and repeats: no value may stand on two sides of the split",
        )
    return None


def _date(column):
    dates = sum(
        seen.kind == "date" or (seen.kind == "text" and looks_like_date(str(seen.value)))
        for seen in column.seen
    )
    share = dates / len(column.seen)
    if share >= 0.9:
        return "date", "dates" if share == 1 else f"{share:.0%} dates"
    return None


def _boolean(column):
    """Nothing but two words, in all rows: a third one would be lost, and a category keeps it."""
    texts = column.texts()
    words = {text.lower() for text in texts}
    if words in _PAIRS and len(texts) == len(column.seen) and column.distinct <= len(set(texts)):
        return "boolean", f"nothing but {' and '.join(sorted(words))}"
    return None


def _number(column):
    share = column.share("number")
    if share >= 0.9 and not _codes(column):
        return "number", "numbers" if share == 1 else f"{share:.0%} numbers"
    return None


def _codes(column):
    return any(_CODE.match(text) for text in column.texts())


def _category(column):
    few = column.distinct <= 1000 and column.distinct <= max(20, column.present / 20)
    short = numpy.median([len(text.split()) for text in column.texts()] or [0]) <= 3
    if few and short and column.distinct * 2 <= column.present:
        return "category", f"short texts, {column.distinct} distinct values"
    return None


def _continuous(column):
    values = [float(seen.value) for seen in column.seen if seen.kind == "number"]
    if any(not value.is_integer() for value in values):
        return column.distinct > 10
    return column.distinct > 20 and column.distinct > min(1000, column.present / 20)


def _separator(texts):
    """The sign that joins labels: in a tenth of the cells, with parts that recur in other company."""
    for sign in _SEPARATORS:
        joined = [text for text in texts if sign in text]
        if len(joined) < max(1, len(texts) / 10):
            continue
        parts = [
            {part.strip() for part in text.split(sign)} - {""} for text in dict.fromkeys(texts)
        ]
        counts = collections.Counter(part for labels in parts for part in labels)
        if counts and max(counts.values()) > 1 and len(counts) <= len(parts):
            return sign
    return None


def _counted(distinct):
    return f"{distinct} or more" if distinct >= COUNTED else str(distinct)
