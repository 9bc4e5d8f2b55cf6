"""The commands that judge a trained model."""

import pathlib
from typing import Annotated

import typer

from multimodal_tf.cli.app import Records, Run, app, out


@app.command()
def evaluate(
    run: Run,
    records: Records,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    file: Annotated[pathlib.Path | None, typer.Option("--out", "-o", help="Write the figures here, as JSON.")] = None,
):
    """Figures of a trained model on one split, with intervals."""
    from multimodal_tf.evaluation.report import evaluate as evaluate_model
    from multimodal_tf.training.run import load_run

    trained = load_run(run)
    evaluation = evaluate_model(trained.model.predict, records, trained.config, trained.schema, split=split)
    out.print(evaluation.render())
    if file is not None:
        evaluation.save(file)
        out.print(f"Figures: {file}")
