"""Time of a training step of each tower against the same tower in plain Keras and KerasHub layers.

    python -m benchmarks.tower_step_time [--towers cnn lstm] [--steps 20] [--rounds 9]

A model has one input with its presence flag, the tower, and a softmax over ten classes. The
reference is written by hand: the same layers, and the vector times the flag. It is checked to have
as many weights and, with ours copied in, to predict the same. Both train on one batch of 32 rows in
memory and take turns; a ratio is the median of the ratios within a round, so that a busy moment of
the machine affects both alike. CPU time of this process is listed too. Pretrained networks are
small ones, made here: the code around them is the same. A SavedModel has no reference, because
Keras' own layer for it, `TFSMLayer`, does not train.
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

from benchmarks import reference_columns as columns
from benchmarks import reference_pretrained as pretrained
from benchmarks import reference_towers as reference
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
from multimodal_tf.schema import Classes, Moments, Schema, Subwords, Vocabulary

BATCH, CLASSES, WORDS = 32, 10, 2000
COLUMNS: dict[str, Input] = {f"number_{index}": towers.NumberInput() for index in range(6)} | {
    f"category_{index}": towers.CategoryInput(unknown=0) for index in range(2)
}


@dataclasses.dataclass(frozen=True)
class Pair:
    """A model's inputs and the reference of their tower.

    The reference is a function of the Keras inputs by name that returns the vector and one flag
    `(batch,)`.
    """

    inputs: dict[str, Input]
    make_reference: Callable
    tabular: towers.TabularTower | None = None


def alone(input_config, make_reference, *arguments):
    """The pair of a tower over one input."""

    def vector(x):
        flag = x["x" + PRESENT]
        return layers.Multiply()(
            [make_reference(input_config, x["x"], *arguments), layers.Reshape((1,))(flag)]
        ), flag

    return Pair({"x": input_config}, vector)


def over_columns(tower, make_reference):
    """The pair of a tower over `COLUMNS`."""

    def vector(x):
        kinds = [
            [name for name in COLUMNS if name.startswith(kind)] for kind in ("number", "category")
        ]
        flags = [[x[name + PRESENT] for name in names] for names in kinds]
        flag = ops.max(columns.side([*flags[0], *flags[1]]), axis=1)
        found = make_reference(tower, *([x[name] for name in names] for names in kinds), *flags)
        return layers.Multiply()([found, layers.Reshape((1,))(flag)]), flag

    return Pair(COLUMNS, vector, tower)


def image(make_reference, *arguments, **fields):
    return alone(ImageInput(height=64, width=64, **fields), make_reference, *arguments)


def text(make_reference, vocabulary=WORDS + 2, **fields):
    # The vocabulary has padding and an unknown word too.
    return alone(TextInput(**fields), make_reference, vocabulary)


def audio(make_reference, **fields):
    return alone(AudioInput(seconds=1.0, **fields), make_reference)


def video(make_reference, **fields):
    return alone(VideoInput(height=48, width=48, **fields), make_reference)


PAIRS = {
    "cnn": image(reference.cnn),
    "resnet_18": image(
        reference.resnet, [2, 2, 2, 2], "basic_block", tower=towers.ResNetTower(filters=16)
    ),
    "resnet_34": image(
        reference.resnet,
        [3, 4, 6, 3],
        "basic_block",
        tower=towers.ResNetTower(depth=34, filters=16),
    ),
    "resnet_50": image(
        reference.resnet,
        [3, 4, 6, 3],
        "bottleneck_block",
        tower=towers.ResNetTower(depth=50, filters=16),
    ),
    "application": image(
        reference.mobilenet, tower=towers.ApplicationTower(name="MobileNetV3Small")
    ),
    "vit": image(reference.vit, tower=towers.ViTTower(patch_size=8)),
    "bag": text(reference.bag),
    "bag_of_ngrams": text(
        reference.bag, towers.NgramTokenizer().buckets + 2, tokenizer=towers.NgramTokenizer()
    ),
    "lstm": text(reference.lstm, tower=towers.LSTMTower()),
    "gru": text(reference.gru, tower=towers.GRUTower()),
    "bidirectional_lstm": text(
        reference.bidirectional_lstm, tower=towers.LSTMTower(bidirectional=True)
    ),
    "transformer": text(reference.transformer, tower=towers.TransformerTower()),
    "causal_transformer": text(reference.causal, tower=towers.TransformerTower(causal=True)),
    "spectrogram_cnn": audio(reference.spectrogram_cnn),
    "crnn": audio(reference.crnn, tower=towers.CRNNTower()),
    "spectrogram_transformer": audio(
        reference.spectrogram_transformer, tower=towers.SpectrogramTransformerTower()
    ),
    "waveform_cnn": audio(reference.waveform_cnn, tower=towers.WaveformTower()),
    "conv3d": video(reference.conv3d, tower=towers.Conv3DTower()),
    "frames_lstm": video(reference.frames_lstm),
    "frames_average": video(
        reference.frames_average, tower=towers.FramesTower(over=towers.FramesAverage())
    ),
    "frames_transformer": video(
        reference.frames_transformer, tower=towers.FramesTower(over=towers.FramesTransformer())
    ),
    "number": alone(towers.NumberInput(), columns.number, *columns.MOMENTS.values()),
    "boolean": alone(towers.BooleanInput(), columns.number, 0.5, 0.25),
    "date": alone(towers.DateInput(), columns.date),
    "category": alone(towers.CategoryInput(unknown=0), columns.category),
    "mlp": over_columns(towers.MLPTower(), columns.mlp),
    "feature_transformer": over_columns(
        towers.FeatureTransformerTower(), columns.feature_transformer
    ),
}
NAMES = [*PAIRS, "preset", "preset_frozen", "keras_file"]


def pretrained_pairs(folder):
    """The pairs of towers that read a file.

    They are a BERT preset, fine-tuned and frozen, and half of a `.keras` file.
    """
    preset, file = (
        pretrained.save_bert(f"{folder}/bert", WORDS + 2),
        pretrained.save_keras_file(f"{folder}/images.keras"),
    )
    return {
        "preset": text(pretrained.bert, tower=towers.PresetTower(preset=preset, trainable=True)),
        "preset_frozen": text(pretrained.bert, tower=towers.PresetTower(preset=preset)),
        "keras_file": image(
            pretrained.keras_file,
            tower=towers.KerasTower(path=file, layer="features", trainable=True),
        ),
    }


def main():
    with tempfile.TemporaryDirectory() as folder:
        table(parse(), PAIRS | pretrained_pairs(folder))


def table(arguments, pairs):
    print(
        f"`python -m benchmarks.tower_step_time --steps {arguments.steps}"
        f" --rounds {arguments.rounds}`\n"
    )
    print(
        "| tower | weights | ours, ms per step: median, min .. max | by hand | ratio"
        " | ratio of CPU time |"
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
    """A row of the table: both models, timed in turns."""
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
        f"{name}: largest difference of the predictions {difference:.1e}",
        file=sys.stderr,
        flush=True,
    )
    models = [
        trainer(model, compile_arguments(config, schema), batch, steps) for model in (ours, theirs)
    ]
    # The first rounds trace graphs and allocate memory.
    for _ in range(2):
        for train in models:
            train()
    # shape: rounds, models, clocks
    times = np.array([[train() for train in models] for _ in range(rounds)])
    ratios = np.median(times[:, 0] / times[:, 1], axis=0)
    walls = [
        f"{np.median(wall):.1f}, {wall.min():.1f} .. {wall.max():.1f}" for wall in times[:, :, 0].T
    ]
    return (
        f"| {name} | {ours.count_params():,} | {walls[0]} | {walls[1]}"
        f" | **{ratios[0]:.3f} x** | {ratios[1]:.3f} x |"
    )


def by_hand(pair, ours):
    """The reference with the inputs of our model and a softmax."""
    x = {
        name: keras.Input(tensor.shape[1:], name=name, dtype=tensor.dtype)
        for name, tensor in ours.input.items()
    }
    vector, flag = pair.make_reference(x)
    both = layers.Concatenate()([vector, layers.Reshape((1,))(flag)])
    return keras.Model(
        x, {"label": layers.Dense(CLASSES, activation="softmax", name="label")(both)}
    )


def schema_of(config):
    vocabulary: Vocabulary | Subwords = Vocabulary(words=[f"word{index}" for index in range(WORDS)])
    values = Vocabulary(words=[f"value{index}" for index in range(columns.VALUES)])
    moments = Moments(mean=columns.MOMENTS["mean"], std=columns.MOMENTS["variance"] ** 0.5)
    texts = next(
        (input_config for input_config in config.inputs.values() if input_config.type == "text"),
        None,
    )
    if texts is not None and texts.tokenizer.type == "preset":
        vocabulary = fit_subwords("inputs.x.tokenizer", texts.tokenizer, lambda normalize: ())
    stats = {"text": vocabulary, "category": values, "number": moments, "date": moments}
    classes = Classes(
        names=[f"class {index}" for index in range(CLASSES)], counts=[BATCH] * CLASSES
    )
    inputs = {
        name: stats[input_config.type]
        for name, input_config in config.inputs.items()
        if input_config.type in stats
    }
    return Schema(rows=BATCH * CLASSES, inputs=inputs, heads={"label": classes})


def batch_of(config):
    """`(inputs, targets, sample_weight)`: random rows in which every input is present."""
    random = np.random.default_rng(0)
    values = {
        "image": lambda input_config: random.random(
            (BATCH, input_config.height, input_config.width, input_config.channels), "float32"
        ),
        "video": lambda input_config: random.random(
            (
                BATCH,
                input_config.frames,
                input_config.height,
                input_config.width,
                input_config.channels,
            ),
            "float32",
        ),
        "audio": lambda input_config: random.normal(0, 0.1, (BATCH, input_config.samples)).astype(
            "float32"
        ),
        "text": lambda input_config: random.integers(
            1, WORDS + 2, (BATCH, input_config.max_tokens), "int32"
        ),
        "category": lambda input_config: random.integers(0, columns.VALUES + 1, BATCH, "int32"),
        "number": lambda input_config: random.normal(5, 2, BATCH).astype("float32"),
        "boolean": lambda input_config: random.integers(0, 2, BATCH).astype("float32"),
        "date": lambda input_config: np.stack(
            [random.integers(0, limit, BATCH, "int32") for limit in (columns.DAYS, 86_400)],
            axis=1,
        ),
    }
    inputs = {
        name: values[input_config.type](input_config)
        for name, input_config in config.inputs.items()
    }
    flags = {name + PRESENT: np.ones(BATCH, "float32") for name in config.inputs}
    return (
        inputs | flags,
        {"label": random.integers(0, CLASSES, BATCH, "int32")},
        {"label": np.ones(BATCH, "float32")},
    )


def trainer(model, arguments, batch, steps):
    """A function that trains `steps` steps and returns ms per step, wall and CPU."""
    model.compile("adam", **arguments)
    # The batch size is not static, as with rows that do not divide: TensorFlow optimizes a static
    # one better.
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
