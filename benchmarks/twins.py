"""The towers as one writes them by hand in plain Keras and KerasHub layers, for
`benchmarks.step_time` and `tower_step_time`.

Each is a function of a tower's input configuration, for its sizes, and a Keras tensor; it returns
the vector. Rows without the input get no
treatment: what the tower does for them is part of the time that is compared.
"""

import keras
import keras_hub
import numpy as np
import pandas
import tensorflow as tf
from keras import layers, ops

# of a category, and numbers in its embedding
VALUES, WIDTH = 100, 16
# of a number, and of dates in days since 1970-01-01
MOMENTS = {"mean": 5.0, "variance": 4.0}
# since 1970-01-01, of which the calendar knows
DAYS = 10_000


# --- images


def cnn(part, x):
    return dense(part.tower, layers.GlobalAveragePooling2D()(convolutions(part.tower.filters, x)))


def convolutions(filters, x, windows=None):
    for units, window in zip(filters, windows or [2] * len(filters)):
        x = layers.MaxPooling2D(window, padding="same")(
            layers.Conv2D(units, 3, padding="same", use_bias=False)(x)
        )
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    return x


def dense(tower, x):
    return x if tower.dim is None else layers.Dense(tower.dim, activation="relu")(x)


def resnet(part, x, blocks, block_type):
    filters = part.tower.filters
    network = keras_hub.models.ResNetBackbone(
        input_conv_filters=[filters],
        input_conv_kernel_sizes=[7],
        # the first must be 64, so it has no block
        stackwise_num_filters=[64, filters, 2 * filters, 4 * filters, 8 * filters],
        stackwise_num_blocks=[0, *blocks],
        stackwise_num_strides=[1, 1, 2, 2, 2],
        block_type=block_type,
        image_shape=x.shape[1:],
    )
    return layers.GlobalAveragePooling2D()(network(x))


def mobilenet(part, x):
    network = keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=x.shape[1:]
    )
    return layers.GlobalAveragePooling2D()(network(layers.Rescaling(255.0)(x)))


def vit(part, x):
    tower = part.tower
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


def embedding(part, x, vocabulary, **options):
    return layers.Embedding(vocabulary, part.tower.embedding_dim, **options)(x)


def bag(part, x, vocabulary):
    words = embedding(part, x, vocabulary, mask_zero=True)
    return layers.Dropout(part.tower.dropout)(layers.GlobalAveragePooling1D()(words))


def lstm(part, x, vocabulary):
    return layers.LSTM(part.tower.units)(embedding(part, x, vocabulary, mask_zero=True))


def gru(part, x, vocabulary):
    return layers.GRU(part.tower.units)(embedding(part, x, vocabulary, mask_zero=True))


def both_ways(part, x, vocabulary):
    return layers.Bidirectional(layers.LSTM(part.tower.units))(
        embedding(part, x, vocabulary, mask_zero=True)
    )


def transformer(part, x, vocabulary):
    mask = ops.not_equal(x, 0)
    words = layers.Embedding(vocabulary, part.tower.embedding_dim)(x)
    return layers.GlobalAveragePooling1D()(attention(part.tower, placed(words), mask), mask=mask)


def causal(part, x, vocabulary):
    mask = ops.not_equal(x, 0)
    tokens = placed(layers.Embedding(vocabulary, part.tower.embedding_dim)(x))
    for _ in range(part.tower.depth):
        tokens = keras_hub.layers.TransformerDecoder(**block(part.tower))(
            tokens, decoder_padding_mask=mask
        )
    last = ops.sum(ops.cast(mask, "int32"), axis=1) - 1
    tokens = layers.LayerNormalization(epsilon=1e-5)(tokens)
    return ops.take_along_axis(tokens, ops.reshape(last, (-1, 1, 1)), axis=1)[:, 0]


def placed(tokens):
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


# --- sounds


class LogMel(layers.Layer):
    """What one writes by hand for sounds: decibels by time and pitch."""

    def call(self, x):
        window = tf.pad(tf.signal.hann_window(400), [[0, 112]])
        spectrum = tf.signal.rfft(tf.signal.frame(x, 512, 160, pad_end=True) * window)
        power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
        bands = tf.signal.linear_to_mel_weight_matrix(64, 257, 16000, 20.0, 8000)
        decibels = 10.0 * ops.log10(ops.maximum(tf.tensordot(power, bands, 1), 1e-6))
        return decibels[..., None] / 30 + 2

    def compute_output_shape(self, shape):
        return (shape[0], 100, 64, 1)


def spectrogram_cnn(part, x):
    x = convolutions(part.tower.filters, LogMel()(x))
    return dense(part.tower, layers.GlobalAveragePooling2D()(x))


def crnn(part, x):
    tower = part.tower
    windows = [(2 if number < tower.time_pools else 1, 2) for number in range(len(tower.filters))]
    steps = convolutions(tower.filters, LogMel()(x), windows)
    mask = there(x, 160 * 2**tower.time_pools, steps.shape[1])
    steps = layers.Reshape((steps.shape[1], -1))(steps)
    tokens = layers.Bidirectional(layers.GRU(tower.units, return_sequences=True))(steps, mask=mask)
    return dense(tower, layers.GlobalAveragePooling1D()(tokens, mask=mask))


def there(x, stride, steps):
    """Which steps begin before the last sample that is not zero."""
    length = ops.max(
        ops.where(ops.not_equal(x, 0), ops.arange(1, x.shape[1] + 1), 0), axis=1, keepdims=True
    )
    return ops.greater(length, ops.arange(steps) * stride)


def spectrogram_transformer(part, x):
    tower = part.tower
    patch = (round(tower.patch_ms / tower.hop_ms), tower.patch_bins)
    picture = LogMel()(x)
    picture = layers.ZeroPadding2D(
        ((0, -picture.shape[1] % patch[0]), (0, -picture.shape[2] % patch[1]))
    )(picture)
    patches = layers.Conv2D(tower.units, patch, strides=patch)(picture)
    _, moments, bands, width = patches.shape
    mask = ops.repeat(there(x, 160 * patch[0], moments), bands, axis=1)
    tokens = attention(tower, placed(layers.Reshape((moments * bands, width))(patches)), mask)
    return layers.GlobalAveragePooling1D()(tokens, mask=mask)


def waveform_cnn(part, x):
    tower = part.tower
    whole = tower.stride ** (len(tower.filters) + 1)
    x = layers.ZeroPadding1D((0, -x.shape[1] % whole))(layers.Reshape((-1, 1))(x))
    for number, filters in enumerate(tower.filters):
        first = {
            "kernel_size": round(part.sample_rate * tower.window_ms / 1000),
            "strides": tower.stride,
        }
        sizes = first if number == 0 else {"kernel_size": tower.kernel_size}
        x = layers.MaxPooling1D(tower.stride)(
            layers.Conv1D(filters, padding="same", use_bias=False, **sizes)(x)
        )
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    return dense(tower, layers.GlobalAveragePooling1D()(x))


# --- videos


def conv3d(part, x):
    for number, filters in enumerate(part.tower.filters):
        x = layers.Conv3D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.MaxPooling3D((1 if number == 0 else 2, 2, 2), padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    return dense(part.tower, layers.GlobalAveragePooling3D()(x))


def frames_lstm(part, x):
    return layers.LSTM(part.tower.over.units)(by_frame(part, x))


def frames_average(part, x):
    return layers.GlobalAveragePooling1D()(by_frame(part, x))


def frames_transformer(part, x):
    return layers.GlobalAveragePooling1D()(
        attention(part.tower.over, placed(by_frame(part, x)), None)
    )


def by_frame(part, x):
    frame = keras.Input(x.shape[2:])
    return layers.TimeDistributed(keras.Model(frame, cnn_of(part.tower.frame, frame)))(x)


def cnn_of(tower, x):
    return dense(tower, layers.GlobalAveragePooling2D()(convolutions(tower.filters, x)))


# --- columns


def number(part, x, mean, variance):
    x = layers.Normalization(axis=None, mean=mean, variance=variance)(layers.Reshape((1,))(x))
    return layers.Dense(part.tower.dim, activation="relu")(x)


class Calendar(layers.Layer):
    """What one writes by hand for dates: pandas' calendar as a table, and points on circles."""

    def __init__(self):
        super().__init__()
        days = pandas.date_range("1970-01-01", periods=DAYS)
        places = [
            days.dayofweek,
            [7] * DAYS,
            days.day - 1,
            days.days_in_month,
            days.dayofyear - 1,
            365 + days.is_leap_year,
        ]
        self.table = tf.constant(list(zip(*places)), "float32")

    def call(self, x):
        day = ops.cast(x[:, 1], "float32") / 86_400
        places = tf.gather(self.table, x[:, 0])
        passed = (ops.cast(x[:, 0], "float32") - MOMENTS["mean"] + day) / MOMENTS["variance"] ** 0.5
        turns = [day, *((places[:, part] + day) / places[:, part + 1] for part in (0, 2, 4))]
        return ops.stack(
            [passed, *(curve(turn * 2 * np.pi) for turn in turns for curve in (ops.sin, ops.cos))],
            axis=1,
        )

    def compute_output_shape(self, shape):
        return (shape[0], 9)


def date(part, x):
    return layers.Dense(part.tower.dim, activation="relu")(Calendar()(x))


def category(part, x):
    return layers.Dense(part.tower.dim, activation="relu")(
        layers.Embedding(VALUES + 1, part.tower.dim)(x)
    )


def mlp(tower, numbers, categories, numbers_present, categories_present):
    """Numbers and categories are lists of Keras tensors `(batch,)`, and so are the flags of each."""
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
    """A learned token before the others."""

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
    """A BERT of two layers, drawn anew, with so many words, as a KerasHub preset; its folder."""
    sizes = {"num_layers": 2, "num_heads": 4, "hidden_dim": 128, "intermediate_dim": 512}
    keras_hub.models.BertBackbone(vocabulary_size=vocabulary, **sizes).save_to_preset(folder)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [f"word{place}" for place in range(vocabulary - len(special))]
    keras_hub.models.BertTokenizer([*special, *words]).save_to_preset(folder)
    return folder


def bert(part, x, vocabulary):
    whole = keras_hub.models.Backbone.from_preset(part.tower.preset)
    # without the Dense layer of `pooled_output`
    network = keras.Model(whole.input, whole.output["sequence_output"])
    network.trainable = part.tower.trainable
    mask = ops.cast(ops.not_equal(x, 0), "int32")
    given = {"token_ids": x, "segment_ids": ops.zeros_like(x), "padding_mask": mask}
    answer = network(given) if part.tower.trainable else network(given, training=False)
    return layers.GlobalAveragePooling1D()(answer, mask=mask)


def save_keras_file(path):
    """Convolutions over 64 x 64 pixels up to the layer `features`, with a classifier behind, as a
    `.keras` file; its path.
    """
    x = keras.Input((64, 64, 3))
    features = layers.GlobalAveragePooling2D(name="features")(convolutions([32, 64, 128], x))
    keras.Model(x, layers.Dense(5, activation="softmax")(features)).save(path)
    return path


def keras_file(part, x):
    whole = keras.models.load_model(part.tower.path)
    return keras.Model(whole.input, whole.get_layer(part.tower.layer).output)(x)
