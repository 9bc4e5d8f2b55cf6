"""The command line: each command calls the public functions that a notebook calls, and says where the outcome lies.

The functions are imported inside the commands because TensorFlow takes seconds to import, and `--help` must not wait for it.
"""

import os
import pathlib
import shlex
import shutil
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
out = Console(soft_wrap=not sys.stdout.isatty())  # in a file or pipe, a path stays in one piece
err = Console(stderr=True, soft_wrap=True)

Table = Annotated[
    pathlib.Path, typer.Argument(help="CSV, TSV, JSON Lines or Parquet file, or a folder with one folder of files per class.")
]
Records = Annotated[pathlib.Path, typer.Argument(help="What `ingest` wrote.")]
Run = Annotated[pathlib.Path, typer.Argument(help="What `train` wrote.")]
Root = Annotated[pathlib.Path | None, typer.Option(help="Folder that the table's paths start from. (default: the table's own)")]


@app.command()
def describe(
    table: Table,
    config: Annotated[pathlib.Path | None, typer.Option("--out", "-o", help="Write the configuration here, as YAML to edit.")] = None,
    label: Annotated[str | None, typer.Option(help="Column to predict. (default: the one called label, class or target)")] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="COLUMN=TYPE, where the guess is wrong; may be repeated.")] = None,
    root: Root = None,
):
    """Look at a table: each column's type, gaps, sizes and rejected cells, and the configuration that follows."""
    from multimodal_tf.data.infer import describe as describe_table
    from multimodal_tf.data.table import read_table

    description = describe_table(read_table(table, root=root), types=_given_types(types or []), label=label)
    out.print(description.render())
    if config is None:
        out.print("Write the configuration with --out CONFIG.yaml.")
        return
    description.config().save(config)
    out.print(
        f"Configuration: {config}. Next: multimodal-tf ingest {shlex.quote(str(table))} --config {shlex.quote(str(config))} --out RECORDS"
    )


@app.command()
def ingest(
    table: Table,
    config: Annotated[pathlib.Path, typer.Option("--config", "-c", help="Configuration, YAML or JSON, as `describe` writes it.")],
    records: Annotated[pathlib.Path, typer.Option("--out", "-o", help="Folder for the records.")],
    processes: Annotated[int | None, typer.Option(min=1, help="Worker processes. (default: one per core)")] = None,
    root: Root = None,
):
    """Check every cell and write the rows as sharded records; killed and started again, it goes on."""
    from multimodal_tf.config import Config
    from multimodal_tf.data.ingest import ingest as ingest_table
    from multimodal_tf.data.table import read_table

    manifest = ingest_table(read_table(table, root=root), Config.load(config), records, processes=processes, progress=True)
    out.print(f"{manifest.kept} of {manifest.table_rows} rows in {records}; {manifest.rejected} rejections in {records / 'rejected.csv'}")


@app.command()
def train(
    records: Records,
    run: Annotated[pathlib.Path, typer.Option("--out", "-o", help="Folder for the model, its configuration and the logs.")],
    config: Annotated[pathlib.Path | None, typer.Option("--config", "-c", help="(default: the one given to `ingest`)")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the configuration's training.epochs.")] = None,
):
    """Train the model that the configuration describes."""
    from multimodal_tf.config import Config
    from multimodal_tf.data.ingest import schema_for
    from multimodal_tf.training.fit import fit

    settings = Config.load(config or records / "config.yaml")
    if epochs is not None:
        settings.training.epochs = epochs
    fit(settings, schema_for(records, settings), records, run, verbose=_verbose())
    out.print(
        f"Model: {run / 'model.keras'}. Figures and settings: {run / 'run.json'}. Learning curves: tensorboard --logdir {run / 'logs'}"
    )


@app.command()
def evaluate(
    run: Run,
    records: Records,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    file: Annotated[pathlib.Path | None, typer.Option("--out", "-o", help="Write the figures here, as JSON.")] = None,
):
    """Figures of a trained model on one split, with intervals."""
    from multimodal_tf.evaluation.report import evaluate as evaluate_model
    from multimodal_tf.training.run import load_run

    trained = load_run(run)
    evaluation = evaluate_model(trained.model.predict, records, trained.config, trained.schema, split=split)
    out.print(evaluation.render())
    if file is not None:
        evaluation.save(file)
        out.print(f"Figures: {file}")


@app.command()
def export(
    run: Run,
    path: Annotated[pathlib.Path, typer.Argument(help="NAME/VERSION folder to make, such as saved_models/stamps/1.")],
):
    """Write one SavedModel that takes raw bytes and strings, for TensorFlow Serving."""
    from multimodal_tf.models.build import explanations
    from multimodal_tf.serving.export import export_model
    from multimodal_tf.training.run import load_run

    trained = load_run(run)
    export_model(trained.model, trained.config, trained.schema, path, explanations(trained.model))
    out.print(
        f"SavedModel: {path}. Serve it: tensorflow_model_server --model_name={path.parent.name} --model_base_path={path.parent.resolve()}"
    )


@app.command()
def predict(
    saved_model: Annotated[pathlib.Path, typer.Argument(help="What `export` wrote.")],
    table: Table,
    predictions: Annotated[pathlib.Path, typer.Option("--out", "-o", help="A .csv or .parquet file to write.")],
    root: Root = None,
):
    """Predict every row of a table with an exported model."""
    from multimodal_tf.data.table import read_table
    from multimodal_tf.serving.client import Client, predict_table

    for note in predict_table(Client(saved_model), read_table(table, root=root), predictions, progress=True):
        err.print(f"note: {note}", markup=False)
    out.print(f"Predictions: {predictions}")


@app.command()
def demo(
    directory: Annotated[pathlib.Path, typer.Option("--out", "-o", help="Folder for records, run and figures.")] = pathlib.Path(
        "runs/digits"
    ),
    saved_model: Annotated[pathlib.Path, typer.Option(help="NAME/VERSION folder for the exported model.")] = pathlib.Path(
        "saved_models/digits/1"
    ),
):
    """The main job on the embedded digits: ingest, train, evaluate, export, and classify three raw rows."""
    from multimodal_tf.data.datasets.digits import digits_config, digits_table
    from multimodal_tf.data.ingest import ingest as ingest_table
    from multimodal_tf.evaluation.report import evaluate as evaluate_model
    from multimodal_tf.models.build import explanations
    from multimodal_tf.schema import Schema
    from multimodal_tf.serving.client import Client
    from multimodal_tf.serving.export import export_model
    from multimodal_tf.serving.skew import skew
    from multimodal_tf.training.fit import fit

    records, run = directory / "records", directory / "run"
    table, config = digits_table(), digits_config()
    out.rule("1 of 5: ingest")
    manifest = ingest_table(table, config, records, progress=True)
    out.print(f"{manifest.kept} of {manifest.table_rows} rows, {manifest.rejected} rejections")
    out.rule("2 of 5: train")
    schema = Schema.load(records / "schema.json")
    trained = fit(config, schema, records, run, verbose=_verbose())
    out.rule("3 of 5: evaluate on the test split")
    evaluation = evaluate_model(trained.model.predict, records, config, schema)
    evaluation.save(run / "evaluation.json")
    out.print(evaluation.render())
    out.rule("4 of 5: export")
    if saved_model.exists():
        out.print(f"{saved_model} of an earlier demo is replaced.")
        shutil.rmtree(saved_model)
    export_model(trained.model, config, schema, saved_model, explanations(trained.model))
    difference = skew(trained.model, saved_model, records, config, schema)["label"]
    out.print(f"Largest difference of a probability, model on the pipeline and SavedModel on raw bytes, all test rows: {difference:.1e}")
    out.rule("5 of 5: the exported model classifies three raw rows")
    rows = next(table.chunks()).query("split == 'test'").sample(3, random_state=config.seed)
    served = Client(saved_model).predict(rows)
    served.insert(0, "true label", list(rows["label"]))
    out.print(served.drop(columns="label_probabilities").to_string(index=False), markup=False)
    for what, where in (
        ("Records, rejected cells, schema", records),
        ("Model, configuration, run.json, curves", run),
        ("Figures of the test split", run / "evaluation.json"),
        ("SavedModel for TensorFlow Serving", saved_model),
    ):
        out.print(f"{what + ':':40} {where}", highlight=False)


def _given_types(pairs):
    types = {}
    for pair in pairs:
        column, equals, kind = pair.rpartition("=")
        if not equals or not column:
            raise ValueError(f"--type takes COLUMN=TYPE, received {pair!r}")
        types[column] = kind
    return types


def _verbose():
    """Keras' progress bar on a terminal, a line an epoch elsewhere."""
    return 1 if sys.stdout.isatty() else 2


def main():
    """Entry point: what the user can put right is one sentence and exit code 1; wrong usage is 2, as typer has it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        app()
    except (ValueError, OSError) as error:
        err.print(f"error: {_sentence(error)}", markup=False, highlight=False)
        sys.exit(1)


def _sentence(error):
    if isinstance(error, OSError) and error.filename is not None:  # as Python words it: «[Errno 2] No such file or directory: ...»
        return f"{error.filename}: {error.strerror}"
    return str(error)


if __name__ == "__main__":
    main()
