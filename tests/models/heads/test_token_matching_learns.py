"""The head `token_matching` learns a problem in which the tokens of two inputs must meet."""

import itertools

import keras
import numpy as np
import pytest

from multimodal_tf.config import BagTower, Config, TextInput, TokenMatchingHead
from multimodal_tf.models import build_model, compile_arguments
from multimodal_tf.schema import Schema, Vocabulary

WORDS = ["a", "b", "c", "d"]
# of hard mismatched pairs one of the two words is often right
PAIRS = np.array(list(itertools.combinations(range(len(WORDS)), 2))) + 2


def rows(count, seed):
    """Both inputs of a row have the same two words, which each input embeds for itself."""
    words = np.random.default_rng(seed).choice(PAIRS, count).astype("int32")
    present = np.ones(count, "float32")
    return {name + end: one for name in "ab" for end, one in (("", words), ("_present", present))}


@pytest.mark.slow
def test_it_tells_its_own_partner_from_others():
    text = TextInput(max_tokens=2, tower=BagTower(embedding_dim=16, dropout=0))
    config = Config(
        inputs={"a": text, "b": text},
        heads={"match": TokenMatchingHead(inputs=["a", "b"], dim=16, heads=2)},
    )
    stats = {name: Vocabulary(words=WORDS) for name in "ab"}
    schema = Schema(rows=100, inputs=stats, heads={})
    keras.utils.set_random_seed(0)
    model = build_model(config, schema)
    model.compile(keras.optimizers.Adam(0.005), **compile_arguments(config, schema))
    held_out = rows(128, 1)
    ones = {"match": np.ones((128, 1), "float32")}
    first = model.evaluate(held_out, ones, verbose=0, return_dict=True)
    model.fit(rows(6400, 0), {"match": np.ones((6400, 1), "float32")}, batch_size=32, verbose=0)
    found = model.evaluate(held_out, ones, verbose=0, return_dict=True)
    # chance is log 2 and a half
    assert first["loss"] > 0.6
    assert found["loss"] < 0.3
    assert found["accuracy"] > 0.85
