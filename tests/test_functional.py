"""`FunctionalModel`: invisible as a Keras model; alike on one device and two replicas. Each fault of Keras fails without its mend."""

import json
import pathlib
import subprocess
import sys

import distribute_case as case
import keras
import numpy as np
import pytest
import tensorflow as tf

from multimodal_tf.models import build_model, build_towers
from multimodal_tf.models.functional import FunctionalModel

# The most that two replicas may differ from one device, of numbers around 1: what was found is 2e-6, times some.
ROUNDING = 1e-5


def plain(make=FunctionalModel):
    x = keras.Input((2,), name="x")
    return make(x, keras.layers.Dense(1, name="y")(keras.layers.Dropout(0.5)(x)))


def alike(one, other):
    rows = np.random.default_rng(0).random((3, 2), "float32")
    np.testing.assert_array_equal(one.predict(rows, verbose=0), other.predict(rows, verbose=0))


# --- a Keras model as any other


def test_models_of_the_package_are_functional_keras_models():
    schema = case.contract.schema_of(case.CONFIG)
    functional = type(plain(keras.Model))
    for model in (build_model(case.CONFIG, schema), build_towers(case.CONFIG, schema)):
        assert isinstance(model, FunctionalModel)
        assert isinstance(model, functional)


def test_it_is_cloned_and_made_from_its_configuration():
    model = plain()
    for copy in (keras.models.clone_model(model), type(model).from_config(model.get_config())):
        assert type(copy) is FunctionalModel
        copy.set_weights(model.get_weights())
        alike(model, copy)


def test_its_layers_make_other_models():
    model = plain()
    part = keras.Model(model.input, model.get_layer("y").output)
    alike(model, part)


def test_saved_and_loaded_in_another_process_it_is_of_its_class(tmp_path):
    model = plain()
    model.compile("adam", "mse", weighted_metrics=["mae"])
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    model.save(tmp_path / "model.keras")
    code = (
        "import sys, keras, multimodal_tf.models\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "print(type(model).__name__, int(model.optimizer.iterations.numpy()), model(keras.ops.array([[1.0, 2.0]])).numpy()[0, 0])"
    )
    ended = subprocess.run([sys.executable, "-c", code, tmp_path / "model.keras"], capture_output=True, text=True, check=True)
    expected = model(np.array([[1.0, 2.0]])).numpy()[0, 0]
    assert ended.stdout.split()[-3:] == ["FunctionalModel", "1", str(expected)]


def test_on_one_device_it_learns_what_keras_does_bit_for_bit():
    weights = []
    for make in (FunctionalModel, keras.Model):
        keras.utils.set_random_seed(0)
        model = plain(make)
        model.compile(keras.optimizers.Adam(0.1), "mse")
        history = model.fit(case.line(7), epochs=2, shuffle=False, verbose=0).history
        weights.append([*model.get_weights(), history["loss"]])
    for one, other in zip(*weights):
        np.testing.assert_array_equal(one, other)


# --- faults of Keras on one device


def two_heads(make):
    x = keras.Input((1,))
    model = make(x, {"a": keras.layers.Identity(name="a")(x), "b": keras.layers.Identity(name="b")(x)})
    model.compile("sgd", {"a": "mse", "b": "mae"})
    return model


@pytest.mark.parametrize(("make", "right"), [(FunctionalModel, True), (keras.Model, False)])
def test_a_heads_loss_counts_rows_and_not_batches(make, right):
    """Errors of 0 0 0 0 and 5: the mean square is 5, but 12.5 where the batch of four counts as the batch of one."""
    x, zero = np.array([[0], [0], [0], [0], [5]], "float32"), np.zeros((5, 1), "float32")
    data = tf.data.Dataset.from_tensor_slices((x, {"a": zero, "b": zero})).batch(4)
    found = two_heads(make).evaluate(data, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(6)
    assert (found["a_loss"] == pytest.approx(5)) == right
    assert (found["b_loss"] == pytest.approx(1)) == right


@pytest.mark.parametrize(("make", "right"), [(FunctionalModel, True), (keras.Model, False)])
def test_an_embeddings_gradient_is_clipped_by_the_norm_of_its_sum(make, right):
    """Four times the same word: its row of the gradient is their sum, of a norm that is to be 1 after clipping."""
    x = keras.Input((), dtype="int32")
    model = make(x, keras.layers.Embedding(3, 2, embeddings_initializer="zeros")(x))
    model.compile(keras.optimizers.SGD(1.0, global_clipnorm=1.0), "mse")
    model.fit(np.ones(4, "int32"), np.full((4, 2), 100, "float32"), verbose=0)
    assert (np.linalg.norm(model.get_weights()[0]) == pytest.approx(1)) == right


# --- two replicas


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What `distribute_case.replicas` found."""
    out = tmp_path_factory.mktemp("replicas") / "found"
    command = [sys.executable, pathlib.Path(case.__file__), "replicas", out]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(out.with_suffix(".json").read_text()) | {"arrays": dict(np.load(out.with_suffix(".npz")))}


def test_two_replicas_end_where_one_device_does(found):
    """Several heads, missing inputs and labels, class weights, clipping, weight decay, several steps at once, a replica without rows."""
    arrays = found["arrays"]
    names = [name.removeprefix("one/") for name in arrays if name.startswith("one/")]
    assert len(names) > 20
    for name in names:
        scale = max(1.0, np.abs(arrays[f"one/{name}"]).max())
        np.testing.assert_allclose(arrays[f"two/{name}"], arrays[f"one/{name}"], rtol=0, atol=ROUNDING * scale, err_msg=name)


def test_two_replicas_have_the_figures_of_one_device(found):
    one, two = found["one device"], found["two replicas"]
    assert found["replicas"] == 2
    assert two["steps"] == one["steps"] == 8
    assert two["history"].keys() == one["history"].keys() >= {"val_zone_loss", "pair_accuracy", "cost_mae"}
    for name, figures in one["history"].items():
        np.testing.assert_allclose(two["history"][name], figures, rtol=ROUNDING, err_msg=name)
    assert two["evaluated"] == pytest.approx(one["evaluated"], rel=ROUNDING)


@pytest.mark.parametrize("fault", ["clipping", "uneven_rows"])
def test_gradients_are_those_of_all_rows(found, fault):
    assert found[fault]["mended"] < 1e-6
    assert found[fault]["Keras"] > 1e-3


def test_replicas_drop_differently_and_their_seeds_stay_the_same(found):
    assert not found["masks"]["mended"]["same"]
    assert found["masks"]["Keras"]["same"]
    assert found["masks"]["mended"]["states"] == found["masks"]["Keras"]["states"] == [[3, 1], [3, 1]]


def test_several_steps_at_once_fail_in_keras(found):
    assert "Placeholder" in found["several_steps"]


def test_an_epoch_begins_the_data_once(found):
    assert found["epochs_begun"] == {"mended": 1, "Keras": 2}


def test_each_row_of_a_single_batch_is_answered_once(found):
    assert found["rows_answered"] == {"mended": 5, "Keras": 10}


def test_a_step_in_which_float16_overflows_on_any_replica_is_left_out(found):
    assert found["overflow"] == {"mended": True, "Keras": False}


@pytest.mark.parametrize("kind", ["Keras", "ours"])
def test_batch_normalisation_is_synchronised_when_asked(kind, found):
    assert found["normalisation"][f"{kind}, synchronised"] < ROUNDING
    assert found["normalisation"][f"{kind}, own"] > 1e-3


def test_what_cannot_work_is_refused_in_a_sentence(found):
    refused = found["refusals"]
    assert "gradient_accumulation_steps: Keras cannot" in refused["accumulation"]
    assert "jit_compile must be False" in refused["jit"]
    assert "batch_size must be a multiple of the 2 replicas" in refused["batch"]
    assert all(sentence.startswith("ValueError: ") and "received" in sentence for sentence in refused.values())
