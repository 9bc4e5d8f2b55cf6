"""The commands that train."""

import json
import os
import pathlib
import shlex
import socket
import sys
from typing import Annotated, Literal

import typer

from multimodal_tf.cli.app import Records, Root, app, err, out, verbose


@app.command()
def train(
    run: Annotated[
        pathlib.Path,
        typer.Option("--out", "-o", help="Folder for the model, its configuration and the logs."),
    ],
    records: Annotated[
        str,
        typer.Argument(
            help="What `ingest` wrote. (default with --reproduce: what that run read)",
            show_default=False,
        ),
    ] = "",
    config: Annotated[
        pathlib.Path | None,
        typer.Option("--config", "-c", help="(default: the one given to `ingest`)"),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Instead of the configuration's training.epochs.")
    ] = None,
    strategy: Annotated[
        Literal["none", "mirrored", "multi_worker", "tpu"] | None,
        typer.Option(
            help="How training is spread: one device; all GPUs of this machine; the workers of TF_CONFIG; a TPU. (default: none)"
        ),
    ] = None,
    towers: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--from",
            help="RUN whose towers to begin with, perhaps of another table; heads begin anew.",
        ),
    ] = None,
    reproduce: Annotated[
        pathlib.Path | None,
        typer.Option(help="run.json of a run to train again, with its settings and threads."),
    ] = None,
):
    """Train the model that the configuration describes; killed and started again, it goes on."""
    if reproduce is not None:
        if config is not None or epochs is not None or strategy is not None or towers is not None:
            raise ValueError(
                "--reproduce takes the settings of its run, so --config, --epochs, --strategy and --from "
                "must not be given"
            )
        _set_environment(reproduce)
    elif not records:
        raise ValueError(
            "train needs RECORDS, what `ingest` wrote, or --reproduce with the run.json of an earlier run"
        )

    from multimodal_tf.config import Config
    from multimodal_tf.data.filesystem import to_path
    from multimodal_tf.data.ingest.schema_cache import schema_for
    from multimodal_tf.training.distribute import is_chief, strategy_of
    from multimodal_tf.training.fit import fit
    from multimodal_tf.training.peft import replace_heads
    from multimodal_tf.training.reproduce import compare_metrics, prepare
    from multimodal_tf.training.run_dir import load_record, load_run

    if reproduce is not None:
        records, settings = prepare(reproduce, records or None, run)
        strategy = load_record(reproduce).strategy
    # workers must meet before TensorFlow is used
    spread = strategy_of(strategy or "none")
    if reproduce is None:
        settings = Config.load(config or to_path(records) / "config.yaml")
    if epochs is not None:
        settings.training.epochs = epochs
    schema = schema_for(settings, records)
    model = None
    if towers is not None:
        with spread.scope():
            model, schema = replace_heads(settings, schema, load_run(towers))
    trained = fit(
        settings,
        schema,
        records,
        run,
        verbose=verbose() if is_chief(spread) else 0,
        model=model,
        strategy=strategy or "none",
    )
    if reproduce is not None:
        out.print(compare_metrics(reproduce, trained), markup=False)
    out.print(
        f"Model: {run / 'model.keras'}. Metrics and settings: {run / 'run.json'}. Learning curves: tensorboard --logdir {run / 'logs'}"
    )


@app.command()
def tune(
    space: Annotated[
        pathlib.Path,
        typer.Argument(
            help="A configuration, YAML or JSON, in which fields are choices or ranges."
        ),
    ],
    records: Records,
    search: Annotated[
        pathlib.Path,
        typer.Option(
            "--out", "-o", help="Folder for the best configuration, the trials and pictures."
        ),
    ],
    objective: Annotated[
        str, typer.Option(help="val_loss, or val_HEAD_METRIC such as val_label_accuracy.")
    ] = "val_loss",
    trials: Annotated[
        int | None, typer.Option(min=1, help="(default: 30; hyperband decides itself)")
    ] = None,
    tuner: Annotated[
        Literal["random", "bayesian", "hyperband"], typer.Option(help="Keras Tuner's.")
    ] = "bayesian",
    folds: Annotated[
        int | None,
        typer.Option(
            min=2, help="Judge by the mean over so many folds of the training and validation rows."
        ),
    ] = None,
    table: Annotated[
        pathlib.Path | None,
        typer.Option(help="What was ingested: for folds by a column that no head reads."),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="Column whose values stay in one fold each. (default: the configuration's split.group)"
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that try configurations at the same time.")
    ] = 1,
    listen: Annotated[
        str,
        typer.Option(
            help="HOST[:PORT] for workers of other hosts: unencrypted gRPC without a password, for trusted networks only."
        ),
    ] = "127.0.0.1",
    chief: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of the search on another host that these workers work for."),
    ] = None,
    root: Root = None,
):
    """Search for the configuration that does best; killed and started again, it goes on."""
    from multimodal_tf.config.search_space import Space
    from multimodal_tf.data.table import read_table
    from multimodal_tf.training.tune import tune as tune_space
    from multimodal_tf.training.tune.processes import is_loopback, listen_address

    host, port = listen_address(listen)
    if chief is None and not is_loopback(host):
        listen = f"{host}:{port}"
        err.print(
            f"On other hosts, with the same folders: {_for_other_hosts(host, port)}", markup=False
        )
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
    out.print(
        f"{objective} {found.score:.4g}"
        + ("" if folds is None else f", {found.std:.2g} over folds")
        + f": {config}"
    )
    out.print(
        f"Trials: {search / 'trials.csv'}, pictures beside. Next: multimodal-tf train {records} --config {config} --out RUN"
    )


@app.command()
def launch(
    command: Annotated[
        list[str],
        typer.Argument(help="After `--`: `train` and its arguments, or a program and its own."),
    ],
    workers: Annotated[int, typer.Option(min=1, help="How many, on this machine.")] = 2,
    restarts: Annotated[
        int, typer.Option(min=0, help="How often all are started again, at most, when one dies.")
    ] = 3,
    logs: Annotated[
        pathlib.Path, typer.Option(help="Folder for what each worker prints.")
    ] = pathlib.Path("runs/launch"),
    hosts: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT,HOST:PORT,... one for each worker: only print what to run on each, the chief first."
        ),
    ] = None,
):
    """Train on several workers, watched and started again: `multimodal-tf launch --workers 2 --
    train RECORDS --out RUN`.
    """
    from multimodal_tf.training.launch import commands_by_host
    from multimodal_tf.training.launch import launch as launch_workers

    if command[0] == "train":
        program = ["multimodal-tf"] if hosts else [sys.executable, "-m", "multimodal_tf.cli"]
        command = [*program, *command, "--strategy", "multi_worker"]
    if hosts is None:
        launch_workers(command, workers, logs, restarts)
        out.print(f"All {workers} workers have ended well. What they printed: {logs}")
        return
    for host, line in commands_by_host(command, hosts.split(",")).items():
        out.print(
            f"On {host.rpartition(':')[0]}, with the same files:\n  {line}",
            markup=False,
            highlight=False,
        )


def _set_environment(record):
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
    words = [
        word
        for place, word in enumerate(sys.argv[1:])
        if not word.startswith("--listen") and sys.argv[place] != "--listen"
    ]
    reached = socket.gethostname() if host in ("0.0.0.0", "::") else host
    return shlex.join(["multimodal-tf", *words, "--chief", f"{reached}:{port}"])
