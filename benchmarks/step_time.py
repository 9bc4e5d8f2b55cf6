"""Time of a training step: our pipeline against NumPy arrays and against a constant batch.

    python -m benchmarks.step_time [--steps 40] [--rounds 9]

Four trainings take turns by epoch, in one process. A time is the median over rounds in ms per step;
a ratio is the median of the ratios within a round, so that a busy moment of the machine affects all
alike. CPU time of this process, which other programs disturb less, is listed too. The table has
photos (JPEG, 160 x 120, read as 96 x 96), texts (32 words) and clips (WAV, 16 kHz, 1 s), ten
classes, batches of 32; one cell in ten is missing.

- ours: `build_model` and `model.fit` on `load_split(training=True)`.
- by hand: the same architecture in plain Keras layers, `model.fit` on NumPy arrays of the decoded
  rows. It is checked to have as many weights and, with ours copied in, to predict the same.
- our model on arrays: the difference between these two is due to the pipeline.
- one batch: our model on one batch, repeated: no data work at all.
"""

import argparse
import io
import pathlib
import statistics
import tempfile
import time

import keras
import numpy as np
import pandas as pd
import soundfile
import tensorflow as tf
from keras import layers
from PIL import Image

from benchmarks import reference_towers
from multimodal_tf.config import (
    AudioInput,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    ImageInput,
    LSTMTower,
    Split,
    TextInput,
)
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.models.build import build_model, compile_arguments
from multimodal_tf.schema import Schema

BATCH, CLASSES, WORDS = 32, 10, 2000
CONFIG = Config(
    inputs={
        "photo": ImageInput(),
        "title": TextInput(max_tokens=32, tower=LSTMTower()),
        "clip": AudioInput(seconds=1.0),
    },
    heads={"label": ClassificationHead()},
    fusion=ConcatenationFusion(hidden=[256], dropout=0),
    split=Split(column="split"),
)


def by_hand(vocabulary):
    """The model of `CONFIG` as in a Keras tutorial."""

    photo, title = (
        keras.Input((96, 96, 3), name="photo"),
        keras.Input((32,), dtype="int32", name="title"),
    )
    clip = keras.Input((16000,), name="clip")
    flags = [keras.Input((), name=f"{name}_present") for name in ("photo", "title", "clip")]
    configs = CONFIG.inputs
    towers = (
        reference_towers.cnn(configs["photo"], photo),
        reference_towers.lstm(configs["title"], title, vocabulary),
        reference_towers.spectrogram_cnn(configs["clip"], clip),
    )
    columns = [layers.Reshape((1,))(flag) for flag in flags]
    vectors = [layers.Multiply()([vector, flag]) for vector, flag in zip(towers, columns)]
    x = layers.Dense(256, activation="relu")(layers.Concatenate()([*vectors, *columns]))
    label = layers.Dense(CLASSES, activation="softmax", name="label")(x)
    return keras.Model(
        {tensor.name: tensor for tensor in (photo, title, clip, *flags)}, {"label": label}
    )


def make_records(records, rows):
    """Ingests a table of `rows` random rows; returns the schema."""
    random = np.random.default_rng(0)

    def photo():
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (120, 160, 3), np.uint8)).save(file, "JPEG")
        return file.getvalue()

    def clip():
        file = io.BytesIO()
        soundfile.write(file, random.normal(0, 0.1, 16000), 16000, format="WAV")
        return file.getvalue()

    cells = {
        "photo": photo,
        "title": lambda: " ".join(f"word{number}" for number in random.integers(WORDS, size=32)),
        "clip": clip,
        "label": lambda: f"class {random.integers(CLASSES)}",
    }
    table = pd.DataFrame({name: [cell() for _ in range(rows)] for name, cell in cells.items()})
    for name in CONFIG.inputs:
        table.loc[random.random(rows) < 0.1, name] = None
    table["split"] = "train"
    ingest(read_table(table), CONFIG, records, processes=1)
    return Schema.load(records / "schema.json")


def as_arrays(records, schema, rows):
    """All rows, decoded, as NumPy arrays for `model.fit`: inputs, targets and weights."""
    whole = load_split(CONFIG, schema, records, "train", batch_size=rows)
    return next(whole.as_numpy_iterator())


def check_same_architecture(ours, theirs, inputs):
    """Checks that the models are comparable; returns the difference of their outputs.

    Raises:
        ValueError: their weights or outputs differ.
    """
    if ours.count_params() != theirs.count_params():
        raise ValueError(
            f"the two models must have as many weights, received {ours.count_params()} and"
            f" {theirs.count_params()}"
        )
    by_shape: dict = {}
    for variable in ours.variables:
        by_shape.setdefault((variable.name, tuple(variable.shape)), []).append(variable)
    for variable in theirs.variables:
        variable.assign(by_shape[variable.name, tuple(variable.shape)].pop(0))
    difference = np.abs(
        ours.predict_on_batch(inputs)["label"] - theirs.predict_on_batch(inputs)["label"]
    ).max()
    if not difference < 1e-4:
        raise ValueError(
            f"the two models must predict the same, received a difference of {difference}"
        )
    return difference


class Clock(keras.callbacks.Callback):
    """Ms per step of the last epoch, wall and CPU, without the preparation in `fit`."""

    def on_epoch_begin(self, epoch, logs=None):
        self.start = np.array([time.perf_counter(), time.process_time()])

    def on_epoch_end(self, epoch, logs=None):
        self.milliseconds = (
            1000
            * (np.array([time.perf_counter(), time.process_time()]) - self.start)
            / self.params["steps"]
        )


def trainings(records, schema, steps):
    """By name, a function that trains an epoch and returns ms per step, wall and CPU."""
    inputs, targets, weights = as_arrays(records, schema, steps * BATCH)
    ours, theirs = build_model(CONFIG, schema), by_hand(len(schema.inputs["title"].words) + 2)
    few = {name: array[:BATCH] for name, array in inputs.items()}
    difference = check_same_architecture(ours, theirs, few)
    print(
        f"weights: {ours.count_params():,}; largest difference of the predictions: {difference:.1e}"
    )
    first = (
        {name: array[:BATCH] for name, array in arrays.items()}
        for arrays in (inputs, targets, weights)
    )
    data = {
        "ours": (ours, {"x": load_split(CONFIG, schema, records, "train", training=True)}),
        "by hand, on arrays": (
            theirs,
            {"x": inputs, "y": targets, "sample_weight": weights, "batch_size": BATCH},
        ),
        "our model on arrays": (
            ours,
            {"x": inputs, "y": targets, "sample_weight": weights, "batch_size": BATCH},
        ),
        "our model on one batch": (
            ours,
            {"x": tf.data.Dataset.from_tensors(tuple(first)).cache().repeat(steps)},
        ),
    }
    for model in (ours, theirs):
        model.compile("adam", **compile_arguments(CONFIG, schema))
    return {name: epoch_of(model, arguments) for name, (model, arguments) in data.items()}


def epoch_of(model, arguments):
    clock = Clock()

    def train():
        model.fit(
            **arguments, epochs=1, shuffle="batch_size" in arguments, callbacks=[clock], verbose=0
        )
        return clock.milliseconds

    return train


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        records = pathlib.Path(folder) / "records"
        schema = make_records(records, arguments.steps * BATCH)
        train = trainings(records, schema, arguments.steps)
        # The first rounds trace graphs and allocate memory.
        for _ in range(2):
            for one in train.values():
                one()
        rounds = [{name: one() for name, one in train.items()} for _ in range(arguments.rounds)]
    print(
        f"`python -m benchmarks.step_time --steps {arguments.steps} --rounds {arguments.rounds}`\n"
    )
    print(
        "| training | ms per step: median, min .. max | ratio of ours | CPU ms per step"
        " | ratio of ours |"
    )
    print("|---|---|---|---|---|")
    for name in train:
        wall, cpu = zip(*(one[name] for one in rounds))
        ratios = [
            f"{statistics.median(one['ours'][clock] / one[name][clock] for one in rounds):.3f} x"
            for clock in (0, 1)
        ]
        spread = f"{statistics.median(wall):.1f}, {min(wall):.1f} .. {max(wall):.1f}"
        print(f"| {name} | {spread} | {ratios[0]} | {statistics.median(cpu):.1f} | {ratios[1]} |")


if __name__ == "__main__":
    main()
