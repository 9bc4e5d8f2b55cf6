"""The commands of exported models."""

import pathlib
from typing import Annotated

import typer

from multimodal_tf.cli.app import Root, Run, Table, app, err, out


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
