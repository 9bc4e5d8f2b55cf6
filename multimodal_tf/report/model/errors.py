"""The section on errors: confusions, rows with the highest loss, and slices of the table."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from multimodal_tf.evaluation.contributions import class_names
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.row_scores import ACCURACY, losses, unit_of
from multimodal_tf.evaluation.slices import Confusion, Slice, confusions, slices, worst_rows
from multimodal_tf.report.confusion_map import confusion_map
from multimodal_tf.report.findings import Finding
from multimodal_tf.report.model.example import example
from multimodal_tf.report.model.section import ReportSection, note_section, report_section
from multimodal_tf.report.page import (
    Block,
    Cell,
    Column,
    Examples,
    Note,
    Table,
)

TITLE = "Errors"
# rows that are shown
WORST = 8
# slices in the table, at most
_MAX_SLICES = 30
# adjusted p up to which a slice differs significantly
_SIGNIFICANT = 0.05
_DESCRIPTION = (
    "Which classes are confused, the rows with the highest loss, and the slices of the table with "
    "a lower accuracy."
)
_HIGHEST_LOSS = "Rows with the highest loss"


def errors_section(eval_split: EvalSplit, resamples: int, seed: int) -> ReportSection:
    """Confusions, rows with the highest loss, and slices by the table's columns and by presence.

    Args:
        eval_split: `EvalSplit`.
        resamples, seed: unused, as the intervals of shares are exact (Clopper and Pearson).

    Returns:
        `ReportSection`; without confusions and slices for a head that does not choose one class;
        one note where fewer than two rows have a label.
    """
    known = np.flatnonzero(eval_split.known)
    if len(known) < 2:
        reason = f"Errors need two rows with a label, received {len(known)}."
        return note_section(TITLE, _DESCRIPTION, reason)
    of_rows = losses(eval_split, eval_split.predictions)[known]
    examples = _examples(eval_split, known[worst_rows(of_rows, WORST)])
    if unit_of(eval_split.config, eval_split.head) != ACCURACY:
        blocks: list[Block] = [
            Note("The head does not choose one class, so there are no confusions."),
            examples,
        ]
        return report_section(TITLE, _DESCRIPTION, blocks)
    names = class_names(eval_split)
    labels = eval_split.labels[known]
    predicted = eval_split.predictions[eval_split.head][known].argmax(axis=1)
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (labels, predicted), 1)
    groups = None if eval_split.groups is None else eval_split.groups[known]
    frequent = confusions(labels, predicted, names, groups=groups)
    blocks = [confusion_map(names, counts)]
    if frequent:
        blocks.append(_confusions_table(frequent, dict(zip(names, counts.sum(axis=1).tolist()))))
    blocks.append(examples)
    of_table = slices_of(eval_split, known, predicted == labels, groups)
    blocks.append(slices_block(of_table))
    sentences = (*_confusion_sentence(frequent, counts), *slice_sentence(of_table))
    findings = (*_confusion_finding(frequent, counts), *slice_finding(of_table, len(known)))
    return report_section(TITLE, _DESCRIPTION, blocks, sentences, findings=findings)


def _confusions_table(frequent: Sequence[Confusion], rows_of: dict[str, int]) -> Table:
    rows: list[list[Cell]] = [
        [
            one.truth,
            one.predicted,
            one.n,
            replace(one.share, n=rows_of[one.truth], unit="share of the class"),
        ]
        for one in frequent
    ]
    columns = [
        Column("true class"),
        Column("predicted class"),
        Column("rows", "number", "rows"),
        Column("share of the class", "number"),
    ]
    return Table("Most frequent confusions", columns, rows)


def _confusion_sentence(frequent: Sequence[Confusion], counts: np.ndarray) -> tuple[str, ...]:
    if not frequent:
        return (f"No errors in {counts.sum():,} rows.",)
    one = frequent[0]
    errors = counts.sum() - counts.trace()
    return (
        f"The most frequent confusion: {one.truth} is predicted as {one.predicted}, in {one.n} of "
        f"{errors} errors.",
    )


def _confusion_finding(frequent: Sequence[Confusion], counts: np.ndarray) -> Iterator[Finding]:
    # one row is no pattern
    if frequent and frequent[0].n > 1:
        one, errors = frequent[0], counts.sum() - counts.trace()
        yield Finding(
            f"The most frequent confusion: {one.truth} is predicted as {one.predicted}, in {one.n} "
            f"of {errors} errors.",
            one.n / float(counts.sum()),
        )


def _examples(eval_split: EvalSplit, rows: np.ndarray) -> Examples:
    return Examples(_HIGHEST_LOSS, [example(eval_split, row) for row in rows.tolist()])


def slices_of(
    eval_split: EvalSplit, known: np.ndarray, hits: np.ndarray, groups: np.ndarray | None
) -> list[Slice]:
    """The accuracy by the table's columns and by presence.

    Args:
        eval_split: `EvalSplit`.
        known: int, the rows that have a label.
        hits: bool, which of them are right.
        groups: of them, as in `slices`.
    """
    columns: dict[str, Any] = {
        f"presence of {name}": np.where(eval_split.present[known, index], "present", "missing")
        for index, name in enumerate(eval_split.config.inputs)
    }
    if eval_split.table is not None:
        own = getattr(eval_split.config.heads[eval_split.head], "column", None) or eval_split.head
        columns |= {
            str(name): eval_split.table[name].to_numpy()[known]
            for name in eval_split.table.columns
            if _can_be_sliced(eval_split.table[name], own)
        }
    return slices(columns, hits, groups=groups).slices


def slices_block(found: Sequence[Slice]) -> Block:
    """A table of slices."""
    if not found:
        return Note("No slice of the table has enough rows to be compared with the others.")
    rows: list[list[Cell]] = [
        [
            one.column,
            "empty" if one.value is None else str(one.value),
            replace(one.accuracy, n=one.n, unit="accuracy"),
            one.difference,
            one.adjusted_p,
        ]
        for one in found[:_MAX_SLICES]
    ]
    numbers = ("accuracy", "difference from other rows", "adjusted p")
    columns = [Column("column"), Column("value"), *(Column(name, "number") for name in numbers)]
    return Table("Slices of the table, the most significant difference first", columns, rows)


def _worse(found: Sequence[Slice]) -> list[Slice]:
    return [one for one in found if one.difference < 0 and one.adjusted_p <= _SIGNIFICANT]


def slice_finding(found: Sequence[Slice], rows: int) -> Iterator[Finding]:
    """The slice that costs the most right predictions."""
    worst = min(_worse(found), key=lambda one: one.n * one.difference, default=None)
    if worst is not None:
        value = "empty" if worst.value is None else worst.value
        yield Finding(
            f"Where {worst.column} = {value}, accuracy is {worst.accuracy.shown}, "
            f"{-worst.difference:.3f} below the other rows (n = {worst.n:,}).",
            -worst.n * worst.difference / rows,
        )


def slice_sentence(found: Sequence[Slice]) -> tuple[str, ...]:
    """The slice that is worst, if any is."""
    worse = _worse(found)
    if not worse:
        return ()
    worst = worse[0]
    value = "empty" if worst.value is None else worst.value
    metric = replace(worst.accuracy, n=worst.n, unit="")
    return (
        f"Accuracy is lower where {worst.column} = {value}: {metric}, "
        f"{-worst.difference:.3f} below the other rows.",
    )


def _can_be_sliced(column: "pd.Series[Any]", label: str) -> bool:
    """Whether a column has few values, or numbers or times.

    Not the label, lists, paths and texts that differ in each row, nor numbers with infinities,
    which have no quantiles.
    """
    if (
        column.name == label
        or not column.map(pd.api.types.is_hashable).all()
        or column.isin((np.inf, -np.inf)).any()
    ):
        return False
    return column.dtype.kind in "ifubM" or column.nunique() <= max(10, len(column) // 10)
