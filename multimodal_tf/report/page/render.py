"""A page as one HTML file: style, script, pictures and sounds within, nothing from elsewhere."""

import base64
import hashlib
import importlib.resources
from collections.abc import Mapping

from multimodal_tf.report.page import media
from multimodal_tf.report.page.blocks import (
    Bars,
    Block,
    Example,
    Examples,
    Figures,
    HeatMap,
    Lines,
    Note,
    Page,
    Picture,
    Section,
    Sound,
    Table,
)
from multimodal_tf.report.page.charts import bars_element, heat_map_element, lines_element
from multimodal_tf.report.page.markup import Element, add, element, words, written
from multimodal_tf.report.page.tables import figure_elements, table_element

# in this order: the last one changes what the others say
_STYLES = ("style.css", "blocks.css", "charts.css", "print.css")
# characters of a text that are shown of an example; the data beside the page hold it whole
_LONGEST = 300


def html(page: Page, files: Mapping[tuple[int, int], str]) -> str:
    """The whole document.

    Args:
        page: `Page`.
        files: by section and block, counted from 0, the file beside the page in which the block's
        data lie, as a relative address.

    Returns:
        str. Its content security policy allows its own style and script, by their digests, and no
        address but `data:`.
    """
    style, script = "".join(_resource(name) for name in _STYLES), _resource("script.js")
    return "<!DOCTYPE html>\n" + written(
        element("html", _head(page, style, script), _body(page, files, script), lang="en")
    )


def _resource(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _head(page: Page, style: str, script: str) -> Element:
    policy = [
        "default-src 'none'",
        "img-src data:",
        "media-src data:",
        f"style-src 'sha256-{_digest(style)}'",
        f"script-src 'sha256-{_digest(script)}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content="; ".join(policy)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", page.title),
        element("style", style),
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _body(page: Page, files: Mapping[tuple[int, int], str], script: str) -> Element:
    entries = [
        element("li", element("a", words(section.title), href=f"#section-{place}"))
        for place, section in enumerate(page.sections)
    ]
    summary = element(
        "section",
        element("h2", "Summary", id="summary"),
        element("ul", *(words(each, "li") for each in page.summary)),
    )
    summary.set("class", "summary")
    made = [
        element("div", words(name, "dt"), words(value, "dd")) for name, value in page.made.items()
    ]
    return element(
        "body",
        element("header", words(page.title, "h1")),
        element("nav", element("h2", "Contents"), element("ol", *entries), aria_label="Contents"),
        element(
            "main",
            summary,
            *(_section(section, place, files) for place, section in enumerate(page.sections)),
        ),
        element(
            "footer",
            element("h2", "Made with"),
            element("dl", *made),
            element("p", element("a", "All data as JSON", href="report.json")),
        ),
        element("script", script),
    )


def _section(section: Section, place: int, files: Mapping[tuple[int, int], str]) -> Element:
    identity = f"section-{place}"
    head = [
        words(section.title, "h2", id=f"{identity}-title"),
        words(section.reading, "p", class_="reading"),
    ]
    blocks = [
        _block(block, files.get((place, number)), f"{identity}-{number}")
        for number, block in enumerate(section.blocks)
    ]
    return element(
        "section",
        *head,
        element("div", *blocks, class_="blocks"),
        id=identity,
        aria_labelledby=f"{identity}-title",
    )


def _block(block: Block, file: str | None, identity: str) -> Element:
    link = (
        element("a", "CSV", href=file, class_="file", aria_label=f"Data as CSV, {file}")
        if file
        else element("span")
    )
    match block:
        case Note():
            return words(block.text, "p", class_="note")
        case Figures():
            return _figures(block, link)
        case Table():
            return table_element(block, link, identity)
        case Bars():
            return bars_element(block, link)
        case Lines():
            return lines_element(block, link, identity)
        case HeatMap():
            return heat_map_element(block, link, identity)
        case Examples():
            cards = [
                _example(each, f"{identity}-{number}") for number, each in enumerate(block.examples)
            ]
            return element(
                "div",
                element("h3", words(block.title), " ", link),
                element("ul", *cards, class_="cards"),
                class_="examples",
            )


def _figures(block: Figures, link: Element) -> Element:
    entries = [
        element(
            "div",
            words(name, "dt"),
            element(
                "dd", *figure_elements(figure, {"unit": figure.unit, "n": figure.n}), _below(figure)
            ),
        )
        for name, figure in block.figures.items()
    ]
    return element(
        "div",
        element("h3", words(block.title), " ", link),
        element("dl", *entries),
        class_="figures",
    )


def _below(figure) -> Element:
    return element("small", f"n = {figure.n:,}, ", words(figure.unit))


def _example(example: Example, identity: str) -> Element:
    agree = example.truth == example.predicted
    classes = [
        element("div", element("dt", "true"), words(example.truth, "dd")),
        element(
            "div",
            element("dt", "predicted"),
            words(example.predicted, "dd"),
            class_="right" if agree else "wrong",
        ),
        *(
            element("div", words(name, "dt"), words(value, "dd"))
            for name, value in example.facts.items()
        ),
    ]
    cells = [_example_cell(name, cell) for name, cell in example.cells.items()]
    heading = words(example.name, "h4", id=identity)
    return element(
        "li", element("article", heading, *cells, element("dl", *classes), aria_labelledby=identity)
    )


def _example_cell(name: str, cell: Picture | Sound | str | None) -> Element:
    """A cell under the name of its column."""
    made = element("div", words(name, class_="column"), class_="cell")
    match cell:
        case None | "":
            add(made, element("p", "nothing there", class_="absent"))
        case Picture():
            add(made, _picture(name, cell))
        case Sound():
            add(made, _sound(name, cell))
        case _:
            add(made, words(cell if len(cell) <= _LONGEST else f"{cell[:_LONGEST]} …", "p"))
    return made


def _picture(name: str, cell: Picture) -> Element:
    small = media.thumbnail(cell.data)
    if small is None:
        return element("p", "a picture that cannot be shown", class_="absent")
    source, width, height = small
    return element("img", src=source, width=width, height=height, alt=name)


def _sound(name: str, cell: Sound) -> Element:
    found = media.clip(cell.data)
    if found is None:
        return element("p", "a sound that cannot be played", class_="absent")
    source, seconds, whole = found
    player = element("audio", src=source, controls="", preload="metadata", aria_label=name)
    length = (
        f"{whole:.1f} s"
        if whole <= seconds + 0.05
        else f"the first {seconds:.1f} s of {whole:.1f} s"
    )
    return element("div", player, element("small", length))
