"""The commands of tables and records."""

import pathlib
import shlex
from typing import Annotated

import typer

from multimodal_tf.cli.app import Delimiter, Encoding, Root, TablePath, app, console, open_table

_ConfigOut = Annotated[
    pathlib.Path | None,
    typer.Option("--out", "-o", help="YAML file for the configuration, to be edited."),
]
_Label = Annotated[
    list[str] | None,
    typer.Option(
        help="Column to predict; may be repeated. (default: the one named label, class or target)"
    ),
]
_Types = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="COLUMN=TYPE", help="Overrides a type; may be repeated."),
]
_Presets = Annotated[
    pathlib.Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder of KerasHub preset folders for pretrained towers, as of `presets`."
        " (default: $MULTIMODAL_TF_PRESETS; KerasHub's cache is looked at, too)",
    ),
]
_NoPresets = Annotated[bool, typer.Option("--no-presets", help="Propose no pretrained tower.")]
_FetchMissing = Annotated[
    bool,
    typer.Option(
        "--fetch", help="Fetch presets that are proposed and missing from Kaggle into the folder."
    ),
]
_Config = Annotated[
    pathlib.Path,
    typer.Option("--config", "-c", help="Configuration, YAML or JSON, as of `describe`."),
]
_RecordsOut = Annotated[
    str,
    typer.Option(
        "--out", "-o", help="Folder for the records, or an address such as gs://bucket/records."
    ),
]
_Processes = Annotated[
    int | None, typer.Option(min=1, help="Worker processes. (default: one per core)")
]
_Runner = Annotated[
    str | None,
    typer.Option(
        help="Apache Beam runner: DirectRunner, Flink, Spark, Dataflow."
        " (default: this machine, without Beam)"
    ),
]
_BeamOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--beam-option",
        metavar="NAME=VALUE",
        help="Such as flink_master=host:8081; may be repeated.",
    ),
]


@app.command()
def describe(
    table: TablePath,
    out: _ConfigOut = None,
    label: _Label = None,
    types: _Types = None,
    root: Root = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    presets: _Presets = None,
    no_presets: _NoPresets = False,
    fetch: _FetchMissing = False,
) -> None:
    """Describe a table: types, missing values, sizes, bad cells; and write a configuration."""
    from multimodal_tf.data.describe.table_description import describe as describe_table

    if no_presets and (presets is not None or fetch):
        raise ValueError("--no-presets excludes --presets and --fetch, received both")
    description = describe_table(
        open_table(table, root, encoding, delimiter),
        types=_given_types(types or []),
        label=label,
        presets=False if no_presets else presets,
        fetch=fetch,
    )
    console.print(description.render())
    if out is None:
        console.print("Write the configuration with --out CONFIG.yaml.")
        return
    description.config().save(out)
    console.print(
        f"Configuration: {out}. Next: multimodal-tf ingest {shlex.quote(str(table))}"
        f" --config {shlex.quote(str(out))} --out RECORDS{_options(root, encoding, delimiter)}"
    )


@app.command()
def ingest(
    table: TablePath,
    config: _Config,
    out: _RecordsOut,
    processes: _Processes = None,
    root: Root = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    runner: _Runner = None,
    beam_options: _BeamOptions = None,
) -> None:
    """Check every cell and write the rows as sharded records. Run it again to resume."""
    from multimodal_tf.config import Config
    from multimodal_tf.data.ingest.table_ingest import ingest as ingest_table

    manifest = ingest_table(
        open_table(table, root, encoding, delimiter),
        Config.load(config),
        out,
        processes=processes,
        progress=True,
        beam=_given_beam(runner, beam_options or []),
    )
    console.print(
        f"{manifest.kept} of {manifest.table_rows} rows in {out};"
        f" {manifest.rejected} rejections in {out}/rejected.csv"
    )
    sizes = ", ".join(f"{split} {manifest.rows(split):,}" for split in manifest.splits)
    console.print(
        f"Rows: {sizes}. Next: multimodal-tf train {shlex.quote(out)} --out RUN", highlight=False
    )


def _options(root: pathlib.Path | None, encoding: str | None, delimiter: str | None) -> str:
    """How the table is read, for the next command."""
    given = (("root", root), ("encoding", encoding), ("delimiter", delimiter))
    return "".join(
        f" --{name} {shlex.quote(str(value))}" for name, value in given if value is not None
    )


def _given_types(pairs: list[str]) -> dict[str, str]:
    types = {}
    for pair in pairs:
        column, equals, kind = pair.rpartition("=")
        if not equals or not column:
            raise ValueError(f"--type takes COLUMN=TYPE, received {pair!r}")
        types[column] = kind
    return types


def _given_beam(runner: str | None, options: list[str]) -> list[str] | None:
    if runner is None and options:
        raise ValueError(f"--beam-option needs --runner, received {options[0]!r} without it")
    if runner is None:
        return None
    return [f"--runner={runner}", *(f"--{option.lstrip('-')}" for option in options)]
