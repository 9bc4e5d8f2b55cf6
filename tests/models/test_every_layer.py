"""What Keras promises of a layer holds for every registered layer of the package."""

import importlib
import inspect
import pkgutil

import keras
import layer_cases
import numpy as np
import pytest
from keras.src.testing import test_case

import multimodal_tf.models
from multimodal_tf.models.layer import Layer


def registered():
    """The registered layers, by name."""
    for module in pkgutil.walk_packages(multimodal_tf.models.__path__, "multimodal_tf.models."):
        importlib.import_module(module.name)
    return {
        one.__name__: one
        for name, one in keras.saving.get_custom_objects().items()
        if name.startswith("multimodal_tf>")
        and inspect.isclass(one)
        and issubclass(one, keras.Layer)
        and not issubclass(one, keras.Model)
    }


LAYERS = registered()
# the test gives some a mask that only their tensors have
pytestmark = pytest.mark.filterwarnings("ignore:.*does not support masking")


def made(name, **more):
    arguments, _ = layer_cases.CASES[name]
    return LAYERS[name](**(arguments() if callable(arguments) else arguments), **more)


def mapped(function, name):
    """`function(shape, dtype)` of each input, by argument of `call`."""
    return {
        key: [function(*one) for one in spec] if isinstance(spec, list) else function(*spec)
        for key, spec in layer_cases.CASES[name][1].items()
    }


def eager(shape, dtype):
    random = np.random.default_rng(1)
    if dtype == "bool":
        return keras.ops.convert_to_tensor(random.random(shape) < 0.6)
    if dtype == "int32":
        return keras.ops.convert_to_tensor(random.integers(0, 2, shape), dtype)
    return keras.ops.convert_to_tensor(random.random(shape), dtype)


def called(layer, inputs, **more):
    """The output; the only input of a layer has any name."""
    if len(inputs) == 1:
        return layer(*inputs.values(), **more)
    return layer(**inputs, **more)


def described(outputs):
    """Shape and dtype of each output."""
    return [
        (tuple(one.shape), keras.backend.standardize_dtype(one.dtype))
        for one in keras.tree.flatten(outputs)
    ]


def test_every_layer_has_a_case():
    assert {*layer_cases.CASES} | layer_cases.WITH_FILES == {*LAYERS}


class ByKeras(test_case.TestCase):
    def runTest(self):
        pass


@pytest.mark.parametrize("name", layer_cases.CASES)
def test_keras_own_test_of_a_layer(name, monkeypatch):
    """`run_layer_test`, in float32 and mixed, also from its configuration; built by name."""
    inputs = layer_cases.CASES[name][1]
    several = len(inputs) > 1
    arguments, _ = layer_cases.CASES[name]
    # Keras' own makes neither bools nor lists by name
    tensors = mapped(eager, name)
    symbolic = mapped(lambda shape, dtype: keras.KerasTensor(shape, dtype), name)
    first = next(iter(inputs))
    monkeypatch.setattr(
        test_case, "create_eager_tensors", lambda *_: tensors if several else tensors[first]
    )
    monkeypatch.setattr(
        test_case, "create_keras_tensors", lambda *_: symbolic if several else symbolic[first]
    )
    shapes = mapped(lambda shape, dtype: shape, name)
    dtypes = mapped(lambda shape, dtype: dtype, name)
    ByKeras().run_layer_test(
        LAYERS[name],
        init_kwargs=arguments() if callable(arguments) else arguments,
        input_shape={f"{key}_shape": one for key, one in shapes.items()}
        if several
        else shapes[first],
        input_dtype={f"{key}_shape": one for key, one in dtypes.items()}
        if several
        else dtypes[first],
        custom_objects=LAYERS,
        # the contract of towers, fusions and heads trains each; XLA takes a second for a layer
        run_training_check=False,
    )


POLICIES = ["float32", "mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"]


@pytest.mark.parametrize("name", layer_cases.CASES)
def test_outputs_are_as_declared_under_every_policy(name):
    """Shape, with the static batch, and dtype of what a layer says and of what it returns."""
    for policy in POLICIES:
        if policy == "bfloat16" and name in layer_cases.RECURRENT:
            continue
        layer = made(name, dtype=policy)
        dtype = layer.compute_dtype
        inputs = mapped(
            lambda shape, given, own=dtype: eager(shape, own if given == "float32" else given), name
        )
        specs = mapped(
            lambda shape, given, own=dtype: keras.KerasTensor(
                shape, own if given == "float32" else given
            ),
            name,
        )
        outputs = called(layer, inputs)
        assert described(called(layer, specs)) == described(outputs), policy
        for one in keras.tree.flatten(outputs):
            assert np.isfinite(np.asarray(one, "float32")).all(), policy
        taken = "training" in inspect.signature(layer.call).parameters
        if taken:
            for training in (True, False):
                assert described(called(layer, inputs, training=training)) == described(outputs)


@pytest.mark.parametrize("name", sorted({*layer_cases.CASES} - layer_cases.RECURRENT))
def test_a_batch_of_no_rows(name):
    layer = made(name)
    few = called(layer, mapped(eager, name))
    inputs = mapped(lambda shape, dtype: eager((0, *shape[1:]), dtype), name)
    empty = called(layer, inputs)
    assert [(0, *shape[1:]) for shape, _ in described(few)] == [
        shape for shape, _ in described(empty)
    ]


def test_build_takes_shapes_by_name():
    layer = Layer()
    layer.build(x_shape=(None, 2), present_shape=(None,))
    assert layer.built
