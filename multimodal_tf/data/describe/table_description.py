"""Describes a table: column types, gaps, sizes, unreadable cells, and the configuration to use."""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import Literal

import pandas
import pydantic
from markupsafe import Markup
from rich.console import Group

from multimodal_tf.config import (
    TABULAR_TYPES,
    Config,
    DateInput,
    Input,
    NumberInput,
    Split,
    TabularTower,
)
from multimodal_tf.config.number_format import NumberFormat
from multimodal_tf.data.describe import defaults
from multimodal_tf.data.describe.cell_types import rejection
from multimodal_tf.data.describe.class_shares import class_shares
from multimodal_tf.data.describe.column_description import ColumnDescription, Rejection
from multimodal_tf.data.describe.column_types import describe_input_column
from multimodal_tf.data.describe.count_columns import count_columns, open_sample
from multimodal_tf.data.describe.gap_words import find_gap_words, without_gaps
from multimodal_tf.data.describe.given_types import given_types
from multimodal_tf.data.describe.heads import (
    HEADS,
    LABEL_NAMES,
    describe_head_column,
    head_config,
    label_column,
    label_rejection,
)
from multimodal_tf.data.describe.kinds import KINDS
from multimodal_tf.data.describe.names import safe_names
from multimodal_tf.data.describe.notes import add_notes, tried
from multimodal_tf.data.describe.pretrained import Pretrained
from multimodal_tf.data.describe.preview import ROWS, preview_as, render_html
from multimodal_tf.data.describe.ranges import number_range
from multimodal_tf.data.describe.render import render
from multimodal_tf.data.describe.sample import Cell, Column
from multimodal_tf.data.describe.splits import proposed_split
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.kinds.number import read_number
from multimodal_tf.data.table import Table, as_table

# rejected cells that are listed
_REASONS = 5
# cells that are opened, of many columns; but at least so many rows
_CELLS, _FEWEST = 200_000, 20


@dataclasses.dataclass(frozen=True)
class _Source:
    """The described table, to show rows of; None for a description that was read from a file."""

    # two descriptions are equal whatever they were made of
    table: Table | None = dataclasses.field(compare=False)


class Description(pydantic.BaseModel):
    """A table: its columns in their order, and how many rows were sampled."""

    table: str
    rows: int
    sampled: int
    columns: list[ColumnDescription]
    # one tower over all numbers, categories, dates and booleans
    tabular: TabularTower | None = None
    # which pretrained weights were looked for in vain, and what they would bring
    pretrained: str = ""
    # words that stand for gaps
    missing: list[str] = []
    # how the table is read where that is not plain: its encoding, its delimiter, words for gaps
    reading: str = ""
    _source: _Source = pydantic.PrivateAttr(default_factory=lambda: _Source(None))

    def config(self) -> Config:
        """The default configuration: every input and label, the split, and sizes from the data.

        Raises:
            ValueError: no column is a label, or none can be an input; the message says how to name
                one.
        """
        inputs = {column.name: column.config() for column in self.columns if column.type in KINDS}
        heads = {column.name: column.config() for column in self.columns if column.type in HEADS}
        names = ", ".join(repr(column.column) for column in self.columns)
        if not heads:
            raise ValueError(
                f"{self.table} has no column called {', '.join(LABEL_NAMES)}: name the one to"
                f" predict with label=; its columns are {names}"
            )
        if not inputs:
            raise ValueError(
                f"{self.table} has no column to predict from: give one a type, as in"
                f" types={{'photo': 'image'}}; it has {names}"
            )
        return Config(
            inputs=inputs,
            heads=heads,
            tabular=self.tabular,
            missing=self.missing,
            split=self._split(),
        )

    def _split(self) -> Split:
        split, group, stratify = (
            next((column for column in self.columns if column.type == kind), None)
            for kind in ("split", "group", "classification")
        )
        if split is not None:
            return Split.model_validate({"column": split.column, "values": split.split})
        return Split(group=group and group.column, stratify=stratify and stratify.column)

    def showing(self, table: Table) -> "Description":
        """The same description, which shows rows of this table in a notebook."""
        self._source = _Source(table)
        return self

    def _repr_html_(self) -> str:
        """For a notebook: the columns, and rows with their pictures where the table is at hand."""
        columns = [
            (column, KINDS[column.type].render(column) if column.type in KINDS else "")
            for column in self.columns
        ]
        table, types = self._source.table, {each.column: each.type for each in self.columns}
        rows = "" if table is None else preview_as(table, ROWS, types)._repr_html_()
        return render_html(
            "description.html.jinja",
            title=self._title(),
            columns=columns,
            note=". ".join(filter(None, [self.reading, self.pretrained])),
            preview=Markup(rows),
        )

    def render(self) -> Group:
        """For the terminal: `rich.print(description.render())`."""
        return render(self._title(), self.columns, self.reading, self.pretrained)

    def _title(self) -> str:
        looked = (
            "all looked at" if self.sampled == self.rows else f"{self.sampled} of them looked at"
        )
        return f"{self.table}: {self.rows} rows, {looked}"


def describe(
    table: Table | str | os.PathLike[str] | pandas.DataFrame,
    types: Mapping[str, str] | None = None,
    label: str | int | Iterable[str | int] | None = None,
    sample: int = 500,
    seed: int = 0,
    presets: PathLike | Literal[False] | None = None,
    fetch: bool = False,
) -> Description:
    """Reads a table twice: once to count all cells, once to open the cells of sampled rows.

    The classes of labels are counted over the whole table, too. Where they are unequal (the
    commonest on half of the rows or more, and ten times as frequent as the rarest) the proposed
    head weighs them; a multi-label head gets `threshold: fitted`.

    The majority of the sampled cells decides a column's type. Files may be broken; a tenth of a
    column of numbers or dates (ISO 8601) may be other cells; a boolean has only two words such as
    yes and no, or 1 and 0; a category is a short text that repeats. A column that is named as a
    row id and never repeats is ignored; one that is named as a group (group, family, patient,
    speaker...) and repeats becomes the split's group.

    A column of texts or media with at most 30,000 values gets a frozen pretrained tower where the
    weights of one are on this machine.

    Args:
        table: `Table`, or what `read_table` opens: a path or a DataFrame.
        types: column to type, instead of the default: an input's (image, text, number, ...; moving
            GIFs count as images otherwise) or a head's (classification, regression, ...); label,
            whose head is chosen; split, group or ignored.
        label: column or columns to predict; None: those of `types`, and the one named label, class,
            target or the like.
        sample: rows whose cells are opened, drawn from the whole table; fewer where the table has
            more than 400 columns.
        seed: of this draw.
        presets: folder of KerasHub preset folders; None: that of the environment variable
            `MULTIMODAL_TF_PRESETS`. KerasHub's cache is looked at, too. False: no pretrained tower.
        fetch: whether presets that are proposed and missing are fetched from Kaggle into that
            folder; otherwise there is no network call.

    Returns:
        `Description`. Its rejected cells are those of the sample; `ingest` finds all.

    Raises:
        OSError: the folder of presets is none, or the hub does not answer.
        ValueError: a column is not in the table, a type is unknown, two columns are given as split
            or group, or the folder of presets has none.

    Example:
        >>> import pandas
        >>> from multimodal_tf.data.table import read_table
        >>> frame = pandas.DataFrame({"title": ["a small owl", "an old oak"],
        ...                           "price": ["1.5", "7"], "label": ["bird", "tree"]})
        >>> [(column.name, column.type) for column in describe(read_table(frame)).columns]
        [('title', 'text'), ('price', 'number'), ('label', 'classification')]
    """
    table = as_table(table)
    _check(sample, presets, fetch)
    given = given_types(table, types or {}, label)
    pretrained = None if presets is False else Pretrained(presets, fetch)
    return _described(table, given, sample, seed, pretrained).showing(table)


def _check(sample: int, presets: object, fetch: bool) -> None:
    if sample < 1:
        raise ValueError(f"at least 1 row must be looked at, received sample={sample}")
    if presets is False and fetch:
        raise ValueError("fetch needs presets, the folder to fetch into, received False")


def _described(
    table: Table, given: dict[str, str], sample: int, seed: int, pretrained: Pretrained | None
) -> Description:
    columns = count_columns(table, given)
    sample = min(sample, max(_FEWEST, _CELLS // len(columns)))
    open_sample(table, columns, given, sample, seed)
    missing, about_gaps = find_gap_words(columns, given)
    without_gaps(columns, missing)
    table = table.with_missing(missing)
    found = _describe_columns(columns, given, table.root)
    _keep_one(found, given)
    _say_which_are_labels(found, given)
    _count_classes(table, found)
    add_notes(found, columns)
    _set_names(found)
    rows = columns[0].rows
    tabular = _set_defaults(found, rows)
    return Description(
        table=table.name,
        rows=rows,
        sampled=min(rows, sample),
        columns=found,
        tabular=tabular,
        missing=missing,
        reading=". ".join(filter(None, [table.note, about_gaps])),
        pretrained="" if pretrained is None else pretrained.set_towers(found, columns, rows),
    )


def _count_classes(table: Table, columns: list[ColumnDescription]) -> None:
    heads = {
        column.column: head_config(column.type, column.separator)
        for column in columns
        if column.type in HEADS
    }
    shares = class_shares(table, heads)
    for column in columns:
        column.classes = shares.get(column.column)


def _set_names(columns: list[ColumnDescription]) -> None:
    names = safe_names((column.column, column.type in HEADS) for column in columns)
    for column, name in zip(columns, names):
        column.name = name


def _set_defaults(columns: list[ColumnDescription], rows: int) -> TabularTower | None:
    """Gives every input its configuration; returns the tower over several columns, if any."""
    tabular, why = defaults.default_tabular(
        sum(column.type in TABULAR_TYPES for column in columns), rows
    )
    for column in columns:
        if column.type in KINDS:
            column.input, tower = defaults.default_input(column, rows - column.missing)
            column.tower = tower or why
    return tabular


def _describe_columns(
    columns: list[Column], given: Mapping[str, str], root: PathLike
) -> list[ColumnDescription]:
    found = [_describe_column(column, given.get(column.name), root) for column in columns]
    for name, kind in KINDS.items():
        mine = [(column, good) for column, good in found if column.type == name]
        kind.measure_together([cell for _, good in mine for cell in good])
        for column, good in mine:
            for field, value in kind.summarize(good).items():
                setattr(column, field, value)
    return [column for column, _ in found]


def _describe_column(
    column: Column, given: str | None, root: PathLike
) -> tuple[ColumnDescription, list[Cell]]:
    """The column without its measures, and its cells that can be read."""
    kind, why, separator = given or "", "", None
    if given is None:
        kind, why = describe_input_column(column)
    elif given == "label" or given in HEADS:
        kind, why, separator = describe_head_column(column)
    if given is not None and given != "label":
        separator = separator if given == kind else None
        kind, why = given, "given"
    split = proposed_split(column) if kind == "split" else None
    if kind == "split" and column.missing:
        why += f"; ingest refuses its {column.missing} empty cells"
    config_of = KINDS[kind].config_of if kind in KINDS else None
    config = None if config_of is None else config_of(column.cells)
    written = column.written.format if _is_number(kind) else None
    if written is not None and kind in KINDS:
        config = NumberInput(format=written)
    dates = column.date_format(is_given=given == "date") if kind == "date" else None
    if dates is not None:
        config = DateInput(format=dates)
    reasons = [
        (cell, _rejection(cell, kind, separator, root, config, written)) for cell in column.cells
    ]
    rejections = [
        Rejection(row=cell.row, reason=tried(cell, reason, root))
        for cell, reason in reasons
        if reason
    ]
    good = [cell for cell, reason in reasons if not reason]
    description = ColumnDescription(
        name=column.name,
        column=column.name,
        type=kind,
        why=why,
        missing=column.missing,
        distinct=column.distinct,
        separator=separator,
        split=None if split is None else split[2],
        format=written or dates,
        rejected=len(rejections),
        rejections=rejections[:_REASONS],
    )
    if _is_number(kind):
        numbers = [read_number(cell.value, written or NumberFormat()) for cell in good]
        description.range, far = number_range([one for one in numbers if one is not None])
        description.why += f"; {far}" if far else ""
    return description, good


def _is_number(kind: str) -> bool:
    return kind == "number" or (kind in HEADS and HEADS[kind].target_type == "number")


def _rejection(
    cell: Cell,
    kind: str,
    separator: str | None,
    root: PathLike,
    config: Input | None,
    written: NumberFormat | None,
) -> str:
    if kind in KINDS:
        return rejection(cell, kind, root, config)
    return label_rejection(cell, kind, separator, written) if kind in HEADS else ""


def _say_which_are_labels(columns: list[ColumnDescription], given: Mapping[str, str]) -> None:
    """Of several heads, the one that is chosen by its name may have been meant as an input."""
    heads = [column for column in columns if column.type in HEADS]
    for column in heads if len(heads) > 1 else []:
        if given[column.column] == "label" and label_column([column.column]) is not None:
            column.why += "; named as a label: give it a type to make it an input"


def _keep_one(columns: list[ColumnDescription], given: Mapping[str, str]) -> None:
    """Leaves one column as the split and one as the group: the given one, or else the first."""
    for kind in ("split", "group"):
        mine = sorted(
            (column for column in columns if column.type == kind),
            key=lambda column: given.get(column.column) != kind,
        )
        for column in mine[1:]:
            column.type = "ignored"
            column.why = f"looks like a {kind} too, but {mine[0].column!r} is it"
