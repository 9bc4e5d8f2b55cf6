"""Precision and pruning on `digits`: accuracy and seconds of an epoch.

    python -m benchmarks.forms_of_training --epochs 4

One training each, of the same seed and rows: `float32`, both mixed precisions, and `float32` pruned
to 80 % zeros in each layer. The interval is that of the test accuracy (bootstrap, 95 %).
"""

import argparse
import pathlib
import tempfile
import time

from multimodal_tf.config import Config
from multimodal_tf.data.datasets import digits_config, digits_table
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.evaluation.evaluate import evaluate
from multimodal_tf.schema import Schema
from multimodal_tf.training.fit import fit

FORMS = {
    "float32": {},
    "mixed_bfloat16": {"precision": "mixed_bfloat16"},
    "mixed_float16": {"precision": "mixed_float16"},
    "pruned to 80 %": {"pruning": {"sparsity": 0.8}},
}


def measured(config: Config, records: pathlib.Path, folder: pathlib.Path) -> str:
    """One line of the table."""
    began = time.monotonic()
    run = fit(config, Schema.load(records / "schema.json"), records, folder, verbose=0)
    seconds = (time.monotonic() - began) / max(run.record.epochs, 1)
    accuracy = evaluate(run, records=records).heads["label"].metrics["accuracy"]
    return f"{accuracy} | {seconds:.1f} s"


def main() -> None:
    """Prints a line for each form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    epochs = parser.parse_args().epochs
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        ingest(digits_table(), digits_config(), folder / "records")
        for form, fields in FORMS.items():
            tree = digits_config().model_dump()
            tree["training"] |= {"epochs": epochs, **fields}
            config = Config.model_validate(tree)
            print(form, "|", measured(config, folder / "records", folder / form[:14]), flush=True)


if __name__ == "__main__":
    main()
