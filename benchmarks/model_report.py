"""Metrics of the model report on `digits` and `stamps`, and its run time.

    python -m benchmarks.model_report > model_report.md
    python -m benchmarks.model_report --datasets digits --seeds 0 --epochs 3 --out /tmp/report

Trained models are kept in runs/benchmarks/model_report and used again.

Each seed trains four models with the data set's own towers. Two fuse by concatenation, with and
without modality dropout, to compare the drop with any one input missing. One adds a matching head
for each pair of inputs: its whole report is timed, and gives the AUROC of several scores for
exchanged inputs and OOD rows. One is trained on texts that contain the class as a word, which the
report must find; it fuses by self-attention, which can ignore the other inputs. Seeds and splits
are those of `benchmarks.towers`. Rows a second are those of the corrupted rows, including
corruption, against `predict` on the same raw cells before and after, without the first batch.
Stamps need Debian's `tuxpaint-stamps-default`.
"""

import argparse
import itertools
import pathlib
import statistics
import time

import keras
import numpy as np
import pandas
import tensorflow as tf

from benchmarks.accuracy_table import group_of_rows
from benchmarks.entries import DATASETS, Entry
from benchmarks.fusion import DROPOUT, WITHOUT_DROPOUT, absence, hits_without
from benchmarks.linear import LABEL, read_raw
from benchmarks.trained import slug, trained
from multimodal_tf.config import ConcatenationFusion, Config, MatchingHead, SelfAttentionFusion
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation.eval_split import load_eval_split
from multimodal_tf.evaluation.predictor import BATCH
from multimodal_tf.evaluation.robustness import corruption_scores
from multimodal_tf.report import page
from multimodal_tf.report.model import model_report, predictor_of
from multimodal_tf.training.run_dir import load_run

# as `benchmarks.fusion` calls it, whose table of drops is shown
PLAIN = "concatenation"
TABLES = ("Exchanged inputs by score", "OOD rows by score")
# how often `predict` gets all rows
REPEATS = 8
# corrupted rows, as in a report by default
MOST = 500


def main():
    arguments = parse()
    for name in arguments.datasets:
        _, config, table = DATASETS[name]
        print(f"\n## {name}\n\n{benchmark(name, config(), table(), arguments)}", flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=[*DATASETS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="instead of the data set's own")
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("runs/benchmarks/model_report"),
        help="folder of shards and runs",
    )
    return parser.parse_args()


def benchmark(name, config, table, arguments):
    """The tables of one data set, after training what is not yet trained."""
    complete, absent, costs, areas, leaks = [], [], [], {}, []
    for seed in arguments.seeds:
        training = config.training.model_dump() | (
            {"epochs": arguments.epochs} if arguments.epochs else {}
        )
        seeded = Config.model_validate(config.model_dump() | {"seed": seed, "training": training})
        directory = arguments.out / name / f"seed-{seed}"
        ingest(table, seeded, directory / "data", progress=False)
        for frames, frame in zip((complete, absent), dropped(seeded, directory, table)):
            frames.append(frame)
        run = aligned(seeded, directory)
        seconds, report = timed(run, directory / "data", directory / "report", table)
        costs.append((seconds, *rates(run, directory / "data")))
        for title in TABLES:
            for kind, score, auroc, *_ in rows_of(report, title):
                areas.setdefault((title, kind, score), []).append(auroc)
        leaks.append(leaked(seeded, directory / "leaked", table))
    drops = absence(pandas.concat(complete), pandas.concat(absent), list(config.inputs))
    return "\n\n".join(
        [
            cost_table(arguments.seeds, costs),
            drops,
            area_table(areas),
            leak_table(arguments.seeds, leaks),
        ]
    )


# --- an input missing


def dropped(config, directory, table):
    """Whether each test row is right, with all inputs and without each.

    The models are one with modality dropout and one without.
    """
    groups, frame, without = group_of_rows(table), {}, {}
    for name, rate in ((PLAIN, DROPOUT), (WITHOUT_DROPOUT.format(PLAIN), 0.0)):
        entry = Entry(name, config.inputs, name, fusion=ConcatenationFusion(modality_dropout=rate))
        frame[name] = np.array(trained(entry, config, directory, with_export=False).hits)
        without |= {
            f"{name}|{missing}": hits for missing, hits in hits_without(entry, directory).items()
        }
    rows = read_raw(directory / "data", "test", config)["row"]
    common = {"seed": config.seed, "group": groups[rows]}
    return pandas.DataFrame(frame).assign(**common), pandas.DataFrame(without).assign(**common)


# --- the whole report


def aligned(config, directory):
    """The model that has a matching head for each pair of inputs."""
    pairs = {
        f"{one}_{other}": MatchingHead(inputs=[one, other])
        for one, other in itertools.combinations(config.inputs, 2)
    }
    heads = {name: head.model_dump() for name, head in (config.heads | pairs).items()}
    entry = Entry(
        "aligned", config.inputs, "aligned", fusion=ConcatenationFusion(modality_dropout=DROPOUT)
    )
    trained(
        entry,
        Config.model_validate(config.model_dump() | {"heads": heads}),
        directory,
        with_export=False,
    )
    return load_run(directory / slug(entry.name))


def timed(run, data, out, table):
    start = time.perf_counter()
    report = model_report(run, data, out, table=table)
    return time.perf_counter() - start, report


def rates(run, data):
    """Rows a second: of `predict` on raw cells, and of the corrupted rows of a report."""
    predictor = predictor_of(run)
    eval_split, features = load_eval_split(predictor, data, "test", LABEL, max_rows=MOST)
    before = predict_rate(run, eval_split.raw)
    start = time.perf_counter()
    scores = corruption_scores(predictor, eval_split, features, None, 0)
    rate = scores.predicted_rows / (time.perf_counter() - start)
    return statistics.mean((before, predict_rate(run, eval_split.raw))), rate


class Clock(keras.callbacks.Callback):
    """When each batch has been predicted."""

    def __init__(self):
        super().__init__()
        self.ends = []

    def on_predict_batch_end(self, batch, logs=None):
        self.ends.append(time.perf_counter())


def predict_rate(run, raw):
    preprocessor, clock = Preprocessor(run.config, run.schema), Clock()
    cells = tf.data.Dataset.from_tensor_slices(
        {name: tf.constant(raw[name]) for name in run.config.inputs}
    ).repeat(REPEATS)
    inputs = cells.batch(BATCH).map(preprocessor.features, tf.data.AUTOTUNE)
    inputs = inputs.map(
        lambda features, _: preprocessor.model_inputs(features), tf.data.AUTOTUNE
    ).prefetch(2)
    run.model.predict(inputs, verbose=0, callbacks=[clock])
    return (int(cells.cardinality()) - BATCH) / (clock.ends[-1] - clock.ends[0])


def rows_of(report, title):
    tables = [
        block
        for section in report.page.sections
        for block in section.blocks
        if isinstance(block, page.Table)
    ]
    return next(table.rows for table in tables if table.title == title)


# --- the class in the text


def leaked(config, directory, table):
    """Share of the text, and what the summary says of it.

    The model was trained on texts with the class as a word.
    """
    text = next(name for name, one in config.inputs.items() if one.type == "text")
    rows = pandas.concat(table.chunks())
    rows[text] = [
        f"class{str(label).lower()} {words or ''}".strip()
        for words, label in zip(rows[text], rows[LABEL])
    ]
    leaky = read_table(rows, root=table.root)
    ingest(leaky, config, directory / "data", progress=False)
    entry = Entry(
        "leaked", config.inputs, "leaked", fusion=SelfAttentionFusion(modality_dropout=0.0)
    )
    trained(entry, config, directory, with_export=False)
    _, report = timed(
        load_run(directory / slug(entry.name)), directory / "data", directory / "report", leaky
    )
    sentence = next(
        (each for each in report.page.sections[0].sentences if "relies almost entirely" in each),
        "nothing",
    )
    return report.contributions.share[text], sentence


# --- tables


def cost_table(seeds, costs):
    lines = [
        "| seed | whole report, s | rows/s of the report | rows/s of plain predict | ratio |",
        "|---:|---:|---:|---:|---:|",
    ]
    for seed, (seconds, plain, rate) in zip(seeds, costs):
        lines.append(
            f"| {seed} | {seconds:.0f} | {rate:,.0f} | {plain:,.0f} | **{rate / plain:.2f} x** |"
        )
    return "\n".join(lines)


def area_table(areas):
    lines = []
    for title in TABLES:
        lines += [
            "",
            f"| {title.lower()} | score | AUROC, mean of seeds | by seed, with 95 % intervals |",
            "|---|---|---:|---|",
        ]
        for (of, kind, score), metrics in areas.items():
            if of == title:
                mean = statistics.mean(
                    metric.value for metric in metrics if metric.value is not None
                )
                by_seed = ", ".join(f"{metric.shown} {metric.interval}" for metric in metrics)
                lines.append(f"| {kind} | {score} | {mean:.3f} | {by_seed} |")
    return "\n".join(lines).strip()


def leak_table(seeds, leaks):
    lines = [
        "| the class in the text, seed | share of the Shapley sum | the summary says |",
        "|---:|---|---|",
    ]
    for seed, (share, sentence) in zip(seeds, leaks):
        lines.append(
            f"| {seed} | {share.value:.3f} ({share.low:.3f} .. {share.high:.3f}) | {sentence} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
