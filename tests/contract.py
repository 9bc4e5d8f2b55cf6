"""Checks that every tower, fusion and head passes.

`CHECKS` are functions of a configuration. A new tower or fusion is one more line in the dict of
configurations of its test file:

    @pytest.mark.parametrize("check", contract.CHECKS)
    @pytest.mark.parametrize("tower", TOWERS)
    def test_contract(tower, check, tmp_path):
        check(contract.with_input(TOWERS[tower]), tmp_path)
"""

import functools
import json
import zipfile

import keras
import numpy as np
import tensorflow as tf
from random_rows import rows_of, schema_of, targets_of, without

from multimodal_tf.config import (
    ClassificationHead,
    ConcatenationFusion,
    Config,
    NumberInput,
)
from multimodal_tf.models import build_model, build_towers, compile_arguments, embeddings
from multimodal_tf.serving import export, saved_functions
from multimodal_tf.serving.endpoints import core


def with_input(input_config):
    """A small configuration of one input, `probe`, and a second one that is always present."""
    return Config(
        inputs={"probe": input_config, "other": NumberInput()},
        heads={"label": ClassificationHead()},
        fusion=ConcatenationFusion(hidden=[8], dropout=0),
    )


def compiled(config, run_eagerly=True, optimizer="adam"):
    """A compiled model; eager, because tracing a small model takes longer than its steps."""
    model = build_model(config, schema_of(config))
    arguments = compile_arguments(config, schema_of(config))
    model.compile(optimizer, run_eagerly=run_eagerly, **arguments)
    return model


KEPT = 20
_made = {}


def model_of(config):
    """The compiled model of the configuration, with the weights that its seed gives.

    The checks of one configuration share it: it is made once, and a check may change its weights.
    The last ones are kept.
    """
    key = config.model_dump_json()
    if key not in _made:
        if len(_made) == KEPT:
            del _made[next(iter(_made))]
        model = compiled(config, optimizer="sgd")
        # random seeds are among them
        _made[key] = model, [(one, one.numpy()) for one in model.variables], whole(model)
    model, values, _ = _made[key]
    for variable, value in values:
        variable.assign(value)
    return model


def whole(model):
    """The model's outputs and its embeddings, in one pass."""
    return keras.Model(model.input, {"outputs": model.output, "vectors": embeddings(model).output})


def whole_of(config):
    """`whole(model_of(config))`, made once; the model's weights are what it has now."""
    return _made[config.model_dump_json()][2]


def tower_weights(model, name):
    return [
        weight
        for layer in model.layers
        if layer.name.startswith(f"{name}_")
        for weight in layer.trainable_weights
    ]


def first_draws(model):
    """Objectives draw again what they drew in the first step."""
    for weight in model.non_trainable_weights:
        if weight.path.endswith("/steps"):
            weight.assign(0)


def gradients(model, config, rows, weights):
    """Gradients of the training loss, as arrays; zeros for a weight that it does not depend on."""
    first_draws(model)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(
            y=targets_of(config, len(next(iter(rows.values())))), y_pred=model(rows, training=True)
        )
    variables = [weight.value for weight in weights]
    return [
        tf.convert_to_tensor(g).numpy()
        for g in tape.gradient(loss, variables, unconnected_gradients="zero")
    ]


def same(first, second, **tolerance):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(first[name], second[name], err_msg=name, **tolerance)


def of_rows(config, outputs):
    """The outputs without what depends on the rows beside a row: drawn mismatched pairs."""
    return {
        name: output[:, 0, 0] if config.heads[name].type == "token_matching" else output
        for name, output in outputs.items()
    }


def shape_and_dtype(config, tmp_path):
    model = model_of(config)
    # not 0: oneDNN's convolution returns a wrong shape; the served graph never runs it
    for batch in (1, 3):
        outputs, vectors = whole_of(config)(rows_of(config, batch)).values()
        for name, output in outputs.items():
            assert output.shape == (batch, *model.output[name].shape[1:])
            assert output.dtype == "float32"
            assert np.isfinite(output).all()
        fused = ["fused"] if config.fusion.type != "decision" else []
        aligned = [
            f"{name}_aligned_{own}"
            for name, head in config.heads.items()
            if head.aligns_inputs
            for own in head.inputs
        ]
        assert set(vectors) == {*config.vectors(), *fused, *aligned}
        assert all(
            len(vector.shape) == 2 and vector.shape[0] == batch for vector in vectors.values()
        )


def tokens_masks_and_vectors(config, tmp_path):
    towers, vectors = build_towers(config, schema_of(config)), embeddings(model_of(config))
    rows = rows_of(config, 3)
    if config.fusion.presence:
        for name in config.inputs:
            rows = without(rows, name, np.array([False, True, False]))
    expected = vectors(rows)
    for name, one in towers(rows).items():
        tokens, mask, vector = one.values()
        assert len(tokens.shape) == 3
        assert tokens.shape[:2] == mask.shape
        assert mask.dtype == "bool"
        assert all(np.isfinite(one).all() for one in (tokens, vector))
        assert mask.numpy()[[0, 2]].any(axis=1).all(), "a present row has a token"
        if config.fusion.presence:
            assert not any(one.numpy()[1].any() for one in (tokens, mask, vector))
        np.testing.assert_array_equal(vector, expected[name])


def a_row_does_not_depend_on_its_neighbours(config, tmp_path):
    model, rows = model_of(config), rows_of(config, 4)
    together = model(rows)
    alone = model({name: value[2:3] for name, value in rows.items()})
    third = {name: output[2:3] for name, output in together.items()}
    same(of_rows(config, third), of_rows(config, alone), rtol=1e-4, atol=1e-6)


def save_and_load(config, tmp_path):
    model, rows = model_of(config), rows_of(config, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    same(model(rows), loaded(rows))
    same_configuration(loaded, tmp_path / "model.keras")


def same_configuration(loaded, path):
    """A loaded model has the configuration that is in its file."""
    with zipfile.ZipFile(path) as file:
        saved = json.loads(file.read("config.json"))["config"]
    # tuples become lists
    found = json.loads(json.dumps(keras.saving.serialize_keras_object(loaded)))["config"]
    assert _plain(found) == _plain(saved)


def exported(config, tmp_path):
    model, rows = model_of(config), rows_of(config, 3)
    if config.fusion.presence:
        rows = without(rows, next(iter(config.inputs)), np.array([False, True, False]))
    specs = {name: tf.TensorSpec(x.shape, x.dtype, name) for name, x in model.input.items()}
    tables = export.tables_of(model)
    saved_functions.save({"core": (core(model), specs)}, tables, tmp_path / "exported")
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    tensors = {name: tf.convert_to_tensor(values) for name, values in rows.items()}
    same(model(rows), loaded.signatures["core"](**tensors), rtol=1e-5, atol=1e-6)


def training_lowers_the_loss(config, tmp_path):
    model, rows, targets = model_of(config), rows_of(config, 8), targets_of(config, 8)
    # its first step is Adam's, with half of the variables
    optimizer = keras.optimizers.Lion(1e-3)
    model.compile(optimizer, run_eagerly=True, **compile_arguments(config, schema_of(config)))
    losses = []
    for _ in range(2):
        first_draws(model)
        losses.append(model.train_on_batch(rows, targets, return_dict=True)["loss"])
    first, second = losses
    # the second is the mean of both steps
    assert second < first


def every_weight_learns(config, tmp_path):
    model = model_of(config)
    found = gradients(model, config, rows_of(config, 8), model.trainable_weights)
    still = [
        weight.path
        for weight, gradient in zip(model.trainable_weights, found)
        if not gradient.any()
    ]
    assert still == []


def mixed_precision(config, tmp_path):
    rows, targets = rows_of(config, 8), targets_of(config, 8)
    expected = of_rows(config, model_of(config)(rows))
    for policy in ("mixed_float16", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        try:
            # the seed gives it the same weights
            model = compiled(config, optimizer="sgd")
        finally:
            keras.config.set_dtype_policy("float32")
        for name, output in of_rows(config, model(rows)).items():
            assert output.dtype == "float32"
            scale = np.abs(expected[name]).max()
            np.testing.assert_allclose(output, expected[name], atol=0.05 * scale)
        assert np.isfinite(model.train_on_batch(rows, targets, return_dict=True)["loss"])


def perturbed(model):
    """The model with random changes of its weights, so that initial zeros and ones change too."""
    random = np.random.default_rng(3)
    for weight in model.trainable_weights:
        weight.assign_add(random.normal(0, 0.2, weight.shape))
    return model


def missing_has_no_influence(config, tmp_path):
    """Values of missing rows change neither outputs nor gradients; each row misses some inputs."""
    if not config.fusion.presence:
        return
    model, rows = perturbed(model_of(config)), rows_of(config, 4)
    missing = {name: (np.arange(4) + number) % 2 == 1 for number, name in enumerate(config.inputs)}
    harmed = zeroed = rows
    for name in config.inputs:
        harmed = without(harmed, name, missing[name])
        zeroed = without(zeroed, name, missing[name], value=0)
    outputs, vectors = whole_of(config)(harmed).values()
    same(outputs, model(zeroed))
    assert all(np.isfinite(output).all() for output in outputs.values())
    # a column of a tower over several has no vector of its own
    for name in {*config.inputs} & {*config.vectors()}:
        assert not np.any(vectors[name][missing[name]])
    weights = model.trainable_weights
    for one, other in zip(
        gradients(model, config, harmed, weights), gradients(model, config, zeroed, weights)
    ):
        np.testing.assert_array_equal(one, other)
    for name in config.inputs:
        if weights := tower_weights(model, name):
            nowhere = without(rows, name, np.ones(4, bool))
            found = gradients(model, config, nowhere, weights)
            assert not any(gradient.any() for gradient in found)


def missing_rows_do_not_change_the_others(config, tmp_path):
    """In training, missing rows change neither the vectors of other rows nor any statistics."""
    if not config.fusion.presence:
        return
    rows = rows_of(config, 4)
    few = {key: value[:2] for key, value in rows.items()}
    for name in config.inputs:
        rows = without(rows, name, np.arange(4) >= 2)
    (among, of_all), (alone, of_few) = (_after_training_mode(config, one) for one in (rows, few))
    same({key: vector[:2] for key, vector in among.items()}, alone, rtol=1e-3, atol=1e-5)
    same(of_all, of_few, rtol=1e-4, atol=1e-6)


def all_missing_is_finite(config, tmp_path):
    if not config.fusion.presence:
        return
    model, rows = model_of(config), rows_of(config, 3)
    for name in config.inputs:
        rows = without(rows, name, np.ones(3, bool))
    assert all(np.isfinite(output).all() for output in model(rows).values())
    model.train_on_batch(rows, targets_of(config, 3))
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def in_a_strategy(config, tmp_path):
    """`fit` in a strategy, in a graph, lowers the loss."""
    first, second = _losses_in_a_strategy(config)
    assert second < first


def random_in_a_strategy(config, tmp_path):
    """The same where training is random, so that the loss may rise from step to step."""
    assert np.isfinite(_losses_in_a_strategy(config)).all()


CHECKS = [
    shape_and_dtype,
    tokens_masks_and_vectors,
    a_row_does_not_depend_on_its_neighbours,
    save_and_load,
    exported,
    training_lowers_the_loss,
    every_weight_learns,
    mixed_precision,
    missing_has_no_influence,
    missing_rows_do_not_change_the_others,
    all_missing_is_finite,
    in_a_strategy,
]


def _after_training_mode(config, rows):
    """The vectors of the rows in training, and the weights that are not trained, after it."""
    model = model_of(config)
    vectors = embeddings(model)(rows, training=True)
    return vectors, {weight.path: weight.numpy() for weight in model.non_trainable_weights}


def _plain(config):
    """The configuration without numbers of shared objects and shapes that layers were built for.

    KerasHub's decoder block writes shapes in another form once it is made from its configuration.
    """
    if isinstance(config, dict):
        left_out = ("build_config", "shared_object_id")
        return {key: _plain(one) for key, one in config.items() if key not in left_out}
    return [_plain(value) for value in config] if isinstance(config, list) else config


def _losses_in_a_strategy(config):
    with strategy().scope():
        # its first step is Adam's, in a smaller graph
        model = compiled(config, run_eagerly=False, optimizer=keras.optimizers.Lion(1e-3))
    data = tf.data.Dataset.from_tensor_slices((rows_of(config, 8), targets_of(config, 8))).batch(8)
    return model.fit(data, epochs=2, shuffle=False, verbose=0).history["loss"]


# a second MirroredStrategy can poison a process
@functools.cache
def strategy():
    return tf.distribute.MirroredStrategy(["CPU:0"])
