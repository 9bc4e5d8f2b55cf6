"""LoRA: formulas, what is trained, merging."""

import keras
import numpy as np
import peft_models
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from multimodal_tf.models.peft import attach
from multimodal_tf.models.peft.layers import Adapter, LowRank, LowRankEmbedding
from multimodal_tf.training import peft

# shape of x, shape of a row's output, axes of the bias: queries, the output of attention, any; the
# last one has a letter in all three
EQUATIONS = {
    "abc,cde->abde": ((2, 3, 4), (3, 2, 5), "de"),
    "abcd,cde->abe": ((2, 3, 4, 5), (3, 6), "e"),
    "...x,xy->...y": ((2, 3, 4), (3, 5), "y"),
    "abc,bcd->abd": ((2, 3, 4), (3, 5), "d"),
}


def alone(layer, x):
    """A model of one layer, called `one`."""
    given = keras.Input(x.shape[1:], dtype=x.dtype)
    return keras.Model(given, layer(given))


def shaken(model, *patterns, **options):
    peft.add_lora(model, *patterns, **options)
    peft_models.shake(model)
    return attach.peft_layer(model.get_layer("one"))


def delta(equation, added):
    """A B in the kernel's shape, by NumPy: A's last axis and, behind what they share, B's first are
    the rank.
    """
    a, b = added.a.numpy(), added.b.numpy()
    # of each b its own
    if equation == "abc,bcd->abd":
        return np.einsum("bcr,brd->bcd", a, b)
    return np.tensordot(a, b, 1)


class TestLoRA:
    def test_dense_by_hand(self):
        layer = layers.Dense(1, activation="relu", name="one")
        model = alone(layer, np.zeros((1, 2), "float32"))
        layer.set_weights([np.array([[1.0], [1.0]]), np.array([-1.0])])
        peft.add_lora(model, "one", rank=1, alpha=2)
        layer.peft.set_weights([np.array([[1.0], [0.0]]), np.array([[3.0]])])
        # (2 + 5) of the kernel, 2 x 2 x 3 of LoRA, -1 of the bias; then with another sign, which
        # relu cuts
        np.testing.assert_allclose(model(np.array([[2.0, 5.0], [-2.0, -5.0]])), [[18.0], [0.0]])

    @pytest.mark.parametrize("equation", EQUATIONS)
    def test_einsum_dense_is_the_formula(self, equation):
        shape, output, bias = EQUATIONS[equation]
        x = np.random.default_rng(0).normal(size=shape).astype("float32")
        layer = layers.EinsumDense(equation, output, bias_axes=bias, name="one")
        model = alone(layer, x)
        before = model(x).numpy()
        peft.add_lora(model, "one", rank=2, alpha=3)
        np.testing.assert_array_equal(model(x), before)
        peft_models.shake(model)
        added = attach.peft_layer(layer)
        changed = layer.kernel.numpy() + 1.5 * delta(equation, added)
        np.testing.assert_allclose(
            model(x), np.einsum(equation, x, changed) + layer.bias.numpy(), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            added.delta(), 1.5 * delta(equation, added), rtol=1e-5, atol=1e-6
        )

    def test_of_attention_it_has_the_paper_s_number_of_weights(self):
        added = LowRank("abc,cde->abde", (384, 12, 32), rank=4, alpha=4.0, seed=0)
        assert added.count_params() == 4 * (384 + 384)

    def test_embedding_is_the_formula(self):
        x = np.array([[0, 2], [1, 1]], "int32")
        model = alone(layers.Embedding(3, 4, name="one"), x)
        before = model(x).numpy()
        peft.add_lora(model, "one", rank=2, alpha=3)
        np.testing.assert_array_equal(model(x), before)
        peft_models.shake(model)
        added = attach.peft_layer(model.get_layer("one"))
        table = (
            np.array(model.get_layer("one").embeddings) + 1.5 * added.a.numpy() @ added.b.numpy()
        )
        np.testing.assert_allclose(model(x), table[x], rtol=1e-5, atol=1e-6)

    def test_an_embedding_keeps_its_mask(self):
        x = np.array([[1, 0]], "int32")
        given = keras.Input((2,), dtype="int32")
        model = keras.Model(
            given,
            layers.GlobalAveragePooling1D()(
                layers.Embedding(2, 2, mask_zero=True, name="one")(given)
            ),
        )
        peft.add_lora(model, "one", rank=1)
        peft_models.shake(model)
        layer = model.get_layer("one")
        np.testing.assert_allclose(model(x), (layer.embeddings + layer.peft.delta())[1:], rtol=1e-5)

    @settings(max_examples=10, deadline=None)
    @given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.floats(0.5, 8))
    def test_merging_does_not_change_the_output(self, inside, outside, rank, alpha):
        x = np.random.default_rng(0).normal(size=(3, inside)).astype("float32")
        model = alone(layers.Dense(outside, activation="tanh", name="one"), x)
        shaken(model, "one", rank=rank, alpha=alpha)
        before = model(x).numpy()
        peft.merge_lora(model)
        np.testing.assert_allclose(model(x), before, rtol=1e-4, atol=1e-5)
        assert [tuple(weight.shape) for weight in model.weights] == [(inside, outside), (outside,)]

    def test_its_layer_is_frozen_and_the_rest_as_before(self):
        model = peft_models.stack()
        peft.add_lora(model, "photo_low")
        assert peft_models.trained(model) == [
            "photo_low/peft/a",
            "photo_low/peft/b",
            "photo_high/kernel",
            "photo_high/bias",
            "label/kernel",
            "label/bias",
        ]

    def test_initial_values_are_the_same_in_every_process_and_differ_by_layer(self):
        one, other = peft_models.stack(), peft_models.stack()
        for model in (one, other):
            peft.add_lora(model, "photo_*")
        first, second = (model.get_layer("photo_low").peft.a.numpy() for model in (one, other))
        np.testing.assert_array_equal(first, second)
        assert (first != one.get_layer("photo_high").peft.a.numpy()).any()

    def test_on_all_layers_the_output_stays_the_same_until_it_is_trained(self, bert):
        model, x = bert.model(), bert.rows()
        x["title_present"], x["price_present"] = (
            np.array([1, 1, 0, 0], "float32"),
            np.array([1, 0, 1, 0], "float32"),
        )
        before = bert.predicted(model, x)
        peft.add_lora(model, "*", rank=1)
        np.testing.assert_allclose(bert.predicted(model, x), before, rtol=1e-5)
        assert {"label/kernel", "label/bias", "price_vector/peft/a"} <= set(
            peft_models.trained(model)
        )
        with pytest.raises(
            ValueError, match=r"^lora\.layers: must match a Dense, .* received \['label'\]"
        ):
            peft.add_lora(model, "label")

    @pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
    def test_mixed_precision_keeps_its_weights_in_full(self, policy):
        keras.config.set_dtype_policy(policy)
        try:
            model = peft_models.stack()
        finally:
            keras.config.set_dtype_policy("float32")
        peft.add_lora(model, "photo_low", rank=2)
        peft.add_adapters(model, "photo_high", units=2)
        peft_models.shake(model)
        assert {weight.dtype for weight in model.weights} == {"float32"}
        model.compile("adam", "mse", run_eagerly=True)
        x = {"photo": np.ones((2, 4), "float32")}
        assert np.isfinite(model.train_on_batch(x, {"label": np.zeros((2, 4))}))
        assert np.isfinite(model(x)["label"]).all()


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (LowRank("abc,cd->abd", (3, 2), rank=2, alpha=1.0, seed=0), np.ones((1, 2, 3), "float32")),
        (LowRankEmbedding((3, 2), rank=2, alpha=1.0, seed=0), np.array([[0, 2]], "int32")),
        (Adapter(3, units=2, activation="gelu", seed=0), np.ones((1, 3), "float32")),
    ],
)
def test_layers_are_made_from_their_configuration(layer, x):
    copy = type(layer).from_config(layer.get_config())
    peft_models.shake(layer)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(x), copy(x))
