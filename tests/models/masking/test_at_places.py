"""From a tower's tokens to predictions at hidden places, and how wrong these are."""

import keras
import numpy as np
import pytest
from keras import ops

from multimodal_tf.models.masking.at_places import (
    HiddenTokenLosses,
    HiddenValueLosses,
    TokensAtPlaces,
)


def at(places, extents, tokens):
    """The tokens at every place, for tokens of one number each."""
    layer = TokensAtPlaces(places, extents)
    values = ops.array(tokens, "float32")[None, :, None]
    index = ops.arange(np.prod(places))[None]
    return layer(values, index).numpy()[0, :, 0].tolist()


def test_as_many_tokens_as_places():
    assert at([3], [1.0], [5, 6, 7]) == [5, 6, 7]
    assert at([2, 2], [1.0, 1.0], [1, 2, 3, 4]) == [1, 2, 3, 4]


def test_a_class_token_is_no_place():
    assert at([2, 2], [1.0, 1.0], [9, 1, 2, 3, 4]) == [1, 2, 3, 4]


def test_fewer_and_more_tokens():
    assert at([4], [1.0], [0, 8]) == [0, 0, 8, 8]
    assert at([2], [1.0], [0, 2, 4, 6]) == [1, 5]
    assert at([2], [1.0], [0, 3, 6]) == [1, 5]
    # of one vector for all
    assert at([2, 2], [1.0, 1.0], [7]) == [7] * 4
    # a map of 3 x 1 for a picture of 3 x 1
    assert at([6, 2], [1.0, 1.0], [1, 2, 3]) == [one for one in (1, 2, 3) for _ in range(4)]


def test_places_that_do_not_cover_the_cell():
    # of 8 samples, spans of 3: 0 to 3 and 3 to 6, over tokens of 4
    assert at([2], [0.75], [0, 3]) == pytest.approx([0, 2])


def test_losses_of_tokens_by_hand():
    logits = np.log([[[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]], [[0.1, 0.1, 0.8], [1, 1, 1]]])
    target = np.array([[0, 1], [0, 0]])
    counted = np.array([[True, True], [True, False]])
    found = HiddenTokenLosses()(logits, target, counted).numpy()
    expected = [[(-np.log(0.5) - np.log(0.2)) / 2, 1, 2], [-np.log(0.1), 0, 1]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert not HiddenTokenLosses()(logits, target, np.zeros((2, 2), bool)).numpy().any()


def test_losses_of_values_by_hand():
    target = np.array([[[1.0, -1.0], [0.0, 0.0]], [[1.0, -1.0], [-1.0, 1.0]]], "float32")
    values = np.array([[[0.5, -1.0], [0.0, 1.0]], [[0.0, 0.0], [9.0, 9.0]]], "float32")
    counted = np.array([[True, True], [True, False]])
    found = HiddenValueLosses()(values, target, counted).numpy()
    # the second place of the first row is flat: it counts in the loss alone
    np.testing.assert_allclose(found, [[(0.125 + 0.5) / 2, 0.875, 1], [1, 0, 1]], rtol=1e-6)


@pytest.mark.parametrize("layer", [HiddenTokenLosses, HiddenValueLosses])
def test_places_that_do_not_count_have_no_gradient(layer):
    import tensorflow as tf

    values = tf.Variable(np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32"))
    target = np.zeros((2, 3), "int32") if layer is HiddenTokenLosses else np.ones((2, 3, 4), "f")
    counted = np.array([[True, False, True], [False] * 3])
    with tf.GradientTape() as tape:
        loss = ops.sum(layer()(values, target, counted)[:, 0])
    gradient = np.abs(tape.gradient(loss, values).numpy()).max(axis=2)
    assert ((gradient > 0) == counted).all()


def test_layers_are_saved_and_loaded(tmp_path):
    tokens, index = keras.Input((5, 3)), keras.Input((2,), dtype="int32")
    model = keras.Model([tokens, index], TokensAtPlaces([2, 2], [0.9, 1.0])(tokens, index))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    rows = [np.random.default_rng(0).normal(size=(1, 5, 3)), np.array([[3, 0]])]
    np.testing.assert_array_equal(loaded(rows), model(rows))
