"""The whole path on the data set of the package."""

import pathlib
import shutil
from typing import Annotated

import typer

from multimodal_tf.cli.app import app, console, verbosity

_Out = Annotated[
    pathlib.Path, typer.Option("--out", "-o", help="Folder for records, run and metrics.")
]
_SavedModel = Annotated[
    pathlib.Path, typer.Option(help="Folder NAME/VERSION for the exported model.")
]


@app.command()
def demo(
    out: _Out = pathlib.Path("runs/digits"),
    saved_model: _SavedModel = pathlib.Path("saved_models/digits/1"),
) -> None:
    """Ingest, train, evaluate and export the embedded digits, and classify three raw rows."""
    from multimodal_tf.data.datasets.digits import digits_config, digits_table
    from multimodal_tf.data.ingest.table_ingest import ingest
    from multimodal_tf.evaluation.evaluate import evaluate
    from multimodal_tf.evaluation.fit_guard import calibrate_where_possible
    from multimodal_tf.models.build import explanations
    from multimodal_tf.schema import Schema
    from multimodal_tf.serving.client import Client
    from multimodal_tf.serving.export import export_model
    from multimodal_tf.serving.skew import skew
    from multimodal_tf.training.fit import fit

    records, run_dir = out / "records", out / "run"
    table, config = digits_table(), digits_config()
    console.rule("1 of 5: ingest")
    manifest = ingest(table, config, records, progress=True)
    console.print(f"{manifest.kept} of {manifest.table_rows} rows, {manifest.rejected} rejections")
    console.rule("2 of 5: train")
    schema = Schema.load(records / "schema.json")
    run = fit(config, schema, records, run_dir, verbose=verbosity(), overwrite=True)
    console.rule("3 of 5: evaluate on the test split")
    evaluation = evaluate(run.model.predict, config, schema, records)
    evaluation.save(run_dir / "metrics.json")
    console.print(evaluation.render())
    console.rule("4 of 5: export")
    if saved_model.exists():
        console.print(f"{saved_model} of an earlier demo is replaced.")
        shutil.rmtree(saved_model)
    temperature = calibrate_where_possible(run, records).temperature
    export_model(
        run.model, config, run.schema, saved_model, explanations(run.model), temperature=temperature
    )
    values = ", ".join(f"{name} {value:.3f}" for name, value in temperature.items())
    console.print(f"Calibrated on validation rows. Temperature: {values or 'none'}")
    difference = skew(run.model, config, schema, records, saved_model)["label"]
    console.print(
        "Largest difference of a probability between the model on the pipeline and the SavedModel"
        f" on raw bytes, over all test rows: {difference:.1e}"
    )
    console.rule("5 of 5: the exported model classifies three raw rows")
    rows = next(table.chunks()).query("split == 'test'").sample(3, random_state=config.seed)
    served = Client(saved_model).predict(rows)
    served.insert(0, "true label", list(rows["label"]))
    console.print(served.drop(columns="label_probabilities").to_string(index=False), markup=False)
    for title, path in (
        ("Records, rejected cells, schema", records),
        ("Model, configuration, run.json, curves", run_dir),
        ("Metrics on the test split", run_dir / "metrics.json"),
        ("SavedModel for TensorFlow Serving", saved_model),
    ):
        console.print(f"{title + ':':40} {path}", highlight=False)
