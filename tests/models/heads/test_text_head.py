"""Decoders of texts: their probabilities, and the texts that `generating` gives."""

import keras
import numpy as np
import pytest
from random_rows import rows_of, schema_of, texts_of, without

from multimodal_tf.config import (
    BagTower,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    NumberInput,
    TextHead,
    TextInput,
)
from multimodal_tf.models import build_model, compile_arguments
from multimodal_tf.models.generating import generating

SMALL = {"dim": 8, "heads": 2, "depth": 2, "mlp_units": 8, "max_tokens": 5, "dropout": 0.0}
DECODERS = ["transformer", "lstm", "gru"]
ROWS = 64


def config_of(decoder, presence=True, **heads):
    tower = BagTower(embedding_dim=8)
    return Config(
        inputs={"note": TextInput(max_tokens=6, tower=tower), "price": NumberInput()},
        heads={"caption": TextHead(decoder=decoder, label_smoothing=0.2, **SMALL), **heads},
        fusion=ConcatenationFusion(presence=presence),
    )


@pytest.fixture(scope="module", params=DECODERS)
def made(request):
    """A model whose logits differ much, its rows without targets, and what it writes for them."""
    config = config_of(request.param)
    model = build_model(config, schema_of(config))
    random = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(weight + random.normal(0, 0.5, weight.shape))
    rows = rows_of(config, ROWS)
    target = rows.pop("caption_target")
    model_of_texts = generating(model)
    return config, model, rows, target, model_of_texts, call(model_of_texts, rows)


def call(model, rows):
    return {name: one.numpy() for name, one in model(rows, training=False).items()}


def test_log_probabilities_are_those_of_teacher_forcing(made):
    """So the caches hold what is computed anew there, and each token is the most probable one."""
    config, model, rows, _, _, written = made
    tokens = written["caption"]
    assert tokens.shape == (ROWS, 6)
    assert len(np.unique(tokens, axis=0)) > 1
    scores = model(rows | {"caption_target": tokens})["caption"].numpy()
    np.testing.assert_allclose(scores[:, 1], written["caption_log_probability"], rtol=1e-4)
    np.testing.assert_array_equal(scores[:, 3], (tokens > 0).sum(axis=1))
    np.testing.assert_array_equal(scores[:, 2], scores[:, 3])
    end = texts_of(config.heads["caption"]).end
    # padding, unknown and the beginning are no answers; nothing stands behind the end
    assert not np.isin(tokens[tokens > 0], [1, end + 1]).any()
    after = np.cumsum(tokens == end, axis=1) - (tokens == end) > 0
    assert (tokens[after] == 0).all()


def test_a_row_does_not_depend_on_the_rows_beside_it(made):
    _, _, rows, _, model, written = made
    for row in (0, 17, 40):
        alone = call(model, {name: one[[row]] for name, one in rows.items()})
        np.testing.assert_array_equal(alone["caption"][0], written["caption"][row])
        np.testing.assert_allclose(
            alone["caption_log_probability"][0],
            written["caption_log_probability"][row],
            rtol=1e-5,
        )


def test_a_missing_input_has_no_influence(made):
    config, model, rows, target, model_of_texts, _ = made
    gone = np.arange(ROWS) % 2 == 0
    harmed, other = (without(rows, "note", gone, value) for value in (None, 1))
    first, second = (call(model_of_texts, each) for each in (harmed, other))
    np.testing.assert_array_equal(first["caption"], second["caption"])
    scores = [
        model(each | {"caption_target": target})["caption"].numpy() for each in (harmed, other)
    ]
    np.testing.assert_array_equal(*scores)
    without_all = without(without(rows, "note", gone), "price", gone)
    nothing = call(model_of_texts, without_all)
    stats = texts_of(config.heads["caption"])
    assert (nothing["caption"][gone] == [2, 3, stats.end, 0, 0, 0]).all()
    np.testing.assert_allclose(nothing["caption_log_probability"][gone], np.log(0.3), rtol=1e-6)
    scores = model(without_all | {"caption_target": target})["caption"].numpy()
    assert not scores[gone].any()
    assert scores[~gone, 3].all()


def test_a_saved_model_writes_the_same(made, tmp_path):
    _, model, rows, _, _, written = made
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = call(loaded.generating(), rows)
    np.testing.assert_array_equal(again["caption"], written["caption"])


def test_loss_by_hand(made):
    """The mean over a row's tokens, smoothed over the tokens that can be predicted."""
    _, model, rows, target, _, _ = made
    scores = model.get_layer("caption")
    memory, visible, *_ = (
        keras.Model(model.input, one)(rows | {"caption_target": target})
        for one in scores.input[1:3]
    )
    target = target.copy()
    target[0, 3:] = [scores.decoder.end, 0, 0]
    target[1] = 0
    begin = np.full((ROWS, 1), scores.decoder.begin)
    before = np.concatenate([begin, target[:, :-1]], axis=1).astype("int32")
    logits = scores.decoder(before, memory, visible).numpy().astype(float)
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    # 0.2 over a, b, c and the end
    right = np.take_along_axis(logs, target[..., None], -1)[..., 0]
    losses = -0.8 * right - 0.2 * logs[..., 2:6].mean(axis=-1)
    found = model(rows | {"caption_target": target})["caption"].numpy()
    np.testing.assert_allclose(found[0, 0], losses[0, :4].mean(), rtol=1e-4)
    np.testing.assert_allclose(found[2, 0], losses[2].mean(), rtol=1e-4)
    np.testing.assert_allclose(found[2, 1], right[2].sum(), rtol=1e-4)
    assert not found[1].any()


def test_other_heads_stay_as_they_are():
    config = config_of("gru", presence=False, label=ClassificationHead())
    model = build_model(config, schema_of(config))
    assert {*model.input} == {"note", "price", "caption_target"}
    rows = rows_of(config, 4)
    target = rows.pop("caption_target")
    texts = call(generating(model), rows)
    assert {*texts} == {"label", "caption", "caption_log_probability"}
    plain = model.without_generated()
    assert {*plain.input} == {"note", "price"}
    assert {*plain.output} == {"label"}
    expected = model(rows | {"caption_target": target})["label"].numpy()
    np.testing.assert_allclose(texts["label"], expected, rtol=1e-6)
    np.testing.assert_allclose(plain(rows)["label"], expected, rtol=1e-6)
    assert build_model(config_without(config), schema_of(config_without(config))).without_generated


def config_without(config):
    return config.model_copy(update={"heads": {"label": config.heads["label"]}})


def test_rows_without_a_target_do_not_count():
    config = config_of("gru")
    model = build_model(config, schema_of(config))
    model.compile("sgd", **compile_arguments(config, schema_of(config)))
    rows = rows_of(config, 4)
    known = np.array([1, 0, 1, 0], "float32")
    rows["caption_target"][known == 0] = 0
    target, weight = {"caption": rows["caption_target"]}, {"caption": known}
    found = model.evaluate(rows, target, sample_weight=weight, verbose=0, return_dict=True)
    scores = model(rows)["caption"].numpy()
    assert found["loss"] == pytest.approx(scores[:, 0].sum() / 4, rel=1e-5)
    accuracy = next(found[key] for key in found if key.endswith("token_accuracy"))
    assert accuracy == pytest.approx(scores[:, 2].sum() / scores[:, 3].sum())
