"""The commands that compare configurations and runs."""

import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from multimodal_tf.cli.app import (
    Cache,
    ConfigPath,
    Delimiter,
    Encoding,
    Group,
    IngestedTable,
    Root,
    Split,
    TablePath,
    app,
    console,
    error_console,
    open_table,
    read_optional,
    stop_explained,
)
from multimodal_tf.cli.evaluation import load_model

if TYPE_CHECKING:
    from multimodal_tf.config import Config

_CrossValidationOut = Annotated[
    pathlib.Path,
    typer.Option("--out", "-o", help="Folder for the runs, the predictions and metrics.json."),
]
_Folds = Annotated[int, typer.Option(help="Number of folds.")]
_Repeats = Annotated[int, typer.Option(help="Repetitions, each with other folds.")]
_Against = Annotated[
    pathlib.Path | None,
    typer.Option(metavar="CONFIG", help="Configuration to compare with on the same folds."),
]
_Seed = Annotated[int, typer.Option(min=0, help="Seed of the folds.")]
_Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN RUN ... RECORDS",
        help="Folders that `train` or `export` wrote, and the one that `ingest` wrote.",
    ),
]
_ReportOut = Annotated[
    pathlib.Path, typer.Option("--out", "-o", help="Folder for the page and its data.")
]


@app.command("cross-validate")
def cross_validate(
    config: ConfigPath,
    table: TablePath,
    out: _CrossValidationOut,
    folds: _Folds = 5,
    repeats: _Repeats = 1,
    group: Group = None,
    against: _Against = None,
    seed: _Seed = 0,
    root: Root = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    cache: Cache = True,
) -> None:
    """Cross-validate a configuration, and compare it with another one. Run it again to resume."""
    from multimodal_tf.config import Config
    from multimodal_tf.data import atomic
    from multimodal_tf.evaluation import cv_metrics
    from multimodal_tf.training import cross_validation

    configs = {out: Config.load(config)}
    if against is not None:
        configs[out / "against"] = Config.load(against)
    _check_heads(*configs.values())
    rows = open_table(table, root, encoding, delimiter)
    if len(configs) == 2:
        # before hours of training
        dealt = [
            cross_validation.assign_folds(one, rows, path, folds, repeats, group, seed, True)
            for path, one in configs.items()
        ]
        cv_metrics.check_same_folds(*dealt)
    found = []
    for path, one in configs.items():
        with stop_explained():
            found.append(
                cross_validation.cross_validate(
                    one, rows, path, folds, repeats, group, seed, progress=True, cache=cache
                )
            )
        metrics = cv_metrics.cross_validation_metrics(found[-1])
        atomic.write_text(path / "metrics.json", metrics.model_dump_json(indent=1))
        console.print(metrics.render())
        console.print(
            f"Metrics: {path / 'metrics.json'}."
            f" Predictions of each repetition: {path / cross_validation.PREDICTIONS}"
        )
    if len(found) == 2:
        console.print(cv_metrics.render(cv_metrics.compare(*found)))
        console.print("p is not corrected for several metrics: choose the decisive one beforehand.")


def _check_heads(first: "Config", *others: "Config") -> None:
    """Refuses configurations that have no head in common that learns."""
    from multimodal_tf.config.heads import with_loss

    wanted = with_loss(first.heads)
    for other in others:
        heads = with_loss(other.heads)
        both = [name for name in wanted if name in heads]
        if not both:
            raise ValueError(
                f"--against must have a head in common with CONFIG, {sorted(wanted)},"
                f" received {sorted(heads)}"
            )
        for name in both:
            if heads[name].type != wanted[name].type:
                raise ValueError(
                    f"--against: the head {name!r} must be of type {wanted[name].type},"
                    f" received {heads[name].type}"
                )


@app.command()
def compare(
    paths: _Paths,
    out: _ReportOut,
    split: Split = "test",
    table: IngestedTable = None,
    group: Group = None,
    root: Root = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
) -> None:
    """Compare two or more runs on the same rows, with intervals of their differences: one page."""
    from multimodal_tf.data.manifest import Manifest
    from multimodal_tf.report.compare import compare as compare_runs

    run_dirs, records = [pathlib.Path(path) for path in paths[:-1]], paths[-1]
    if len(set(run_dirs)) < 2 or len(set(run_dirs)) < len(run_dirs):
        raise ValueError(
            f"compare takes two or more different RUNs and then RECORDS, received {' '.join(paths)}"
        )
    manifest = Manifest.load(records)
    models = {str(path): load_model(path) for path in run_dirs}
    for name, run in models.items():
        if not isinstance(run, pathlib.Path) and run.record.data.hash != manifest.hash:
            error_console.print(
                f"note: {name} was trained on other records than {records}:"
                " it may have seen rows of this split",
                markup=False,
            )
    source = read_optional(table, root, encoding, delimiter)
    written = compare_runs(models, records, out, split, source, group)
    for sentence in written.page.summary:
        console.print(f"- {sentence}", markup=False, highlight=False)
    console.print(f"Report: {out / 'index.html'}")
