"""Blocks as tables: what a reader sorts, what lies beside the page as CSV, and what stands for a
chart where it cannot be seen.
"""

import numbers
from collections.abc import Iterable

from multimodal_tf.report.page.blocks import (
    Bars,
    Block,
    Cell,
    Column,
    Example,
    Examples,
    Figure,
    Figures,
    HeatMap,
    Lines,
    Note,
    Table,
)
from multimodal_tf.report.page.markup import Element, element, words


def as_table(block: Block) -> Table | None:
    """The data of a block as a table; None for a note.

    Example:
        >>> as_table(Bars("Shares", {"photo": Figure(0.4, 12, "share")})).rows
        [['photo', Figure(value=0.4, n=12, unit='share', low=None, high=None, digits=3, reason='')]]
    """
    match block:
        case Note():
            return None
        case Table():
            return block
        case Figures():
            return _of_figures(block.title, block.figures)
        case Bars():
            return _of_figures(block.title, block.bars)
        case Lines():
            return _of_lines(block)
        case HeatMap():
            columns = [
                Column(block.row_title),
                *(Column(name, "number", block.unit) for name in block.columns),
            ]
            return Table(
                block.title,
                columns,
                [[name, *values] for name, values in zip(block.rows, block.values)],
            )
        case Examples():
            return _of_examples(block)


def table_element(table: Table, link: Element | None, identity: str) -> Element:
    """A table whose headings sort it, in a box in which it can be moved sideways.

    Args:
        table: `Table`.
        link: to its CSV, or None.
        identity: the `id` of its caption, unique on the page.
    """
    shared = [shared_by(_figures_in(table, place)) for place in range(len(table.columns))]
    head = element(
        "tr", *(_heading(column, common) for column, common in zip(table.columns, shared))
    )
    body = [
        element("tr", *(_cell(*each) for each in zip(table.columns, row, shared)))
        for row in table.rows
    ]
    caption = element("caption", element("div", words(table.title), " ", link, id=identity))
    whole = element(
        "table", caption, element("thead", head), element("tbody", *body), class_="sortable"
    )
    return element(
        "div", whole, class_="scroll", tabindex=0, role="region", aria_labelledby=identity
    )


def shared_by(figures: Iterable[Figure]) -> dict[str, object]:
    """The unit and n that all figures have in common: said once for all of them; what they do not
    share is said with each.

    Example:
        >>> shared_by([Figure(0.4, 12, "share"), Figure(0.6, 9, "share")])
        {'unit': 'share'}
    """
    figures = list(figures)
    found = {name: {getattr(figure, name) for figure in figures} for name in ("unit", "n")}
    return {name: values.pop() for name, values in found.items() if len(values) == 1}


def unit_and_n(of: dict[str, object]) -> str:
    """What `shared_by` found, as it is shown."""
    n = [f"n = {of['n']:,}"] if "n" in of else []
    return ", ".join([*([str(of["unit"])] if "unit" in of else []), *n])


def figure_elements(figure: Figure, shared: dict[str, object]) -> list[Element]:
    """A figure's value, its interval, and what of its n and unit is not in `shared`."""
    own = unit_and_n(
        {
            name: value
            for name, value in (("unit", figure.unit), ("n", figure.n))
            if name not in shared
        }
    )
    rest = f" {figure.interval}{', ' if own else ''}{own}"
    return [element("span", figure.shown, class_="value"), element("span", rest, class_="interval")]


def _heading(column: Column, shared: dict[str, object]) -> Element:
    below = column.unit or unit_and_n(shared)
    button = element(
        "button", words(column.name), element("small", below) if below else None, type="button"
    )
    return element("th", button, scope="col", class_=column.kind, aria_sort="none")


def _cell(column: Column, cell: Cell, shared: dict[str, object]) -> Element:
    if isinstance(cell, Figure):
        return element("td", *figure_elements(cell, shared), class_="number", data_sort=cell.value)
    if isinstance(cell, numbers.Real):
        shown = (
            f"{cell:,}"
            if isinstance(cell, numbers.Integral)
            else f"{float(cell):,.{column.digits}f}"
        )
        return element("td", shown, class_="number", data_sort=cell)
    return element("td", str(cell or ""), class_=column.kind, dir="auto")


def _figures_in(table: Table, place: int) -> list[Figure]:
    return [cell for row in table.rows if isinstance(cell := row[place], Figure)]


def _of_figures(title, figures):
    return Table(
        title,
        [Column("name"), Column("value", "number")],
        [[name, figure] for name, figure in figures.items()],
    )


def _of_lines(block: Lines) -> Table:
    """A row a point, the lines one after the other."""
    rows: list[list[Cell]] = [
        [line.name, float(x), figure]
        for line in block.lines
        for x, figure in zip(line.x, line.figures)
    ]
    digits = 0 if all(float(x).is_integer() for line in block.lines for x in line.x) else 3
    return Table(
        block.title,
        [Column("line"), Column(block.x, "number", digits=digits), Column("value", "number")],
        rows,
    )


def _of_examples(block: Examples) -> Table:
    """Without pictures and sounds, which have no place in a table of text."""
    cells = list(
        dict.fromkeys(
            name
            for each in block.examples
            for name, cell in each.cells.items()
            if isinstance(cell, str)
        )
    )
    facts = list(dict.fromkeys(name for each in block.examples for name in each.facts))

    def row(example: Example) -> list[Cell]:
        texts = [
            cell if isinstance(cell := example.cells.get(name), str) else None for name in cells
        ]
        return [
            example.name,
            example.truth,
            example.predicted,
            *texts,
            *(example.facts.get(name) for name in facts),
        ]

    names = ["row", "true", "predicted", *cells, *facts]
    return Table(
        block.title, [Column(name) for name in names], [row(each) for each in block.examples]
    )
