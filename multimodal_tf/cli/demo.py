"""The whole path on data that come with the package."""

import pathlib
import shutil
from typing import Annotated

import typer

from multimodal_tf.cli.app import app, out, verbose


@app.command()
def demo(
    directory: Annotated[
        pathlib.Path, typer.Option("--out", "-o", help="Folder for records, run and figures.")
    ] = pathlib.Path("runs/digits"),
    saved_model: Annotated[
        pathlib.Path, typer.Option(help="NAME/VERSION folder for the exported model.")
    ] = pathlib.Path("saved_models/digits/1"),
):
    """The main job on the embedded digits: ingest, train, evaluate, export, and classify three raw
    rows.
    """
    from multimodal_tf.data.datasets.digits import digits_config, digits_table
    from multimodal_tf.data.ingest.table_ingest import ingest as ingest_table
    from multimodal_tf.evaluation.evaluate import evaluate as evaluate_model
    from multimodal_tf.models.build import explanations
    from multimodal_tf.schema import Schema
    from multimodal_tf.serving.client import Client
    from multimodal_tf.serving.export import export_model
    from multimodal_tf.serving.skew import skew
    from multimodal_tf.training.fit import fit

    records, run = directory / "records", directory / "run"
    table, config = digits_table(), digits_config()
    out.rule("1 of 5: ingest")
    manifest = ingest_table(table, config, records, progress=True)
    out.print(f"{manifest.kept} of {manifest.table_rows} rows, {manifest.rejected} rejections")
    out.rule("2 of 5: train")
    schema = Schema.load(records / "schema.json")
    trained = fit(config, schema, records, run, verbose=verbose())
    out.rule("3 of 5: evaluate on the test split")
    evaluation = evaluate_model(trained.model.predict, config, schema, records)
    evaluation.save(run / "evaluation.json")
    out.print(evaluation.render())
    out.rule("4 of 5: export")
    if saved_model.exists():
        out.print(f"{saved_model} of an earlier demo is replaced.")
        shutil.rmtree(saved_model)
    export_model(trained.model, config, schema, saved_model, explanations(trained.model))
    difference = skew(trained.model, config, schema, records, saved_model)["label"]
    out.print(
        f"Largest difference of a probability, model on the pipeline and SavedModel on raw bytes, all test rows: {difference:.1e}"
    )
    out.rule("5 of 5: the exported model classifies three raw rows")
    rows = next(table.chunks()).query("split == 'test'").sample(3, random_state=config.seed)
    served = Client(saved_model).predict(rows)
    served.insert(0, "true label", list(rows["label"]))
    out.print(served.drop(columns="label_probabilities").to_string(index=False), markup=False)
    for what, where in (
        ("Records, rejected cells, schema", records),
        ("Model, configuration, run.json, curves", run),
        ("Figures of the test split", run / "evaluation.json"),
        ("SavedModel for TensorFlow Serving", saved_model),
    ):
        out.print(f"{what + ':':40} {where}", highlight=False)
