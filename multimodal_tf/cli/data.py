"""The commands of tables and records."""

import pathlib
import shlex
from typing import Annotated

import typer

from multimodal_tf.cli.app import Root, Table, app, out


@app.command()
def describe(
    table: Table,
    config: Annotated[
        pathlib.Path | None,
        typer.Option("--out", "-o", help="Write the configuration here, as YAML to edit."),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="Column to predict. (default: the one called label, class or target)"),
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", help="COLUMN=TYPE, where the guess is wrong; may be repeated."),
    ] = None,
    root: Root = None,
):
    """Look at a table: each column's type, gaps, sizes and rejected cells, and the configuration
    that follows.
    """
    from multimodal_tf.data.describe.table_description import describe as describe_table
    from multimodal_tf.data.table import read_table

    description = describe_table(
        read_table(table, root=root), types=_given_types(types or []), label=label
    )
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
    config: Annotated[
        pathlib.Path,
        typer.Option(
            "--config", "-c", help="Configuration, YAML or JSON, as `describe` writes it."
        ),
    ],
    records: Annotated[
        str,
        typer.Option(
            "--out", "-o", help="Folder for the records, or an address such as gs://bucket/records."
        ),
    ],
    processes: Annotated[
        int | None, typer.Option(min=1, help="Worker processes. (default: one per core)")
    ] = None,
    root: Root = None,
    runner: Annotated[
        str | None,
        typer.Option(
            help="Apache Beam runner: DirectRunner, Flink, Spark, Dataflow. (default: this machine, without Beam)"
        ),
    ] = None,
    beam_options: Annotated[
        list[str] | None,
        typer.Option(
            "--beam-option", help="NAME=VALUE, such as flink_master=host:8081; may be repeated."
        ),
    ] = None,
):
    """Check every cell and write the rows as sharded records; killed and started again, it goes on."""
    from multimodal_tf.config import Config
    from multimodal_tf.data.ingest.table_ingest import ingest as ingest_table
    from multimodal_tf.data.table import read_table

    beam = _given_beam(runner, beam_options or [])
    manifest = ingest_table(
        read_table(table, root=root),
        Config.load(config),
        records,
        processes=processes,
        progress=True,
        beam=beam,
    )
    out.print(
        f"{manifest.kept} of {manifest.table_rows} rows in {records}; {manifest.rejected} rejections in {records}/rejected.csv"
    )


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
    return (
        None
        if runner is None
        else [f"--runner={runner}", *(f"--{option.lstrip('-')}" for option in options)]
    )
