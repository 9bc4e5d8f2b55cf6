"""Beam search: the best text of all, by scores that do not change once a text has ended."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from random_rows import rows_of, schema_of, texts_of

from multimodal_tf.config import BagTower, Config, NumberInput, TextHead, TextInput
from multimodal_tf.models import build_model
from multimodal_tf.models.generating import generating

SMALL = {"dim": 8, "heads": 2, "depth": 1, "mlp_units": 8, "max_tokens": 3, "dropout": 0.0}
DECODERS = ["transformer", "lstm", "gru"]
ROWS = 12


def config_of(decoder, **settings):
    head = TextHead(decoder=decoder, **SMALL, **settings)
    tower = BagTower(embedding_dim=8)
    inputs = {"note": TextInput(max_tokens=6, tower=tower), "price": NumberInput()}
    return Config(inputs=inputs, heads={"caption": head})


@pytest.fixture(scope="module", params=DECODERS)
def trained(request):
    """A kind of decoder, weights whose logits differ much, and rows."""
    config = config_of(request.param)
    model = build_model(config, schema_of(config))
    random = np.random.default_rng(0)
    weights = [one + random.normal(0, 0.4, one.shape) for one in model.get_weights()]
    rows = rows_of(config, ROWS)
    rows.pop("caption_target")
    return request.param, weights, rows


def models(trained, **settings):
    config = config_of(trained[0], **settings)
    model = build_model(config, schema_of(config))
    model.set_weights(trained[1])
    return config, model


def written(trained, rows, **settings):
    model = generating(models(trained, **settings)[1])
    return {name: one.numpy() for name, one in model(rows, training=False).items()}


def every_text(config):
    """The ids of all texts, `(texts, max_tokens + 1)`: those that end, and those cut."""
    stats = texts_of(config.heads["caption"])
    letters, length = range(2, stats.end), config.heads["caption"].max_tokens + 1
    found = []
    for count in range(length + 1):
        for text in itertools.product(letters, repeat=count):
            found.append([*text, stats.end, *[0] * length][:length])
    return np.unique(np.array(found, np.int32), axis=0)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_wide_beam_finds_the_best_of_all_texts(trained, penalty):
    settings = {"search": "beam", "beam": 64, "length_penalty": penalty}
    config, model = models(trained, **settings)
    texts, rows = every_text(config), {name: one[:3] for name, one in trained[2].items()}
    found = written(trained, rows, **settings)
    for row in range(3):
        repeated = {name: np.repeat(one[[row]], len(texts), 0) for name, one in rows.items()}
        scores = model.predict_on_batch(repeated | {"caption_target": texts})["caption"]
        logs, counts = scores[:, 1], scores[:, 3]
        best = np.argmax(logs / ((5 + counts) / 6) ** penalty)
        np.testing.assert_array_equal(found["caption"][row], texts[best])
        assert found["caption_log_probability"][row] == pytest.approx(logs[best], rel=1e-4)


def test_a_beam_of_one_is_greedy_and_a_wider_one_is_no_worse(trained):
    greedy = written(trained, trained[2])
    one = written(trained, trained[2], search="beam", beam=1)
    np.testing.assert_array_equal(one["caption"], greedy["caption"])
    wide = written(trained, trained[2], search="beam", beam=8, length_penalty=2)
    better, least = (
        each["caption_log_probability"] / ((5 + (each["caption"] > 0).sum(axis=1)) / 6) ** 2
        for each in (wide, greedy)
    )
    assert (better >= least - 1e-5).all()
    assert (better > least + 1e-4).any()


def test_a_row_does_not_depend_on_the_rows_beside_it(trained):
    model = generating(models(trained, search="beam", beam=3)[1])
    together = model(trained[2], training=False)
    for row in (0, 5, 11):
        alone = model({name: one[[row]] for name, one in trained[2].items()}, training=False)
        np.testing.assert_array_equal(alone["caption"][0], together["caption"][row])


@pytest.mark.slow
def test_saved_models_search_the_same(trained, tmp_path):
    """Also a SavedModel, and for no rows."""
    _, model = models(trained, search="beam", beam=3)
    found = generating(model)(trained[2], training=False)["caption"].numpy()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").generating()
    again = loaded(trained[2], training=False)["caption"].numpy()
    np.testing.assert_array_equal(again, found)
    module, specs = tf.Module(), {}
    for name, one in loaded.input.items():
        specs[name] = tf.TensorSpec((None, *one.shape[1:]), one.dtype, name)
    module.model = loaded
    module.call = tf.function(lambda x: loaded(x, training=False), input_signature=[specs])
    tf.saved_model.save(module, str(tmp_path / "saved"))
    restored = tf.saved_model.load(str(tmp_path / "saved"))
    cells = {n: tf.constant(one, specs[n].dtype) for n, one in trained[2].items()}
    np.testing.assert_array_equal(restored.call(cells)["caption"], found)
    nothing = {name: one[:0] for name, one in cells.items()}
    assert restored.call(nothing)["caption"].shape == (0, 4)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("search", "sample", "needs a seed for each row"),
        ("search", "best", "greedy"),
        ("beam", 0, "greater than 0"),
        ("length_penalty", -1, "greater than or equal to 0"),
        ("length_penalty", float("nan"), "finite"),
    ],
)
def test_refused_settings(field, value, message):
    with pytest.raises(ValueError, match=message):
        TextHead(**{field: value})
