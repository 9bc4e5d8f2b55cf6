"""Texts drawn at random: by the decoder's probabilities, and by a row's own seed."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from random_rows import rows_of, schema_of, texts_of

from multimodal_tf.config import BagTower, Config, NumberInput, TextHead, TextInput
from multimodal_tf.models import build_model
from multimodal_tf.models.decoders.sampling import drawn
from multimodal_tf.models.generating import generating, sampling

SMALL = {"dim": 8, "heads": 2, "depth": 1, "mlp_units": 8, "max_tokens": 3, "dropout": 0.0}
ROWS = 12


def config_of(decoder="transformer", **settings):
    head = TextHead(decoder=decoder, **SMALL, **settings)
    tower = BagTower(embedding_dim=8)
    inputs = {"note": TextInput(max_tokens=6, tower=tower), "price": NumberInput()}
    return Config(inputs=inputs, heads={"caption": head})


def made(decoder="transformer", **settings):
    """A model whose logits differ much."""
    config = config_of(decoder, **settings)
    model = build_model(config, schema_of(config))
    random = np.random.default_rng(0)
    model.set_weights([one + random.normal(0, 0.4, one.shape) for one in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def rows():
    found = rows_of(config_of(), ROWS)
    del found["caption_target"]
    return found


def call(model, rows):
    return {name: one.numpy() for name, one in model(rows, training=False).items()}


@pytest.mark.parametrize("decoder", ["transformer", "gru"])
def test_texts_follow_from_the_row_and_its_seed(decoder, rows):
    model = made(decoder)
    sampler, seeded = sampling(model), rows | {"seed": np.arange(ROWS) - 3}
    found = call(sampler, seeded)
    again = call(sampler, {name: one[::-1] for name, one in seeded.items()})
    np.testing.assert_array_equal(again["caption"][::-1], found["caption"])
    for row in (0, 7):
        alone = call(sampler, {name: one[[row]] for name, one in seeded.items()})
        np.testing.assert_array_equal(alone["caption"][0], found["caption"][row])
    other = call(sampler, seeded | {"seed": np.arange(ROWS) + 100})
    assert (other["caption"] != found["caption"]).any(axis=1).sum() > ROWS / 2
    # the log probability is the model's
    scores = model(rows | {"caption_target": found["caption"]})["caption"].numpy()
    np.testing.assert_allclose(scores[:, 1], found["caption_log_probability"], rtol=1e-4)
    # unknown and the beginning are never written
    stats = texts_of(config_of().heads["caption"])
    assert not np.isin(found["caption"], [1, stats.end + 1]).any()
    nothing = {name: np.zeros_like(one) for name, one in rows.items()}
    missing = call(sampler, nothing | {"seed": seeded["seed"]})
    assert (missing["caption"] == [2, 3, stats.end, 0]).all()


@pytest.mark.parametrize("settings", [{"top_k": 1}, {"temperature": 0.01}, {"top_p": 1e-6}])
def test_without_chance_it_is_greedy(settings, rows):
    model = made(**settings)
    found = call(sampling(model), rows | {"seed": np.arange(ROWS)})
    greedy = call(generating(model), rows)
    np.testing.assert_array_equal(found["caption"], greedy["caption"])


def test_frequencies_are_the_probabilities(rows):
    """Of the first token, and of the second one after the most frequent first one."""
    model, draws = made(temperature=1.5), 4000
    repeated = {name: np.repeat(one[[4]], draws, axis=0) for name, one in rows.items()}
    texts = call(sampling(model), repeated | {"seed": np.arange(draws)})["caption"]
    scores = model.get_layer("caption")
    some = {name: one[[4]] for name, one in rows.items()}
    some["caption_target"] = np.zeros((1, 4), "int32")
    memory, visible = (keras.Model(model.input, one)(some) for one in scores.input[1:3])
    first = np.bincount(texts[:, 0], minlength=scores.decoder.size).argmax()
    before = np.array([[scores.decoder.begin, first, 0, 0]], "int32")
    logits = scores.decoder(before, memory, visible).numpy()[0, :2]
    expected = scipy.special.softmax(logits[:, 2:-1].astype(float) / 1.5, axis=-1)
    for found, wanted in zip((texts[:, 0], texts[texts[:, 0] == first, 1]), expected):
        counts = np.bincount(found, minlength=scores.decoder.size)[2:-1]
        assert scipy.stats.chisquare(counts, wanted * counts.sum()).pvalue > 1e-3


# of the tokens 0 to 4
PROBABILITIES = [0.1, 0.4, 0.05, 0.25, 0.2]


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p", "expected"),
    [
        (1, None, 1, PROBABILITIES),
        # 0.4, 0.25 and 0.2 are the fewest with 0.8 and 0.85 together
        (1, None, 0.8, [0, 0.4 / 0.85, 0, 0.25 / 0.85, 0.2 / 0.85]),
        (1, None, 0.65, [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0]),
        (1, 3, 1, [0, 0.4 / 0.85, 0, 0.25 / 0.85, 0.2 / 0.85]),
        # of three with 0.85 together, two have 0.65 / 0.85 = 0.76
        (1, 3, 0.7, [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0]),
        (1, 99, 0.3, [0, 1, 0, 0, 0]),
        # the squares are 0.01, 0.16, 0.0025, 0.0625 and 0.04
        (0.5, None, 1, np.square(PROBABILITIES) / 0.275),
    ],
)
def test_tokens_that_are_drawn_by_hand(temperature, top_k, top_p, expected):
    """The shares of evenly spaced numbers are the probabilities."""
    numbers = (np.arange(10_000) + 0.5) / 10_000
    logs = np.repeat(np.log([PROBABILITIES]), len(numbers), axis=0).astype("float32")
    tokens = drawn(tf.constant(logs), numbers, temperature, top_k, top_p).numpy()
    np.testing.assert_allclose(np.bincount(tokens, minlength=5) / 1e4, expected, atol=3e-4)


def test_ends_of_the_range():
    logs = np.log(np.float32([[0.5, 0.5, 1e-30]] * 2))
    last = np.nextafter(np.float32(1), np.float32(0))
    assert drawn(tf.constant(logs), [0.0, last], 1.0, None, 0.99).numpy().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("temperature", 0, "greater than or equal to 0.01"),
        ("top_k", 0, "greater than 0"),
        ("top_p", 0, "greater than 0"),
        ("top_p", 1.1, "less than or equal to 1"),
    ],
)
def test_refused_settings(field, value, message):
    with pytest.raises(ValueError, match=message):
        TextHead(**{field: value})
    with pytest.raises(ValueError, match=f"{field} is no setting of the decoder ctc"):
        TextHead(decoder="ctc", inputs=["clip"], **{field: 0.5 if field != "top_k" else 2})
