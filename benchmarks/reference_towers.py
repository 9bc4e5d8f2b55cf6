"""Towers of media written by hand in plain Keras and KerasHub layers.

They are for `benchmarks.step_time` and `tower_step_time`. Each is a function of an input's
configuration, for its sizes, and a Keras tensor; it returns the vector. Rows whose input is missing
are not treated: the time that this takes in our towers is part of what is measured.
"""

import keras
import keras_hub
import tensorflow as tf
from keras import layers, ops

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
