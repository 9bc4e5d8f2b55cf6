"""Texts that are chosen from a list: the probability of each is that of the decoder."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from random_rows import rows_of, schema_of, texts_of

from multimodal_tf.config import BagTower, Config, NumberInput, TextHead, TextInput
from multimodal_tf.data.target_stats import TargetStats
from multimodal_tf.models import build_model
from multimodal_tf.models.generating import generating, scoring

SMALL = {"dim": 8, "heads": 2, "depth": 1, "mlp_units": 8, "max_tokens": 3, "dropout": 0.0}
ROWS = 24
CHOICES = ["b", "a", "cab"]
IDS = [[3], [2], [4, 2, 3]]


def made(decoder):
    """A model whose logits differ much, and rows."""
    head = TextHead(decoder=decoder, choices=CHOICES, **SMALL)
    inputs = {"note": TextInput(max_tokens=6, tower=BagTower(embedding_dim=8))}
    config = Config(inputs=inputs | {"price": NumberInput()}, heads={"caption": head})
    chosen = {"choices": CHOICES, "choice_ids": IDS, "choice_counts": [5, 0, 2]}
    stats = texts_of(head).model_copy(update=chosen)
    schema = schema_of(config).model_copy(update={"heads": {"caption": stats}})
    model = build_model(config, schema)
    random = np.random.default_rng(0)
    model.set_weights([one + random.normal(0, 0.6, one.shape) for one in model.get_weights()])
    rows = rows_of(config, ROWS)
    del rows["caption_target"]
    return model, rows, stats.end


@pytest.mark.parametrize("decoder", ["transformer", "lstm"])
def test_probabilities_are_those_of_the_texts(decoder, tmp_path):
    model, rows, end = made(decoder)
    found = {name: one.numpy() for name, one in generating(model)(rows, training=False).items()}
    logs = []
    for ids in IDS:
        target = np.tile(np.array([[*ids, end, 0, 0, 0][:4]], "int32"), [ROWS, 1])
        logs.append(scoring(model)(rows | {"caption_target": target})["caption"].numpy()[:, 1])
    logs = np.stack(logs, axis=1)
    best = logs.argmax(axis=1)
    assert np.ptp(logs, axis=0).min() > 0.5
    np.testing.assert_allclose(found["caption_log_probability"], logs.max(axis=1), rtol=1e-4)
    shares = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found["caption_probabilities"], shares, rtol=1e-4)
    for row, one in zip(found["caption"], best):
        assert row.tolist() == [*IDS[one], end, 0, 0, 0][:4]
    # a choice without a training row counts as half a row
    nothing = {name: np.zeros_like(one) for name, one in rows.items()}
    missing = generating(model)(nothing)
    prior = np.array([5, 0.5, 2]) / 7.5
    np.testing.assert_allclose(missing["caption_probabilities"], [prior] * ROWS, rtol=1e-5)
    assert (missing["caption"].numpy() == [3, end, 0, 0]).all()
    with pytest.raises(ValueError, match=r"must have a head that samples.* received \['caption'\]"):
        model.sampling()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").generating()(rows)
    np.testing.assert_allclose(again["caption_probabilities"], shares, rtol=1e-4)


def learned(head, texts):
    learner = TargetStats("heads.answer", head)
    learner.add(tf.constant(texts))
    return learner.stats("the head 'answer'")


def test_choices_of_the_training_split():
    stats = learned(TextHead(choices="training", max_tokens=3), ["no", "yes", "no", "", "a"])
    assert (stats.choices, stats.choice_counts) == (["a", "no", "yes"], [1, 2, 1])
    words = stats.tokens.words
    assert stats.choice_ids == [[words.index(one) + 2 for one in text] for text in stats.choices]
    # YAML reads these as booleans and numbers
    fixed = TextHead(choices=[" yes", "no\n", 1], max_tokens=3)
    assert fixed.choices == ["yes", "no", "1"]
    assert learned(fixed, ["no", "yes", "a1"]).choice_counts == [1, 1, 0]
    assert TextHead().endings == ("_log_probability",)
    assert fixed.stats_settings != TextHead(max_tokens=3).stats_settings


@pytest.mark.parametrize(
    ("choices", "texts", "message"),
    [
        (["no", "yes"], ["no", "on"], "tokens that are in the training split's texts.* 'yes'"),
        (["no", "nono"], ["no"], "at most 3 tokens, max_tokens, received 'nono'"),
        ("training", ["no", "nono"], "at most 3 tokens, max_tokens, received 'nono'"),
        ("training", ["no", "no"], "2 to 10000 texts, received 1 in the training split"),
    ],
)
def test_choices_that_cannot_be_predicted(choices, texts, message):
    with pytest.raises(ValueError, match=f"heads.answer.choices: must .*{message}"):
        learned(TextHead(choices=choices, max_tokens=3), texts)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"choices": ["a"]}, "two different texts or more"),
        ({"choices": ["a", " a"]}, "two different texts or more"),
        ({"choices": ["a", ""]}, "none empty"),
        ({"choices": "all"}, "training"),
        (
            {"choices": ["a", "b"], "search": "beam"},
            "search is a setting of texts",
        ),
        ({"choices": "training", "top_k": 3}, "top_k is a setting of texts that are written"),
        ({"choices": "training", "decoder": "ctc", "inputs": ["clip"]}, "choices is no setting"),
    ],
)
def test_refused_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        TextHead(**settings)
