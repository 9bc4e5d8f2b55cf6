"""Every kind of tower keeps the contract; what is peculiar to one kind is worked out by hand."""

import contract
import keras
import numpy as np
import pytest
import tensorflow as tf

from multimodal_tf.config import (
    AudioInput,
    BagTower,
    CategoryInput,
    ConvTower,
    DenseTower,
    ImageInput,
    LSTMTower,
    NumberInput,
    SpectrogramTower,
    TextInput,
)
from multimodal_tf.models import build_model, embeddings
from multimodal_tf.models.presence import PresentBatchNormalization, ZeroWhereAbsent
from multimodal_tf.models.towers.audio import FLOOR, LOWEST, LogMelSpectrogram, fft_length


def image(size=16, **tower):
    return ImageInput(height=size, width=size, channels=1, tower=ConvTower(**{"filters": [4, 4], "dim": 6} | tower))


def audio(seconds=0.1, **tower):
    return AudioInput(sample_rate=4000, seconds=seconds, tower=SpectrogramTower(**{"filters": [4], "mel_bins": 8, "dim": 6} | tower))


def text(**tower):
    return TextInput(max_tokens=4, tower=LSTMTower(**{"embedding_dim": 4, "units": 5} | tower))


TOWERS = {
    "image": image(),
    "image, plain and flat": image(batch_normalization=False, padding="valid", pooling="flatten", dim=None),
    "text": text(),
    "text, a bag": TextInput(max_tokens=4, tower=BagTower(embedding_dim=4, dropout=0)),
    "text, a bag projected": TextInput(max_tokens=4, tower=BagTower(embedding_dim=4, dim=6, dropout=0)),
    "text, both ways and projected": text(bidirectional=True, dim=6),
    "audio": audio(),
    "audio, plain and flat": audio(batch_normalization=False, pooling="flatten", dim=None),
    "number": NumberInput(tower=DenseTower(dim=4)),
    "category": CategoryInput(tower=DenseTower(dim=4)),
}


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("tower", TOWERS)
def test_contract(tower, check, tmp_path):
    check(contract.with_input(TOWERS[tower]), tmp_path)


def vector(part, rows):
    config = contract.with_input(part)
    return embeddings(build_model(config, contract.schema_of(config)))(rows)["probe"].numpy()


@pytest.mark.parametrize(
    ("tower", "size"), [({"filters": [4, 4, 4], "padding": "valid"}, 16), ({"filters": [4], "kernel_size": 5, "padding": "valid"}, 4)]
)
def test_an_image_too_small_for_its_blocks_is_refused_by_field(tower, size):
    with pytest.raises(ValueError, match=rf"^inputs\.probe\.tower\.filters: .* {size} x {size} in block \d, received \[") as error:
        build_model(contract.with_input(image(size, **tower)), contract.schema_of(contract.with_input(image())))
    assert "\n" not in str(error.value)


def test_with_padding_same_no_image_is_too_small():
    config = contract.with_input(image(1, filters=[4] * 5))
    assert np.isfinite(build_model(config, contract.schema_of(config))(contract.rows_of(config, 2))["label"]).all()


def test_a_text_without_a_word_is_finite_and_padding_does_not_count():
    config = contract.with_input(text())
    rows = contract.rows_of(config, 1)
    assert not vector(text(), rows | {"probe": np.zeros((1, 4), "int32")}).any()
    longer = text().model_copy(update={"max_tokens": 6})
    words = np.array([[2, 3, 0, 0]], "int32")
    short, long = vector(text(), rows | {"probe": words}), vector(longer, rows | {"probe": np.pad(words, ((0, 0), (0, 2)))})
    np.testing.assert_allclose(short, long, rtol=1e-5)


def test_a_bag_is_the_mean_of_its_words():
    part = TOWERS["text, a bag"]
    config = contract.with_input(part)
    rows = contract.rows_of(config, 4) | {"probe": np.array([[2, 0, 0, 0], [3, 0, 0, 0], [3, 2, 0, 0], [0, 0, 0, 0]], "int32")}
    first, second, both, none = vector(part, rows)
    np.testing.assert_allclose(both, (first + second) / 2, rtol=1e-5)
    assert not none.any()


def test_an_unknown_value_and_every_known_one_have_their_own_vector():
    config = contract.with_input(TOWERS["category"])
    rows = contract.rows_of(config, 4) | {"probe": np.arange(4, dtype="int32")}
    assert len(np.unique(vector(TOWERS["category"], rows), axis=0)) == 4


def test_a_number_is_normalised_by_the_schema():
    config = contract.with_input(NumberInput())
    model = build_model(config, contract.schema_of(config))
    normalised = keras.Model(model.input, model.get_layer("probe_normalization").output)
    rows = contract.rows_of(config, 2) | {"probe": np.array([5.0, 9.0], "float32")}  # mean 5, standard deviation 2
    np.testing.assert_allclose(normalised(rows), [[0.0], [2.0]], atol=1e-6)


def test_spectrogram_agrees_with_that_of_keras():
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 4000)).astype("float32")
    ours = LogMelSpectrogram(sample_rate=4000, window=256, hop=64, fft_length=256, mel_bins=16)(x).numpy()
    reference = keras.layers.MelSpectrogram(
        fft_length=256, sequence_stride=64, sampling_rate=4000, num_mel_bins=16, min_freq=LOWEST, min_power=FLOOR, top_db=1000
    )(x).numpy()
    middle = slice(2, 50)  # Keras' windows are centred: ours number i is its number i + 2; the ends differ by what they are filled with
    np.testing.assert_allclose(ours[:, middle], reference.swapaxes(1, 2)[:, 4:52], atol=1e-3)


def test_a_tone_is_loudest_in_its_own_band():
    tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000).astype("float32")[None]
    decibels = LogMelSpectrogram(sample_rate=8000, window=200, hop=80, fft_length=256, mel_bins=16)(tone).numpy()[0, 10:-10]
    edges = 700 * np.expm1(np.linspace(1127 * np.log1p(LOWEST / 700), 1127 * np.log1p(4000 / 700), 18) / 1127)
    assert set(decibels.argmax(-1)) == {np.abs(edges[1:-1] - 1000).argmin()}


@pytest.mark.parametrize(("seconds", "frames"), [(0.0003, 1), (0.01, 1), (0.0103, 2), (0.1, 10)])
def test_the_spectrogram_of_any_length_has_its_static_shape(seconds, frames):
    part = audio(seconds)
    layer = LogMelSpectrogram(sample_rate=4000, window=100, hop=40, fft_length=128, mel_bins=8)
    assert layer(np.zeros((2, part.samples), "float32")).shape == (2, frames, 8) == layer.compute_output_shape((2, part.samples))
    assert np.isfinite(vector(part, contract.rows_of(contract.with_input(part), 2))).all()


def test_silence_is_finite_and_so_is_its_gradient():
    silence = tf.zeros((1, 400))
    layer = LogMelSpectrogram(sample_rate=4000, window=100, hop=40, fft_length=128, mel_bins=8)
    with tf.GradientTape() as tape:
        tape.watch(silence)
        decibels = layer(silence)
    np.testing.assert_allclose(decibels, -60)
    assert np.isfinite(tape.gradient(decibels, silence)).all()


@pytest.mark.parametrize(
    ("rate", "window", "bins"), [(16000, 400, 64), (16000, 400, 128), (1000, 25, 64), (44100, 1102, 128), (192000, 4800, 8)]
)
def test_no_mel_band_is_empty(rate, window, bins):
    length = fft_length(rate, window, bins)
    assert length >= window
    assert tf.signal.linear_to_mel_weight_matrix(bins, length // 2 + 1, rate, LOWEST, rate / 2).numpy().any(0).all()


@pytest.mark.parametrize(
    ("tower", "message"),
    [
        ({"window_ms": 0.1}, r"^inputs\.probe\.tower: at 4000 Hz window_ms must span 2 samples .* received 0\.1 and 10"),
        ({"hop_ms": 0.01}, r"^inputs\.probe\.tower: at 4000 Hz .* received 25\.0 and 0\.01"),
        ({"hop_ms": 30}, r"^inputs\.probe\.tower\.hop_ms: must be at most window_ms \(25\.0\), received 30"),
        ({"filters": [4] * 5, "padding": "valid"}, r"^inputs\.probe\.tower\.filters: .* of 10 x 8 in block 2"),
    ],
)
def test_a_spectrogram_that_cannot_be_is_refused(tower, message):
    config = contract.with_input(audio(**tower))
    with pytest.raises(ValueError, match=message):
        build_model(config, contract.schema_of(config))


def test_zero_where_absent_lets_no_nan_through_in_either_direction():
    weight = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        x = weight * tf.constant([[1.0], [np.nan]])
        loss = tf.reduce_sum(ZeroWhereAbsent()(x, tf.constant([1.0, 0.0])))
    assert loss == 2.0
    inner = tf.constant([[1.0], [np.nan]])
    with tf.GradientTape() as tape:
        tape.watch(inner)
        loss = tf.reduce_sum(ZeroWhereAbsent()(inner, tf.constant([1.0, 0.0])) ** 2)
    np.testing.assert_array_equal(tape.gradient(loss, inner), [[2.0], [0.0]])


class TestPresentBatchNormalization:
    def test_where_all_are_there_it_is_that_of_keras(self):
        x = np.random.default_rng(0).normal(3, 2, (5, 4, 4, 2)).astype("float32")
        ours, reference = PresentBatchNormalization(), keras.layers.BatchNormalization()
        for training in (True, False):
            np.testing.assert_allclose(ours(x, np.ones(5, "float32"), training=training), reference(x, training=training), atol=1e-5)
        for one, other in zip(ours.get_weights(), reference.get_weights()):
            np.testing.assert_allclose(one, other, rtol=1e-5)

    def test_where_none_is_there_its_statistics_stay(self):
        layer = PresentBatchNormalization()
        layer(np.ones((2, 3, 1), "float32"), np.ones(2, "float32"), training=True)
        before = layer.get_weights()
        assert np.isfinite(layer(np.ones((2, 3, 1), "float32"), np.zeros(2, "float32"), training=True)).all()
        for one, other in zip(before, layer.get_weights()):
            np.testing.assert_allclose(one, other, rtol=1e-6)
