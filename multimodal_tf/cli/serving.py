"""The commands of exported models."""

import functools
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from multimodal_tf.cli.app import (
    Delimiter,
    Encoding,
    Root,
    TablePath,
    app,
    console,
    error_console,
    open_table,
    read_optional,
)
from multimodal_tf.config.forms import Form, Weights

if TYPE_CHECKING:
    from multimodal_tf.data.table import Table
    from multimodal_tf.data.trained import Trained
    from multimodal_tf.evaluation.fit_guard import Fitted
    from multimodal_tf.serving.zero_shot import ZeroShot

_ExportOut = Annotated[
    pathlib.Path,
    typer.Argument(
        metavar="OUT", help="Folder NAME/VERSION to write, such as saved_models/stamps/1."
    ),
]
_Runs = Annotated[
    list[pathlib.Path],
    typer.Argument(
        metavar="RUN...", help="Folder that `train` wrote; with --ensemble several, before OUT."
    ),
]
_Ensemble = Annotated[
    bool,
    typer.Option(
        "--ensemble", help="Average the predictions of several RUNs, and serve their disagreement."
    ),
]
_Merge = Annotated[
    bool, typer.Option("--merge", help="Merge LoRA and linear adapters into the weights.")
]
_Guard = Annotated[
    bool, typer.Option("--guard", help="Serve `ood_score`, `agreement` and `review`, too.")
]
_Calibrate = Annotated[
    bool | None,
    typer.Option(
        "--calibrate/--no-calibrate",
        help="Serve calibrated probabilities (temperature scaling). --calibrate: with few"
        " validation rows, too, and an error without.",
        show_default="where validation rows allow",
    ),
]
_FitRecords = Annotated[
    str | None,
    typer.Option(
        help="Records to fit --guard and --calibrate on. (default: those of the training)"
    ),
]
_Fpr = Annotated[float, typer.Option(help="False positive rate of each of the guard's thresholds.")]
_Classes = Annotated[
    list[str] | None,
    typer.Option(
        help="A class to choose by its name, without labels; once for each class.",
        show_default=False,
    ),
]
_ClassesOf = Annotated[
    str | None,
    typer.Option(
        help="Column of --classes-table whose values are the classes.", show_default=False
    ),
]
_ClassesTable = Annotated[
    pathlib.Path | None,
    typer.Option(help="Table of --classes-of.", show_default=False),
]
_Prompt = Annotated[
    str, typer.Option(help="The text of a class, such as 'a photo of a {}'; {} is its name.")
]
SavedModel = Annotated[
    pathlib.Path, typer.Argument(metavar="SAVED_MODEL", help="Folder that `export` wrote.")
]
_PredictionsOut = Annotated[
    pathlib.Path, typer.Option("--out", "-o", help=".csv or .parquet file to write.")
]
_Keep = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Column of the table to write beside the predictions, such as an id; may be repeated.",
    ),
]
Paths = Annotated[
    bool,
    typer.Option(
        "--paths/--no-paths",
        help="Whether a cell may name a file of this machine. --no-paths: for others' tables.",
    ),
]


_Form = Annotated[
    Form,
    typer.Option(
        help="What runs the network: TensorFlow (saved_model), or LiteRT or ONNX Runtime (extras"
        " of those names), for Client alone."
    ),
]
_Weights = Annotated[
    Weights, typer.Option(help="Type in which the weights are kept: fewer bytes, less exact.")
]
_Tolerance = Annotated[
    float,
    typer.Option(
        help="How much worse the main metric of a head may be on validation rows with a smaller"
        " form."
    ),
]
_Force = Annotated[
    bool, typer.Option("--force", help="Write a form, too, that is worse than --tolerance.")
]


@app.command()
def export(
    runs: _Runs,
    out: _ExportOut,
    ensemble: _Ensemble = False,
    merge: _Merge = False,
    guard: _Guard = False,
    calibrate: _Calibrate = None,
    records: _FitRecords = None,
    fpr: _Fpr = 0.05,
    classes: _Classes = None,
    classes_of: _ClassesOf = None,
    classes_table: _ClassesTable = None,
    prompt: _Prompt = "{}",
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    form: _Form = "saved_model",
    weights: _Weights = "float32",
    tolerance: _Tolerance = 0.01,
    force: _Force = False,
) -> None:
    """Write a SavedModel for TensorFlow Serving that takes raw bytes and strings."""
    from multimodal_tf.models.build import explanations
    from multimodal_tf.serving.ensemble import ensemble as ensemble_of
    from multimodal_tf.serving.export import export_model
    from multimodal_tf.serving.export_checks import check_path, check_weights
    from multimodal_tf.training import peft
    from multimodal_tf.training.run_dir import load_run

    check_path(out)
    check_weights(form, weights)
    if not ensemble and len(runs) > 1:
        raise ValueError(
            f"export takes one RUN and OUT, or several RUNs with --ensemble, received {len(runs)}"
        )
    table = read_optional(classes_table, None, encoding, delimiter)
    zero_shot = _zero_shot(classes, classes_of, table, prompt)
    if ensemble and zero_shot is not None:
        raise ValueError("--ensemble averages predictions, so --classes must not be given")
    members = [load_run(run_dir) for run_dir in runs]
    if zero_shot is not None:
        zero_shot.resolved(members[0].config)
    if merge:
        for member in members:
            peft.merge_lora(member.model)
    run: Trained = ensemble_of(members) if ensemble else members[0]
    source = records or members[0].record.data.records
    fitted = _fitted(run, members, source, fpr, guard, calibrate)
    _print_fitted(fitted)
    # of an ensemble each model would explain its own prediction
    explainer = None if ensemble else explanations(members[0].model)
    accept = None
    if (form, weights) != ("saved_model", "float32"):
        accept = functools.partial(_accept, run, source, weights, None if force else tolerance)
    given = (run.model, run.config, run.schema, out, explainer)
    export_model(*given, *fitted, zero_shot, form, weights, accept)
    _print_exported(out, form)


def _print_exported(out: pathlib.Path, form: str) -> None:
    if form != "saved_model":
        console.print(f"Exported as {form}: {out}. mm.Client opens it.", highlight=False)
        return
    console.print(
        f"SavedModel: {out}. Serve it: tensorflow_model_server --model_name={out.parent.name}"
        f" --model_base_path={out.parent.resolve()}"
    )


def _fitted(
    run: "Trained",
    members: "Sequence[Trained]",
    records: str,
    fpr: float,
    guard: bool,
    calibrate: bool | None,
) -> "Fitted":
    """The guard and the temperatures that were asked for, or that validation rows allow."""
    from multimodal_tf.data.trained import check_own_records
    from multimodal_tf.evaluation.fit_guard import Fitted, fit_guard

    fitted = Fitted(None, {})
    if guard or calibrate:
        for member in members:
            check_own_records(member, records)
        fitted = fit_guard(run, records, fpr, guard, bool(calibrate))
    if calibrate is None:
        fitted = fitted._replace(temperature=_calibrated(run, members, records))
    return fitted


def _accept(
    run: "Trained", records: str, weights: str, tolerance: float | None, path: pathlib.Path
) -> None:
    """Prints what a form costs, and refuses one that answers otherwise."""
    from multimodal_tf.evaluation.forms import check_exact, compare_form

    found = compare_form(run, path, records)
    console.print(f"On validation rows: {found}", highlight=False)
    if weights == "float32":
        check_exact(run, path, found, records)
    elif tolerance is not None:
        found.check(tolerance)


def _zero_shot(
    classes: list[str] | None,
    column: str | None,
    table: "Table | None",
    prompt: str,
) -> "ZeroShot | None":
    from multimodal_tf.serving.zero_shot import ZeroShot, classes_of

    if (column is None) != (table is None):
        given = "--classes-table" if column is None else "--classes-of"
        raise ValueError(f"--classes-of and --classes-table go together, received {given} alone")
    if column is not None and table is not None:
        if classes:
            raise ValueError("give --classes or --classes-of, received both")
        classes = classes_of(table, column)
    if classes:
        return ZeroShot(classes, prompt)
    if prompt != "{}":
        raise ValueError(f"--prompt needs --classes or --classes-of, received {prompt!r} alone")
    return None


def _print_fitted(fitted: "Fitted") -> None:
    guard, temperature = fitted
    if guard is not None:
        least = guard.agreement_threshold
        agreement = "" if least is None else f", agreement from {least:.4g}"
        console.print(
            f"Without review: ood_score up to {guard.threshold:.4g}{agreement}", highlight=False
        )
    if temperature:
        values = ", ".join(f"{name} {value:.3f}" for name, value in temperature.items())
        console.print(f"Calibrated. Temperature: {values}", highlight=False)


def _calibrated(run: "Trained", members: "Sequence[Trained]", records: str) -> dict[str, float]:
    """The temperatures that validation rows allow; prints why other heads have none."""
    from multimodal_tf.data.trained import check_own_records
    from multimodal_tf.evaluation.fit_guard import calibrate_where_possible

    try:
        for member in members:
            check_own_records(member, records)
        temperature, reasons = calibrate_where_possible(run, records)
    except (FileNotFoundError, ValueError) as error:
        console.print(f"Not calibrated: {error}", highlight=False, markup=False)
        return {}
    for name, reason in reasons.items():
        console.print(f"Not calibrated: {name}: {reason}", highlight=False, markup=False)
    return temperature


@app.command()
def predict(
    saved_model: SavedModel,
    table: TablePath,
    out: _PredictionsOut,
    root: Root = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    paths: Paths = True,
    keep: _Keep = None,
) -> None:
    """Predict every row of a table with an exported model."""
    from multimodal_tf.serving.client import Client
    from multimodal_tf.serving.predict_table import predict_table

    rows = open_table(table, root, encoding, delimiter)
    for note in predict_table(Client(saved_model, paths), rows, out, True, keep or []):
        error_console.print(f"note: {note}", markup=False)
    console.print(f"Predictions: {out}")
