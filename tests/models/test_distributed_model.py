"""`DistributedModel` behaves as a Keras model, and on one device trains bit for bit as Keras does.

Each correction of a fault of Keras is tested against Keras itself. (Saved and loaded in another
process: `test_new_process`.)
"""

import contract
import keras
import numpy as np
import pytest
import tensorflow as tf
from distributed_models import CONFIG, line

from multimodal_tf.models import build_model, build_towers
from multimodal_tf.models.distributed_model import DistributedModel


def plain(make=DistributedModel):
    x = keras.Input((2,), name="x")
    return make(x, keras.layers.Dense(1, name="y")(keras.layers.Dropout(0.5)(x)))


def alike(one, other):
    rows = np.random.default_rng(0).random((3, 2), "float32")
    np.testing.assert_array_equal(one.predict(rows, verbose=0), other.predict(rows, verbose=0))


# --- a Keras model as any other


def test_models_of_the_package_are_functional_keras_models():
    schema = contract.schema_of(CONFIG)
    functional = type(plain(keras.Model))
    for model in (build_model(CONFIG, schema), build_towers(CONFIG, schema)):
        assert isinstance(model, DistributedModel)
        assert isinstance(model, functional)


def test_it_is_cloned_and_made_from_its_configuration():
    model = plain()
    for copy in (keras.models.clone_model(model), type(model).from_config(model.get_config())):
        assert type(copy) is DistributedModel
        copy.set_weights(model.get_weights())
        alike(model, copy)


def test_its_layers_make_other_models():
    model = plain()
    inner = keras.Model(model.input, model.get_layer("y").output)
    alike(model, inner)


def test_on_one_device_it_learns_what_keras_does_bit_for_bit():
    weights = []
    for make in (DistributedModel, keras.Model):
        keras.utils.set_random_seed(0)
        model = plain(make)
        model.compile(keras.optimizers.Adam(0.1), "mse")
        history = model.fit(line(7), epochs=2, shuffle=False, verbose=0).history
        weights.append([*model.get_weights(), history["loss"]])
    for one, other in zip(*weights):
        np.testing.assert_array_equal(one, other)


# --- faults of Keras on one device


def two_heads(make):
    x = keras.Input((1,))
    model = make(
        x, {"a": keras.layers.Identity(name="a")(x), "b": keras.layers.Identity(name="b")(x)}
    )
    model.compile("sgd", {"a": "mse", "b": "mae"})
    return model


@pytest.mark.parametrize(("make", "right"), [(DistributedModel, True), (keras.Model, False)])
def test_a_heads_loss_counts_rows_and_not_batches(make, right):
    """Errors of 0 0 0 0 and 5: the mean square is 5, but 12.5 where the batch of four counts as the
    batch of one.
    """
    x, zero = np.array([[0], [0], [0], [0], [5]], "float32"), np.zeros((5, 1), "float32")
    data = tf.data.Dataset.from_tensor_slices((x, {"a": zero, "b": zero})).batch(4)
    found = two_heads(make).evaluate(data, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(6)
    assert (found["a_loss"] == pytest.approx(5)) == right
    assert (found["b_loss"] == pytest.approx(1)) == right


@pytest.mark.parametrize(("make", "right"), [(DistributedModel, True), (keras.Model, False)])
def test_an_embeddings_gradient_is_clipped_by_the_norm_of_its_sum(make, right):
    """Four times the same word: its row of the gradient is their sum, of a norm that is to be 1
    after clipping.
    """
    x = keras.Input((), dtype="int32")
    model = make(x, keras.layers.Embedding(3, 2, embeddings_initializer="zeros")(x))
    model.compile(keras.optimizers.SGD(1.0, global_clipnorm=1.0), "mse")
    model.fit(np.ones(4, "int32"), np.full((4, 2), 100, "float32"), verbose=0)
    assert (np.linalg.norm(model.get_weights()[0]) == pytest.approx(1)) == right


@pytest.mark.parametrize(("make", "times"), [(DistributedModel, 1), (keras.Model, 2)])
def test_a_step_is_traced_once(make, times):
    """Keras creates variables in the first step, after which TensorFlow traces it again."""
    traced = []

    class Counted(make):
        def train_step(self, data):
            traced.append("training")
            return super().train_step(data)

        def test_step(self, data):
            traced.append("test")
            return super().test_step(data)

    for method, kind in (("fit", "training"), ("evaluate", "test")):
        model = plain(Counted)
        model.compile("adam", "mse", metrics=["mae"])
        traced.clear()
        getattr(model, method)(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
        assert traced == [kind] * times


@pytest.mark.parametrize("make", [DistributedModel, keras.Model])
def test_whatever_a_batch_has(make):
    """Weights or none, of a data set or not, several heads, no targets."""
    x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    for weights in ({}, {"sample_weight": np.ones(4, "float32")}):
        model = plain(make)
        model.compile("adam", "mse", metrics=["mae"])
        model.fit(x, y, **weights, verbose=0)
        model.train_on_batch(x, y, **weights)
        batch = tf.data.Dataset.from_tensors((x, y, *weights.values()))
        assert set(model.fit(batch, verbose=0).history) == {"loss", "mae"}
    model = two_heads(make)
    found = model.evaluate(y, {"a": y, "b": y}, verbose=0, return_dict=True)
    assert set(found) == {"loss", "a_loss", "b_loss"}

    class WithoutTargets(make):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            assert y is None
            return tf.reduce_mean(y_pred)

    model = plain(WithoutTargets)
    model.compile("adam")
    assert set(model.fit(x, verbose=0).history) == {"loss"}
