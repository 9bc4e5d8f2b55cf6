"""Exported models: what their signatures give, and the files that are written."""

import errno
import os

import keras
import numpy as np
import pytest
import small_model as small
import tensorflow as tf
from one_axis import check_axes
from small_model import CONFIG, SCHEMA, raw_rows, served
from small_text_model import small_text
from tensorflow_serving.apis import prediction_log_pb2

from multimodal_tf.config import ClassificationHead, ConcatenationFusion, Config, NumberInput
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Classes, Moments, Schema
from multimodal_tf.serving import endpoints, warmup
from multimodal_tf.serving.export import export_model

HEADS = {"label", "label_probabilities", "tags", "tags_probabilities", "age"}


@pytest.fixture(scope="module")
def model():
    """The model that was exported."""
    return small.build()


@pytest.fixture(scope="module")
def prepared():
    """`(features, errors, model inputs)` of the 64 clean rows, straight from the preprocessing."""
    preprocessor = Preprocessor(CONFIG, SCHEMA)
    features, errors = preprocessor.features(small.tensors(raw_rows(64)))
    return features, errors, preprocessor.model_inputs(features)


# Predictions


def test_signature_keys_are_the_names_of_the_configuration(signatures):
    small_signatures = signatures["small"]
    assert set(small_signatures) == {
        "serving_default",
        "predict",
        "embed",
        "core",
        "predict_json",
        "embed_json",
    }
    check_axes(small_signatures)
    for name in ("serving_default", "predict", "embed"):
        given = small_signatures[name].structured_input_signature[1]
        assert {key: (spec.dtype, spec.shape.as_list()) for key, spec in given.items()} == {
            key: (tf.float64 if key == "price" else tf.string, [None]) for key in CONFIG.inputs
        }
    outputs = {name: set(one.structured_outputs) for name, one in small_signatures.items()}
    # without a guard there are no more
    assert outputs["serving_default"] == outputs["predict"] == HEADS | {"valid", "error", "present"}
    assert outputs["embed"] == {*CONFIG.inputs, "fused", "error"}
    assert outputs["core"] == set(CONFIG.heads)


def test_predict_is_the_model_on_the_preprocessing(model, clean, prepared):
    features, errors, inputs = prepared
    outputs = model.predict_on_batch(inputs)
    assert not any(errors.numpy())
    for name, key in (
        ("label", "label_probabilities"),
        ("tags", "tags_probabilities"),
        ("age", "age"),
    ):
        np.testing.assert_allclose(
            clean[key], outputs[name].reshape(clean[key].shape), rtol=1e-5, atol=1e-6
        )
    np.testing.assert_array_equal(
        clean["present"],
        np.stack([features[name + "_present"] for name in CONFIG.inputs], 1) == 1,
    )
    assert clean["valid"].all()
    # so that gaps were tried
    assert not clean["present"].all()


def test_predicted_labels_follow_from_their_probabilities(clean):
    labels, tags = SCHEMA.heads["label"].names, SCHEMA.heads["tags"].names
    assert [text.decode() for text in clean["label"]] == [
        labels[i] for i in clean["label_probabilities"].argmax(1)
    ]
    joined = [
        " | ".join(tag for tag, p in zip(tags, row) if p >= 0.5)
        for row in clean["tags_probabilities"]
    ]
    assert [text.decode() for text in clean["tags"]] == joined
    assert len(set(joined)) > 1
    np.testing.assert_allclose(clean["label_probabilities"].sum(1), 1, rtol=1e-5)


def test_joined_labels_of_each_number():
    chosen = tf.constant([[False, False, False], [False, True, False], [True, True, True]])
    joined = endpoints._joined(tf.constant(["a", "猫", "c"]), chosen, ";")
    assert [text.decode() for text in joined.numpy()] == ["", "猫", "a;猫;c"]


def test_embed_gives_the_layers_of_the_model(model, signatures, prepared):
    given = served(signatures["small"]["embed"], raw_rows(64))
    layers = {name: model.get_layer(f"{name}_embedding").output for name in CONFIG.inputs} | {
        "fused": model.get_layer("fused").output
    }
    for name, vectors in keras.Model(model.input, layers).predict_on_batch(prepared[2]).items():
        np.testing.assert_allclose(given[name], vectors, rtol=1e-5, atol=1e-6)
    assert given["fused"].shape == (64, 8)


def test_core_takes_the_tensors_of_the_model(model, signatures):
    core, generator = signatures["small"]["core"], np.random.default_rng(3)
    inputs = {
        name: tf.constant(generator.integers(0, 3, (4, *spec.shape[1:])), spec.dtype)
        for name, spec in core.structured_input_signature[1].items()
    }
    given = core(**inputs)
    for name, output in model(inputs, training=False).items():
        np.testing.assert_allclose(given[name], output, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize(
    ("name", "signature", "config"),
    [
        ("small", "serving_default", CONFIG),
        ("small", "embed", CONFIG),
        # the same function as `serving_default`
        ("guarded", "predict", small.MATCHING),
    ],
)
def test_any_number_of_rows(signatures, rows, name, signature, config):
    raw, called = raw_rows(3, config), signatures[name][signature]
    whole = served(called, raw)
    first = served(called, {name: cells[:rows] for name, cells in raw.items()})
    for name, values in first.items():
        assert values.shape == (rows, *whole[name].shape[1:])
        if values.dtype == np.float32:
            np.testing.assert_allclose(values, whole[name][:rows], rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(values, whole[name][:rows])


def test_core_of_no_rows(signatures):
    core = signatures["small"]["core"]
    specs = core.structured_input_signature[1]
    given = core(
        **{name: tf.zeros([0, *spec.shape[1:]], spec.dtype) for name, spec in specs.items()}
    )
    assert {name: output.shape.as_list() for name, output in given.items()} == {
        "label": [0, 3],
        "tags": [0, 3],
        "age": [0, 1],
    }


# Files


def test_weights_are_written_once(model, exported):
    checkpoint = tf.train.load_checkpoint(str(exported / "variables" / "variables"))
    shapes = checkpoint.get_variable_to_shape_map()
    graph = len(checkpoint.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    assert (
        sum(
            int(np.prod(shape)) for name, shape in shapes.items() if name.endswith("VARIABLE_VALUE")
        )
        == model.count_params()
    )
    size = sum(file.stat().st_size for file in (exported / "variables").glob("variables.data*"))
    assert size <= 4 * model.count_params() + graph + 100


def test_configuration_and_schema_are_exported(exported):
    extra = exported / "assets.extra"
    assert Config.load(extra / "config.yaml") == CONFIG
    assert Schema.load(extra / "schema.json") == SCHEMA
    # without a guard and a temperature there are no more
    assert sorted(os.listdir(extra)) == [
        "config.yaml",
        "schema.json",
        "tf_serving_warmup_requests",
    ]


def test_the_server_may_read_it(exported, tmp_path):
    (tmp_path / "plain").mkdir()
    assert exported.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert os.listdir(exported.parent) == ["1"]


@pytest.mark.parametrize(
    ("name", "called"),
    [("small", ["serving_default", "embed"]), ("guarded", ["serving_default", "predict", "embed"])],
)
def test_warm_up_requests_are_served(name, called, exported, guarded, signatures):
    path = exported if name == "small" else guarded
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(path / warmup.FILE))
    ]
    requests = {log.predict_log.request.model_spec.signature_name: log for log in logs}
    of_cells = ["serving_default", "predict", "embed"]
    assert list(requests) == [*of_cells, "predict_json", "embed_json"]
    requests = {key: log.predict_log.request for key, log in requests.items()}
    assert {request.model_spec.name for request in requests.values()} == {name}
    assert len(logs) == 5
    for signature, request in requests.items():
        like = "predict_json" if signature.endswith("_json") else "serving_default"
        assert request.inputs == requests[like].inputs
    for signature in called:
        inputs = {
            name: tf.constant(tf.make_ndarray(proto))
            for name, proto in requests[signature].inputs.items()
        }
        given = signatures[name][signature](**inputs)
        assert given["error"].numpy().tolist() == [b"no input is present", b""]
        if "present" in given:
            assert given["present"].numpy().all(axis=1).tolist() == [False, True]


def test_a_failed_export_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(warmup, "write", full)
    config, schema = small_text()
    with pytest.raises(OSError, match="No space left"):
        export_model(build_model(config, schema), config, schema, tmp_path / "name" / "1")
    assert os.listdir(tmp_path / "name") == []


def test_an_empty_folder_is_filled_and_unusual_names_are_served(tmp_path):
    names = ("training", "inputs", "name", "Titre_2")
    config = Config(
        inputs={name: NumberInput() for name in names},
        heads={"label": ClassificationHead()},
        fusion=ConcatenationFusion(hidden=[4], presence=False),
    )
    schema = Schema(
        rows=2,
        inputs={name: Moments(mean=5.0, std=2.0) for name in names},
        heads={"label": Classes(names=["x", "y"], counts=[1, 1])},
    )
    (tmp_path / "a name" / "007").mkdir(parents=True)
    path = export_model(build_model(config, schema), config, schema, tmp_path / "a name" / "007")
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    raw = {name: tf.constant([5.0, float("nan")], tf.float64) for name in config.inputs}
    assert serve(**raw)["valid"].numpy().tolist() == [True, False]
