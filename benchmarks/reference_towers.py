"""Towers written by hand in plain Keras and KerasHub layers.

They are for `benchmarks.step_time` and `tower_step_time`. Each is a function of an input's
configuration, for its sizes, and a Keras tensor; it returns the vector. Rows whose input is missing
are not treated: that input_config of a tower is included in the times that are compared.
"""

import keras
import keras_hub
import numpy as np
import pandas
import tensorflow as tf
from keras import layers, ops

# values of a category, and width of its embedding
VALUES, WIDTH = 100, 16
# of a number, and of dates in days since 1970-01-01
MOMENTS = {"mean": 5.0, "variance": 4.0}
# days since 1970-01-01 in the calendar
DAYS = 10_000


# --- images


def cnn(input_config, x):
    return dense(
        input_config.tower,
        layers.GlobalAveragePooling2D()(convolutions(input_config.tower.filters, x)),
    )


def convolutions(filters, x, windows=None):
    for units, window in zip(filters, windows or [2] * len(filters)):
        x = layers.MaxPooling2D(window, padding="same")(
            layers.Conv2D(units, 3, padding="same", use_bias=False)(x)
        )
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    return x


def dense(tower, x):
    return x if tower.dim is None else layers.Dense(tower.dim, activation="relu")(x)


def resnet(input_config, x, blocks, block_type):
    filters = input_config.tower.filters
    network = keras_hub.models.ResNetBackbone(
        input_conv_filters=[filters],
        input_conv_kernel_sizes=[7],
        # KerasHub requires 64 filters in the first stage, which gets no block.
        stackwise_num_filters=[64, filters, 2 * filters, 4 * filters, 8 * filters],
        stackwise_num_blocks=[0, *blocks],
        stackwise_num_strides=[1, 1, 2, 2, 2],
        block_type=block_type,
        image_shape=x.shape[1:],
    )
    return layers.GlobalAveragePooling2D()(network(x))


def mobilenet(input_config, x):
    network = keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=x.shape[1:]
    )
    return layers.GlobalAveragePooling2D()(network(layers.Rescaling(255.0)(x)))


def vit(input_config, x):
    tower = input_config.tower
    network = keras_hub.models.ViTBackbone(
        image_shape=x.shape[1:],
        patch_size=tower.patch_size,
        num_layers=tower.depth,
        num_heads=tower.heads,
        hidden_dim=tower.units,
        mlp_dim=tower.mlp_units,
        dropout_rate=tower.block_dropout,
    )
    return network(x)[:, 0]


# --- texts


def embedding(input_config, x, vocabulary, **options):
    return layers.Embedding(vocabulary, input_config.tower.embedding_dim, **options)(x)


def bag(input_config, x, vocabulary):
    words = embedding(input_config, x, vocabulary, mask_zero=True)
    return layers.Dropout(input_config.tower.dropout)(layers.GlobalAveragePooling1D()(words))


def lstm(input_config, x, vocabulary):
    return layers.LSTM(input_config.tower.units)(
        embedding(input_config, x, vocabulary, mask_zero=True)
    )


def gru(input_config, x, vocabulary):
    return layers.GRU(input_config.tower.units)(
        embedding(input_config, x, vocabulary, mask_zero=True)
    )


def bidirectional_lstm(input_config, x, vocabulary):
    return layers.Bidirectional(layers.LSTM(input_config.tower.units))(
        embedding(input_config, x, vocabulary, mask_zero=True)
    )


def transformer(input_config, x, vocabulary):
    mask = ops.not_equal(x, 0)
    words = layers.Embedding(vocabulary, input_config.tower.embedding_dim)(x)
    return layers.GlobalAveragePooling1D()(
        attention(input_config.tower, with_positions(words), mask), mask=mask
    )


def causal(input_config, x, vocabulary):
    mask = ops.not_equal(x, 0)
    tokens = with_positions(layers.Embedding(vocabulary, input_config.tower.embedding_dim)(x))
    for _ in range(input_config.tower.depth):
        tokens = keras_hub.layers.TransformerDecoder(**block(input_config.tower))(
            tokens, decoder_padding_mask=mask
        )
    last = ops.sum(ops.cast(mask, "int32"), axis=1) - 1
    tokens = layers.LayerNormalization(epsilon=1e-5)(tokens)
    return ops.take_along_axis(tokens, ops.reshape(last, (-1, 1, 1)), axis=1)[:, 0]


def with_positions(tokens):
    return layers.Add()([tokens, keras_hub.layers.PositionEmbedding(tokens.shape[1])(tokens)])


def attention(tower, x, mask):
    for _ in range(tower.depth):
        x = keras_hub.layers.TransformerEncoder(**block(tower))(x, padding_mask=mask)
    return layers.LayerNormalization(epsilon=1e-5)(x)


def block(tower):
    sizes = {
        "intermediate_dim": tower.mlp_units,
        "num_heads": tower.heads,
        "dropout": tower.block_dropout,
    }
    return sizes | {"activation": "gelu", "normalize_first": True}


# --- audio


class LogMel(layers.Layer):
    """A hand-written log-mel spectrogram."""

    def call(self, x):
        window = tf.pad(tf.signal.hann_window(400), [[0, 112]])
        spectrum = tf.signal.rfft(tf.signal.frame(x, 512, 160, pad_end=True) * window)
        power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
        bands = tf.signal.linear_to_mel_weight_matrix(64, 257, 16000, 20.0, 8000)
        decibels = 10.0 * ops.log10(ops.maximum(tf.tensordot(power, bands, 1), 1e-6))
        return decibels[..., None] / 30 + 2

    def compute_output_shape(self, shape):
        return (shape[0], 100, 64, 1)


def spectrogram_cnn(input_config, x):
    x = convolutions(input_config.tower.filters, LogMel()(x))
    return dense(input_config.tower, layers.GlobalAveragePooling2D()(x))


def crnn(input_config, x):
    tower = input_config.tower
    windows = [(2 if number < tower.time_pools else 1, 2) for number in range(len(tower.filters))]
    steps = convolutions(tower.filters, LogMel()(x), windows)
    mask = mask_of(x, 160 * 2**tower.time_pools, steps.shape[1])
    steps = layers.Reshape((steps.shape[1], -1))(steps)
    tokens = layers.Bidirectional(layers.GRU(tower.units, return_sequences=True))(steps, mask=mask)
    return dense(tower, layers.GlobalAveragePooling1D()(tokens, mask=mask))


def mask_of(x, stride, steps):
    """Which steps begin before the last sample that is not zero."""
    length = ops.max(
        ops.where(ops.not_equal(x, 0), ops.arange(1, x.shape[1] + 1), 0), axis=1, keepdims=True
    )
    return ops.greater(length, ops.arange(steps) * stride)


def spectrogram_transformer(input_config, x):
    tower = input_config.tower
    patch = (round(tower.patch_ms / tower.hop_ms), tower.patch_bins)
    spectrogram = LogMel()(x)
    spectrogram = layers.ZeroPadding2D(
        ((0, -spectrogram.shape[1] % patch[0]), (0, -spectrogram.shape[2] % patch[1]))
    )(spectrogram)
    patches = layers.Conv2D(tower.units, patch, strides=patch)(spectrogram)
    _, times, bands, width = patches.shape
    mask = ops.repeat(mask_of(x, 160 * patch[0], times), bands, axis=1)
    tokens = attention(tower, with_positions(layers.Reshape((times * bands, width))(patches)), mask)
    return layers.GlobalAveragePooling1D()(tokens, mask=mask)


def waveform_cnn(input_config, x):
    tower = input_config.tower
    whole = tower.stride ** (len(tower.filters) + 1)
    x = layers.ZeroPadding1D((0, -x.shape[1] % whole))(layers.Reshape((-1, 1))(x))
    for number, filters in enumerate(tower.filters):
        first = {
            "kernel_size": round(input_config.sample_rate * tower.window_ms / 1000),
            "strides": tower.stride,
        }
        sizes = first if number == 0 else {"kernel_size": tower.kernel_size}
        x = layers.MaxPooling1D(tower.stride)(
            layers.Conv1D(filters, padding="same", use_bias=False, **sizes)(x)
        )
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    return dense(tower, layers.GlobalAveragePooling1D()(x))


# --- videos


def conv3d(input_config, x):
    for number, filters in enumerate(input_config.tower.filters):
        x = layers.Conv3D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.MaxPooling3D((1 if number == 0 else 2, 2, 2), padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    return dense(input_config.tower, layers.GlobalAveragePooling3D()(x))


def frames_lstm(input_config, x):
    return layers.LSTM(input_config.tower.over.units)(encode_frames(input_config, x))


def frames_average(input_config, x):
    return layers.GlobalAveragePooling1D()(encode_frames(input_config, x))


def frames_transformer(input_config, x):
    return layers.GlobalAveragePooling1D()(
        attention(input_config.tower.over, with_positions(encode_frames(input_config, x)), None)
    )


def encode_frames(input_config, x):
    frame = keras.Input(x.shape[2:])
    return layers.TimeDistributed(keras.Model(frame, cnn_of(input_config.tower.frame, frame)))(x)


def cnn_of(tower, x):
    return dense(tower, layers.GlobalAveragePooling2D()(convolutions(tower.filters, x)))


# --- columns


def number(input_config, x, mean, variance):
    x = layers.Normalization(axis=None, mean=mean, variance=variance)(layers.Reshape((1,))(x))
    return layers.Dense(input_config.tower.dim, activation="relu")(x)


class Calendar(layers.Layer):
    """Hand-written features of dates: pandas' calendar as a table, and points on circles."""

    def __init__(self):
        super().__init__()
        days = pandas.date_range("1970-01-01", periods=DAYS)
        columns = [
            days.dayofweek,
            [7] * DAYS,
            days.day - 1,
            days.days_in_month,
            days.dayofyear - 1,
            365 + days.is_leap_year,
        ]
        self.table = tf.constant(list(zip(*columns)), "float32")

    def call(self, x):
        day = ops.cast(x[:, 1], "float32") / 86_400
        calendar = tf.gather(self.table, x[:, 0])
        elapsed = (ops.cast(x[:, 0], "float32") - MOMENTS["mean"] + day) / MOMENTS[
            "variance"
        ] ** 0.5
        turns = [
            day,
            *((calendar[:, column] + day) / calendar[:, column + 1] for column in (0, 2, 4)),
        ]
        return ops.stack(
            [elapsed, *(curve(turn * 2 * np.pi) for turn in turns for curve in (ops.sin, ops.cos))],
            axis=1,
        )

    def compute_output_shape(self, shape):
        return (shape[0], 9)


def date(input_config, x):
    return layers.Dense(input_config.tower.dim, activation="relu")(Calendar()(x))


def category(input_config, x):
    return layers.Dense(input_config.tower.dim, activation="relu")(
        layers.Embedding(VALUES + 1, input_config.tower.dim)(x)
    )


def mlp(tower, numbers, categories, numbers_present, categories_present):
    """Dense layers over columns.

    Numbers, categories and their flags are lists of Keras tensors `(batch,)`.
    """
    x = layers.Normalization(
        axis=-1,
        mean=[MOMENTS["mean"]] * len(numbers),
        variance=[MOMENTS["variance"]] * len(numbers),
    )(side(numbers))
    sides = [layers.Multiply()([x, side(numbers_present)])]
    for values, flag in zip(categories, categories_present):
        sides.append(
            layers.Multiply()(
                [layers.Embedding(VALUES + 1, WIDTH)(values), layers.Reshape((1,))(flag)]
            )
        )
    x = layers.Concatenate()([*sides, side([*numbers_present, *categories_present])])
    for units in tower.hidden:
        x = layers.Dropout(tower.dropout)(layers.Dense(units, activation="relu")(x))
    return x


def side(columns):
    return layers.Concatenate()([layers.Reshape((1,))(column) for column in columns])


class ClassToken(layers.Layer):
    """Prepends a learned token."""

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), name="token")

    def call(self, tokens):
        return ops.concatenate(
            [ops.repeat(self.token, ops.shape(tokens)[0], axis=0), tokens], axis=1
        )


def feature_transformer(tower, numbers, categories, numbers_present, categories_present):
    """As `mlp`."""
    count = len(numbers)
    x = layers.Normalization(
        axis=-1, mean=[MOMENTS["mean"]] * count, variance=[MOMENTS["variance"]] * count
    )(side(numbers))
    tokens = [layers.EinsumDense("bn,nu->bnu", (count, tower.units), bias_axes="nu")(x)]
    tokens += [
        layers.Reshape((1, tower.units))(layers.Embedding(VALUES + 1, tower.units)(values))
        for values in categories
    ]
    mask = (
        ops.concatenate(
            [
                ops.ones_like(side(numbers_present[:1])),
                side([*numbers_present, *categories_present]),
            ],
            axis=1,
        )
        > 0.5
    )
    return attention(tower, ClassToken()(layers.Concatenate(axis=1)(tokens)), mask)[:, 0]


# --- pretrained


def save_bert(folder, vocabulary):
    """Saves a BERT of two layers with random weights as a KerasHub preset; returns its folder."""
    sizes = {"num_layers": 2, "num_heads": 4, "hidden_dim": 128, "intermediate_dim": 512}
    keras_hub.models.BertBackbone(vocabulary_size=vocabulary, **sizes).save_to_preset(folder)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [f"word{index}" for index in range(vocabulary - len(special))]
    keras_hub.models.BertTokenizer([*special, *words]).save_to_preset(folder)
    return folder


def bert(input_config, x, vocabulary):
    whole = keras_hub.models.Backbone.from_preset(input_config.tower.preset)
    # Without the Dense layer of `pooled_output`.
    network = keras.Model(whole.input, whole.output["sequence_output"])
    network.trainable = input_config.tower.trainable
    mask = ops.cast(ops.not_equal(x, 0), "int32")
    given = {"token_ids": x, "segment_ids": ops.zeros_like(x), "padding_mask": mask}
    tokens = network(given) if input_config.tower.trainable else network(given, training=False)
    return layers.GlobalAveragePooling1D()(tokens, mask=mask)


def save_keras_file(path):
    """Saves a `.keras` file; returns its path.

    The model has convolutions over 64 x 64 pixels up to the layer `features`, then a classifier.
    """
    x = keras.Input((64, 64, 3))
    features = layers.GlobalAveragePooling2D(name="features")(convolutions([32, 64, 128], x))
    keras.Model(x, layers.Dense(5, activation="softmax")(features)).save(path)
    return path


def keras_file(input_config, x):
    whole = keras.models.load_model(input_config.tower.path)
    return keras.Model(whole.input, whole.get_layer(input_config.tower.layer).output)(x)
