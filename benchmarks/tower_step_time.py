"""Time of a training step of each tower against the same tower written by hand in plain Keras and
KerasHub layers.

    python -m benchmarks.tower_step_time [--towers cnn lstm] [--steps 20] [--rounds 9]

A model has one input with its presence flag, the tower, and a softmax over ten classes. The twin is
written by hand: the same layers, and the vector times the flag. It is checked to have as many
weights and, with ours copied in, to give the same answers. Both train on one batch of 32 rows in
memory and take turns; a ratio is the median of the ratios within a round, so that a busy moment of
the machine falls on both alike. Beside it stands the time that the processor worked for this
process. Pretrained parts are small ones, made here: where the time goes is the same. A SavedModel
has no twin: Keras' own layer for it, `TFSMLayer`, does not train.
"""

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from benchmarks import twins
from benchmarks.step_time import Clock, check_same_architecture
from multimodal_tf import config as towers
from multimodal_tf.config import (
    PRESENT,
    AudioInput,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    ImageInput,
    Input,
    TextInput,
    VideoInput,
)
from multimodal_tf.data.tokenizers.train_subwords import fit_subwords
from multimodal_tf.models.build import build_model, compile_arguments
from multimodal_tf.schema import Classes, Moments, Schema, Vocabulary

BATCH, CLASSES, WORDS = 32, 10, 2000
COLUMNS = {f"number_{place}": towers.NumberInput() for place in range(6)} | {
    f"category_{place}": towers.CategoryInput(unknown=0) for place in range(2)
}


@dataclasses.dataclass(frozen=True)
class Pair:
    """A model's inputs, and the twin of their tower: a function of the Keras inputs by name, to the
    vector and one flag `(batch,)`.
    """

    inputs: dict[str, Input]
    twin: Callable
    tabular: towers.TabularTower | None = None


def alone(part, twin, *arguments):
    """The pair of a tower over one input."""

    def vector(x):
        flag = x["x" + PRESENT]
        return layers.Multiply()([twin(part, x["x"], *arguments), layers.Reshape((1,))(flag)]), flag

    return Pair({"x": part}, vector)


def over_columns(tower, twin):
    """The pair of a tower over `COLUMNS`."""

    def vector(x):
        kinds = [
            [name for name in COLUMNS if name.startswith(kind)] for kind in ("number", "category")
        ]
        flags = [[x[name + PRESENT] for name in names] for names in kinds]
        flag = ops.max(twins.side([*flags[0], *flags[1]]), axis=1)
        found = twin(tower, *([x[name] for name in names] for names in kinds), *flags)
        return layers.Multiply()([found, layers.Reshape((1,))(flag)]), flag

    return Pair(COLUMNS, vector, tower)


def image(twin, *arguments, **fields):
    return alone(ImageInput(height=64, width=64, **fields), twin, *arguments)


def text(twin, vocabulary=WORDS + 2, **fields):
    # padding and unknown words besides
    return alone(TextInput(**fields), twin, vocabulary)


def sound(twin, **fields):
    return alone(AudioInput(seconds=1.0, **fields), twin)


def video(twin, **fields):
    return alone(VideoInput(height=48, width=48, **fields), twin)


PAIRS = {
    "cnn": image(twins.cnn),
    "resnet_18": image(
        twins.resnet, [2, 2, 2, 2], "basic_block", tower=towers.ResNetTower(filters=16)
    ),
    "resnet_34": image(
        twins.resnet, [3, 4, 6, 3], "basic_block", tower=towers.ResNetTower(depth=34, filters=16)
    ),
    "resnet_50": image(
        twins.resnet,
        [3, 4, 6, 3],
        "bottleneck_block",
        tower=towers.ResNetTower(depth=50, filters=16),
    ),
    "application": image(twins.mobilenet, tower=towers.ApplicationTower(name="MobileNetV3Small")),
    "vit": image(twins.vit, tower=towers.ViTTower(patch_size=8)),
    "bag": text(twins.bag),
    "bag_of_ngrams": text(
        twins.bag, towers.NgramTokenizer().buckets + 2, tokenizer=towers.NgramTokenizer()
    ),
    "lstm": text(twins.lstm, tower=towers.LSTMTower()),
    "gru": text(twins.gru, tower=towers.GRUTower()),
    "lstm_both_ways": text(twins.both_ways, tower=towers.LSTMTower(bidirectional=True)),
    "transformer": text(twins.transformer, tower=towers.TransformerTower()),
    "causal_transformer": text(twins.causal, tower=towers.TransformerTower(causal=True)),
    "spectrogram_cnn": sound(twins.spectrogram_cnn),
    "crnn": sound(twins.crnn, tower=towers.CRNNTower()),
    "spectrogram_transformer": sound(
        twins.spectrogram_transformer, tower=towers.SpectrogramTransformerTower()
    ),
    "waveform_cnn": sound(twins.waveform_cnn, tower=towers.WaveformTower()),
    "conv3d": video(twins.conv3d, tower=towers.Conv3DTower()),
    "frames_lstm": video(twins.frames_lstm),
    "frames_average": video(
        twins.frames_average, tower=towers.FramesTower(over=towers.FramesAverage())
    ),
    "frames_transformer": video(
        twins.frames_transformer, tower=towers.FramesTower(over=towers.FramesTransformer())
    ),
    "number": alone(towers.NumberInput(), twins.number, *twins.MOMENTS.values()),
    "boolean": alone(towers.BooleanInput(), twins.number, 0.5, 0.25),
    "date": alone(towers.DateInput(), twins.date),
    "category": alone(towers.CategoryInput(unknown=0), twins.category),
    "mlp": over_columns(towers.MLPTower(), twins.mlp),
    "feature_transformer": over_columns(
        towers.FeatureTransformerTower(), twins.feature_transformer
    ),
}
NAMES = [*PAIRS, "preset", "preset_frozen", "keras_file"]


def pretrained_pairs(folder):
    """The pairs of towers that read a file: a BERT preset, trained further and frozen, and half of
    a `.keras` file.
    """
    preset, file = (
        twins.save_bert(f"{folder}/bert", WORDS + 2),
        twins.save_keras_file(f"{folder}/images.keras"),
    )
    return {
        "preset": text(twins.bert, tower=towers.PresetTower(preset=preset, trainable=True)),
        "preset_frozen": text(twins.bert, tower=towers.PresetTower(preset=preset)),
        "keras_file": image(
            twins.keras_file, tower=towers.KerasTower(path=file, layer="features", trainable=True)
        ),
    }


def main():
    with tempfile.TemporaryDirectory() as folder:
        table(parse(), PAIRS | pretrained_pairs(folder))


def table(arguments, pairs):
    print(
        f"`python -m benchmarks.tower_step_time --steps {arguments.steps} --rounds {arguments.rounds}`\n"
    )
    print(
        "| tower | weights | ours, ms a step: median, lowest .. highest | by hand | ours against it | processor time against it |"
    )
    print("|---|---|---|---|---|---|")
    for name in arguments.towers:
        keras.utils.set_random_seed(0)
        print(line(name, pairs[name], arguments.steps, arguments.rounds), flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--towers",
        nargs="+",
        choices=NAMES,
        default=NAMES,
        metavar="TOWER",
        help=f"some of {', '.join(NAMES)}",
    )
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=9)
    return parser.parse_args()


def line(name, pair, steps, rounds):
    """A line of the table: both models, timed in turns."""
    config = Config(
        inputs=pair.inputs,
        heads={"label": ClassificationHead()},
        fusion=ConcatenationFusion(dropout=0),
        tabular=pair.tabular,
    )
    schema = schema_of(config)
    ours = build_model(config, schema)
    theirs, batch = by_hand(pair, ours), batch_of(config)
    difference = check_same_architecture(ours, theirs, batch[0])
    print(
        f"{name}: largest difference between the answers {difference:.1e}",
        file=sys.stderr,
        flush=True,
    )
    models = [
        trainer(model, compile_arguments(config, schema), batch, steps) for model in (ours, theirs)
    ]
    # graphs are traced, memory is laid out
    for _ in range(2):
        for train in models:
            train()
    # rounds, models, clocks
    times = np.array([[train() for train in models] for _ in range(rounds)])
    ratios = np.median(times[:, 0] / times[:, 1], axis=0)
    walls = [
        f"{np.median(wall):.1f}, {wall.min():.1f} .. {wall.max():.1f}" for wall in times[:, :, 0].T
    ]
    return f"| {name} | {ours.count_params():,} | {walls[0]} | {walls[1]} | **{ratios[0]:.3f} x** | {ratios[1]:.3f} x |"


def by_hand(pair, ours):
    """The twin with the inputs of our model and a softmax."""
    x = {
        name: keras.Input(tensor.shape[1:], name=name, dtype=tensor.dtype)
        for name, tensor in ours.input.items()
    }
    vector, flag = pair.twin(x)
    both = layers.Concatenate()([vector, layers.Reshape((1,))(flag)])
    return keras.Model(
        x, {"label": layers.Dense(CLASSES, activation="softmax", name="label")(both)}
    )


def schema_of(config):
    vocabulary = Vocabulary(words=[f"word{place}" for place in range(WORDS)])
    values = Vocabulary(words=[f"value{place}" for place in range(twins.VALUES)])
    moments = Moments(mean=twins.MOMENTS["mean"], std=twins.MOMENTS["variance"] ** 0.5)
    texts = next((part for part in config.inputs.values() if part.type == "text"), None)
    if texts is not None and texts.tokenizer.type == "preset":
        vocabulary = fit_subwords("inputs.x.tokenizer", texts.tokenizer, [])
    stats = {"text": vocabulary, "category": values, "number": moments, "date": moments}
    classes = Classes(
        names=[f"class {place}" for place in range(CLASSES)], counts=[BATCH] * CLASSES
    )
    inputs = {name: stats[part.type] for name, part in config.inputs.items() if part.type in stats}
    return Schema(rows=BATCH * CLASSES, inputs=inputs, heads={"label": classes})


def batch_of(config):
    """`(inputs, targets, sample_weight)`: random rows in which every input is there."""
    random = np.random.default_rng(0)
    values = {
        "image": lambda part: random.random(
            (BATCH, part.height, part.width, part.channels), "float32"
        ),
        "video": lambda part: random.random(
            (BATCH, part.frames, part.height, part.width, part.channels), "float32"
        ),
        "audio": lambda part: random.normal(0, 0.1, (BATCH, part.samples)).astype("float32"),
        "text": lambda part: random.integers(1, WORDS + 2, (BATCH, part.max_tokens), "int32"),
        "category": lambda part: random.integers(0, twins.VALUES + 1, BATCH, "int32"),
        "number": lambda part: random.normal(5, 2, BATCH).astype("float32"),
        "boolean": lambda part: random.integers(0, 2, BATCH).astype("float32"),
        "date": lambda part: np.stack(
            [random.integers(0, limit, BATCH, "int32") for limit in (twins.DAYS, 86_400)], axis=1
        ),
    }
    inputs = {name: values[part.type](part) for name, part in config.inputs.items()}
    flags = {name + PRESENT: np.ones(BATCH, "float32") for name in config.inputs}
    return (
        inputs | flags,
        {"label": random.integers(0, CLASSES, BATCH, "int32")},
        {"label": np.ones(BATCH, "float32")},
    )


def trainer(model, arguments, batch, steps):
    """A function that trains `steps` steps and returns milliseconds a step, on the wall and of the
    processor.
    """
    model.compile("adam", **arguments)
    # batches of no fixed size, as wherever the rows do not divide: a fixed one lets TensorFlow work
    # out more beforehand
    data, clock = (
        tf.data.Dataset.from_tensor_slices(batch).batch(BATCH).cache().repeat(steps),
        Clock(),
    )

    def train():
        model.fit(data, epochs=1, shuffle=False, callbacks=[clock], verbose=0)
        return clock.milliseconds

    return train


if __name__ == "__main__":
    main()
