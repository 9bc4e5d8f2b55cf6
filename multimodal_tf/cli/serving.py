"""The commands of exported models."""

import pathlib
from typing import Annotated

import typer

from multimodal_tf.cli.app import Root, Run, Table, app, err, out


@app.command()
def export(
    run: Run,
    path: Annotated[
        pathlib.Path,
        typer.Argument(help="NAME/VERSION folder to make, such as saved_models/stamps/1."),
    ],
    merge: Annotated[
        bool,
        typer.Option(
            "--merge",
            help="Put LoRA and linear adapters into the weights: as large and as fast as without them.",
        ),
    ] = False,
    guard: Annotated[
        bool,
        typer.Option(
            "--guard",
            help="Serve `ood_score`, `agreement` and `review` too, with thresholds of RECORDS.",
        ),
    ] = False,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate", help="Answer probabilities at a temperature fitted on RECORDS."
        ),
    ] = False,
    records: Annotated[
        str | None,
        typer.Option(
            help="For --guard and --calibrate: what `ingest` wrote. (default: what the run was trained on)"
        ),
    ] = None,
    fpr: Annotated[
        float,
        typer.Option(help="For --guard: the false positive rate of each threshold on clean rows."),
    ] = 0.05,
):
    """Write one SavedModel that takes raw bytes and strings, for TensorFlow Serving."""
    from multimodal_tf.evaluation.fit_guard import fit_guard
    from multimodal_tf.models.build import explanations
    from multimodal_tf.scoring.guard import Guard
    from multimodal_tf.serving.export import check_path, export_model
    from multimodal_tf.training import peft
    from multimodal_tf.training.run_dir import load_run

    check_path(path)
    trained = load_run(run)
    if merge:
        peft.merge_lora(trained.model)
    chosen: Guard | None = None
    temperature: dict[str, float] = {}
    if guard or calibrate:
        chosen, temperature = fit_guard(
            trained, records or trained.record.data.records, fpr, guard, calibrate
        )
    if chosen is not None:
        least = chosen.agreement_threshold
        agreement = "" if least is None else f", agreement from {least:.4g}"
        out.print(
            f"Without review: ood_score up to {chosen.threshold:.4g}{agreement}", highlight=False
        )
    if temperature:
        values = ", ".join(f"{name} {value:.3f}" for name, value in temperature.items())
        out.print(f"Temperature: {values}", highlight=False)
    config, schema, explainer = trained.config, trained.schema, explanations(trained.model)
    export_model(trained.model, config, schema, path, explainer, chosen, temperature)
    out.print(
        f"SavedModel: {path}. Serve it: tensorflow_model_server --model_name={path.parent.name} --model_base_path={path.parent.resolve()}"
    )


@app.command()
def predict(
    saved_model: Annotated[pathlib.Path, typer.Argument(help="What `export` wrote.")],
    table: Table,
    predictions: Annotated[
        pathlib.Path, typer.Option("--out", "-o", help="A .csv or .parquet file to write.")
    ],
    root: Root = None,
):
    """Predict every row of a table with an exported model."""
    from multimodal_tf.data.table import read_table
    from multimodal_tf.serving.client import Client
    from multimodal_tf.serving.predict_table import predict_table

    for note in predict_table(
        Client(saved_model), read_table(table, root=root), predictions, progress=True
    ):
        err.print(f"note: {note}", markup=False)
    out.print(f"Predictions: {predictions}")
