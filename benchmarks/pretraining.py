"""Few labels: what learning without labels gives, on digits and stamps.

    python -m benchmarks.pretraining > pretraining.md
    python -m benchmarks.pretraining --tables digits --columns alignment --seeds 0    # a part

Each column of `OBJECTIVES` is a training of the data set's own towers on all training rows without
their labels, up to its last epoch. Then 5, 12 and 50 labels a class (fewer where a class has fewer
rows):

- linear: logistic regression on the towers' vectors, whose L2 the validation rows select;
- fine-tuned: `fit` of the data set's default from these towers, as `train --from` does.

Beside them, on the same labelled rows, the supervised default from scratch, and logistic regression
on the vectors of towers that nothing trained. All see the same rows; the validation rows choose
epochs with all their labels. Labelled rows are repeated until an epoch has some 20 steps. Each seed
draws other labelled rows, and of the stamps another split, in which no group of near-duplicates is
in two splits. Finished parts are read from `--out`, so that a page grows part by part. Stamps need
Debian's `tuxpaint-stamps-default`.
"""

import argparse
import dataclasses
import json
import math
import pathlib
import sys
import time

import keras
import numpy as np
import pandas
from sklearn.preprocessing import StandardScaler

from benchmarks.accuracy_table import accuracy, by_seed_and_drawn, gain, group_of_rows
from benchmarks.linear import LABEL, read_raw, regression
from benchmarks.trained import slug
from multimodal_tf.config import AlignmentHead, Config, MaskedHead, ViewsHead
from multimodal_tf.data.datasets import digits_config, digits_table, stamps_config, stamps_table
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation.predictor import predictor_of
from multimodal_tf.models.build import build_model
from multimodal_tf.training.fit import fit
from multimodal_tf.training.peft import replace_heads
from multimodal_tf.training.run_dir import Run, load_run

TABLES = {"digits": (digits_table, digits_config), "stamps": (stamps_table, stamps_config)}
SPLITS = ("train", "validation", "test")
LABELS = (5, 12, 50)
SUPERVISED, UNTRAINED = "supervised", "untrained towers, linear"
# labelled rows of an epoch, repeated ones too
EPOCH_ROWS = 640


def aligned(config):
    """One space for all inputs of the table."""
    return {"space": AlignmentHead(inputs=[*config.inputs])}


def views(config):
    """Two views of each input."""
    return {f"{name}_views": ViewsHead(inputs=[name]) for name in config.inputs}


def moco(config):
    """The same with a momentum encoder, and a queue of half of the training rows of stamps."""
    moved = {"momentum": 0.99, "queue": 256}
    return {f"{name}_views": ViewsHead(inputs=[name], **moved) for name in config.inputs}


def masked(config):
    """What is hidden of each input, from the rest of it."""
    return {f"masked_{name}": MaskedHead(inputs=[name]) for name in config.inputs}


def masked_jointly(config):
    """What is hidden of each input, from the rest of it and from the other inputs."""
    heads = masked(config)
    for name, head in zip(config.inputs, heads.values()):
        head.context = [other for other in config.inputs if other != name]
    return heads


# by column, the heads without labels of a configuration
OBJECTIVES = {
    "alignment": aligned,
    "views": views,
    "moco": moco,
    "masked": masked,
    "masked jointly": masked_jointly,
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """One table and seed: its configuration, records of all rows, and cells by split."""

    name: str
    config: Config
    folder: pathlib.Path
    table: object
    raw: dict

    @property
    def records(self):
        return self.folder / "all"


def main():
    arguments = parse()
    for name in arguments.tables:
        found = []
        for seed in arguments.seeds:
            setting = prepared(name, seed, arguments)
            for objective in arguments.columns:
                measure(setting, objective, arguments)
            found.append((seed, setting))
        print(f"\n### {name}\n\n{page(found, arguments.labels)}", flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=[*TABLES])
    columns = [SUPERVISED, UNTRAINED.split(",")[0], *OBJECTIVES]
    parser.add_argument("--columns", nargs="*", choices=columns, default=columns)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--labels", nargs="+", type=int, default=LABELS, help="of each class")
    parser.add_argument("--epochs", type=int, help="instead of the data set's own")
    parser.add_argument("--no-fine-tuning", action="store_true", help="linear only")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("runs/benchmarks/pretraining")
    )
    return parser.parse_args()


def prepared(name, seed, arguments):
    make_table, make_config = TABLES[name]
    settings = make_config().model_dump() | {"seed": seed}
    if arguments.epochs:
        settings["training"]["epochs"] = arguments.epochs
    config, table = Config.model_validate(settings), make_table()
    folder = arguments.out / name / f"seed-{seed}"
    ingest(table, config, folder / "all", progress=False)
    raw = {split: read_raw(folder / "all", split, config) for split in SPLITS}
    return Setting(name, config, folder, table, raw)


def measure(setting, column, arguments):
    """Writes what is not yet known of one column: by labels a class, the hits on test rows."""
    if column == SUPERVISED:
        for labels in arguments.labels:
            kept(setting, SUPERVISED, labels, fine_tuned, None)
        return
    run = untrained(setting) if column not in OBJECTIVES else pretrained(setting, column)
    vectors = {split: joined(run, raw) for split, raw in setting.raw.items()}
    for labels in arguments.labels:
        kept(setting, f"{column}, linear", labels, linear, vectors)
        if column in OBJECTIVES and not arguments.no_fine_tuning:
            kept(setting, f"{column}, fine-tuned", labels, fine_tuned, run)


def kept(setting, name, labels, measured, given):
    """Writes, once, which rows `measured(setting, labels, given)` gets right."""
    file = result_file(setting, name, labels)
    if file.is_file():
        return
    began = time.perf_counter()
    found = measured(setting, labels, given)
    file.write_text(json.dumps([bool(hit) for hit in found]))
    seconds = time.perf_counter() - began
    print(
        f"{setting.name}, seed {setting.config.seed}, {labels} labels, {name}:"
        f" {np.mean(found):.3f} after {seconds:.0f} s",
        file=sys.stderr,
        flush=True,
    )


def result_file(setting, name, labels):
    return setting.folder / f"{slug(name)}-{labels}.json"


def pretrained(setting, objective):
    """The run of the table's towers with heads without labels on all training rows."""
    run_dir = setting.folder / f"pretrained-{slug(objective)}"
    file = run_dir / "last.weights.h5"
    if not file.is_file():
        heads = OBJECTIVES[objective](setting.config)
        settings = setting.config.model_dump() | {"heads": heads}
        # an objective reads what is there
        settings["fusion"]["modality_dropout"] = 0.0
        settings["training"]["patience"] = None
        config = Config.model_validate(settings)
        schema = fit_schema(config, setting.records)
        began = time.perf_counter()
        last = LastEpoch(file)
        fit(config, schema, setting.records, run_dir, callbacks=[last], verbose=0)
        seconds = time.perf_counter() - began
        print(f"{setting.name}: {objective} after {seconds:.0f} s", file=sys.stderr, flush=True)
    run = load_run(run_dir)
    run.model.load_weights(file)
    return run


class LastEpoch(keras.callbacks.Callback):
    """Keeps the weights of the last epoch.

    The validation loss of a contrastive head rises while the head still gets better: its logits
    become too sure. The epoch with the least loss would be one of the first.
    """

    def __init__(self, file):
        super().__init__()
        self.file = file

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.params["epochs"]:
            self.model.save_weights(self.file)


def untrained(setting):
    schema = fit_schema(setting.config, setting.records)
    model = build_model(setting.config, schema)
    return Run(model, setting.config, schema, {}, None, setting.folder)


def joined(run, raw):
    """The vectors of all towers side by side; zeros where an input is missing."""
    found = predictor_of(run).embed({name: raw[name] for name in run.config.inputs})
    return np.hstack([found[name] for name in run.config.inputs])


def labelled(setting, labels):
    """Indices of training rows: so many of each class, the same for all columns."""
    classes = setting.raw["train"][LABEL]
    random = np.random.default_rng(setting.config.seed)
    order = random.permutation(len(classes))
    chosen = [order[classes[order] == one][:labels] for one in np.unique(classes)]
    return np.concatenate(chosen)


def linear(setting, labels, vectors):
    rows = labelled(setting, labels)
    scaler = StandardScaler().fit(vectors["train"])
    x = {split: scaler.transform(one) for split, one in vectors.items()}
    y = {split: raw[LABEL] for split, raw in setting.raw.items()}
    few = {"train": x["train"][rows]}, {"train": y["train"][rows]}
    return regression(x | few[0], y | few[1]) == y["test"]


def fine_tuned(setting, labels, run):
    """Hits of the default on the labelled rows, from the towers of a run or from scratch."""
    records = few_records(setting, labels)
    split = {"split": {"column": "part"}}
    config = Config.model_validate(setting.config.model_dump() | split)
    schema, model = fit_schema(config, records), None
    if run is not None:
        model, schema = replace_heads(config, schema, run)
    run_dir = setting.folder / "run"
    trained = fit(config, schema, records, run_dir, verbose=0, model=model)
    test = setting.raw["test"]
    found = predictor_of(trained).predict({name: test[name] for name in config.inputs})[LABEL]
    classes = np.array(trained.schema.heads[LABEL].names)
    return classes[found.argmax(axis=1)] == test[LABEL]


def few_records(setting, labels):
    """Records of the labelled rows, repeated, and of the validation and test rows."""
    frame = pandas.concat(setting.table.chunks())
    rows = setting.raw["train"]["row"][labelled(setting, labels)]
    parts = [frame.loc[rows].assign(part="train")] * math.ceil(EPOCH_ROWS / len(rows))
    parts += [frame.loc[setting.raw[one]["row"]].assign(part=one) for one in SPLITS[1:]]
    table = read_table(pandas.concat(parts, ignore_index=True), root=setting.table.root)
    config = Config.model_validate(setting.config.model_dump() | {"split": {"column": "part"}})
    records = setting.folder / f"few-{labels}"
    ingest(table, config, records, progress=False)
    return records


def page(found, all_labels):
    """Accuracies of what is finished, and the gain over the supervised default."""
    heads = ["labels a class", "column", "test accuracy, mean of seeds", "by seed", "95 % interval"]
    lines = [f"| {' | '.join([*heads, 'minus supervised', '95 % interval'])} |", "|---" * 7 + "|"]
    for labels in all_labels:
        hits = hits_of(found, labels)
        if hits is None:
            continue
        seeds, means = by_seed_and_drawn(hits)
        for name in seeds:
            cells = [str(labels), name, *accuracy(name, seeds, means)]
            compared = SUPERVISED in seeds and name != SUPERVISED
            cells += gain(name, SUPERVISED, seeds, means) if compared else ["", ""]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def hits_of(found, labels):
    """One row a test row of each seed; columns that all seeds have."""
    ways = [f"{one}, {way}" for one in OBJECTIVES for way in ("linear", "fine-tuned")]
    names = [
        name
        for name in (SUPERVISED, UNTRAINED, *ways)
        if all(result_file(setting, name, labels).is_file() for _, setting in found)
    ]
    if not names:
        return None
    frames = []
    for seed, setting in found:
        hits = {name: json.loads(result_file(setting, name, labels).read_text()) for name in names}
        groups = group_of_rows(setting.table)[setting.raw["test"]["row"]]
        frames.append(pandas.DataFrame(hits).assign(seed=seed, group=groups))
    return pandas.concat(frames)


if __name__ == "__main__":
    main()
