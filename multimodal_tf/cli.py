"""The command line: each command calls the public functions that a notebook calls, and says where the outcome lies.

The functions are imported inside the commands because TensorFlow takes seconds to import, and `--help` must not wait for it.
"""

import json
import os
import pathlib
import shlex
import shutil
import socket
import sys
from typing import Annotated, Literal

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
    records: Annotated[str, typer.Option("--out", "-o", help="Folder for the records, or an address such as gs://bucket/records.")],
    processes: Annotated[int | None, typer.Option(min=1, help="Worker processes. (default: one per core)")] = None,
    root: Root = None,
    runner: Annotated[
        str | None, typer.Option(help="Apache Beam runner: DirectRunner, Flink, Spark, Dataflow. (default: this machine, without Beam)")
    ] = None,
    beam_options: Annotated[
        list[str] | None, typer.Option("--beam-option", help="NAME=VALUE, such as flink_master=host:8081; may be repeated.")
    ] = None,
):
    """Check every cell and write the rows as sharded records; killed and started again, it goes on."""
    from multimodal_tf.config import Config
    from multimodal_tf.data.ingest import ingest as ingest_table
    from multimodal_tf.data.table import read_table

    beam = _given_beam(runner, beam_options or [])
    manifest = ingest_table(read_table(table, root=root), Config.load(config), records, processes=processes, progress=True, beam=beam)
    out.print(f"{manifest.kept} of {manifest.table_rows} rows in {records}; {manifest.rejected} rejections in {records}/rejected.csv")


@app.command()
def train(
    run: Annotated[pathlib.Path, typer.Option("--out", "-o", help="Folder for the model, its configuration and the logs.")],
    records: Annotated[
        str, typer.Argument(help="What `ingest` wrote. (default with --repeat: what that run read)", show_default=False)
    ] = "",
    config: Annotated[pathlib.Path | None, typer.Option("--config", "-c", help="(default: the one given to `ingest`)")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the configuration's training.epochs.")] = None,
    repeat: Annotated[pathlib.Path | None, typer.Option(help="run.json of a run to train again, with its settings and threads.")] = None,
):
    """Train the model that the configuration describes; killed and started again, it goes on."""
    if repeat is not None:
        if config is not None or epochs is not None:
            raise ValueError("--repeat takes the configuration of its run, so --config and --epochs must be absent")
        _as_then(repeat)
    elif not records:
        raise ValueError("train needs RECORDS, what `ingest` wrote, or --repeat with the run.json of an earlier run")

    from multimodal_tf.config import Config
    from multimodal_tf.data.ingest import schema_for
    from multimodal_tf.data.places import place
    from multimodal_tf.training.fit import fit
    from multimodal_tf.training.repeat import compare, prepare

    if repeat is not None:
        records, settings = prepare(repeat, records or None, run)
    else:
        settings = Config.load(config or place(records) / "config.yaml")
    if epochs is not None:
        settings.training.epochs = epochs
    trained = fit(settings, schema_for(records, settings), records, run, verbose=_verbose())
    if repeat is not None:
        out.print(compare(repeat, trained), markup=False)
    out.print(
        f"Model: {run / 'model.keras'}. Figures and settings: {run / 'run.json'}. Learning curves: tensorboard --logdir {run / 'logs'}"
    )


@app.command()
def tune(
    space: Annotated[pathlib.Path, typer.Argument(help="A configuration, YAML or JSON, in which fields are choices or ranges.")],
    records: Annotated[str, typer.Argument(help="What `ingest` wrote.")],
    search: Annotated[pathlib.Path, typer.Option("--out", "-o", help="Folder for the best configuration, the trials and pictures.")],
    objective: Annotated[str, typer.Option(help="val_loss, or val_HEAD_METRIC such as val_label_accuracy.")] = "val_loss",
    trials: Annotated[int | None, typer.Option(min=1, help="(default: 30; hyperband decides itself)")] = None,
    tuner: Annotated[Literal["random", "bayesian", "hyperband"], typer.Option(help="Keras Tuner's.")] = "bayesian",
    folds: Annotated[
        int | None, typer.Option(min=2, help="Judge by the mean over so many folds of the training and validation rows.")
    ] = None,
    table: Annotated[pathlib.Path | None, typer.Option(help="What was ingested: for folds by a column that no head reads.")] = None,
    group: Annotated[
        str | None, typer.Option(help="Column whose values stay in one fold each. (default: the configuration's split.group)")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that try configurations at the same time.")] = 1,
    listen: Annotated[
        str,
        typer.Option(help="HOST[:PORT] for workers of other hosts: unencrypted gRPC without a password, for trusted networks only."),
    ] = "127.0.0.1",
    chief: Annotated[str | None, typer.Option(help="HOST:PORT of the search on another host that these workers work for.")] = None,
    root: Root = None,
):
    """Search for the configuration that does best; killed and started again, it goes on."""
    from multimodal_tf.config.space import Space
    from multimodal_tf.data.table import read_table
    from multimodal_tf.training.tune import tune as tune_space
    from multimodal_tf.training.tune.processes import listening, loopback

    host, port = listening(listen)
    if chief is None and not loopback(host):
        listen = f"{host}:{port}"
        err.print(f"On other hosts, with the same folders: {_for_other_hosts(host, port)}", markup=False)
    found = tune_space(
        Space.load(space),
        records,
        search,
        objective,
        trials,
        tuner,
        folds=folds,
        table=None if table is None else read_table(table, root=root),
        group=group,
        workers=workers,
        listen=listen,
        chief=chief,
        progress=True,
    )
    if found is None:
        out.print(f"The search has ended; its host writes {search}.")
        return
    config = shlex.quote(str(search / "best.yaml"))
    out.print(f"{objective} {found.score:.4g}" + ("" if folds is None else f", {found.spread:.2g} over folds") + f": {config}")
    out.print(f"Trials: {search / 'trials.csv'}, pictures beside. Next: multimodal-tf train {records} --config {config} --out RUN")


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
def launch(
    command: Annotated[list[str], typer.Argument(help="After `--`: a program and its arguments, such as `python train.py`.")],
    workers: Annotated[int, typer.Option(min=1, help="How many, on this machine.")] = 2,
    restarts: Annotated[int, typer.Option(min=0, help="How often all are started again, at most, when one dies.")] = 3,
    logs: Annotated[pathlib.Path, typer.Option(help="Folder for what each worker prints.")] = pathlib.Path("runs/launch"),
    hosts: Annotated[
        str | None, typer.Option(help="HOST:PORT,HOST:PORT,... one for each worker: only print what to run on each, the chief first.")
    ] = None,
):
    """Run a program on several workers of TensorFlow: `multimodal-tf launch --workers 2 -- python train.py`."""
    from multimodal_tf.training.launch import commands_by_host
    from multimodal_tf.training.launch import launch as launch_workers

    ours = {known.name or known.callback.__name__ for known in app.registered_commands if known.callback}
    if command[0] in ours:
        raise ValueError(f"launch takes a program that trains in the scope of `strategy_of('multi_worker')`, received {command[0]!r}")
    if hosts is None:
        launch_workers(command, workers, logs, restarts)
        out.print(f"All {workers} workers have ended well. What they printed: {logs}")
        return
    for host, line in commands_by_host(command, hosts.split(",")).items():
        out.print(f"On {host.rpartition(':')[0]}, with the same files:\n  {line}", markup=False, highlight=False)


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


def _given_beam(runner, options):
    if runner is None and options:
        raise ValueError(f"--beam-option needs --runner, received {options[0]!r} without it")
    return None if runner is None else [f"--runner={runner}", *(f"--{option.lstrip('-')}" for option in options)]


def _as_then(record):
    """Sets what TensorFlow reads when it is imported as it was in the run of a `run.json`."""
    try:
        machine = json.loads(record.read_text(encoding="utf-8"))["machine"]
    except (ValueError, KeyError) as error:
        raise ValueError(f"{record} is not the record of a run") from error
    os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)
    if machine["onednn"]:
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = machine["onednn"]


def _for_other_hosts(host, port):
    """This very command, for workers of a chief here."""
    words = [word for place, word in enumerate(sys.argv[1:]) if not word.startswith("--listen") and sys.argv[place] != "--listen"]
    reached = socket.gethostname() if host in ("0.0.0.0", "::") else host
    return shlex.join(["multimodal-tf", *words, "--chief", f"{reached}:{port}"])


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
