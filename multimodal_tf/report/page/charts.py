"""Charts as SVG and HTML that take the page's colours and type, in light, dark and print, and any
width.

Positions are in percent of the drawing, sizes of type and marks in pixels: nothing is stretched or
shrunk on a narrow screen.
"""

import itertools
from collections.abc import Iterable

from matplotlib.ticker import MaxNLocator

from multimodal_tf.report.page.blocks import Bars, Figure, HeatMap, Line, Lines
from multimodal_tf.report.page.markup import Element, element, words
from multimodal_tf.report.page.tables import (
    as_table,
    figure_elements,
    shared_by,
    table_element,
    unit_and_n,
)

# as many as style.css has; together they tell 28 lines apart
_COLOURS, _DASHES = 7, 4
# shades of a heat map, as many as style.css has
_LEVELS = 8
_MOST_TICKS = 6
# on one line; a denser one is a curve without marks, and its figures stand in the table under it
_MOST_MARKS = 40
# units along each side of the inner drawing, which alone is stretched: lines and bands
_BOX = 1000


def bars_element(block: Bars, link: Element) -> Element:
    """Names, figures and bars one under the other: the figures are text, so the chart needs no
    alternative.
    """
    ticks = _ticks([0.0, *_extent(block.bars.values())])
    shared = shared_by(block.bars.values())
    rows = [
        element(
            "li",
            words(name, class_="name"),
            element("span", *figure_elements(figure, shared)),
            _bar(name, figure, ticks),
        )
        for name, figure in block.bars.items()
    ]
    axis = element("svg", *_numbers_under_bars(ticks), class_="axis", aria_hidden="true")
    return element(
        "figure",
        _caption(block.title, link, unit_and_n(shared)),
        element("ul", *rows, class_="bars"),
        axis,
        class_="chart",
    )


def lines_element(block: Lines, link: Element, identity: str) -> Element:
    """Curves with bands, a legend where there are several, and their figures as a table to be
    opened.
    """
    x, y = _axes(block)
    table = as_table(block)
    assert table is not None  # noqa: S101  for the type checker: only a note has no table
    drawing = element(
        "svg",
        *(
            element(
                "line", x1=0, x2="100%", y1=_percent(100 - at), y2=_percent(100 - at), class_="grid"
            )
            for at in _places(y)
        ),
        *_numbers_on_axes(x, y),
        _curves(block, x, y),
        *(
            mark
            for number, line in enumerate(block.lines)
            for mark in _marks(line, number, x, y, block.x)
        ),
        class_="plot",
        role="img",
        aria_label=_in_words(block),
    )
    shared = shared_by(figure for line in block.lines for figure in line.figures)
    alternative = element(
        "details",
        element("summary", "Figures as a table"),
        table_element(table, None, f"{identity}-table"),
    )
    across = element("p", words(block.x), class_="across")
    return element(
        "figure",
        _caption(block.title, link, unit_and_n(shared)),
        drawing,
        across,
        _legend(block),
        alternative,
        class_="chart",
    )


def heat_map_element(block: HeatMap, link: Element, identity: str) -> Element:
    """A table whose cells are shaded: it can be read, copied and heard as one."""
    upright = "upright" if len(block.columns) > 4 or max(map(len, block.columns)) > 12 else None
    heads = [element("th", words(name), scope="col", class_=upright) for name in block.columns]
    corner = element(
        "td", words(f"{block.column_title} →"), words(f"{block.row_title} ↓"), class_="corner"
    )
    greatest = max(max(row) for row in block.values)
    body = []
    for name, values in zip(block.rows, block.values):
        whole = sum(values) if block.by_row else greatest
        cells = [
            _shaded(block, name, column, value, whole)
            for column, value in zip(block.columns, values)
        ]
        body.append(element("tr", element("th", words(name), scope="row"), *cells))
    shade = (
        f"shade: share of the {block.row_title}"
        if block.by_row
        else f"shade: share of {_short(greatest)}"
    )
    caption = element(
        "caption",
        element(
            "div",
            words(block.title),
            " ",
            link,
            element("small", f"{block.unit}; {shade}"),
            id=identity,
        ),
    )
    table = element(
        "table",
        caption,
        element("thead", element("tr", corner, *heads)),
        element("tbody", *body),
        class_="heat",
    )
    return element(
        "div", table, class_="scroll", tabindex=0, role="region", aria_labelledby=identity
    )


def _caption(title: str, link: Element, below: str) -> Element:
    return element(
        "figcaption", words(title), " ", link, element("small", below) if below else None
    )


def _bar(name: str, figure: Figure, ticks: list[float]) -> Element:
    grid = [
        element("line", x1=_percent(at), x2=_percent(at), y1=0, y2="100%", class_="grid")
        for at in _places(ticks)
    ]
    parts = [element("title", f"{name}: {figure}")]
    if figure.value is not None:
        start, end = sorted((_place(0.0, ticks), _place(figure.value, ticks)))
        parts.append(
            element(
                "rect", x=_percent(start), width=_percent(end - start), y=3, height=10, class_="bar"
            )
        )
    if figure.low is not None and figure.high is not None:
        low, high = _percent(_place(figure.low, ticks)), _percent(_place(figure.high, ticks))
        parts.append(element("line", x1=low, x2=high, y1=8, y2=8, class_="whisker"))
        parts += [
            element("line", x1=at, x2=at, y1=4, y2=12, class_="whisker") for at in (low, high)
        ]
    return element("svg", *grid, element("g", *parts), class_="track", aria_hidden="true")


def _numbers_under_bars(ticks: list[float]) -> list[Element]:
    """The outermost stay within the width of the bars, which have no margin."""
    anchors = ["start", *["middle"] * (len(ticks) - 2), "end"]
    return [
        element("text", f"{tick:g}", x=_percent(at), y=12, text_anchor=anchor)
        for tick, at, anchor in zip(ticks, _places(ticks), anchors)
    ]


def _numbers_on_axes(x: list[float], y: list[float]) -> Iterable[Element]:
    """Below and to the left of the drawing, in its margins."""
    for tick, at in zip(x, _places(x)):
        yield element("text", f"{tick:g}", x=_percent(at), y="100%", dy=18, text_anchor="middle")
    for tick, at in zip(y, _places(y)):
        yield element(
            "text", f"{tick:g}", x=0, y=_percent(100 - at), dx=-8, dy="0.35em", text_anchor="end"
        )


def _axes(block: Lines) -> tuple[list[float], list[float]]:
    """The ticks of both axes; the first and the last are their ends."""
    reference = [block.reference.start, block.reference.end] if block.reference else []
    across = [float(x) for line in block.lines for x in line.x] + [x for x, _ in reference]
    up = _extent(figure for line in block.lines for figure in line.figures) + [
        y for _, y in reference
    ]
    return _ticks(across), _ticks(list(block.span) if block.span else up or [0.0, 1.0])


def _curves(block: Lines, x: list[float], y: list[float]) -> Element:
    """Bands, reference and lines: what may be stretched, cut off at the edges of the drawing."""
    stroke = {"vector_effect": "non-scaling-stroke"}
    # many bands that lie over each other are no darker than three
    faint = f"{min(0.13, 0.4 / max(len(block.lines), 1)):.3f}"
    bands, curves = [], []
    for number, line in enumerate(block.lines):
        for points in _unbroken(line):
            known = [(at, figure) for at, figure in points if figure.low is not None]
            edge = [(at, figure.low) for at, figure in known] + [
                (at, figure.high) for at, figure in reversed(known)
            ]
            bands.append(
                element(
                    "polygon",
                    points=_points(edge, x, y),
                    class_=f"band {_colour(number)}",
                    fill_opacity=faint,
                )
            )
            through = [(at, figure.value) for at, figure in points]
            curves.append(
                element(
                    "polyline",
                    points=_points(through, x, y),
                    class_=f"line {_series(number)}",
                    **stroke,
                )
            )
    if block.reference:
        ends = [block.reference.start, block.reference.end]
        bands.append(
            element("polyline", points=_points(ends, x, y), class_="line reference", **stroke)
        )
    return element(
        "svg",
        *bands,
        *curves,
        viewBox=f"0 0 {_BOX} {_BOX}",
        preserveAspectRatio="none",
        width="100%",
        height="100%",
    )


def _marks(
    line: Line, number: int, x: list[float], y: list[float], across: str
) -> Iterable[Element]:
    """Dots that say their figure when pointed at."""
    if len(line.x) > _MOST_MARKS:
        return
    for at, figure in zip(line.x, line.figures):
        if figure.value is not None and y[0] <= figure.value <= y[-1]:
            title = element("title", f"{line.name}, {across} {at:g}: {figure}")
            place = {"cx": _percent(_place(at, x)), "cy": _percent(100 - _place(figure.value, y))}
            yield element("circle", title, r=3, class_=f"mark {_colour(number)}", **place)


def _legend(block: Lines) -> Element | None:
    if len(block.lines) == 1 and block.reference is None:
        return None
    named = [(line.name, _series(number)) for number, line in enumerate(block.lines)]
    named += [(block.reference.name, "reference")] if block.reference else []
    return element(
        "ul", *(element("li", _swatch(kind), words(name)) for name, kind in named), class_="legend"
    )


def _swatch(kind: str) -> Element:
    return element(
        "svg",
        element("line", x1=0, x2="100%", y1="50%", y2="50%", class_=f"line {kind}"),
        class_="swatch",
        aria_hidden="true",
    )


def _in_words(block: Lines) -> str:
    """Where each curve starts and ends."""
    said = [f"{block.title}: {block.lines[0].figures[0].unit} over {block.x}."]
    for line in block.lines:
        first, last = line.figures[0], line.figures[-1]
        said.append(f"{line.name}: {first.shown} at {line.x[0]:g}, {last.shown} at {line.x[-1]:g}.")
    return " ".join(said)


def _shaded(block: HeatMap, row: str, column: str, value: float, whole: float) -> Element:
    share = value / whole if whole else 0.0
    level = 0 if value == 0 else 1 + min(int(share * (_LEVELS - 1)), _LEVELS - 2)
    of = f", {share:.0%} of the row" if block.by_row else ""
    title = (
        f"{block.row_title} {row}, {block.column_title} {column}: {_short(value)} {block.unit}{of}"
    )
    return element("td", _short(value), class_=f"h{level}", title=title)


def _short(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def _unbroken(line: Line) -> Iterable[list[tuple[float, Figure]]]:
    """The stretches of a line in which every figure has a value."""
    for defined, points in itertools.groupby(
        zip(line.x, line.figures), key=lambda point: point[1].value is not None
    ):
        if defined:
            yield list(points)


def _extent(figures: Iterable[Figure]) -> list[float]:
    """All numbers that the figures need room for."""
    return [
        float(each)
        for figure in figures
        for each in (figure.value, figure.low, figure.high)
        if each is not None
    ]


def _ticks(values: list[float]) -> list[float]:
    """Round numbers at even distances around all `values`."""
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return [
        float(tick)
        for tick in MaxNLocator(_MOST_TICKS - 1, steps=[1, 2, 5, 10]).tick_values(low, high)
    ]


def _place(value: float, ticks: list[float]) -> float:
    """0..100 along an axis."""
    return 100 * (float(value) - ticks[0]) / (ticks[-1] - ticks[0])


def _places(ticks: list[float]) -> list[float]:
    return [_place(tick, ticks) for tick in ticks]


def _points(points, x: list[float], y: list[float]) -> str:
    return " ".join(
        f"{_place(a, x) * _BOX / 100:.1f},{(100 - _place(b, y)) * _BOX / 100:.1f}"
        for a, b in points
    )


def _percent(value: float) -> str:
    return f"{value:.2f}%"


def _colour(number: int) -> str:
    return f"s{number % _COLOURS}"


def _series(number: int) -> str:
    return f"{_colour(number)} d{number % _DASHES}"
