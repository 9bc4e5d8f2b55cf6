"""What all commands share: the application, its consoles, and common arguments and options."""

import contextlib
import importlib.metadata
import pathlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

if TYPE_CHECKING:
    from multimodal_tf.data.table import Table

app = typer.Typer(
    help="From a table of images, texts and sounds to a served Keras model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# in a file or pipe, a path is not wrapped
console = Console(soft_wrap=not sys.stdout.isatty())
error_console = Console(stderr=True, soft_wrap=True)


def _print_version(asked: bool) -> None:
    if asked:
        try:
            version = importlib.metadata.version("multimodal_tf")
        except importlib.metadata.PackageNotFoundError:
            version = "not installed: it is used from its source tree"
        console.print(version, highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[  # noqa: ARG001
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version, and end."
        ),
    ] = False,
) -> None:
    pass


TablePath = Annotated[
    pathlib.Path,
    typer.Argument(
        metavar="TABLE",
        help="CSV, TSV, JSON, JSON Lines, Parquet, Excel or SQLite file, or a folder with a folder"
        " of files per class.",
    ),
]
IngestedTable = Annotated[
    pathlib.Path | None,
    typer.Option(metavar="TABLE", help="The ingested table: for its other columns and groups."),
]
Root = Annotated[
    pathlib.Path | None,
    typer.Option(help="Folder that relative paths in the table start from. (default: its own)"),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        help="Of a table of text, such as cp1252 or utf-16. (default: found where it is sure)"
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        help="Of CSV and TSV, such as ';' or tab. (default: the one that divides all lines alike)"
    ),
]
ConfigPath = Annotated[
    pathlib.Path,
    typer.Argument(metavar="CONFIG", help="Configuration, YAML or JSON, as of `describe`."),
]
Records = Annotated[
    str,
    typer.Argument(
        metavar="RECORDS",
        help="Folder that `ingest` wrote, or an address such as gs://bucket/records.",
    ),
]
RunDir = Annotated[pathlib.Path, typer.Argument(metavar="RUN", help="Folder that `train` wrote.")]
Cache = Annotated[
    bool,
    typer.Option(
        "--cache/--no-cache",
        help="Compute outputs of frozen towers once for each cell, and keep them by the records.",
    ),
]
Split = Annotated[str, typer.Option(help="train, validation or test.")]
Group = Annotated[
    str | None,
    typer.Option(
        help="Column whose values are never divided, such as a patient."
        " (default: the configuration's split.group)"
    ),
]


def verbosity() -> Literal[1, 2]:
    """Keras' progress bar on a terminal, a line per epoch elsewhere."""
    return 1 if sys.stdout.isatty() else 2


@contextlib.contextmanager
def stop_explained() -> Iterator[None]:
    """Ends a command whose training a signal stopped, with the sentence on how to go on."""
    from multimodal_tf.training.interrupt import TrainingStopped

    try:
        yield
    except TrainingStopped as stopped:
        error_console.print(f"\n{stopped}", markup=False, highlight=False)
        sys.exit(128 + stopped.signal)


def open_table(
    table: pathlib.Path,
    root: pathlib.Path | None,
    encoding: str | None,
    delimiter: str | None,
) -> "Table":
    """Opens a table, and says how it is read where that is not plain."""
    from multimodal_tf.data.table import read_table

    found = read_table(table, root=root, encoding=encoding, delimiter=delimiter)
    if found.note:
        error_console.print(f"note: {found.name}: {found.note}", markup=False)
    return found


def read_optional(
    table: pathlib.Path | None,
    root: pathlib.Path | None,
    encoding: str | None,
    delimiter: str | None,
) -> "Table | None":
    """Opens a table that an option may name."""
    return None if table is None else open_table(table, root, encoding, delimiter)
