"""What each form of a model costs, on digits and on stamps with frozen pretrained towers.

    python -m benchmarks.small --presets runs/presets > small.md
    python -m benchmarks.small --tables digits

One training a table, then each form, compared on the test rows: accuracy with its interval, rows
with the same class as the model, bytes of the folder and of the file of the weights, and
milliseconds for requests of 1 and 64 rows, medians of five in a row. The presets are those of
`benchmarks.make_presets`; stamps need Debian's `tuxpaint-stamps-default`, and the forms the extras
`litert` and `onnx`.
"""

import argparse
import pathlib
import shutil
import sys
import time

from benchmarks.frozen_cache import configuration
from multimodal_tf.config.forms import WEIGHTS
from multimodal_tf.data.datasets import digits_config, digits_table, stamps_table
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.evaluation.evaluate import evaluate
from multimodal_tf.evaluation.forms import compare_form
from multimodal_tf.serving.export import export_model
from multimodal_tf.training.fit import fit
from multimodal_tf.training.run_dir import load_run

TABLES = {
    "digits": (digits_table, lambda _: digits_config()),
    "stamps": (stamps_table, configuration),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=[*TABLES])
    parser.add_argument("--presets", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/small"))
    arguments = parser.parse_args()
    begin = time.monotonic()
    print(
        "| table | form | weights | accuracy | same class | MB | MB of weights | 1 row | 64 rows |"
    )
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for table in arguments.tables:
        for line in lines(table, arguments.presets, arguments.out / table):
            print(line, flush=True)
    print(f"\n{time.monotonic() - begin:.0f} seconds", file=sys.stderr)
    return 0


def lines(table, presets, out):
    """A line for each form that holds the model of a table."""
    shutil.rmtree(out / "models", ignore_errors=True)
    read, configured = TABLES[table]
    config, records = configured(presets), out / "records"
    ingest(read(), config, records, progress=False)
    schema = schema_for(config, records)
    fit(config, schema, records, out / "run", verbose=0, overwrite=True)
    run = load_run(out / "run")
    for form, allowed in WEIGHTS.items():
        for weights in allowed:
            path = out / "models" / form / weights / "1"
            try:
                export_model(run.model, run.config, run.schema, path, form=form, weights=weights)
            except ValueError as error:
                yield f"| {table} | {form} | {weights} | {error} | | | | | |"
                continue
            yield line(table, form, weights, run, path, records)


def line(table, form, weights, run, path, records):
    """What one form costs."""
    found = compare_form(run, path, records, "test")
    (name,) = found.metrics
    accuracy = evaluate(path, records=records).heads[name].metrics["accuracy"]
    largest = max(one.stat().st_size for one in path.rglob("*") if one.is_file())
    return (
        f"| {table} | {form} | {weights} | {accuracy.value:.3f} ({accuracy.low:.3f} .. "
        f"{accuracy.high:.3f}) | {found.agreement[name]:.1%} | {found.size / 1e6:.2f} | "
        f"{largest / 1e6:.2f} | {found.milliseconds[1]:.1f} ms | {found.milliseconds[64]:.1f} ms |"
    )


if __name__ == "__main__":
    sys.exit(main())
