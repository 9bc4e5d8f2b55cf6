"""Digits drawn from a word, a voice or both: do they teach a classifier to read real ones?

    python -m benchmarks.drawn_digits > drawn_digits.md

The targets are scikit-learn's handwritten digits, 8 x 8, as they are. The inputs of a row are its
digit in words (six languages, a phrase is drawn for each row) and its voice in the package's data
set `digits`: degraded, and missing in one row of ten. An image head with a latent vector learns the
training rows and is exported. Its endpoint `sample` then draws an image for each training row and
several seeds, from the word alone, the voice alone, and both.

- taught: a support vector classifier that has seen drawn digits alone, on the real test digits;
- spread: root of the mean variance of a pixel within a class, drawn over real;
- distance: Fréchet distance of the drawn from the real test digits, in the vectors of a classifier
  of this package that has learned the real ones. Its unit is its own: compare it with the training
  digits' in the first row.
"""

import argparse
import io
import pathlib
import tempfile
import time

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.svm import SVC

import multimodal_tf as mm
from benchmarks.make_digits import PHRASES, WORDS
from multimodal_tf.data.datasets import digits_config, digits_table
from multimodal_tf.metrics.frechet import frechet_distance

# of each training row, drawn with seeds of their own
DRAWINGS = 3
SIDE = 8
# half of the data set's own tower
VOICE = mm.SpectrogramTower(filters=[16, 32, 64], mel_bins=32, dim=64)
ASKED = {"word": ["word"], "voice": ["voice"], "both": ["word", "voice"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--latent", type=int, default=16)
    parser.add_argument("--kl-weight", type=float, default=1.0)
    arguments = parser.parse_args()
    print("| seed | digits | taught | spread | distance | seconds of training |")
    print("|---|---|---:|---:|---:|---:|")
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            measure(seed, pathlib.Path(folder), arguments)


def measure(seed, folder, arguments):
    """Prints a line for the real digits and one for each way to ask."""
    table = rows(seed)
    train, test = (table[table["split"] == split] for split in ("train", "test"))
    embed = reader(table, seed, folder)
    real, truth = drawn(train["drawing"]), np.array(train["label"])
    unseen = drawn(test["drawing"])
    vectors = embed(unseen)
    unseen_truth = np.array(test["label"])

    def line(name, images, labels, seconds=""):
        taught = SVC(gamma="scale").fit(images, labels).score(unseen, unseen_truth)
        spread = within(images, labels) / within(real, truth)
        distance = frechet_distance(embed(images), vectors)
        columns = f"{taught:.3f} | {spread:.2f} | {distance:.1f} | {seconds}"
        print(f"| {seed} | {name} | {columns} |", flush=True)

    line("real", real, truth)
    client, seconds = drawer(table, seed, folder, arguments)
    for name, asked in ASKED.items():
        # of a row without the voice there is nothing to draw
        chosen = train[train[asked].notna().all(axis=1)]
        cells = chosen[asked].to_dict("records") * DRAWINGS
        found = client.sample(cells, range(len(cells)))
        line(name, drawn(found["drawing"]), np.tile(chosen["label"], DRAWINGS), f"{seconds:.0f}")


def rows(seed):
    """The table: `drawing`, `word`, `voice`, `label` and `split`."""
    random = np.random.default_rng(seed)
    package = next(digits_table().chunks(rows=10_000))
    images, labels = load_digits(return_X_y=True)
    if [str(label) for label in labels] != [*package["label"]]:
        raise ValueError("rows of digits_table() must be those of load_digits()")
    steps = np.rint(images / 16 * 255).astype(np.uint8).reshape(-1, SIDE, SIDE)
    return pd.DataFrame(
        {
            "drawing": [png(one) for one in steps],
            "word": [phrase(label, random) for label in labels],
            "voice": package["sound"],
            "label": package["label"],
            "split": package["split"],
        }
    )


def phrase(label, random):
    """A digit in words."""
    language = random.choice([*WORDS])
    return str(random.choice(PHRASES[language])).format(WORDS[language].split()[label])


def drawer(table, seed, folder, arguments):
    """A client of the exported image head, and the seconds that its training took."""
    package = digits_config()
    config = mm.Config(
        inputs={
            "word": package.inputs["text"].model_copy(update={"column": None}),
            "voice": mm.AudioInput(sample_rate=8_000, seconds=0.45, tower=VOICE),
        },
        heads={
            "drawing": mm.ImageHead(
                height=SIDE,
                width=SIDE,
                channels=1,
                filters=[64, 32],
                latent=arguments.latent,
                kl_weight=arguments.kl_weight,
            )
        },
        fusion=mm.ConcatenationFusion(modality_dropout=0.3),
        split=package.split,
        training=mm.Training(epochs=arguments.epochs, patience=15, batch_size=64),
        seed=seed,
    )
    records = folder / "drawings"
    mm.ingest(mm.read_table(table), config, records, progress=False)
    schema = mm.Schema.load(records / "schema.json")
    began = time.monotonic()
    run = mm.fit(config, schema, records, folder / "drawer", verbose=0)
    seconds = time.monotonic() - began
    return mm.Client(mm.export_model(run.model, config, schema, folder / "served" / "1")), seconds


def reader(table, seed, folder):
    """Vectors of images `(n, 64)`, 0 to 1, by a classifier of the real training digits."""
    tower = mm.ConvTower(filters=[32, 64], pooling="flatten", dim=32)
    config = mm.Config(
        inputs={"drawing": mm.ImageInput(height=SIDE, width=SIDE, channels=1, tower=tower)},
        heads={"label": mm.ClassificationHead()},
        split=digits_config().split,
        training=mm.Training(epochs=20),
        seed=seed,
    )
    records = folder / "real"
    mm.ingest(mm.read_table(table), config, records, progress=False)
    schema = mm.Schema.load(records / "schema.json")
    run = mm.fit(config, schema, records, folder / "reader", verbose=0)
    client = mm.Client(mm.export_model(run.model, config, schema, folder / "reads" / "1"))

    def embed(images):
        steps = np.rint(images * 255).astype(np.uint8).reshape(-1, SIDE, SIDE)
        return client.embed([{"drawing": png(one)} for one in steps])["drawing"]

    return embed


def png(pixels):
    """uint8 `(height, width)` as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def drawn(files):
    """Images of PNG files, `(n, height * width)`, 0 to 1."""
    pixels = [np.asarray(Image.open(io.BytesIO(one))).ravel() for one in files]
    return np.stack(pixels) / 255


def within(images, labels):
    """Root of the variance of a pixel within a class, the mean over classes and pixels."""
    return np.sqrt(np.mean([images[labels == one].var(axis=0) for one in np.unique(labels)]))


if __name__ == "__main__":
    main()
