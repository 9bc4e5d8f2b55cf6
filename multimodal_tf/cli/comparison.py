"""The commands that compare configurations and runs."""

import pathlib
from typing import Annotated

import typer

from multimodal_tf.cli.app import Root, Table, app, err, out


@app.command("cross-validate")
def cross_validate(
    config: Annotated[
        pathlib.Path, typer.Argument(help="Configuration, YAML or JSON, as `describe` writes it.")
    ],
    table: Table,
    directory: Annotated[
        pathlib.Path,
        typer.Option(
            "--directory",
            "--out",
            "-o",
            help="Folder for the runs, the predictions and figures.json.",
        ),
    ],
    folds: Annotated[int, typer.Option(help="How many; each is left out of one training.")] = 5,
    repeats: Annotated[int, typer.Option(help="How often the rows are dealt anew.")] = 1,
    group: Annotated[
        str | None,
        typer.Option(
            help="Column whose values stay in one fold each. (default: the configuration's split.group)"
        ),
    ] = None,
    against: Annotated[
        pathlib.Path | None,
        typer.Option(help="Another configuration, to be compared with on the same folds."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds.")] = 0,
    root: Root = None,
):
    """Train on all folds but one, in turns, and judge by the rows left out; killed and started
    again, it goes on.
    """
    from multimodal_tf.config import Config
    from multimodal_tf.data import atomic
    from multimodal_tf.data.table import read_table
    from multimodal_tf.evaluation import cv_metrics
    from multimodal_tf.training.cross_validation import PREDICTIONS, assign_folds
    from multimodal_tf.training.cross_validation import cross_validate as validate

    configs = {directory: Config.load(config)} | (
        {} if against is None else {directory / "against": Config.load(against)}
    )
    _check_heads(*configs.values())
    rows = read_table(table, root=root)
    # hours of training come first otherwise
    if len(configs) == 2:
        cv_metrics.check_same_folds(
            *(
                assign_folds(one, rows, place, folds, repeats, group, seed, progress=True)
                for place, one in configs.items()
            )
        )
    found = []
    for place, one in configs.items():
        found.append(validate(one, rows, place, folds, repeats, group, seed, progress=True))
        judged = cv_metrics.cross_validation_metrics(found[-1])
        atomic.write_text(place / "figures.json", judged.model_dump_json(indent=1))
        out.print(judged.render())
        out.print(
            f"Figures: {place / 'figures.json'}. A line for each row and repetition: {place / PREDICTIONS}"
        )
    if len(found) == 2:
        out.print(cv_metrics.render(cv_metrics.compare(*found)))
        out.print("p is of each figure by itself: choose beforehand the one that decides.")


def _check_heads(first, *others):
    """Refuses configurations without a head with a label in common."""
    from multimodal_tf.config import labelled

    wanted = labelled(first.heads)
    for other in others:
        heads = labelled(other.heads)
        both = [name for name in wanted if name in heads]
        if not both:
            raise ValueError(
                f"--against must have a head in common with CONFIG, {sorted(wanted)}, received {sorted(heads)}"
            )
        for name in both:
            if heads[name].type != wanted[name].type:
                raise ValueError(
                    f"--against: the head {name!r} must be of type {wanted[name].type}, received {heads[name].type}"
                )


@app.command()
def compare(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN ... RECORDS",
            help="What `train` or `export` wrote, and what `ingest` wrote.",
        ),
    ],
    report: Annotated[
        pathlib.Path, typer.Option("--out", "-o", help="Folder for the page and its data.")
    ],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    table: Annotated[
        pathlib.Path | None,
        typer.Option(
            help="What was ingested: for intervals over groups, and its columns beside rows."
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(help="Column of the table. (default: the configuration's split.group)"),
    ] = None,
    root: Root = None,
):
    """Two or more runs side by side on the same rows, with the intervals of their differences: one
    page.
    """
    from multimodal_tf.data.manifest import Manifest
    from multimodal_tf.data.table import read_table
    from multimodal_tf.report.compare import compare as compare_runs
    from multimodal_tf.training.run_dir import RECORD, load_run

    runs, records = [pathlib.Path(path) for path in paths[:-1]], paths[-1]
    if len(set(runs)) < 2 or len(set(runs)) < len(runs):
        raise ValueError(
            f"compare takes two or more different RUNs and then RECORDS, received {' '.join(paths)}"
        )
    manifest = Manifest.load(records)
    models = {str(path): load_run(path) if (path / RECORD).is_file() else path for path in runs}
    for name, run in models.items():
        if not isinstance(run, pathlib.Path) and run.record.data.hash != manifest.hash:
            err.print(
                f"note: {name} was trained on other records than {records}: it may have seen rows of this split",
                markup=False,
            )
    read = None if table is None else read_table(table, root=root)
    for sentence in compare_runs(models, records, report, split, read, group).page.summary:
        out.print(f"- {sentence}", markup=False, highlight=False)
    out.print(f"Report: {report / 'index.html'}")
