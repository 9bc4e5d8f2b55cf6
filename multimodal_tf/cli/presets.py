"""The command of pretrained networks."""

import pathlib
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from multimodal_tf.cli.app import app, console

if TYPE_CHECKING:
    from multimodal_tf.data.presets.find import Presets

_Folder = Annotated[
    pathlib.Path | None,
    typer.Argument(
        metavar="[FOLDER]",
        help="Folder of preset folders, such as `describe --presets` takes."
        " (default: $MULTIMODAL_TF_PRESETS)",
    ),
]
_Fetch = Annotated[
    bool,
    typer.Option("--fetch", help="Fetch what is proposed and missing from Kaggle into FOLDER."),
]
_Only = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Fetch this preset only; may be repeated."),
]
_Timeout = Annotated[
    float, typer.Option(min=1, help="Seconds that the hub may send nothing before it is given up.")
]


@app.command()
def presets(
    folder: _Folder = None, fetch: _Fetch = False, only: _Only = None, timeout: _Timeout = 60
) -> None:
    """List pretrained networks that `describe` proposes, fetch them, check those in a folder."""
    from multimodal_tf.data.describe.render import WholeRows
    from multimodal_tf.data.presets.find import find_presets
    from multimodal_tf.data.presets.folder import check_preset

    there = find_presets(folder, empty=fetch)
    if fetch:
        _fetch(there, only or [], timeout)
    elif only:
        raise ValueError("--only needs --fetch, received it alone")
    for preset in [*there.found]:
        try:
            check_preset(preset)
        except ValueError as error:
            there.found.remove(preset)
            there.faults.append(str(error))
    console.print(WholeRows(_table(there)))
    console.print(f"Looked in {' and '.join(there.looked)}.", markup=False, highlight=False)
    if there.faults:
        raise ValueError("; ".join(there.faults))


def _fetch(there: "Presets", only: list[str], timeout: float) -> None:
    from multimodal_tf.data.presets.fetch import fetch_preset
    from multimodal_tf.data.presets.proposed import PROPOSED

    if there.folder is None:
        raise ValueError("--fetch needs a FOLDER to fetch into, received none")
    missing = {one.name: one.megabytes for one in PROPOSED if not there.of(one)}
    for name in only or missing:
        size = f", {missing[name]} MB" if name in missing else ""
        console.print(f"Fetching {name}{size} ...", highlight=False)
        preset = fetch_preset(name, there.folder, timeout)
        if preset not in there.found:
            there.found.append(preset)


def _table(there: "Presets") -> Table:
    """A row for each proposed preset, or for each of its kind that is there."""
    from multimodal_tf.data.presets.folder import weights_digest
    from multimodal_tf.data.presets.proposed import PROPOSED

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("reads", "preset", "MB", "SHA-256", "where"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "MB" else "left")
    for proposal in PROPOSED:
        rows = [
            (one.name, round(one.bytes / 1e6), weights_digest(one.folder)[:12], str(one.folder))
            for one in there.of(proposal)
        ]
        for row in rows or [(proposal.name, proposal.megabytes, "", "not found")]:
            table.add_row(*(Text(str(cell)) for cell in (proposal.reads, *row)))
    return table
