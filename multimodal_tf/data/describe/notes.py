"""What `describe` adds to the reasons of columns, once all of them have their types."""

from collections.abc import Sequence

from multimodal_tf.config import Config
from multimodal_tf.config.spelling import spelling
from multimodal_tf.data.describe.alike import alike, grouped
from multimodal_tf.data.describe.column_description import ColumnDescription
from multimodal_tf.data.describe.heads import HEADS
from multimodal_tf.data.describe.kinds import KINDS
from multimodal_tf.data.describe.sample import Cell, Column
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.ingest.unreadable import is_refused
from multimodal_tf.data.kinds.files import file_of

# groups of values that are named, and values of each
_SHOWN = 3
# types whose cell is one value
# classes, and the share of them with one row, of which it is said
_MANY_CLASSES, _NEARLY_ALL = 10, 0.9
_ONE_VALUE = ("category", "classification", "ordinal")


def add_notes(columns: Sequence[ColumnDescription], sampled: Sequence[Column]) -> None:
    """Says what missing labels mean, which classes have one row, and which values look alike.

    Args:
        columns: with their classes; `why` grows.
        sampled: the same columns with their sampled cells.
    """
    heads = [column for column in columns if column.type in HEADS]
    for column in heads:
        if HEADS[column.type].target_type == "classes" and column.missing:
            _decide_empty(column, is_only=len(heads) == 1)
        _say_single(column)
    for column, cells in zip(columns, sampled):
        if column.type in KINDS:
            _say_refused(column, len(cells.cells))
        _say_alike(column, set(cells.texts()) if column.type in _ONE_VALUE else set())


def tried(cell: Cell, reason: str, root: PathLike) -> str:
    """The reason of a rejected cell, with the path that was tried where there is no file."""
    path = file_of(cell.value, root) if reason.startswith("no such file") else None
    return reason if path is None else f"{reason} ({path})"


def _say_refused(column: ColumnDescription, cells: int) -> None:
    most: float = Config.model_fields["max_unreadable"].default
    if is_refused(column.rejected, cells, most):
        column.why += (
            f"; {column.rejected} of {cells} looked at cannot be read: ingest refuses more than"
            f" {100 * most:.0f} % (max_unreadable)"
        )


def _decide_empty(column: ColumnDescription, is_only: bool) -> None:
    """Sets what missing cells say: that nothing is known, or that no label applies.

    An empty cell is the only way to write no label in CSV that all programs know. So in the only
    head, where no cell says the same by an empty list or a separator alone, it means that. Where
    there are other heads, a row may just not be labelled for this one.
    """
    shares, cells = column.classes, f"{column.missing} cells are empty"
    if not is_only or (shares and shares.without):
        column.why += f"; {cells}: not known (empty: none, if no label applies to them)"
        return
    column.empty = "none"
    column.why += f"; {cells}: no label applies (empty: unknown leaves these rows out)"
    if shares is not None:
        counts = {"rows": shares.rows + column.missing, "without": column.missing}
        column.classes = shares.model_copy(update=counts)


def _say_single(column: ColumnDescription) -> None:
    """Classes of one row teach nothing that could be tested on another."""
    shares = column.classes
    if shares is None or column.type == "text":
        return
    if shares.classes >= _MANY_CLASSES and shares.singles >= _NEARLY_ALL * shares.classes:
        column.why += (
            f"; nearly every class has one row ({shares.singles} of {shares.classes}), and cannot"
            " be learned from it: is it a number, a text or a code?"
        )


def _say_alike(column: ColumnDescription, texts: set[str]) -> None:
    """Classes that differ in case or spaces are those of the whole table, others the sample's."""
    one = grouped({text: spelling(text) for text in texts})
    if one:
        column.why += f"; one value: {_listed(one, ' = ')}"
    known = column.classes
    apart = alike(map(spelling, texts)) if known is None else known.alike
    if apart:
        column.why += f"; differ in case or spaces alone, and stay apart: {_listed(apart, ' and ')}"


def _listed(groups: list[list[str]], between: str) -> str:
    shown = ", ".join(between.join(map(repr, group[:_SHOWN])) for group in groups[:_SHOWN])
    more = len(groups) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
