"""The commands that evaluate a trained model."""

import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from multimodal_tf.cli.app import (
    Cache,
    Delimiter,
    Encoding,
    Root,
    Split,
    app,
    console,
    open_table,
    read_optional,
)

if TYPE_CHECKING:
    from multimodal_tf.data.table import Table
    from multimodal_tf.training.run_dir import Run

_MetricsOut = Annotated[
    pathlib.Path | None, typer.Option("--out", "-o", help="JSON file for the metrics.")
]
_Page = Annotated[
    pathlib.Path | None, typer.Option(help="Folder for a page of the metrics and its data.")
]
_Model = Annotated[
    pathlib.Path,
    typer.Argument(
        metavar="MODEL", help="Folder that `train` wrote, or a SavedModel that `export` wrote."
    ),
]
_RecordsOrTable = Annotated[
    str,
    typer.Argument(
        metavar="RECORDS|TABLE",
        help="Folder that `ingest` wrote, or any table with the labels, of which all rows count.",
    ),
]
_ReportOut = Annotated[
    pathlib.Path, typer.Option("--out", "-o", help="Folder for the page and its data.")
]
_Head = Annotated[
    str | None, typer.Option(help="Head to examine. (default: the first with a label)")
]
_Unimodal = Annotated[
    list[str] | None,
    typer.Option(
        metavar="INPUT=MODEL", help="Model trained with this input only; may be repeated."
    ),
]
_Baseline = Annotated[
    pathlib.Path | None, typer.Option(help="Model that robustness is compared with.")
]
_Table = Annotated[
    pathlib.Path | None,
    typer.Option(metavar="TABLE", help="The ingested table. (default: where ingest found it)"),
]
_Rows = Annotated[int, typer.Option(min=2, help="Rows of the split, at most.")]
_Corrupted = Annotated[int, typer.Option(min=2, help="Rows for each corruption, at most.")]


@app.command()
def evaluate(
    model: _Model,
    records: _RecordsOrTable,
    split: Split = "test",
    out: _MetricsOut = None,
    table: _Table = None,
    root: Root = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    cache: Cache = True,
    page: _Page = None,
) -> None:
    """Metrics of a trained model on one split or on any table, with confidence intervals."""
    from multimodal_tf.evaluation.evaluate import evaluate as evaluate_model
    from multimodal_tf.report.evaluation_page import save_evaluation_page
    from multimodal_tf.report.page import check_out

    if page is not None:
        check_out(page)
    rows, source = _rows(records, table, root, encoding, delimiter)
    evaluation = evaluate_model(
        load_model(model), records=rows, split=split, table=source, cache=cache
    )
    console.print(evaluation.render())
    if out is not None:
        evaluation.save(out)
        console.print(f"Metrics: {out}")
    if page is not None:
        save_evaluation_page(evaluation, page)
        console.print(f"Page: {page / 'index.html'}")


@app.command()
def report(
    model: _Model,
    records: _RecordsOrTable,
    out: _ReportOut,
    split: Split = "test",
    head: _Head = None,
    unimodal: _Unimodal = None,
    baseline: _Baseline = None,
    table: _Table = None,
    root: Root = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    rows: _Rows = 2000,
    corrupted: _Corrupted = 500,
) -> None:
    """Model report, one page: contributions of inputs, robustness, errors, calibration and more."""
    from multimodal_tf.report.model import model_report

    of_rows, source = _rows(records, table, root, encoding, delimiter)
    written = model_report(
        load_model(model),
        of_rows,
        out,
        split=split,
        head=head,
        table=source,
        unimodal={name: load_model(path) for name, path in map(_input_and_path, unimodal or [])},
        baseline=None if baseline is None else load_model(baseline),
        rows=rows,
        corrupted=corrupted,
        progress=True,
    )
    for tile in written.page.tiles:
        console.print(f"{tile}", markup=False, highlight=False)
    for sentence in written.page.summary:
        console.print(f"- {sentence}", markup=False, highlight=False)
    console.print(f"Report: {out / 'index.html'}")


def _rows(
    records: str,
    table: pathlib.Path | None,
    root: pathlib.Path | None,
    encoding: str | None,
    delimiter: str | None,
) -> "tuple[str | Table, Table | None]":
    """Records and the table that was ingested, or the table to evaluate and None."""
    from multimodal_tf.data.ingest.whole_table import is_table

    if not is_table(records):
        return records, read_optional(table, root, encoding, delimiter)
    if table is not None:
        raise ValueError(f"--table is of RECORDS, received it with the table {records}")
    return open_table(pathlib.Path(records), root, encoding, delimiter), None


def load_model(path: pathlib.Path) -> "Run | pathlib.Path":
    """A run from its folder; the path itself where it is the folder of a SavedModel."""
    from multimodal_tf.training.run_dir import RECORD, load_run

    return load_run(path) if (path / RECORD).is_file() else path


def _input_and_path(pair: str) -> tuple[str, pathlib.Path]:
    name, equals, path = pair.partition("=")
    if not equals or not path:
        raise ValueError(f"--unimodal takes INPUT=MODEL, received {pair!r}")
    return name, pathlib.Path(path)
