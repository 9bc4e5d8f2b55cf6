"""What is in a table: the type of every column, its gaps and sizes, the cells that cannot be read,
and the configuration that follows.
"""

import difflib
import keyword
import re
import unicodedata
from typing import Literal

import numpy
import pydantic
import tensorflow as tf
from rich.console import Group

from multimodal_tf import config as configuration
from multimodal_tf.config import Config
from multimodal_tf.data.describe import cell_types, defaults
from multimodal_tf.data.describe.column_types import (
    COUNTED,
    LABEL_NAMES,
    Column,
    describe_head_column,
    describe_input_column,
    label_column,
)
from multimodal_tf.data.describe.render import show
from multimodal_tf.data.kinds.cells import CellError, read_label
from multimodal_tf.data.tokenizers import normalization as preprocess_text

INPUTS = ("image", "video", "audio", "text", "number", "category", "boolean", "date")
HEADS = ("classification", "multi_label", "regression")
OTHERS = ("label", "split", "group", "ignored")

# what the served `embed` endpoint answers besides the inputs' names
_RESERVED = {configuration.FUSED, configuration.TABULAR, "error"}
# rejected cells that are told one by one
_REASONS = 5
# rows in memory at a time
_ROWS = 200
# words, such as Chinese characters, from one space to the next
_UNSPACED = 3


class Spread(pydantic.BaseModel):
    """How a figure is spread over the sampled cells."""

    min: float
    median: float
    p95: float
    max: float


class Rejection(pydantic.BaseModel):
    """A cell that cannot be read as its column's type: the row's number in the table, from 0, and
    why.
    """

    row: int
    reason: str


class ColumnDescription(pydantic.BaseModel):
    """One column. `missing` and `distinct` count all rows (`distinct` up to 10,000); the rest is of
    the sampled cells.
    """

    # safe in a configuration and in a served signature
    name: str
    column: str
    type: Literal[
        "image",
        "video",
        "audio",
        "text",
        "number",
        "category",
        "boolean",
        "date",
        "classification",
        "multi_label",
        "regression",
        "split",
        "group",
        "ignored",
    ]
    why: str
    missing: int
    distinct: int
    # pixels
    width: Spread | None = None
    height: Spread | None = None
    # whether no image has colours
    grey: bool = False
    # of a video or a sound, which counts for at most 30 seconds
    seconds: Spread | None = None
    # Hz
    sample_rate: Spread | None = None
    # frames a second
    frame_rate: Spread | None = None
    words: Spread | None = None
    # whether the texts are written without spaces, as Chinese is
    unspaced: bool = False
    # of a multi-label head whose cells are texts
    separator: str | None = None
    rejected: int = 0
    rejections: list[Rejection] = []
    # of a column that is an input
    input: configuration.Input | None = None
    # its tower, and why this one
    tower: str = ""

    def part(self):
        """The configuration of this input or head; `column` is there only where it differs from the
        name.
        """
        heads = {
            "classification": configuration.ClassificationHead,
            "multi_label": self._multi_label,
            "regression": configuration.RegressionHead,
        }
        part = heads[self.type]() if self.input is None else self.input.model_copy()
        if self.name != self.column:
            part.column = self.column
        return part

    def _multi_label(self):
        head = configuration.MultiLabelHead()
        if self.separator is not None:
            head.separator = self.separator
        return head


class Description(pydantic.BaseModel):
    """A table: its columns in their order, and how much of it was looked at."""

    table: str
    rows: int
    sampled: int
    columns: list[ColumnDescription]
    # one tower over all numbers, categories, dates and booleans
    tabular: configuration.TabularTower | None = None

    def config(self) -> Config:
        """The configuration that follows: every input and label, the split, and sizes from the
        data.

        Raises:
            ValueError: no column is a label, or none can be an input; the sentence says how to name
            one.
        """
        inputs = {column.name: column.part() for column in self.columns if column.type in INPUTS}
        heads = {column.name: column.part() for column in self.columns if column.type in HEADS}
        names = ", ".join(repr(column.column) for column in self.columns)
        if not heads:
            called = ", ".join(LABEL_NAMES)
            raise ValueError(
                f"{self.table} has no column called {called}: name the one to predict with label=; its columns are {names}"
            )
        if not inputs:
            raise ValueError(
                f"{self.table} has no column to predict from: give one a type, as in types={{'photo': 'image'}}; it has {names}"
            )
        return Config(inputs=inputs, heads=heads, tabular=self.tabular, split=self._split())

    def _split(self):
        split, group, stratify = (
            next((column.column for column in self.columns if column.type == kind), None)
            for kind in ("split", "group", "classification")
        )
        return (
            configuration.Split(column=split)
            if split is not None
            else configuration.Split(group=group, stratify=stratify)
        )

    def render(self) -> Group:
        """For the terminal: `rich.print(description.render())`."""
        return show(self)


def describe(table, types=None, label=None, sample=500, seed=0) -> Description:
    """Looks at a table twice: at all cells to count them, at a sample of rows to open what their
    cells name.

    A type is decided by the majority of the sampled cells that are not missing. A column of files
    is an image, video or audio input even if some are broken; moving GIFs are images unless the
    type is given; numbers and dates (ISO 8601) may hold a tenth of other cells; a boolean holds
    nothing but two words such as yes and no, or 1 and 0; a category is a short text that repeats. A
    column called as row numbers are, and without repeats, is ignored; one called as groups are
    (group, family, patient, speaker...), and with repeats, becomes the split's group.

    Args:
        table: `Table`.
        types: dict of column to type, where the guess is not wanted: image, video, audio, text,
            number, category, boolean, date; classification, multi_label, regression, or label to
            have the head guessed; split, group, ignored.
        label: name, or list of names, of the columns to predict; None: the one called label, class,
        target or alike, unless `types` says.
        sample: int > 0. Rows whose cells are opened, drawn from the whole table.
        seed: int. Of that draw.

    Returns:
        `Description`. Its rejected cells are those of the sample; ingest finds them all.

    Raises:
        ValueError: a column is not in the table, a type is not known, or two columns are given as
        split or group.

    Example:
        >>> import pandas
        >>> from multimodal_tf.data.table import read_table
        >>> frame = pandas.DataFrame({"title": ["a small owl", "an old oak"], "price": ["1.5", "7"], "label": ["bird", "tree"]})
        >>> [(column.name, column.type) for column in describe(read_table(frame)).columns]
        [('title', 'text'), ('price', 'number'), ('label', 'classification')]
    """
    if sample < 1:
        raise ValueError(f"at least 1 row must be looked at, received sample={sample}")
    types = _given(table, dict(types or {}), label)
    columns = _count(table)
    _look(table, columns, types, sample, seed)
    found = _only_one(
        [_describe_column(column, types.get(column.name), table.root) for column in columns], types
    )
    for column, name in zip(
        found, _safe_names([(column.column, column.type in HEADS) for column in found])
    ):
        column.name = name
    rows = columns[0].rows
    return Description(
        table=table.name,
        rows=rows,
        sampled=min(rows, sample),
        columns=found,
        tabular=_advise(found, rows),
    )


def _advise(columns, rows):
    """Gives every input its configuration; the tower over several columns, if any."""
    tabular, why = defaults.tabular_of(
        sum(column.type in configuration.TABULAR_TYPES for column in columns), rows
    )
    for column in columns:
        if column.type in INPUTS:
            column.input, column.tower = defaults.input_of(column, rows - column.missing)
            column.tower = column.tower or why
    return tabular


def _given(table, types, label):
    """All that the caller says about columns, as types; without a word on labels, the column that
    is called so.
    """
    known = (*INPUTS, *HEADS, *OTHERS)
    for column, kind in types.items():
        table.column(column)
        if kind not in known:
            similar = difflib.get_close_matches(str(kind), known, n=1)
            hint = f": did you mean {similar[0]!r}?" if similar else ""
            raise ValueError(
                f"the type of column {column!r} must be one of {', '.join(known)}, received {kind!r}{hint}"
            )
    for kind in ("split", "group"):
        if list(types.values()).count(kind) > 1:
            raise ValueError(
                f"only one column can be the {kind}, received {[column for column in types if types[column] == kind]}"
            )
    labels = [label] if isinstance(label, str) else list(label or [])
    if not labels and not any(kind in (*HEADS, "label") for kind in types.values()):
        guessed = label_column([name for name in table.columns if name not in types])
        labels = [] if guessed is None else [guessed]
    for column in labels:
        if types.setdefault(table.column(column), "label") not in (*HEADS, "label"):
            raise ValueError(
                f"column {column!r} is the label, so its type must be one of {', '.join(HEADS)}, received {types[column]!r}"
            )
    return types


def _count(table):
    """Rows, missing cells and distinct values of every column, over the whole table."""
    columns = [Column(name) for name in table.columns]
    found: list[set[int]] = [set() for _ in columns]
    for chunk in table.chunks(rows=_ROWS):
        for column, values in zip(columns, found):
            cells = [cell for cell in chunk[column.name] if cell is not None]
            column.rows += len(chunk)
            column.missing += len(chunk) - len(cells)
            if len(values) < COUNTED:
                values.update(map(_fingerprint, cells))
    for column, values in zip(columns, found):
        column.distinct = min(len(values), COUNTED)
    return columns


def _fingerprint(cell):
    if isinstance(cell, str):
        return hash(cell.strip())
    if isinstance(cell, numpy.ndarray):
        return hash((cell.shape, cell.tobytes()))
    return hash(cell) if cell.__hash__ is not None else hash(repr(cell))


def _look(table, columns, types, sample, seed):
    """Opens the cells of the sampled rows."""
    rows = columns[0].rows
    chosen = numpy.sort(
        numpy.random.default_rng(seed).choice(rows, min(sample, rows), replace=False)
    )
    for chunk in table.chunks(rows=_ROWS):
        for row in chosen[(chosen >= chunk.index[0]) & (chosen <= chunk.index[-1])]:
            for column in columns:
                cell, kind = chunk.at[row, column.name], types.get(column.name)
                if cell is not None:
                    how = kind if kind in (None, "image", "video", "audio") else "plain"
                    column.seen.append(cell_types.look(int(row), cell, table.root, how))


def _describe_column(column, given, root):
    separator = None
    if given in (None, "label", "multi_label"):
        kind, why, separator = (
            describe_head_column(column)
            if given is not None
            else (*describe_input_column(column), None)
        )
    if given is not None and given != "label":
        kind, why = given, "given"
    reasons = [(seen.row, _reason(seen, kind, separator, root)) for seen in column.seen]
    rejections = [Rejection(row=row, reason=reason) for row, reason in reasons if reason]
    good = [seen for seen, (_, reason) in zip(column.seen, reasons) if not reason]
    measured = {"image": _images, "video": _videos, "audio": _sounds, "text": _texts}.get(
        kind, lambda seen: {}
    )(good)
    return ColumnDescription(
        name=column.name,
        column=column.name,
        type=kind,
        why=why,
        missing=column.missing,
        distinct=column.distinct,
        separator=separator,
        rejected=len(rejections),
        rejections=rejections[:_REASONS],
        **measured,
    )


def _reason(seen, kind, separator, root):
    if kind in INPUTS:
        return cell_types.recheck(seen, kind, root)
    if kind not in HEADS:
        return ""
    if seen.value is None:
        return seen.reason or f"{seen.kind}, not a label"
    part = {
        "classification": configuration.ClassificationHead,
        "regression": configuration.RegressionHead,
    }.get(kind)
    try:
        read_label(
            seen.value, part() if part else configuration.MultiLabelHead(separator=separator or ";")
        )
    except CellError as error:
        return str(error)
    return ""


def _only_one(columns, types):
    """At most one column guessed as the split and one as the group, and none where one is given."""
    for kind in ("split", "group"):
        mine = sorted(
            (column for column in columns if column.type == kind),
            key=lambda column: types.get(column.column) != kind,
        )
        for column in mine[1:]:
            column.type, column.why = (
                "ignored",
                f"looks like a {kind} too, but {mine[0].column!r} is it",
            )
    return columns


def _images(seen):
    sizes = [one.size for one in seen if one.size]
    grey = bool(sizes) and all(one.grey for one in seen if one.size)
    return {
        "width": _spread([width for width, _ in sizes]),
        "height": _spread([height for _, height in sizes]),
        "grey": grey,
    }


def _videos(seen):
    known = [one for one in seen if one.seconds is not None]
    return _images(seen) | {
        "seconds": _spread([one.seconds for one in known]),
        "frame_rate": _spread([one.rate for one in known]),
    }


def _sounds(seen):
    known = [one for one in seen if one.seconds is not None]
    return {
        "seconds": _spread([one.seconds for one in known]),
        "sample_rate": _spread([one.rate for one in known]),
    }


def _texts(seen):
    texts = [str(one.value) for one in seen if one.value is not None]
    if not texts:
        return {"words": None}
    words = preprocess_text.words(tf.constant(texts)).row_lengths().numpy()
    spaced = sum(len(text.split()) for text in texts)
    return {"words": _spread(words.tolist()), "unspaced": bool(words.sum() > _UNSPACED * spaced)}


def _spread(values):
    if not values:
        return None
    low, median, p95, high = numpy.percentile(values, [0, 50, 95, 100])
    return Spread(min=low, median=median, p95=p95, max=high)


def _safe_names(columns):
    """A name that the configuration and TensorFlow Serving accept for every column, given as
    (column, whether it is a head).
    """
    names: list[str] = []
    taken: set[str] = set()
    for number, (column, head) in enumerate(columns, start=1):
        plain = unicodedata.normalize("NFKD", column)
        plain = re.sub(
            r"[^A-Za-z0-9]+",
            "_",
            "".join(sign for sign in plain if not unicodedata.combining(sign)),
        ).strip("_")
        plain = column if configuration.NAME.fullmatch(column) else plain or f"column_{number}"
        plain = plain if plain[0].isalpha() else f"column_{plain}"
        plain = f"{plain}_" if keyword.iskeyword(plain) or plain == "self" else plain
        forbidden = (
            taken | _RESERVED | ({*configuration.SERVED, configuration.ROW} if head else set())
        )
        tries = (
            plain if attempt == 1 else f"{plain}_{attempt}"
            for attempt in range(1, len(columns) + 10)
        )
        name = next(name for name in tries if not forbidden & _keys(name))
        taken |= _keys(name)
        names.append(name)
    return names


def _keys(name):
    """What a name is going to be a key of: inputs, presence flags, layers, served and predicted
    probabilities.
    """
    inputs = (configuration.PRESENT, configuration.EMBEDDING, configuration.TOKENS)
    heads = (configuration.PROBABILITIES, configuration.PROBABILITY)
    return {name, *(name + suffix for suffix in (*inputs, *heads))}
