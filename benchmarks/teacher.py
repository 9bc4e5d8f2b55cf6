"""What a teacher gives: students of fewer inputs, or smaller, with a tenth of the labels.

    python -m benchmarks.teacher > teacher.md
    # a quick run
    python -m benchmarks.teacher --seeds 0 --epochs 2 --out /tmp/smoke

The digits: images, spoken and written words. The teacher reads all three inputs and all labels.
Students see the labels of a tenth of the training rows, drawn by the seed; taught ones also the
teacher's predictions of all training and validation rows. Each is trained alone, too, for as many
steps. Beside them a teacher that saw the same tenth of the labels, and one that teaches labelled
rows only. Validation rows keep their labels, and choose the epoch. Intervals are of the difference
from the same student alone, percentile bootstrap of the test rows, over all seeds.
"""

import argparse
import json
import pathlib
import sys
import time

import numpy as np

import multimodal_tf as mm
from multimodal_tf.config import PRESENT
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.pipeline import load_split

LABEL = "label"
TEXT, IMAGE, ALL = ("text",), ("image",), ("image", "sound", "text")
# towers of about half the width: a quarter of the weights
SMALL = {
    "image": mm.ConvTower(filters=[16, 32], pooling="flatten", dim=32),
    "sound": mm.SpectrogramTower(filters=[16, 32, 64], mel_bins=32, dim=32),
    "text": mm.BagTower(embedding_dim=32),
}
STUDENTS = {
    "text alone": (TEXT, False),
    "image alone": (IMAGE, False),
    "all inputs, a quarter of the weights": (ALL, True),
}
# teachers of all labels, and of a tenth of them
FULL, FEW = "teacher", "few"
ONLY = "taught on labelled rows only"
TEACHERS = {
    "no teacher": None,
    "taught": FULL,
    ONLY: FULL,
    "taught by a teacher of the same labels": FEW,
}


def main():
    arguments = parse()
    results = {}
    for seed in arguments.seeds:
        folder = arguments.out / f"seed-{seed}"
        results[seed, FULL] = trained(folder, FULL, seed, arguments, mm.digits_config())
        for how, teacher in TEACHERS.items():
            if teacher == FEW:
                results[seed, FEW] = trained(folder, FEW, seed, arguments, mm.digits_config())
            for student, (inputs, small) in STUDENTS.items():
                if how in ("no teacher", "taught") or student == "text alone":
                    config = student_config(inputs, small, teacher and folder / teacher)
                    name = f"{student}, {how}"
                    results[seed, name] = trained(folder, name, seed, arguments, config)
    print(page(results, arguments.seeds))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/benchmarks/teacher"))
    return parser.parse_args()


def student_config(inputs, small, teacher):
    """The digits' own configuration with fewer inputs, or smaller towers, and a teacher."""
    settings = mm.digits_config().model_dump()
    settings["inputs"] = {name: settings["inputs"][name] for name in inputs}
    if len(inputs) == 1:
        # the only input is never hidden
        settings["fusion"]["modality_dropout"] = 0.0
    if small:
        for name, tower in SMALL.items():
            settings["inputs"][name]["tower"] = tower.model_dump()
    if teacher is not None:
        settings["teacher"] = {"model": str(teacher)}
    return mm.Config.model_validate(settings)


def table_of(name, seed):
    """The digits with the labels that a training sees."""
    frame = next(mm.digits_table().chunks(rows=10_000))
    if name == FULL:
        return frame
    train = np.flatnonzero(frame["split"] == "train")
    kept = np.random.default_rng(seed).permutation(train)[: len(train) // 10]
    hidden = np.setdiff1d(train, kept)
    if name.endswith(ONLY):
        return frame.drop(index=frame.index[hidden])
    return frame.assign(**{LABEL: frame[LABEL].mask(np.isin(np.arange(len(frame)), hidden))})


def trained(folder, name, seed, arguments, config):
    """Whether each test row is right, and what the training cost."""
    slug = name.replace(", ", "-").replace(" ", "-")
    file = folder / f"{slug}.json"
    if file.is_file():
        return json.loads(file.read_text())
    config = config.model_copy(update={"seed": seed})
    # only labelled rows are read then, a tenth: as many steps
    longer = 10 if config.teacher is None and name != FULL or name.endswith(ONLY) else 1
    config.training.epochs, config.training.patience = arguments.epochs * longer, None
    records = folder / "records" / slug
    mm.ingest(mm.read_table(table_of(name, seed)), config, records, progress=False)
    began = time.process_time()
    run = mm.fit(config, schema_for(config, records), records, folder / slug, verbose=0)
    seconds = time.process_time() - began
    right = []
    for inputs, targets, weights in load_split(config, run.schema, records, "test"):
        predicted = np.asarray(run.model.predict_on_batch(inputs)[LABEL]).argmax(axis=1)
        known = weights[LABEL].numpy() > 0
        # records that a teacher reads keep rows without the student's inputs
        known &= np.any([inputs[name + PRESENT] > 0 for name in config.inputs], axis=0)
        right += (predicted == targets[LABEL].numpy())[known].tolist()
    found = {
        "right": right,
        "weights": run.model.count_params(),
        "seconds": seconds,
        "note": run.record.note,
    }
    file.write_text(json.dumps(found))
    print(f"{name}, seed {seed}: {np.mean(right):.3f}", file=sys.stderr, flush=True)
    return found


def page(results, seeds):
    """The results as Markdown."""
    lines = [
        "| model | weights | accuracy by seed | mean | more than alone |",
        "|---|---:|---|---:|---|",
    ]
    for name in dict.fromkeys(name for _, name in results):
        every = [results[seed, name] for seed in seeds]
        means = [np.mean(one["right"]) for one in every]
        student = name.rpartition(", ")[0]
        alone = [results.get((seed, f"{student}, no teacher")) for seed in seeds]
        more = ""
        if all(alone) and not name.endswith("no teacher"):
            more = difference(every, alone)
        by_seed = " ".join(f"{mean:.3f}" for mean in means)
        title = {FULL: "teacher, all labels", FEW: "teacher, a tenth of them"}.get(name, name)
        lines.append(
            f"| {title} | {every[0]['weights']:,} | {by_seed} | {np.mean(means):.3f} | {more} |"
        )
    return "\n".join(lines)


def difference(taught, alone, resamples=2000):
    """The mean difference of accuracy over seeds, with its interval."""
    apart = np.mean(
        [
            np.asarray(one["right"], float) - np.asarray(other["right"], float)
            for one, other in zip(taught, alone)
        ],
        axis=0,
    )
    drawn = np.random.default_rng(0).integers(len(apart), size=(resamples, len(apart)))
    low, high = np.quantile(apart[drawn].mean(axis=1), [0.025, 0.975])
    return f"{apart.mean():+.3f} ({low:+.3f} .. {high:+.3f})"


if __name__ == "__main__":
    main()
