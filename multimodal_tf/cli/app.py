"""The command line's frame: what all commands share."""

import pathlib
import sys
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    help="From a table of images, texts and sounds to a served Keras model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# in a file or pipe, a path stays in one piece
out = Console(soft_wrap=not sys.stdout.isatty())
err = Console(stderr=True, soft_wrap=True)

Table = Annotated[
    pathlib.Path,
    typer.Argument(
        help="CSV, TSV, JSON Lines or Parquet file, or a folder with one folder of files per class."
    ),
]
Records = Annotated[
    str,
    typer.Argument(
        help="What `ingest` wrote: a folder, or an address such as gs://bucket/records."
    ),
]
Run = Annotated[pathlib.Path, typer.Argument(help="What `train` wrote.")]
Root = Annotated[
    pathlib.Path | None,
    typer.Option(help="Folder that the table's paths start from. (default: the table's own)"),
]


def verbose():
    """Keras' progress bar on a terminal, a line an epoch elsewhere."""
    return 1 if sys.stdout.isatty() else 2
