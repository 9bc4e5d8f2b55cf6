"""A page as one HTML file, from Jinja2 templates; style, script, images and clips are inside it."""

import base64
import functools
import hashlib
import importlib.resources
import re
from collections.abc import Mapping
from typing import Any, assert_never

import jinja2
from markupsafe import Markup

from multimodal_tf.report.page import media
from multimodal_tf.report.page.blocks import (
    AudioClip,
    Bars,
    Block,
    Examples,
    HeatMap,
    Image,
    Lines,
    Metrics,
    Note,
    Page,
    Table,
)
from multimodal_tf.report.page.charts import bars_view, heat_map_view, lines_view
from multimodal_tf.report.page.tables import interval_and_rest, table_view

# in this order: later ones override earlier ones
_STYLES = ("style.css", "blocks.css", "charts.css", "print.css")
# characters of a text shown in an example; the data beside the page have all of it
_LONGEST = 300
_NEVER_IN_HTML = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def html(page: Page, files: Mapping[tuple[int, int], str]) -> str:
    """The whole document.

    Args:
        page: `Page`.
        files: by section and block, counted from 0, the relative address of the block's data.

    Returns:
        str. Its content security policy allows its own style and script, by their digests, and no
        address but `data:`.
    """
    style, script = "".join(_resource(name) for name in _STYLES), _resource("script.js")
    blocks = [
        [
            block_html(block, files.get((index, number)), f"section-{index}-{number}")
            for number, block in enumerate(section.blocks)
        ]
        for index, section in enumerate(page.sections)
    ]
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            page=page,
            identities={each.title: f"section-{at}" for at, each in enumerate(page.sections)},
            blocks=blocks,
            style=Markup(style),
            script=Markup(script),
            style_digest=_digest(style),
            script_digest=_digest(script),
        )
    )


def block_html(block: Block, file: str | None, identity: str) -> Markup:
    """One block.

    Args:
        block: `Block`.
        file: relative address of its data as CSV, or None.
        identity: its `id`, unique on the page.
    """
    template, view = _template_and_view(block)
    made = (
        _environment()
        .get_template(template)
        .render(block=block, view=view, file=file, identity=identity)
    )
    return Markup(made)


def clean(value: Any) -> Any:
    """Text with U+FFFD for the characters that HTML cannot hold, such as NUL and lone surrogates.

    Other values and markup of the templates are returned unchanged.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _NEVER_IN_HTML.sub("\ufffd", value.replace("\r\n", "\n"))


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("multimodal_tf.report.page"),
        autoescape=True,
        finalize=clean,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "interval_and_rest": interval_and_rest,
        "thumbnail": media.thumbnail,
        "clip": media.clip,
        "longest": _LONGEST,
    }
    environment.tests |= {
        "image": lambda cell: isinstance(cell, Image),
        "audio_clip": lambda cell: isinstance(cell, AudioClip),
    }
    return environment


def _template_and_view(block: Block) -> tuple[str, Any]:
    match block:
        case Note():
            return "note.html.jinja", None
        case Metrics():
            return "metrics.html.jinja", None
        case Table():
            return "table.html.jinja", table_view(block)
        case Bars():
            return "bars.html.jinja", bars_view(block)
        case Lines():
            return "lines.html.jinja", lines_view(block)
        case HeatMap():
            return "heat_map.html.jinja", heat_map_view(block)
        case Examples():
            return "examples.html.jinja", None
        case _:
            assert_never(block)


def _resource(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
