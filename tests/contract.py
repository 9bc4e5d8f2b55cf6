"""Checks that every tower, fusion and head passes.

`CHECKS` are functions of a configuration. A new tower or fusion is one more line in the dict of
configurations of its test file:

    @pytest.mark.parametrize("check", contract.CHECKS)
    @pytest.mark.parametrize("tower", TOWERS)
    def test_contract(tower, check, tmp_path):
        check(contract.with_input(TOWERS[tower]), tmp_path)
"""

import functools

import keras
import numpy as np
import tensorflow as tf

from multimodal_tf import schema
from multimodal_tf.config import (
    PRESENT,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    NumberInput,
    labelled,
)
from multimodal_tf.models import build_model, build_towers, compile_arguments, embeddings
from multimodal_tf.schema import Classes, Moments, Schema, Subwords, Vectors, Vocabulary
from multimodal_tf.serving.endpoints import core

WORDS = ["red", "green", "blue"]
_DATES = {"mean": 19_000.25, "std": 400.0}


def with_input(input_config):
    """A small configuration of one input, `probe`, and a second one that is always present."""
    return Config(
        inputs={"probe": input_config, "other": NumberInput()},
        heads={"label": ClassificationHead()},
        fusion=ConcatenationFusion(hidden=[8], dropout=0),
    )


def schema_of(config, rows=10):
    """A schema that fits the configuration."""
    inputs = {name: _stats(one) for name, one in config.inputs.items() if one.stats_type}
    classes = Classes(names=["a", "b", "c"], counts=[4, 3, 3])
    heads = {
        name: Moments(mean=100.0, std=10.0) if head.target_type == "number" else classes
        for name, head in labelled(config.heads).items()
    }
    return Schema(rows=rows, inputs=inputs, heads=heads)


def _stats(one):
    match one.stats_type:
        case "moments":
            return Moments(**_DATES) if one.type == "date" else Moments(mean=5.0, std=2.0)
        case "vector_moments":
            return schema.VectorMoments(mean=[5.0] * one.dim, std=[2.0] * one.dim, rows=10)
        case _ if one.type == "text":
            return _text_stats(one)
        case _:
            return Vocabulary(words=WORDS)


def rows_of(config, rows, seed=0):
    """Random rows in which every input is present."""
    random = np.random.default_rng(seed)
    values = {name: _VALUES[one.type](one, rows, random) for name, one in config.inputs.items()}
    present = {name + PRESENT: np.ones(rows, "float32") for name in values}
    return values | (present if config.fusion.presence else {})


def without(rows, name, missing, value=None):
    """The same rows, with `name` missing where `missing` is true.

    Its values there are `value`, or else those that do most harm.
    """
    values = rows[name].copy()
    harm = {"f": np.nan, "O": "blue"}.get(values.dtype.kind, 10**9)
    nothing = "" if values.dtype.kind == "O" else value
    values[missing] = harm if value is None else nothing
    return rows | {
        name: values,
        name + PRESENT: np.where(missing, 0, rows[name + PRESENT]).astype("float32"),
    }


def targets_of(config, rows, seed=0):
    random = np.random.default_rng(seed)
    return {name: _TARGETS[head.target_type](rows, random) for name, head in config.heads.items()}


def compiled(config, run_eagerly=True):
    """A compiled model; eager, because tracing a small model takes longer than its steps."""
    model = build_model(config, schema_of(config))
    model.compile("adam", run_eagerly=run_eagerly, **compile_arguments(config, schema_of(config)))
    return model


def tower_weights(model, name):
    return [
        weight
        for layer in model.layers
        if layer.name.startswith(f"{name}_")
        for weight in layer.trainable_weights
    ]


def gradients(model, config, rows, weights):
    """Gradients of the training loss, as arrays; zeros for a weight that it does not depend on."""
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


def shape_and_dtype(config, tmp_path):
    model = build_model(config, schema_of(config))
    # not 0: oneDNN's convolution returns a wrong shape; the served graph never runs it
    for batch in (1, 3):
        rows = rows_of(config, batch)
        outputs, vectors = model(rows), embeddings(model)(rows)
        for name, output in outputs.items():
            assert output.shape == (batch, *model.output[name].shape[1:])
            assert output.dtype == "float32"
            assert np.isfinite(output).all()
        assert set(vectors) == {
            *config.vectors(),
            *(["fused"] if config.fusion.type != "decision" else []),
        }
        assert all(
            len(vector.shape) == 2 and vector.shape[0] == batch for vector in vectors.values()
        )


def tokens_masks_and_vectors(config, tmp_path):
    towers, vectors = (
        build_towers(config, schema_of(config)),
        embeddings(build_model(config, schema_of(config))),
    )
    rows = rows_of(config, 3)
    if config.fusion.presence:
        for name in config.inputs:
            rows = without(rows, name, np.array([False, True, False]))
    for name, (tokens, mask, vector) in (
        (name, one.values()) for name, one in towers(rows).items()
    ):
        assert len(tokens.shape) == 3
        assert tokens.shape[:2] == mask.shape
        assert mask.dtype == "bool"
        assert all(np.isfinite(one).all() for one in (tokens, vector))
        assert mask.numpy()[[0, 2]].any(axis=1).all(), "a present row has a token"
        if config.fusion.presence:
            assert not any(one.numpy()[1].any() for one in (tokens, mask, vector))
        np.testing.assert_array_equal(vector, vectors(rows)[name])


def a_row_does_not_depend_on_its_neighbours(config, tmp_path):
    model = build_model(config, schema_of(config))
    rows = rows_of(config, 4)
    together = model(rows)
    alone = model({name: value[2:3] for name, value in rows.items()})
    same({name: output[2:3] for name, output in together.items()}, alone, rtol=1e-4, atol=1e-6)


def config_round_trip(config, tmp_path):
    model = build_model(config, schema_of(config))
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    rows = rows_of(config, 3)
    same(model(rows), copy(rows))
    assert _without_shapes(copy.get_config()) == _without_shapes(model.get_config())


def save_and_load(config, tmp_path):
    model = build_model(config, schema_of(config))
    model.save(tmp_path / "model.keras")
    rows = rows_of(config, 3)
    same(model(rows), keras.saving.load_model(tmp_path / "model.keras")(rows))


def exported(config, tmp_path):
    model, rows = build_model(config, schema_of(config)), rows_of(config, 3)
    if config.fusion.presence:
        rows = without(rows, next(iter(config.inputs)), np.array([False, True, False]))
    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        "core",
        core(model),
        [{name: tf.TensorSpec(x.shape, x.dtype, name) for name, x in model.input.items()}],
    )
    archive.write_out(str(tmp_path / "exported"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    tensors = {name: tf.convert_to_tensor(values) for name, values in rows.items()}
    same(model(rows), loaded.signatures["core"](**tensors), rtol=1e-5, atol=1e-6)


def training_lowers_the_loss(config, tmp_path):
    model, rows, targets = compiled(config), rows_of(config, 8), targets_of(config, 8)
    first, second = (
        model.train_on_batch(rows, targets, return_dict=True)["loss"] for _ in range(2)
    )
    # the second is the mean of both steps
    assert second < first


def every_weight_learns(config, tmp_path):
    model = compiled(config)
    found = gradients(model, config, rows_of(config, 8), model.trainable_weights)
    still = [
        weight.path
        for weight, gradient in zip(model.trainable_weights, found)
        if not gradient.any()
    ]
    assert still == []


def mixed_precision(config, tmp_path):
    rows, targets = rows_of(config, 8), targets_of(config, 8)
    for policy in ("mixed_float16", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        try:
            model = compiled(config)
        finally:
            keras.config.set_dtype_policy("float32")
        # the seed gives it the same weights
        reference = build_model(config, schema_of(config))
        for name, output in model(rows).items():
            assert output.dtype == "float32"
            scale = np.abs(reference(rows)[name]).max()
            np.testing.assert_allclose(output, reference(rows)[name], atol=0.05 * scale)
        assert np.isfinite(model.train_on_batch(rows, targets, return_dict=True)["loss"])


def perturbed(model):
    """The model with random changes of its weights, so that initial zeros and ones change too."""
    random = np.random.default_rng(3)
    for weight in model.trainable_weights:
        weight.assign_add(random.normal(0, 0.2, weight.shape))
    return model


def missing_has_no_influence(config, tmp_path):
    if not config.fusion.presence:
        return
    model, rows = perturbed(compiled(config)), rows_of(config, 4)
    missing = np.array([False, True, False, True])
    for name in config.inputs:
        harmed, zeroed = without(rows, name, missing), without(rows, name, missing, value=0)
        same(model(harmed), model(zeroed))
        assert all(np.isfinite(output).all() for output in model(harmed).values())
        # a column of a tower over several has no vector of its own
        if name in config.vectors():
            assert not np.any(embeddings(model)(harmed)[name][1::2])
        weights = model.trainable_weights
        for one, other in zip(
            gradients(model, config, harmed, weights), gradients(model, config, zeroed, weights)
        ):
            np.testing.assert_array_equal(one, other)
        nowhere = without(rows, name, np.ones(4, bool))
        found = gradients(model, config, nowhere, tower_weights(model, name))
        assert not any(gradient.any() for gradient in found)


def missing_rows_do_not_change_the_others(config, tmp_path):
    """In training, missing rows change neither the vectors of other rows nor any statistics."""
    if not config.fusion.presence:
        return
    rows = rows_of(config, 4)
    few = {key: value[:2] for key, value in rows.items()}
    for name in config.inputs:
        rows = without(rows, name, np.arange(4) >= 2)
    among, alone = (build_model(config, schema_of(config)) for _ in range(2))
    vectors = embeddings(among)(rows, training=True)
    expected = embeddings(alone)(few, training=True)
    same({key: vector[:2] for key, vector in vectors.items()}, expected, rtol=1e-3, atol=1e-5)
    for one, other in zip(among.non_trainable_weights, alone.non_trainable_weights):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6, err_msg=one.path)


def all_missing_is_finite(config, tmp_path):
    if not config.fusion.presence:
        return
    model, rows = compiled(config), rows_of(config, 3)
    for name in config.inputs:
        rows = without(rows, name, np.ones(3, bool))
    assert all(np.isfinite(output).all() for output in model(rows).values())
    model.train_on_batch(rows, targets_of(config, 3))
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def in_a_strategy(config, tmp_path):
    with _strategy().scope():
        model = compiled(config, run_eagerly=False)
    data = tf.data.Dataset.from_tensor_slices((rows_of(config, 6), targets_of(config, 6))).batch(3)
    assert np.isfinite(model.fit(data, shuffle=False, verbose=0).history["loss"][0])


CHECKS = [
    shape_and_dtype,
    tokens_masks_and_vectors,
    a_row_does_not_depend_on_its_neighbours,
    config_round_trip,
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


def _text_stats(text):
    """The vocabulary of a text; of subwords only what a model reads."""
    tokenizer = text.tokenizer
    if tokenizer.type not in ("words", "characters"):
        return Subwords(
            tokenizer=tokenizer.type,
            preset=getattr(tokenizer, "preset", None),
            layer={},
            assets={},
            size=len(WORDS) + 2,
            padding=2,
        )
    vectors = None
    if text.vectors is not None:
        rows = np.random.default_rng(0).normal(size=(len(WORDS), text.tower.embedding_dim))
        vectors = Vectors.of(rows)
    return Vocabulary(words=WORDS, tokenizer=tokenizer.type, vectors=vectors)


def _without_shapes(config):
    """The configuration without the shapes that its layers were built for.

    KerasHub's decoder block writes them in another form once it is made from its configuration.
    """
    if isinstance(config, dict):
        return {key: _without_shapes(one) for key, one in config.items() if key != "build_config"}
    return [_without_shapes(value) for value in config] if isinstance(config, list) else config


# a second MirroredStrategy can poison a process
@functools.cache
def _strategy():
    return tf.distribute.MirroredStrategy(["CPU:0"])


def _uniform(one, rows, random):
    return random.random((rows, *one.model_shape), "float32")


def _audio(one, rows, random):
    return random.uniform(-1, 1, (rows, one.samples)).astype("float32")


def _texts(one, rows, random):
    if one.tokenizer.type == "none":
        return np.array([" ".join(random.choice(WORDS, 3)) for _ in range(rows)], object)
    return random.integers(1, len(WORDS) + 2, (rows, one.max_tokens), "int32")


def _dates(one, rows, random):
    return random.integers([18_000, 0], [20_000, 86_400], (rows, 2), "int32")


_VALUES = {
    "image": _uniform,
    "video": _uniform,
    "audio": _audio,
    "text": _texts,
    "category": lambda one, rows, random: random.integers(0, len(WORDS) + 1, rows, "int32"),
    "number": lambda one, rows, random: random.normal(5, 2, rows).astype("float32"),
    "boolean": lambda one, rows, random: random.integers(0, 2, rows).astype("float32"),
    "date": _dates,
    "vector": _uniform,
}
# by the target type of a head; None: it reads no column
_TARGETS = {
    "class": lambda rows, random: random.integers(0, 3, rows, "int32"),
    "classes": lambda rows, random: random.integers(0, 2, (rows, 3)).astype("float32"),
    "number": lambda rows, random: random.normal(100, 10, (rows, 1)).astype("float32"),
    None: lambda rows, random: np.ones((rows, 1), "float32"),
}
