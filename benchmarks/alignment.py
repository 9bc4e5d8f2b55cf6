"""Retrieval of images by descriptions on Tux Paint's stamps, and zero-shot classes.

    python -m benchmarks.alignment > alignment.md
    python -m benchmarks.alignment --seeds 0 --epochs 2 --out /tmp/smoke    # a quick run

Each loss is trained alone, without labels: InfoNCE, SigLIP's sigmoid, the distance, and the head
`matching`. `--presets FOLDER` of `benchmarks.make_presets` adds InfoNCE with a frozen MiniLM as
text tower. Each seed is a new split, no group of near-duplicates is in two splits. Recall,
median rank and mean average precision are of the test rows; rows with an equal cell are relevant to
each other. Zero-shot: the class whose name is nearest to the image, among the classes of the test
rows; the most frequent class and an even draw beside it. Finished trainings are read from `--out`.
Needs Debian's `tuxpaint-stamps-default`.
"""

import argparse
import pathlib
import time

import numpy as np

from multimodal_tf.config import AlignmentHead, Config, MatchingHead, PresetTower, TextInput
from multimodal_tf.data.datasets import stamps_config, stamps_table
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.pipeline import load_raw
from multimodal_tf.evaluation.predictor import predictor_of
from multimodal_tf.metrics.alignment import alignment
from multimodal_tf.scoring.zero_shot import class_probabilities
from multimodal_tf.training.fit import fit
from multimodal_tf.training.run_dir import load_run

INPUTS, SPACE = ["image", "description"], "space"
HEADS = {
    "InfoNCE": AlignmentHead(inputs=INPUTS),
    "SigLIP": AlignmentHead(inputs=INPUTS, loss="sigmoid"),
    "distance": AlignmentHead(inputs=INPUTS, loss="distance"),
    "matching": MatchingHead(inputs=INPUTS, dim=64),
}
FROZEN = "InfoNCE, MiniLM frozen"
METRICS = ("recall_at_1", "recall_at_5", "recall_at_10", "median_rank", "mean_average_precision")


def main():
    arguments = parse()
    table = stamps_table()
    print("| loss | seed | query | R@1 | R@5 | R@10 | median rank | mAP | zero-shot | seconds |")
    print("|---|---:|---|---|---|---|---:|---:|---:|---:|")
    for seed in arguments.seeds:
        for name in arguments.losses or [*HEADS, *([FROZEN] if arguments.presets else [])]:
            config = configured(name, seed, arguments)
            folder = arguments.out / f"seed-{seed}"
            # records with the label, which the models do not read
            labelled = stamps_config().model_copy(update={"seed": seed})
            ingest(table, labelled, folder / "data", progress=False)
            for row in of_loss(name, config, labelled, folder):
                print(f"| {name} | {seed} | " + " | ".join(row) + " |", flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--losses", nargs="+", choices=[*HEADS, FROZEN])
    parser.add_argument("--epochs", type=int, help="instead of the data set's own")
    parser.add_argument("--presets", type=pathlib.Path, help="folder of make_presets")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("runs/benchmarks/alignment")
    )
    return parser.parse_args()


def configured(name, seed, arguments):
    """The data set's own towers and training with one head."""
    config = stamps_config()
    inputs = {own: config.inputs[own] for own in INPUTS}
    if name == FROZEN:
        tower = PresetTower(preset=str(arguments.presets / "minilm"), pooling="mean")
        inputs["description"] = TextInput(
            max_tokens=24,
            tokenizer={"type": "preset", "preset": str(arguments.presets / "minilm")},
            tower=tower,
        )
    training = config.training.model_dump()
    if arguments.epochs:
        training["epochs"] = arguments.epochs
    head = HEADS.get(name, HEADS["InfoNCE"])
    return Config(
        inputs=inputs, heads={SPACE: head}, split=config.split, training=training, seed=seed
    )


def of_loss(name, config, labelled, folder):
    """The rows of the table of one training: cells of both directions."""
    run_dir = folder / name.lower().replace(" ", "-").replace(",", "")
    began = time.perf_counter()
    if not (run_dir / "model.keras").is_file():
        fit(config, fit_schema(config, folder / "data"), folder / "data", run_dir, verbose=0)
    seconds = f"{time.perf_counter() - began:.0f}"
    run = load_run(run_dir)
    raw, labels = test_rows(labelled, folder / "data")
    predictor = predictor_of(run)
    output = predictor.predict({own: raw[own] for own in INPUTS})[SPACE]
    vectors = output[:, :, : config.heads[SPACE].vector_end]
    padded = np.concatenate([vectors, np.zeros((*vectors.shape[:2], 2))], axis=2)
    cells = np.stack([np.unique(raw[own], return_inverse=True)[1] for own in INPUTS], axis=1)
    found = alignment(cells, padded, INPUTS).metrics
    zero_shot = zero_shot_accuracy(predictor, vectors[:, 0], labels, config)
    for query, target in (INPUTS, INPUTS[::-1]):
        metrics = [found[f"{query}_to_{target}_{metric}"] for metric in METRICS]
        shown = [f"{one.shown} {one.interval}" for one in metrics[:3]]
        yield [query, *shown, *(one.shown for one in metrics[3:]), zero_shot, seconds]


def test_rows(config, records):
    """Cells by input, and labels, of the test split."""
    batches = list(load_raw(config, records, "test", 256).as_numpy_iterator())
    raw = {own: np.concatenate([batch[1][own] for batch in batches]) for own in INPUTS}
    name = next(iter(config.heads))
    labels = np.concatenate([batch[2][name] for batch in batches]).astype(str)
    return raw, labels


def zero_shot_accuracy(predictor, images, labels, config):
    """That of the nearest class name; in brackets that of the most frequent class."""
    classes, counts = np.unique(labels, return_counts=True)
    raw = {
        "image": np.full(len(classes), b"", object),
        "description": np.array([name.encode() for name in classes], object),
    }
    # a matching head gives no vector of one input alone
    if not config.heads[SPACE].aligns_inputs:
        return "-"
    texts = predictor.predict(raw)[SPACE][:, 1, :-2]
    probabilities, _ = class_probabilities(images[:, None], texts, 1.0)
    right = classes[np.asarray(probabilities).argmax(axis=1)] == labels
    return f"{right.mean():.3f} ({counts.max() / counts.sum():.3f}, 1/{len(classes)})"


if __name__ == "__main__":
    main()
