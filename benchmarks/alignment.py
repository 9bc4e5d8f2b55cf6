"""Retrieval of images by descriptions on Tux Paint's stamps, and zero-shot classes.

    python -m benchmarks.make_presets runs/presets
    python -m benchmarks.alignment --presets runs/presets > alignment.md
    # one column after another: finished ones are read from `--out`
    python -m benchmarks.alignment --columns InfoNCE SigLIP
    # a quick run
    python -m benchmarks.alignment --columns InfoNCE --seeds 0 --epochs 2 --out /tmp/smoke

Each loss is trained alone, without labels: InfoNCE, SigLIP's sigmoid, the distance, and the head
`matching`; with towers from scratch, and over frozen ones of `benchmarks.make_presets` (MiniLM;
EfficientNet-Lite0 too), whose outputs are computed once for all seeds. Each seed is a new split, no
group of near-duplicates is in two splits. An alignment keeps the epoch of the best retrieval on
validation rows; matching that of the lowest loss. Test rows with an equal cell are relevant to each
other. Intervals draw groups, over all seeds.

Zero-shot classes: the class whose name is nearest to the image, among the classes of the test rows.
Beside it the most frequent class, an even draw, and the nearest mean of EfficientNet-Lite0's
vectors of the training rows' classes, which reads their labels. Needs Debian's
`tuxpaint-stamps-default`.
"""

import argparse
import json
import pathlib
import sys
import time

import numpy as np

from benchmarks.accuracy_table import group_of_rows
from benchmarks.alignment_page import page
from benchmarks.frozen_vectors import FrozenVectors
from multimodal_tf.config import (
    AlignmentHead,
    Config,
    ImageInput,
    MatchingHead,
    PresetTower,
    TextInput,
    Training,
)
from multimodal_tf.data.cache import started_after
from multimodal_tf.data.datasets import stamps_config, stamps_table
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.pipeline import load_raw, load_split
from multimodal_tf.evaluation.predictor import predictor_of
from multimodal_tf.scoring.retrieval import ranks, recall, relevance_groups
from multimodal_tf.training.fit import fit
from multimodal_tf.training.run_dir import load_run

IMAGE, TEXT, SPACE = "image", "description", "space"
INPUTS = [IMAGE, TEXT]
HEADS = {
    "InfoNCE": AlignmentHead(inputs=INPUTS),
    "SigLIP": AlignmentHead(inputs=INPUTS, loss="sigmoid"),
    "distance": AlignmentHead(inputs=INPUTS, loss="distance"),
    "matching": MatchingHead(inputs=INPUTS, dim=64),
}
# inputs that frozen networks read, by what stands behind the name of a loss
FROZEN = {"": (), ", MiniLM": (TEXT,), ", MiniLM and EfficientNet-Lite0": (TEXT, IMAGE)}
COLUMNS = {
    loss + towers: (head, frozen)
    for towers, frozen in FROZEN.items()
    for loss, head in HEADS.items()
    if loss == "InfoNCE" or towers != ", MiniLM"
}
# among so many first items
FIRST = (1, 5, 10)


def main():
    arguments = parse()
    table = stamps_table()
    groups, results = group_of_rows(table), {}
    for name in arguments.columns:
        for seed in arguments.seeds:
            folder = arguments.out / f"seed-{seed}"
            file = folder / f"{slug(name)}.json"
            if not file.is_file():
                labelled = stamps_config().model_copy(update={"seed": seed})
                ingest(table, labelled, folder / "data", progress=False)
                found = result(name, configured(name, seed, arguments), labelled, arguments, folder)
                file.write_text(json.dumps(found))
            results[name, seed] = json.loads(file.read_text())
            print(f"{name}, seed {seed}: done", file=sys.stderr, flush=True)
    print(page(results, groups))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--columns", nargs="+", choices=COLUMNS, metavar="COLUMN")
    parser.add_argument("--epochs", type=int, help="instead of the data set's own")
    parser.add_argument("--presets", type=pathlib.Path, help="folder of make_presets")
    parser.add_argument(
        "--vectors", type=pathlib.Path, help="folder of kept vectors of benchmarks.tables"
    )
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("runs/benchmarks/alignment")
    )
    arguments = parser.parse_args()
    if arguments.columns is None:
        arguments.columns = [
            name for name, (_, frozen) in COLUMNS.items() if arguments.presets or not frozen
        ]
    return arguments


def slug(name):
    return name.lower().replace(", ", "-").replace(" ", "-")


def configured(name, seed, arguments):
    """The data set's own training and towers, or frozen ones, with one head."""
    config, (head, frozen) = stamps_config(), COLUMNS[name]
    inputs = {own: config.inputs[own] for own in INPUTS}
    if TEXT in frozen:
        tower = PresetTower(preset=str(arguments.presets / "minilm"))
        inputs[TEXT] = TextInput(max_tokens=24, tower=tower)
    if IMAGE in frozen:
        tower = PresetTower(preset=str(arguments.presets / "efficientnet_lite0"))
        inputs[IMAGE] = ImageInput(height=224, width=224, tower=tower)
    training = {"epochs": arguments.epochs} if arguments.epochs else {}
    return Config(
        inputs=inputs,
        heads={SPACE: head},
        split=config.split,
        training=Training(**training),
        seed=seed,
    )


def result(name, config, labelled, arguments, folder):
    """What one training gives for each test row."""
    run_dir, records, cache = folder / slug(name), folder / "data", arguments.out / "cache"
    began = time.process_time()
    if not (run_dir / "model.keras").is_file():
        schema = fit_schema(config, records)
        fit(config, schema, records, run_dir, verbose=0, cache=cache)
    seconds = time.process_time() - began
    run = load_run(run_dir)
    raw, labels, rows = rows_of(labelled, records, "test")
    vectors = predicted(run, records, cache)[:, :, : config.heads[SPACE].vector_end]
    cells = [np.unique(raw[own], return_inverse=True)[1] for own in INPUTS]
    found = {
        "rows": rows.tolist(),
        "retrieval": retrieved(vectors, relevance_groups(cells)),
        "cpu seconds": round(seconds),
        "epochs": run.record.epochs,
        "best epoch": run.record.best_epoch,
    }
    classes, counts = np.unique(labels, return_counts=True)
    found["most frequent"] = (labels == classes[counts.argmax()]).tolist()
    found["classes"] = len(classes)
    if run.config.heads[SPACE].aligns_inputs:
        # a matching head gives no vector of one input alone
        found["zero-shot"] = zero_shot(run, vectors[:, 0], labels, classes).tolist()
    if arguments.presets:
        means = nearest_means(labelled, records, arguments)
        found["nearest mean"] = (means == labels).tolist()
    return found


def rows_of(config, records, split):
    """Cells by input, labels, and numbers of rows of the table."""
    batches = list(load_raw(config, records, split, 256).as_numpy_iterator())
    raw = {own: np.concatenate([batch[1][own] for batch in batches]) for own in INPUTS}
    name = next(iter(config.heads))
    labels = np.concatenate([batch[2][name] for batch in batches]).astype(str)
    return raw, labels, np.concatenate([batch[0] for batch in batches])


def predicted(run, records, cache):
    """The head's output for the test rows."""
    given = (run.config, run.schema, records)
    with started_after(run.model, *given, ["test"], cache, progress=False) as frozen:
        batches = load_split(*given, "test", batch_size=64, frozen=frozen)
        found = [run.model.predict_on_batch(inputs)[SPACE] for inputs, *_ in batches]
    return np.concatenate(found)


def retrieved(vectors, codes):
    """By query, and metric, the numbers of the rows that have both inputs."""
    both = vectors.any(axis=2).all(axis=1)
    assert both.all(), "every stamp has an image and a description"
    lengths = np.linalg.norm(vectors, axis=2, keepdims=True)
    units = (vectors / lengths).astype("float32")
    found = {}
    for query, name in enumerate(INPUTS):
        of_query = ranks(units[:, query], units[:, 1 - query], codes)
        ahead, tied, relevant, precision = of_query
        metrics = {f"R@{k}": recall(k, of_query) for k in FIRST}
        metrics |= {"mAP": precision, "rank": ahead + (tied + 1) / (relevant + 1)}
        found[name] = {metric: values.tolist() for metric, values in metrics.items()}
    return found


def zero_shot(run, images, labels, classes):
    """Whether the nearest class name is right, by row."""
    raw = {
        IMAGE: np.full(len(classes), b"", object),
        TEXT: np.array([name.encode() for name in classes], object),
    }
    texts = predictor_of(run).predict(raw)[SPACE][:, 1, : images.shape[1]]
    return classes[(images @ texts.T).argmax(axis=1)] == labels


def nearest_means(config, records, arguments):
    """The class of the test rows whose training images' mean vector is nearest."""
    frozen = FrozenVectors(arguments.presets, arguments.vectors or arguments.out / "vectors")
    vectors, labels = {}, {}
    for split in ("train", "test"):
        raw, labels[split], _ = rows_of(config, records, split)
        vectors[split] = frozen.of("image", list(raw[IMAGE]))[0]
    classes = np.unique(labels["train"])
    means = np.stack([vectors["train"][labels["train"] == one].mean(axis=0) for one in classes])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return classes[(vectors["test"] @ means.T).argmax(axis=1)]


if __name__ == "__main__":
    main()
