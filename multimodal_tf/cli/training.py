"""The commands that train."""

import os
import pathlib
import shlex
import socket
import sys
from collections.abc import Mapping
from typing import Annotated, Literal

import typer

from multimodal_tf.cli.app import (
    Cache,
    Delimiter,
    Encoding,
    Group,
    IngestedTable,
    Records,
    Root,
    app,
    console,
    error_console,
    read_optional,
    stop_explained,
    verbosity,
)
from multimodal_tf.config.json_files import read_object

_RunOut = Annotated[
    pathlib.Path,
    typer.Option("--out", "-o", help="Folder for the model, its configuration and the logs."),
]
_RecordsOrReproduced = Annotated[
    str,
    typer.Argument(
        metavar="[RECORDS]",
        help="Folder that `ingest` wrote. (default with --reproduce: that of the run)",
        show_default=False,
    ),
]
_Config = Annotated[
    pathlib.Path | None,
    typer.Option("--config", "-c", help="(default: the one given to `ingest`)"),
]
_Epochs = Annotated[
    int | None, typer.Option(min=1, help="Overrides the configuration's training.epochs.")
]
_Strategy = Annotated[
    Literal["none", "mirrored", "multi_worker", "tpu"] | None,
    typer.Option(
        help="tf.distribute: one device; all GPUs of this machine; the workers of TF_CONFIG; a TPU."
        " (default: none)"
    ),
]
_Towers = Annotated[
    pathlib.Path | None,
    typer.Option("--from", metavar="RUN", help="Run whose towers to start with; heads are new."),
]
_Teacher = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RUN",
        help="Run or exported SavedModel whose predictions are learned, too; several: their mean."
        " The configuration's `teacher` sets the rest.",
        show_default=False,
    ),
]
_Reproduce = Annotated[
    pathlib.Path | None,
    typer.Option(
        metavar="RUN.json", help="run.json of a run to reproduce, with its settings and threads."
    ),
]
_Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a finished run in the folder.")
]
_Space = Annotated[
    pathlib.Path,
    typer.Argument(help="Configuration, YAML or JSON, in which fields are choices or ranges."),
]
_SearchOut = Annotated[
    pathlib.Path,
    typer.Option("--out", "-o", help="Folder for the best configuration, trials and plots."),
]
_Objective = Annotated[
    str, typer.Option(help="val_loss, or val_HEAD_METRIC such as val_label_accuracy.")
]
_Trials = Annotated[int | None, typer.Option(min=1, help="(default: 30; hyperband takes none)")]
_Tuner = Annotated[Literal["random", "bayesian", "hyperband"], typer.Option(help="Keras Tuner's.")]
_Folds = Annotated[
    int | None,
    typer.Option(min=2, help="Mean over this many folds of training and validation rows."),
]
_SearchWorkers = Annotated[int, typer.Option(min=1, help="Processes that run trials in parallel.")]
_Listen = Annotated[
    str,
    typer.Option(
        metavar="HOST[:PORT]",
        help="Address for workers on other hosts: unencrypted gRPC without a password,"
        " for trusted networks only.",
    ),
]
_Chief = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Chief on another host that these workers serve."),
]
_Command = Annotated[
    list[str],
    typer.Argument(help="After `--`: `train` and its arguments, or a program and its arguments."),
]
_Workers = Annotated[int, typer.Option(min=1, help="Workers on this machine.")]
_Restarts = Annotated[
    int, typer.Option(min=0, help="How often all workers are restarted, at most, if one dies.")
]
_Logs = Annotated[pathlib.Path, typer.Option(help="Folder for the output of each worker.")]
_Hosts = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT,...",
        help="One address per worker, the chief first: only print what to run on each host.",
    ),
]


@app.command()
def train(
    out: _RunOut,
    records: _RecordsOrReproduced = "",
    config: _Config = None,
    epochs: _Epochs = None,
    strategy: _Strategy = None,
    towers: _Towers = None,
    teacher: _Teacher = None,
    reproduce: _Reproduce = None,
    cache: Cache = True,
    overwrite: _Overwrite = False,
) -> None:
    """Train the configured model. Run it again to resume."""
    if reproduce is not None:
        _check_reproduced(config, epochs, strategy, towers, teacher)
        _set_environment(reproduce)
    elif not records:
        raise ValueError(
            "train needs RECORDS, which `ingest` wrote, or --reproduce with the run.json of an"
            " earlier run"
        )

    from multimodal_tf.config import Config
    from multimodal_tf.data.filesystem import to_path
    from multimodal_tf.data.ingest.schema_cache import schema_for
    from multimodal_tf.data.manifest import Manifest
    from multimodal_tf.training.distribute import is_chief, strategy_of
    from multimodal_tf.training.fit import fit
    from multimodal_tf.training.peft import replace_heads
    from multimodal_tf.training.reproduce import compare_metrics, prepare
    from multimodal_tf.training.run_dir import check_unfinished, load_record, load_run

    check_unfinished(out, overwrite)
    if reproduce is not None:
        records, settings = prepare(reproduce, records or None, out)
        strategy = load_record(reproduce).strategy
    name = strategy or "none"
    # workers must connect before TensorFlow is used
    distribution = strategy_of(name)
    if reproduce is None:
        # says what is missing in a folder that holds no records
        Manifest.load(records)
        settings = Config.load(config or to_path(records) / "config.yaml")
    if epochs is not None:
        settings.training.epochs = epochs
    if teacher is not None:
        settings = settings.taught_by(teacher)
    schema, model = schema_for(settings, records), None
    if towers is not None:
        with distribution.scope():
            model, schema = replace_heads(settings, schema, load_run(towers))
    verbose = verbosity() if is_chief(distribution) else 0
    with stop_explained():
        given = settings, schema, records, out, (), verbose, model, name, cache
        run = fit(*given, overwrite=overwrite)
    if reproduce is not None:
        console.print(compare_metrics(reproduce, run), markup=False)
    _print_result(out, run.record.sparsity)


def _print_result(out: pathlib.Path, sparsity: Mapping[str, float] | None) -> None:
    if sparsity:
        zeros = ", ".join(f"{name} {share:.1%}" for name, share in sparsity.items())
        console.print(f"Zeros: {zeros}", markup=False)
    console.print(
        f"Model: {out / 'model.keras'}. Metrics and settings: {out / 'run.json'}."
        f" Learning curves: tensorboard --logdir {out / 'logs'}"
    )


def _check_reproduced(*settings: object) -> None:
    if any(one is not None for one in settings):
        raise ValueError(
            "--reproduce takes the settings of its run, so --config, --epochs, --strategy,"
            " --from and --teacher must not be given"
        )


@app.command()
def tune(
    space: _Space,
    records: Records,
    out: _SearchOut,
    objective: _Objective = "val_loss",
    trials: _Trials = None,
    tuner: _Tuner = "bayesian",
    folds: _Folds = None,
    table: IngestedTable = None,
    group: Group = None,
    workers: _SearchWorkers = 1,
    listen: _Listen = "127.0.0.1",
    chief: _Chief = None,
    root: Root = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    cache: Cache = True,
) -> None:
    """Search for the best configuration. Run it again to resume."""
    from multimodal_tf.config.search_space import Space
    from multimodal_tf.training.tune import tune as tune_space
    from multimodal_tf.training.tune.processes import is_loopback, listen_address

    host, port = listen_address(listen)
    if chief is None and not is_loopback(host):
        listen = f"{host}:{port}"
        error_console.print(
            f"On other hosts, with the same folders: {_for_other_hosts(host, port)}", markup=False
        )
    search = tune_space(
        Space.load(space),
        records,
        out,
        objective,
        trials,
        tuner,
        folds=folds,
        table=read_optional(table, root, encoding, delimiter),
        group=group,
        workers=workers,
        listen=listen,
        chief=chief,
        progress=True,
        cache=cache,
    )
    if search is None:
        console.print(f"The search has ended; its host writes {out}.")
        return
    best = shlex.quote(str(out / "best.yaml"))
    spread = "" if folds is None else f", {search.std:.2g} over folds"
    console.print(f"{objective} {search.score:.4g}{spread}: {best}")
    console.print(
        f"Trials: {out / 'trials.csv'}, with plots."
        f" Next: multimodal-tf train {records} --config {best} --out RUN"
    )


@app.command()
def launch(
    command: _Command,
    workers: _Workers = 2,
    restarts: _Restarts = 3,
    logs: _Logs = pathlib.Path("runs/launch"),
    hosts: _Hosts = None,
) -> None:
    """Train on several workers: `multimodal-tf launch --workers 2 -- train RECORDS --out RUN`."""
    from multimodal_tf.training.launch import commands_by_host
    from multimodal_tf.training.launch import launch as launch_workers

    if command[0] == "train":
        program = ["multimodal-tf"] if hosts else [sys.executable, "-m", "multimodal_tf.cli"]
        command = [*program, *command, "--strategy", "multi_worker"]
    if hosts is None:
        launch_workers(command, workers, logs, restarts)
        console.print(f"All {workers} workers have ended without an error. Their output: {logs}")
        return
    for host, line in commands_by_host(command, hosts.split(",")).items():
        console.print(
            f"On {host.rpartition(':')[0]}, with the same files:\n  {line}",
            markup=False,
            highlight=False,
        )


def _set_environment(path: pathlib.Path) -> None:
    """Sets what TensorFlow reads when it is imported as in the run of a `run.json`."""
    machine = read_object(path, "the record of a run").get("machine")
    onednn = machine.get("onednn", "") if isinstance(machine, dict) else ""
    os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)
    if isinstance(onednn, str) and onednn:
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = onednn


def _for_other_hosts(host: str, port: int) -> str:
    """This command for workers on other hosts, which a chief here waits for."""
    words = [
        word
        for index, word in enumerate(sys.argv[1:])
        if not word.startswith("--listen") and sys.argv[index] != "--listen"
    ]
    reached = socket.gethostname() if host in ("0.0.0.0", "::") else host
    return shlex.join(["multimodal-tf", *words, "--chief", f"{reached}:{port}"])
