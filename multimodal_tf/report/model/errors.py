"""Where does the model err? Confusions, the worst rows to look at and listen to, and slices of the
table.
"""

import numpy as np
import pandas as pd

from multimodal_tf.evaluation.eval_split import EvalSplit, Told
from multimodal_tf.evaluation.row_scores import ACCURACY, unit_of, values
from multimodal_tf.evaluation.slices import confusions, slices, worst_rows
from multimodal_tf.metrics import calibration
from multimodal_tf.report.model.contributions import page_figure
from multimodal_tf.report.page import (
    Block,
    Column,
    Example,
    Examples,
    Figure,
    HeatMap,
    Note,
    Picture,
    Section,
    Sound,
    Table,
)

TITLE = "Where it errs"
# rows that are shown
WORST = 8
# of the heat map, at most
_CLASSES = 30
# lines of the table, at most
_SLICES = 30
# adjusted p up to which a slice is called different
_SURE = 0.05
_READING = "Which classes are taken for which, the rows with the highest loss, and the parts of the table on which it is right less often."


def errors_section(eval_split: EvalSplit, resamples: int, seed: int) -> Told:
    """Confusions, worst rows, and slices by the table's columns and by which inputs are there.

    Args:
        examined: `EvalSplit`.
        resamples, seed: unused here, as the intervals of shares are exact (Clopper and Pearson).

    Returns:
        `Told`; for a head that does not choose one class, without confusions and slices; one Note
        where fewer than two rows have a label.
    """
    known = np.flatnonzero(eval_split.known)
    if len(known) < 2:
        return Told(
            Section(
                TITLE,
                _READING,
                [Note(f"Errors need two rows with a label, received {len(known)}.")],
            )
        )
    if unit_of(eval_split.config, eval_split.head) != ACCURACY:
        loss = -values(eval_split, eval_split.predictions)[known]
        worst = known[worst_rows(loss, WORST)]
        return Told(
            Section(
                TITLE,
                _READING,
                [
                    Note("The head does not choose one class, so there are no confusions."),
                    _worst(eval_split, worst),
                ],
            )
        )
    names = class_names(eval_split)
    labels, probabilities = eval_split.labels[known], eval_split.predictions[eval_split.head][known]
    said = probabilities.argmax(axis=1)
    table = np.zeros((len(names), len(names)), int)
    np.add.at(table, (labels, said), 1)
    blocks: list[Block] = []
    blocks.append(_heat_map(names, table))
    groups = None if eval_split.groups is None else eval_split.groups[known]
    frequent = confusions(labels, said, names, groups=groups)
    if frequent:
        rows: list[list] = [
            [
                one.truth,
                one.predicted,
                one.n,
                page_figure(
                    one.share, int(table[names.index(one.truth)].sum()), "share of the class"
                ),
            ]
            for one in frequent
        ]
        columns = [
            Column("true class"),
            Column("taken for"),
            Column("rows", "number", "rows"),
            Column("share of the class", "number"),
        ]
        blocks.append(Table("Most frequent confusions", columns, rows))
    worst = known[worst_rows(calibration.log_losses(labels, probabilities), WORST)]
    blocks.append(_worst(eval_split, worst))
    sliced, sentence = _sliced(eval_split, known, said == labels, groups)
    blocks.append(sliced)
    return Told(Section(TITLE, _READING, blocks), (*_most(frequent, table), *sentence))


def class_names(eval_split: EvalSplit) -> list[str]:
    """Of the head that is examined; none where it answers numbers."""
    return list(getattr(eval_split.schema.heads[eval_split.head], "names", []))


def _heat_map(names, table):
    """Of many classes, those that take part in the most errors."""
    title, chosen = "Confusion", np.arange(len(names))
    if len(names) > _CLASSES:
        wrong = table.sum(axis=0) + table.sum(axis=1) - 2 * np.diag(table)
        chosen = np.sort(np.argsort(-wrong, kind="stable")[:_CLASSES])
        title = (
            f"Confusion of the {_CLASSES} of {len(names)} classes that take part in the most errors"
        )
    shown = [names[place] for place in chosen]
    return HeatMap(
        title,
        shown,
        shown,
        table[np.ix_(chosen, chosen)].tolist(),
        "true class",
        "answer",
        "rows",
        by_row=True,
    )


def _most(frequent, table):
    if not frequent:
        return (f"It errs in none of {table.sum():,} rows.",)
    one = frequent[0]
    return (
        f"The most frequent confusion: {one.truth} is taken for {one.predicted}, in {one.n} of {table.sum() - table.trace()} errors.",
    )


def _worst(eval_split, rows):
    return Examples(
        "The rows with the highest loss", [example(eval_split, row) for row in rows.tolist()]
    )


def example(eval_split: EvalSplit, row: int, facts: dict[str, str] | None = None) -> Example:
    """A row of the split as one of the page's: its cells, what is so, and what the model says."""
    cells = {
        name: _cell(part.type, eval_split.raw[name][row], eval_split.present[row, place])
        for place, (name, part) in _inputs(eval_split)
    }
    truth, said, more = _told(eval_split, row)
    return Example(f"row {eval_split.rows[row]}", cells, truth, said, more | (facts or {}))


def _inputs(eval_split):
    return enumerate(eval_split.config.inputs.items())


def _cell(kind, cell, present):
    """A cell for the page; None where it is missing or cannot be read."""
    if not present:
        return None
    if kind == "image":
        return Picture(cell)
    if kind == "video":
        return Picture(next(frame for frame in cell if frame))
    if kind == "audio":
        return Sound(cell)
    return cell.decode(errors="replace") if isinstance(cell, bytes) else f"{cell:g}"


def _told(eval_split, row):
    """What is so and what the model says, as words, and its confidence."""
    answer, label, known = (
        eval_split.predictions[eval_split.head][row],
        eval_split.labels[row],
        eval_split.known[row],
    )
    kind = eval_split.config.heads[eval_split.head]
    if kind.target_type == "class":
        names = class_names(eval_split)
        facts = {"probability": f"{answer.max():.2f}"} | (
            {"of the true class": f"{answer[label]:.2f}"} if known else {}
        )
        return names[label] if known else "unknown", names[int(answer.argmax())], facts
    if kind.target_type == "classes":
        every = np.array(class_names(eval_split))
        truth, said = (
            ", ".join(every[chosen]) or "none"
            for chosen in (np.asarray(label) >= 0.5, answer >= 0.5)
        )
        return truth if known else "unknown", said, {}
    middle = answer[getattr(kind, "middle", 0)]
    return f"{float(np.ravel(label)[0]):g}" if known else "unknown", f"{middle:g}", {}


def _sliced(eval_split, known, hits, groups) -> tuple[Block, tuple[str, ...]]:
    columns = {
        f"presence of {name}": np.where(eval_split.present[known, place], "there", "absent")
        for place, (name, _) in _inputs(eval_split)
    }
    if eval_split.table is not None:
        own = eval_split.config.heads[eval_split.head].column or eval_split.head
        columns |= {
            str(name): eval_split.table[name].to_numpy()[known]
            for name in eval_split.table.columns
            if _can_be_sliced(eval_split.table[name], own)
        }
    found = slices(columns, hits, groups=groups)
    rows: list[list] = [
        [
            one.column,
            "empty" if one.value is None else str(one.value),
            page_figure(one.accuracy, one.n, "accuracy"),
            one.difference,
            one.adjusted_p,
        ]
        for one in found.slices[:_SLICES]
    ]
    title = "Slices of the table, the surest difference first"
    kinds = [
        Column("column"),
        Column("value"),
        Column("accuracy", "number"),
        Column("less that of other rows", "number"),
        Column("adjusted p", "number"),
    ]
    if not rows:
        return Note("No slice of the table has enough rows to be compared with the others."), ()
    suffering = [one for one in found.slices if one.difference < 0 and one.adjusted_p <= _SURE]
    if not suffering:
        return Table(title, kinds, rows), ()
    worst = suffering[0]
    figure = Figure(
        worst.accuracy.value, worst.n, "accuracy", worst.accuracy.low, worst.accuracy.high
    )
    where = f"where {worst.column} = {'empty' if worst.value is None else worst.value}"
    return Table(title, kinds, rows), (
        f"It is right less often {where}: {figure}, {-worst.difference:.3f} less than elsewhere.",
    )


def _can_be_sliced(column, label):
    """Columns of few values, of numbers or of times; not the label, paths and texts that differ in
    each row, lists, nor numbers of which some are infinite, as these have no quantiles."""
    if (
        column.name == label
        or not column.map(pd.api.types.is_hashable).all()
        or column.isin((np.inf, -np.inf)).any()
    ):
        return False
    return column.dtype.kind in "ifubM" or column.nunique() <= max(10, len(column) // 10)
