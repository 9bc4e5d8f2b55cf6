"""Fixed features beside a tower's vector, against scikit-learn, NumPy and Pillow."""

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer

from multimodal_tf.config import (
    AudioInput,
    BagTower,
    BooleanInput,
    CategoryInput,
    ClassificationHead,
    Config,
    ConvTower,
    DateInput,
    DenseTower,
    ImageInput,
    MLPTower,
    NgramTokenizer,
    NumberInput,
    SpectrogramTower,
    TextInput,
    VectorInput,
)
from multimodal_tf.models.build import build_model
from multimodal_tf.models.towers import encode_input, wide
from multimodal_tf.models.towers.encoding import ScaledToLength
from multimodal_tf.models.towers.text import token_count
from multimodal_tf.schema import Classes, Moments, Schema, Vocabulary

TEXTS = ["red bird red", "blue bird", "green"]


def wide_of(config, stats, x):
    given = keras.Input(x.shape[1:], dtype=str(x.dtype))
    encoding = encode_input(config, stats, given, None, "one", "vector")
    return np.asarray(keras.Model(given, encoding.wide)(x))


def test_vectors_are_scaled_to_one_length_with_a_finite_gradient_at_zero():
    import tensorflow as tf

    x = tf.constant([[3e4, 4e4], [0.0, 0.0], [1e-9, 0.0]])
    layer = ScaledToLength(10.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    np.testing.assert_allclose(y, [[6, 8], [0, 0], [10, 0]], rtol=1e-6)
    assert np.isfinite(tape.gradient(y, x)).all()
    half = ScaledToLength(10.0, dtype="float16")(tf.constant([[300.0, 400.0]], "float16"))
    np.testing.assert_allclose(half, [[6, 8]], rtol=1e-3)


def test_tf_idf_is_scikit_learns():
    fitted = TfidfVectorizer(norm="l2").fit(TEXTS)
    words = [str(word) for word in fitted.get_feature_names_out()]
    documents = [sum(word in text.split() for text in TEXTS) for word in words]
    stats = Vocabulary(words=words, rows=len(TEXTS), documents=documents)
    ids = {word: number for number, word in enumerate(words, 2)}
    texts = [*TEXTS, "a bird", "none"]
    tokens = np.zeros((len(texts), 4), "int32")
    for row, text in enumerate(texts):
        for column, word in enumerate(text.split()):
            tokens[row, column] = ids.get(word, 1)
    config = TextInput(max_tokens=4, tower=BagTower(embedding_dim=3, wide=True))
    found = wide_of(config, stats, tokens)
    assert found.shape == (5, 2 + len(words))
    assert not found[:, :2].any(), "padding and unknown words weigh nothing"
    expected = 10 * fitted.transform(texts).toarray()
    np.testing.assert_allclose(found[:, 2:], expected, atol=1e-5)


def test_tokens_whose_frequency_is_not_known_weigh_the_same():
    assert wide.idf(Vocabulary(words=["a", "b"]), 4, 0).tolist() == [0, 0, 1, 1]
    config = TextInput(tokenizer=NgramTokenizer(buckets=3))
    assert wide.idf(None, token_count(config, None), 0).tolist() == [0, 1, 1, 1, 1]


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_and_thumbnail_are_numpys_and_pillows(channels):
    pixels = np.random.default_rng(0).integers(256, size=(2, 32, 48, channels), dtype=np.uint8)
    config = ImageInput(
        height=32, width=48, channels=channels, tower=ConvTower(filters=[2], dim=3, wide=True)
    )
    found = wide_of(config, None, (pixels / 255).astype("float32"))
    colours = 8**channels
    assert found.shape == (2, colours + 256)
    for row, image in zip(found, pixels):
        levels = np.minimum(image.reshape(-1, channels) / 255 * 8, 7).astype(int)
        places = [8**power for power in reversed(range(channels))]
        shares = np.bincount(levels @ places, minlength=colours) / len(levels)
        np.testing.assert_allclose(row[:colours], 10 * np.sqrt(shares), atol=1e-5)
        grey = Image.fromarray(image.mean(axis=2).astype("float32"))
        small = np.asarray(grey.resize((16, 16), Image.Resampling.BOX)).ravel()
        small = small - small.mean()
        expected = 10 * small / np.linalg.norm(small)
        np.testing.assert_allclose(row[colours:], expected, atol=1e-4)


def test_levels_of_bands_do_not_depend_on_padding():
    random = np.random.default_rng(0)
    clip = random.uniform(-1, 1, (2, 2000)).astype("float32")
    clip[1] = 0
    tower = SpectrogramTower(filters=[2], mel_bins=8, dim=3, wide=True)
    short, long = (
        wide_of(
            AudioInput(sample_rate=4000, seconds=seconds, tower=tower),
            None,
            np.pad(clip, [(0, 0), (0, int(4000 * seconds) - 2000)]),
        )
        for seconds in (0.5, 1.0)
    )
    assert short.shape == (2, 16)
    assert np.isfinite(short).all()
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 10, rtol=1e-5)
    np.testing.assert_allclose(short, long, atol=0.05)


def test_layers_are_saved_with_their_settings(tmp_path):
    config = TextInput(max_tokens=4, tower=BagTower(embedding_dim=3, wide=True))
    given = keras.Input((4,), dtype="int32")
    stats = Vocabulary(words=["red", "blue"], rows=3, documents=[2, 1])
    model = keras.Model(given, encode_input(config, stats, given, None, "one", "vector").wide)
    model.save(tmp_path / "model.keras")
    tokens = np.array([[2, 3, 2, 0]])
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(tokens), model(tokens))


def test_columns_keep_their_values_beside_the_dense_layer():
    tower = DenseTower(dim=3, wide=True)
    number = NumberInput(tower=tower)
    found = wide_of(number, Moments(mean=2.0, std=4.0), np.array([2.0, 10.0], "float32"))
    np.testing.assert_allclose(found, [[0], [20]])
    category = CategoryInput(tower=tower)
    found = wide_of(category, Vocabulary(words=["a", "b"]), np.array([2, 0], "int32"))
    np.testing.assert_allclose(found, [[0, 10], [0, 0]])
    found = wide_of(VectorInput(dim=8, tower=tower), None, np.eye(2, 8, dtype="float32"))
    np.testing.assert_allclose(found, 10 * np.eye(2, 8), atol=1e-5)


def test_an_mlp_keeps_the_values_of_present_columns():
    inputs = {
        "size": NumberInput(),
        "hue": CategoryInput(),
        "day": DateInput(),
        "new": BooleanInput(),
    }
    config = Config(
        inputs=inputs,
        heads={"label": ClassificationHead()},
        tabular=MLPTower(hidden=[2], dropout=0, wide=True),
    )
    stats = Moments(mean=2.0, std=4.0)
    schema = Schema(
        rows=2,
        inputs={"size": stats, "hue": Vocabulary(words=["a", "b"]), "day": stats},
        heads={"label": Classes(names=["n", "y"], counts=[1, 1])},
    )
    rows = {
        "size": np.array([10, np.nan], "float32"),
        "hue": np.array([1, 99], "int32"),
        "day": np.array([[2, 0], [2, 0]], "int32"),
        "new": np.array([1, 1], "float32"),
    }
    flags = {f"{name}_present": np.array([1, 0], "float32") for name in rows}
    flags["new_present"][1] = 1
    model = build_model(config, schema)
    found = np.asarray(keras.Model(model.input, model.get_layer("label_wide").output)(rows | flags))
    # after the vector of the MLP and the presence flag
    found = found[:, 3:]
    assert found.shape == (2, 1 + 2 + 9 + 1)
    np.testing.assert_allclose(found[0, :4], [20, 10, 0, 0], atol=1e-5)
    assert not found[1, :12].any()
    np.testing.assert_allclose(found[:, 12], 10)
