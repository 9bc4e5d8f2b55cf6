"""LoRA and adapters: formulas, what is trained, saving, merging."""

import contract
import keras
import numpy as np
import peft_models as case
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from multimodal_tf.config import GradNormWeights, UncertaintyWeights
from multimodal_tf.models import embeddings
from multimodal_tf.models.peft import attach, layer_paths
from multimodal_tf.models.peft.layers import Adapter, LowRank, LowRankEmbedding
from multimodal_tf.serving.endpoints import core
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
    case.shake(model)
    return attach.peft_layer(model.get_layer("one"))


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
        case.shake(model)
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
        case.shake(model)
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
        case.shake(model)
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
        model = case.stack()
        peft.add_lora(model, "photo_low")
        assert case.trained(model) == [
            "photo_low/peft/a",
            "photo_low/peft/b",
            "photo_high/kernel",
            "photo_high/bias",
            "label/kernel",
            "label/bias",
        ]

    def test_initial_values_are_the_same_in_every_process_and_differ_by_layer(self):
        one, other = case.stack(), case.stack()
        for model in (one, other):
            peft.add_lora(model, "photo_*")
        first, second = (model.get_layer("photo_low").peft.a.numpy() for model in (one, other))
        np.testing.assert_array_equal(first, second)
        assert (first != one.get_layer("photo_high").peft.a.numpy()).any()

    def test_on_all_layers_the_output_stays_the_same_until_it_is_trained(self):
        model, x = case.bert(), case.rows()
        x["title_present"], x["price_present"] = (
            np.array([1, 1, 0, 0], "float32"),
            np.array([1, 0, 1, 0], "float32"),
        )
        before = case.answers(model, x)
        peft.add_lora(model, "*", rank=1)
        np.testing.assert_allclose(case.answers(model, x), before, rtol=1e-5)
        assert {"label/kernel", "label/bias", "price_vector/peft/a"} <= set(case.trained(model))
        with pytest.raises(
            ValueError, match=r"^lora\.layers: must match a Dense, .* received \['label'\]"
        ):
            peft.add_lora(model, "label")

    @pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
    def test_mixed_precision_keeps_its_weights_in_full(self, policy):
        keras.config.set_dtype_policy(policy)
        try:
            model = case.stack()
        finally:
            keras.config.set_dtype_policy("float32")
        peft.add_lora(model, "photo_low", rank=2)
        peft.add_adapters(model, "photo_high", units=2)
        case.shake(model)
        assert {weight.dtype for weight in model.weights} == {"float32"}
        model.compile("adam", "mse", run_eagerly=True)
        x = {"photo": np.ones((2, 4), "float32")}
        assert np.isfinite(model.train_on_batch(x, {"label": np.zeros((2, 4))}))
        assert np.isfinite(model(x)["label"]).all()


class TestAdapters:
    def test_the_formula(self):
        layer = Adapter(3, units=2, activation="relu", seed=0)
        x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
        np.testing.assert_array_equal(layer(x), x)
        case.shake(layer)
        down, d, up, u = layer.get_weights()
        np.testing.assert_allclose(
            layer(x), x + np.maximum(x @ down + d, 0) @ up + u, rtol=1e-5, atol=1e-6
        )

    def test_it_follows_the_layer_and_its_activation(self):
        model = case.stack()
        peft.add_adapters(model, "photo_high", units=2)
        case.shake(model)
        plain, layer = case.stack(), model.get_layer("photo_high")
        for path, weight in layer_paths.weights(plain).items():
            weight.assign(layer_paths.weights(model)[path])
        x = {"photo": np.random.default_rng(0).normal(size=(5, 4)).astype("float32")}
        high = keras.Model(plain.input, plain.get_layer("photo_high").output)(x)
        np.testing.assert_allclose(
            model(x)["label"], plain.get_layer("label")(layer.peft(high)), rtol=1e-5, atol=1e-6
        )

    @pytest.mark.parametrize(
        ("pattern", "message"),
        [("label", "an output of the model"), ("price_embedding", "sets missing inputs to zero")],
    )
    def test_outputs_and_zeros_of_missing_inputs_are_refused(self, pattern, message):
        with pytest.raises(
            ValueError,
            match=rf"^adapters\.layers: must not match a layer .*{message}, received '{pattern}'",
        ):
            peft.add_adapters(case.bert(), pattern)

    def test_both_towers_train_a_shared_adapter(self):
        title, photo = (keras.Input((4,), name=name) for name in ("title", "photo"))
        both = [
            layers.Dense(3, name=f"{name}_dense")(x)
            for name, x in (("title", title), ("photo", photo))
        ]
        model = keras.Model(
            {"title": title, "photo": photo},
            {"label": layers.Dense(1, name="label")(layers.Concatenate()(both))},
        )
        peft.freeze_all(model)
        peft.add_adapters(model, "*_dense", units=2, shared=True)
        assert len(model.trainable_weights) == 4
        assert model.get_layer("title_dense").peft is model.get_layer("photo_dense").peft
        x = {"title": np.ones((1, 4), "float32"), "photo": np.full((1, 4), 2.0, "float32")}
        found = {}
        for name in ("title", "photo"):
            with tf.GradientTape() as tape:
                output = tf.reduce_sum(
                    model(x | {other: np.zeros((1, 4), "float32") for other in x if other != name})[
                        "label"
                    ]
                )
            # of the second kernel, which begins as zero
            found[name] = tape.gradient(output, model.trainable_weights[2].value).numpy()
        assert all(gradient.any() for gradient in found.values())

    @pytest.mark.parametrize("kind", ["dense", "einsum"])
    def test_linear_ones_can_be_merged(self, kind):
        x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
        make = {
            "dense": lambda: layers.Dense(5, name="one"),
            "einsum": lambda: layers.EinsumDense(
                "abc,cde->abde", (3, 2, 5), bias_axes="de", name="one"
            ),
        }
        model = alone(make[kind](), x)
        peft.add_adapters(model, "one", units=2, activation="linear")
        case.shake(model)
        before = model(x).numpy()
        peft.merge_lora(model)
        np.testing.assert_allclose(model(x), before, rtol=1e-4, atol=1e-5)
        assert len(model.weights) == 2

    def test_what_cannot_be_merged_is_refused_and_nothing_is_changed(self):
        model = case.stack()
        peft.add_lora(model, "photo_low")
        peft.add_adapters(model, "photo_high", units=2)
        with pytest.raises(
            ValueError,
            match=r"^photo_high: only a linear adapter can be merged, received one with gelu$",
        ):
            peft.merge_lora(model)
        assert attach.peft_layer(model.get_layer("photo_low")) is not None


class TestInAModel:
    """On BERT within a tower, whose layers run on the present rows."""

    def test_lora_in_attention_and_embedding_is_trained_and_the_base_is_not(self):
        model = case.bert(trainable=False)
        before = case.answers(model)
        peft.add_lora(model, "*_dense", "*/token_embedding", rank=2)
        np.testing.assert_array_equal(case.answers(model), before)
        old = case.values(model)
        case.compiled(model).train_on_batch(case.rows(), contract.targets_of(case.config(), 4))
        changed = {path for path, value in case.values(model).items() if (value != old[path]).any()}
        in_tower = {path for path in changed if path.startswith("title_network")}
        assert in_tower >= {
            f"{case.QUERY}/peft/b",
            f"{case.BLOCK}/feedforward_output_dense/peft/b",
        }
        assert all("/peft/" in path for path in in_tower)

    def test_missing_rows_change_nothing(self):
        model = case.bert()
        peft.add_lora(model, "*query_dense")
        case.shake(model)
        few = contract.without(case.rows(), "title", np.array([True, False, True, False]))
        assert np.isfinite(case.answers(model, few)).all()
        np.testing.assert_allclose(
            case.answers(model, few)[1::2], case.answers(model)[1::2], rtol=1e-4, atol=1e-6
        )

    def test_a_loaded_model_has_them_and_trains_the_same(self, tmp_path):
        model = case.bert()
        peft.train_head_only(model)
        peft.add_lora(model, "*query_dense", "*/token_embedding", rank=2, alpha=3)
        peft.add_adapters(model, "*feedforward_output_dense", units=3, activation="relu")
        case.shake(model)
        y = contract.targets_of(case.config(), 4)
        case.compiled(model).train_on_batch(case.rows(), y)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(case.answers(loaded), case.answers(model), rtol=1e-6)
        assert case.trained(loaded) == case.trained(model)
        assert len(loaded.optimizer.variables) == len(model.optimizer.variables)
        one, other = (each.train_on_batch(case.rows(), y) for each in (model, loaded))
        np.testing.assert_allclose(case.answers(loaded), case.answers(model), rtol=1e-4, atol=1e-6)

    def test_merged_it_exports_with_the_size_and_operations_of_the_base(self, tmp_path):
        model, base = case.bert(), case.bert()
        peft.add_lora(model, "*query_dense", "*/token_embedding", "*feedforward_*")
        case.shake(model)
        expected = case.answers(model)
        sizes = {"with": exported(model, tmp_path / "with")}
        peft.merge_lora(model)
        sizes |= {
            name: exported(one, tmp_path / name)
            for one, name in ((model, "merged"), (base, "base"))
        }
        assert len(model.weights) == len(base.weights)
        # bytes; the file also lists objects by number
        assert abs(sizes["merged"] - sizes["base"]) < 16 < sizes["with"] - sizes["base"]
        served = {
            name: tf.saved_model.load(str(tmp_path / name)).signatures["core"] for name in sizes
        }
        x = {key: tf.constant(value) for key, value in case.rows().items()}
        for one in (model(case.rows()), served["with"](**x), served["merged"](**x)):
            np.testing.assert_allclose(one["label"], expected, rtol=1e-4, atol=1e-5)
        assert kinds(served["merged"]) == kinds(served["base"])
        assert len(kinds(served["with"])) > len(kinds(served["base"]))

    def test_other_models_with_the_same_layers_have_them_too(self):
        model = case.bert()
        before = np.array(embeddings(model)(case.rows())["title"])
        peft.add_lora(model, "*query_dense")
        case.shake(model)
        assert (np.array(embeddings(model)(case.rows())["title"]) != before).any()

    @pytest.mark.parametrize("loss_weighting", [UncertaintyWeights(), GradNormWeights()])
    def test_a_model_with_learned_loss_weights_keeps_training_them(self, loss_weighting, tmp_path):
        options = {"heads": ("label", "other_label"), "loss_weighting": loss_weighting}
        model = case.bert(**options)
        kind = type(model)
        peft.train_head_only(model)
        peft.add_lora(model, "*query_dense")
        y = contract.targets_of(case.config(**options), 4)
        case.compiled(model, **options).train_on_batch(case.rows(), y)
        own = [weight for path, weight in layer_paths.weights(model).items() if "/" not in path]
        assert any(
            (weight.numpy() != case.values(case.bert(**options))[weight.name]).any()
            for weight in own
        )
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert isinstance(loaded, kind)
        assert case.trained(loaded) == case.trained(model)
        np.testing.assert_allclose(case.answers(loaded), case.answers(model), rtol=1e-6)
        peft.save_peft(model, tmp_path / "a.safetensors")
        # which does not learn them
        plain = case.bert(heads=options["heads"])
        peft.load_peft(plain, tmp_path / "a.safetensors")
        np.testing.assert_allclose(case.answers(plain), case.answers(model), rtol=1e-6)

    def test_in_a_strategy(self):
        with contract._strategy().scope():
            model = case.stack()
            peft.add_lora(model, "photo_*", rank=1)
            model.compile(
                peft.LayerwiseAdamW(factors=peft.learning_rate_factors(model, {"photo_low": 0.1})),
                "mse",
            )
        data = tf.data.Dataset.from_tensor_slices(
            ({"photo": np.ones((4, 4), "float32")}, {"label": np.zeros((4, 4), "float32")})
        ).batch(2)
        assert np.isfinite(model.fit(data, verbose=0, shuffle=False).history["loss"][0])


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda model: peft.add_lora(model, "foto_*"),
                r"^lora\.layers: must match a layer, received 'foto_\*'; the nearest layers "
                r"are .*photo",
            ),
            (
                lambda model: peft.add_lora(model, "photo_low", rank=0),
                r"^add_lora: rank and alpha must be positive, received 0 and 0",
            ),
            (
                lambda model: peft.add_lora(model, "photo_norm"),
                r"^lora\.layers: must match a Dense, EinsumDense or Embedding, received "
                r"\['photo_norm'\]",
            ),
            (
                lambda model: [peft.add_lora(model, "photo_low") for _ in range(2)],
                r"^photo_low: must have no LoRA and no adapter yet, received one with LoRA$",
            ),
            (
                lambda model: peft.add_adapters(model, "photo_low", units=0),
                r"^adapters\.units: must be positive, received 0",
            ),
            (
                lambda model: peft.add_adapters(model, "photo_low", shared=True),
                r"^adapters\.shared: must match two layers or more, received \['photo_low'\]",
            ),
            (
                lambda model: peft.add_adapters(model, "photo_*", shared=True),
                r"^adapters\.shared: .* one width, received {'photo_low': 2, 'photo_norm': "
                r"2, 'photo_high': 3",
            ),
            (
                lambda model: peft.add_adapters(model, "label_choice"),
                r"^label_choice: an adapter follows .*, received ArgMax",
            ),
        ],
    )
    def test_with_the_name_and_before_anything_is_changed(self, change, message):
        x = photo = keras.Input((4,), name="photo")
        x = layers.LayerNormalization(name="photo_norm")(layers.Dense(2, name="photo_low")(x))
        x = layers.Dense(3, name="photo_high")(x)
        model = keras.Model({"photo": photo}, {"label": ArgMax(name="label_choice")(x)})
        with pytest.raises(ValueError, match=message) as caught:
            change(model)
        assert "\n" not in str(caught.value)
        assert not [
            path for path in layer_paths.weights(model) if "/peft" in path
        ] or "photo_low: must have" in str(caught.value)


class ArgMax(layers.Layer):
    def call(self, x):
        return keras.ops.argmax(x, axis=-1)


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
    case.shake(layer)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(x), copy(x))


def delta(equation, added):
    """A B in the kernel's shape, by NumPy: A's last axis and, behind what they share, B's first are
    the rank.
    """
    a, b = added.a.numpy(), added.b.numpy()
    # of each b its own
    if equation == "abc,bcd->abd":
        return np.einsum("bcr,brd->bcd", a, b)
    return np.tensordot(a, b, 1)


def kinds(function):
    """The operations of a served function, sorted."""
    graph = function.graph.as_graph_def()
    return sorted(
        node.op
        for part in (graph.node, *(one.node_def for one in graph.library.function))
        for node in part
    )


def exported(model, directory):
    """Bytes of the weights of a SavedModel."""
    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        "core",
        core(model),
        [{name: tf.TensorSpec(x.shape, x.dtype, name) for name, x in model.input.items()}],
    )
    archive.write_out(str(directory), verbose=False)
    return sum(path.stat().st_size for path in (directory / "variables").glob("*.data*"))
