"""A library's network gets the rows where the input is present, and no others.

This holds in every way in which Keras runs it.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from multimodal_tf.models.presence import MaskedNetwork, masked_network

SOME = np.array([0, 1, 0, 1, 1], "float32")
ALL, NONE = np.ones(5, "float32"), np.zeros(5, "float32")
GRAPH = pytest.mark.parametrize(
    "how", [lambda call: call, tf.function], ids=["eagerly", "in a graph"]
)


def network(**options):
    return keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            layers.Conv2D(3, 3, **options),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(2),
        ],
        name="probe",
    )


def images(rows=5):
    return np.random.default_rng(0).normal(size=(rows, 4, 4, 2)).astype("float32")


@GRAPH
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("present", [SOME, ALL])
def test_present_rows_have_the_output_of_the_network_alone(present, training, how):
    inner, selected = network(), present > 0
    reference = keras.models.clone_model(inner)
    reference.set_weights(inner.get_weights())
    x = images()
    x[~selected] = np.nan
    output = how(lambda x, present: MaskedNetwork(inner)(x, present, training=training))(
        x, present
    ).numpy()
    expected = reference(x[selected], training=training)
    np.testing.assert_allclose(output[selected], expected, rtol=1e-4, atol=1e-5)
    assert not output[~selected].any()
    # the batch statistics as well
    for one, other in zip(inner.get_weights(), reference.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@GRAPH
def test_without_a_present_row_the_output_is_zero_and_statistics_stay(how):
    layer = MaskedNetwork(network())
    before = layer.network.get_weights()
    output = how(lambda x: layer(x, NONE, training=True))(np.full((5, 4, 4, 2), np.nan, "float32"))
    assert output.shape == (5, 2)
    assert not output.numpy().any()
    for one, other in zip(before, layer.network.get_weights()):
        np.testing.assert_array_equal(one, other)


@GRAPH
@pytest.mark.parametrize("present", [SOME, ALL, NONE])
def test_gradients_reach_present_rows_and_weights_only_through_them(present, how):
    layer, x = MaskedNetwork(network()), tf.constant(images())
    layer(x, present)
    kernel = layer.network.layers[-1].kernel

    def gradients(x, present):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, present, training=False) ** 2)
        return tape.gradient(loss, [x, kernel.value], unconnected_gradients="zero")

    of_x, of_kernel = (tf.convert_to_tensor(one).numpy() for one in how(gradients)(x, present))
    assert not of_x[present == 0].any()
    assert of_x[present > 0].any(axis=(1, 2, 3)).all()
    assert of_kernel.any() == present.any()


@GRAPH
def test_a_dict_of_tensors(how):
    ids, mask = (
        keras.Input((3,), dtype="int32", name="ids"),
        keras.Input((3,), dtype="bool", name="mask"),
    )
    counted = layers.Embedding(5, 2)(ids) * keras.ops.cast(
        keras.ops.expand_dims(mask, -1), "float32"
    )
    inner = keras.Model({"ids": ids, "mask": mask}, layers.GlobalAveragePooling1D()(counted))
    rows = {
        "ids": np.array([[1, 2, 3], [10**6, -1, 7], [4, 0, 1]], "int32"),
        "mask": np.array([[True] * 3, [False] * 3, [True] * 3]),
    }
    output = how(lambda rows, present: MaskedNetwork(inner)(rows, present))(
        rows, np.array([1, 0, 1], "float32")
    ).numpy()
    np.testing.assert_allclose(
        output[[0, 2]], inner({name: value[[0, 2]] for name, value in rows.items()}), rtol=1e-6
    )
    assert not output[1].any()


def test_a_frozen_network_runs_as_in_inference():
    inner = keras.Sequential(
        [keras.Input((4, 4, 2)), layers.BatchNormalization(), layers.Dropout(0.5)]
    )
    inner.trainable = False
    before, x = inner.get_weights(), images()
    layer = MaskedNetwork(inner)
    np.testing.assert_allclose(layer(x, ALL, training=True), inner(x, training=False), rtol=1e-6)
    for one, other in zip(before, inner.get_weights()):
        np.testing.assert_array_equal(one, other)
    assert layer.trainable_weights == []
    inner.trainable = True
    assert not np.allclose(layer(x, ALL, training=True), inner(x, training=False))


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("presence", [True, False])
def test_dropout_in_a_network_is_active_in_training_unless_it_is_frozen(trainable, presence):
    x, present = keras.Input((8,)), keras.Input(()) if presence else None
    inner = keras.Sequential([layers.Input((8,)), layers.Dropout(0.5)])
    inner.trainable = trainable
    inputs = [x, present] if presence else [x]
    model = keras.Model(inputs, masked_network(inner, x, present, "probe"))
    rows = [np.ones((4, 8), "float32"), np.ones(4, "float32")][: len(inputs)]
    assert np.any(model(rows, training=True) != model(rows)) == trainable


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("presence", [True, False])
def test_a_model_with_it_is_saved_loaded_and_exported(trainable, presence, tmp_path):
    inner = network()
    inner.trainable = trainable
    x, present = (
        keras.Input((4, 4, 2), name="x"),
        keras.Input((), name="x_present") if presence else None,
    )
    model = keras.Model(
        [x, present] if presence else [x], masked_network(inner, x, present, "probe")
    )
    rows = [images(), SOME] if presence else [images()]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(rows), model(rows), rtol=1e-6)
    assert len(loaded.trainable_weights) == len(model.trainable_weights) == (6 if trainable else 0)
    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        "serve",
        lambda *rows: model(list(rows), training=False),
        [tf.TensorSpec([None, *row.shape[1:]]) for row in rows],
    )
    archive.write_out(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    for some in (rows, [row[:1] for row in rows], [np.repeat(row, 3, 0) for row in rows]):
        np.testing.assert_allclose(served.serve(*some), model(some), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        layer = MaskedNetwork(network())
        inner = layer.network
    finally:
        keras.config.set_dtype_policy("float32")
    for present in (SOME, NONE):
        output = tf.function(layer)(images(), present)
        assert output.dtype == inner(images()).dtype == inner.compute_dtype
        assert np.isfinite(output.numpy().astype("float32")).all()


def test_a_layer_of_a_library_is_built_by_its_first_call_and_keeps_its_shape():
    layer = MaskedNetwork(layers.Conv1D(4, 2))
    output = layer(keras.Input((6, 3)), keras.Input(()))
    assert output.shape == (None, 5, 4)
    assert len(layer.weights) == 2
    copy = MaskedNetwork.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()


def test_batches_of_every_size_train_in_a_graph():
    x, present = keras.Input((4, 4, 2)), keras.Input(())
    # a gradient to what lies before
    model = keras.Model([x, present], MaskedNetwork(network())(layers.Conv2D(2, 1)(x), present))
    model.compile("adam", "mse")
    data = tf.data.Dataset.from_tensor_slices(
        ((images(5), SOME), np.ones((5, 2), "float32"))
    ).batch(2)
    assert np.isfinite(model.fit(data, verbose=0, shuffle=False, epochs=2).history["loss"]).all()
