"""The commands that judge a trained model."""

import pathlib
from typing import Annotated

import typer

from multimodal_tf.cli.app import Records, Root, Run, app, out


@app.command()
def evaluate(
    run: Run,
    records: Records,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    file: Annotated[
        pathlib.Path | None, typer.Option("--out", "-o", help="Write the figures here, as JSON.")
    ] = None,
):
    """Figures of a trained model on one split, with intervals."""
    from multimodal_tf.evaluation.evaluate import evaluate as evaluate_model
    from multimodal_tf.training.run_dir import load_run

    trained = load_run(run)
    evaluation = evaluate_model(
        trained.model.predict, trained.config, trained.schema, records, split=split
    )
    out.print(evaluation.render())
    if file is not None:
        evaluation.save(file)
        out.print(f"Figures: {file}")


@app.command("report")
def report_command(
    model: Annotated[
        pathlib.Path,
        typer.Argument(help="What `train` wrote, or a SavedModel that `export` wrote."),
    ],
    records: Records,
    page: Annotated[
        pathlib.Path, typer.Option("--out", "-o", help="Folder for the page and its data.")
    ],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    head: Annotated[
        str | None, typer.Option(help="Which one. (default: the first with a label)")
    ] = None,
    alone: Annotated[
        list[str] | None,
        typer.Option(help="INPUT=MODEL, a model trained with this input only; may be repeated."),
    ] = None,
    baseline: Annotated[
        pathlib.Path | None, typer.Option(help="A model to compare robustness with.")
    ] = None,
    table: Annotated[
        pathlib.Path | None,
        typer.Option(help="What was ingested. (default: where ingest found it)"),
    ] = None,
    root: Root = None,
    rows: Annotated[int, typer.Option(min=2, help="Rows of the split, at most.")] = 2000,
    damaged: Annotated[int, typer.Option(min=2, help="Rows for each corruption, at most.")] = 500,
):
    """Write a model report: contributions, robustness, alignment, calibration, errors."""
    from multimodal_tf.data.table import read_table
    from multimodal_tf.report.model import model_report

    found = model_report(
        _model(model),
        records,
        page,
        split=split,
        head=head,
        table=None if table is None else read_table(table, root=root),
        alone={name: _model(pathlib.Path(path)) for name, path in map(_named, alone or [])},
        baseline=None if baseline is None else _model(baseline),
        rows=rows,
        damaged=damaged,
        progress=True,
    )
    for sentence in found.page.summary:
        out.print(f"- {sentence}", markup=False, highlight=False)
    out.print(f"Report: {page / 'index.html'}")


def _model(path):
    """A run, or the folder of a SavedModel."""
    from multimodal_tf.training.run_dir import RECORD, load_run

    return load_run(path) if (path / RECORD).is_file() else path


def _named(pair):
    name, equals, path = pair.partition("=")
    if not equals or not path:
        raise ValueError(f"--alone takes INPUT=MODEL, received {pair!r}")
    return name, path
