"""Exported models: predictions, errors, and files."""

import errno
import os
import struct

import keras
import numpy as np
import pytest
import small_model as case
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from multimodal_tf.config import (
    ClassificationHead,
    ConcatenationFusion,
    Config,
    LSTMTower,
    NumberInput,
    TextInput,
)
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Classes, Moments, Schema, Vocabulary
from multimodal_tf.serving import endpoints, warmup
from multimodal_tf.serving.export import export_model

HEADS = {"label", "label_probabilities", "tags", "tags_probabilities", "age"}
NUMBERS = ("label_probabilities", "tags_probabilities", "age")


@pytest.fixture(scope="module")
def model(exported):
    return exported[0]


@pytest.fixture(scope="module")
def path(exported):
    return exported[1]


@pytest.fixture(scope="module")
def loaded(path):
    return tf.saved_model.load(str(path))


@pytest.fixture(scope="module")
def serve(loaded):
    def call(raw, signature="serving_default"):
        tensors = {
            name: tf.constant(cells, tf.float32 if name == "price" else tf.string)
            for name, cells in raw.items()
        }
        return {
            name: tensor.numpy() for name, tensor in loaded.signatures[signature](**tensors).items()
        }

    return call


@pytest.fixture(scope="module")
def clean(serve):
    return serve(case.raw_rows(64))


def text_only(names=("title",), presence=True):
    """A small configuration of texts and a number, and its schema."""
    config = Config(
        inputs={
            name: TextInput(max_tokens=3, tower=LSTMTower(embedding_dim=2, units=2))
            for name in names
        }
        | {"price": NumberInput()},
        heads={"label": ClassificationHead()},
        fusion=ConcatenationFusion(hidden=[4], presence=presence),
    )
    stats = {name: Vocabulary(words=["red", "blue"]) for name in names} | {
        "price": Moments(mean=5.0, std=2.0)
    }
    return config, Schema(
        rows=2, inputs=stats, heads={"label": Classes(names=["x", "y"], counts=[1, 1])}
    )


# Predictions


def test_signature_keys_are_the_names_of_the_configuration(loaded):
    signatures = loaded.signatures
    assert set(signatures) == {"serving_default", "predict", "embed", "core"}
    for name in ("serving_default", "predict", "embed"):
        given = signatures[name].structured_input_signature[1]
        assert {key: (spec.dtype, spec.shape.as_list()) for key, spec in given.items()} == {
            key: (tf.float32 if key == "price" else tf.string, [None]) for key in case.CONFIG.inputs
        }
    assert set(signatures["predict"].structured_outputs) == HEADS | {"valid", "error", "present"}
    assert set(signatures["embed"].structured_outputs) == {*case.CONFIG.inputs, "fused", "error"}
    assert set(signatures["core"].structured_outputs) == set(case.CONFIG.heads)


@pytest.fixture(scope="module")
def prepared():
    """`(features, errors, model inputs)` of the 64 clean rows, straight from the preprocessing."""
    preprocessor = Preprocessor(case.CONFIG, case.SCHEMA)
    features, errors = preprocessor.features(
        {name: tf.constant(cells) for name, cells in case.raw_rows(64).items()}
    )
    return features, errors, preprocessor.model_inputs(features)


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
        np.stack([features[name + "_present"] for name in case.CONFIG.inputs], 1) == 1,
    )
    assert clean["valid"].all()
    # so that gaps were tried
    assert not clean["present"].all()


def test_predicted_labels_follow_from_their_probabilities(clean):
    labels, tags = case.SCHEMA.heads["label"].names, case.SCHEMA.heads["tags"].names
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


def test_embed_gives_the_layers_of_the_model(model, serve, prepared):
    given = serve(case.raw_rows(64), "embed")
    layers = {name: model.get_layer(f"{name}_embedding").output for name in case.CONFIG.inputs} | {
        "fused": model.get_layer("fused").output
    }
    for name, vectors in keras.Model(model.input, layers).predict_on_batch(prepared[2]).items():
        np.testing.assert_allclose(given[name], vectors, rtol=1e-5, atol=1e-6)
    assert given["fused"].shape == (64, 8)


def test_core_takes_the_tensors_of_the_model(model, loaded):
    generator = np.random.default_rng(3)
    inputs = {
        name: tf.constant(generator.integers(0, 3, (4, *spec.shape[1:])), spec.dtype)
        for name, spec in loaded.signatures["core"].structured_input_signature[1].items()
    }
    given = loaded.signatures["core"](**inputs)
    for name, output in model(inputs, training=False).items():
        np.testing.assert_allclose(given[name], output, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("signature", ["serving_default", "predict", "embed"])
def test_any_number_of_rows(serve, rows, signature):
    raw = case.raw_rows(3)
    whole = serve(raw, signature)
    first = serve({name: cells[:rows] for name, cells in raw.items()}, signature)
    for name, values in first.items():
        assert values.shape == (rows, *whole[name].shape[1:])
        if values.dtype == np.float32:
            np.testing.assert_allclose(values, whole[name][:rows], rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(values, whole[name][:rows])


def test_core_of_no_rows(loaded):
    specs = loaded.signatures["core"].structured_input_signature[1]
    given = loaded.signatures["core"](
        **{name: tf.zeros([0, *spec.shape[1:]], spec.dtype) for name, spec in specs.items()}
    )
    assert {name: output.shape.as_list() for name, output in given.items()} == {
        "label": [0, 3],
        "tags": [0, 3],
        "age": [0, 1],
    }


# Broken and missing cells


def huge_png():
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + bytes(400)


HOSTILE = {
    "html": ("photo", b"<!DOCTYPE html><html>404</html>"),
    "truncated jpeg": ("photo", case.image_bytes(kind="JPEG")[:300]),
    "20000 x 20000": ("photo", huge_png()),
    "one byte": ("photo", b"\xff"),
    "noise": ("photo", np.random.default_rng(0).bytes(5000)),
    "an image as audio": ("sound", case.image_bytes()),
    "RIFF alone": ("sound", b"RIFF"),
    "rate of 1 Hz": (
        "sound",
        case.audio_bytes()[:24] + struct.pack("<I", 1) + case.audio_bytes()[28:],
    ),
    "not UTF-8": ("title", b"caf\xe9 \xff\xfe"),
    "infinite": ("price", float("inf")),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_one_hostile_cell_among_64_rows(serve, clean, kind):
    name, cell = HOSTILE[kind]
    raw, without = case.raw_rows(64), case.raw_rows(64)
    raw[name][37], without[name][37] = cell, float("nan") if name == "price" else b""
    given = serve(raw)
    others = np.arange(64) != 37
    # bit for bit
    for key, values in given.items():
        np.testing.assert_array_equal(values[others], clean[key][others], err_msg=key)
    assert given["error"][37].decode().startswith(f"{name}: ")
    assert len(given["error"][37]) > len(name) + 5
    assert not given["valid"][37]
    assert not given["present"][37][list(case.CONFIG.inputs).index(name)]
    # predicted as if that cell were missing
    for key in NUMBERS:
        np.testing.assert_array_equal(given[key][37], serve(without)[key][37], err_msg=key)


def test_empty_cells_are_missing_not_broken(serve):
    raw = case.raw_rows(2)
    raw["title"][:] = [b"a red bird", b" \n\t"]
    for name in ("photo", "sound", "colour"):
        raw[name][:] = b""
    raw["price"][:] = [float("nan"), 1.0]
    given = serve(raw)
    assert given["present"].tolist() == [
        [False, True, False, False, False],
        [False, False, False, True, False],
    ]
    assert given["error"].tolist() == [b"", b""]
    assert given["valid"].all()


def test_a_row_without_any_input(serve):
    given = serve(
        {
            name: [float("nan")] * 2
            if name == "price"
            else [b"", b"?"]
            if name == "photo"
            else [b""] * 2
            for name in case.CONFIG.inputs
        }
    )
    assert given["valid"].tolist() == [False, False]
    assert given["error"][0] == b"no input is present"
    assert given["error"][1].startswith(b"photo: ")
    assert given["error"][1].endswith(b"; no input is present")
    assert all(np.isfinite(given[key]).all() for key in NUMBERS)


def test_two_broken_cells_of_one_row_are_both_reported(serve):
    raw = case.raw_rows(1)
    raw["photo"][:], raw["sound"][:], raw["title"][:] = b"?", b"?", b"red"
    first, second = serve(raw)["error"][0].decode().split("; ")
    assert first.startswith("photo: ")
    assert second.startswith("sound: ")


# Files


def test_weights_are_written_once(model, path):
    checkpoint = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    shapes = checkpoint.get_variable_to_shape_map()
    graph = len(checkpoint.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    assert (
        sum(
            int(np.prod(shape)) for name, shape in shapes.items() if name.endswith("VARIABLE_VALUE")
        )
        == model.count_params()
    )
    size = sum(file.stat().st_size for file in (path / "variables").glob("variables.data*"))
    assert size <= 4 * model.count_params() + graph + 100


def test_configuration_and_schema_are_exported(path):
    assert Config.load(path / "assets.extra" / "config.yaml") == case.CONFIG
    assert Schema.load(path / "assets.extra" / "schema.json") == case.SCHEMA


def test_the_server_may_read_it(path, tmp_path):
    (tmp_path / "plain").mkdir()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert os.listdir(path.parent) == ["1"]


def test_warm_up_requests_are_served(path, loaded):
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(path / warmup.FILE))
    ]
    requests = [log.predict_log.request for log in logs]
    assert [request.model_spec.signature_name for request in requests] == [
        "serving_default",
        "predict",
        "embed",
    ]
    assert {request.model_spec.name for request in requests} == {"small"}
    for request in requests:
        inputs = {
            name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()
        }
        given = loaded.signatures[request.model_spec.signature_name](**inputs)
        assert given["error"].numpy().tolist() == [b"no input is present", b""]
        if "present" in given:
            assert given["present"].numpy().all(axis=1).tolist() == [False, True]


def test_a_failed_export_leaves_nothing(model, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(warmup, "write", full)
    config, schema = text_only()
    with pytest.raises(OSError, match="No space left"):
        export_model(build_model(config, schema), config, schema, tmp_path / "name" / "1")
    assert os.listdir(tmp_path / "name") == []


def test_an_empty_folder_is_filled_and_unusual_names_are_served(tmp_path):
    config, schema = text_only(names=("training", "inputs", "name", "Titre_2"), presence=False)
    (tmp_path / "a name" / "007").mkdir(parents=True)
    path = export_model(build_model(config, schema), config, schema, tmp_path / "a name" / "007")
    served = tf.saved_model.load(str(path)).signatures["serving_default"]
    raw = {
        name: tf.constant([5.0, float("nan")]) if name == "price" else tf.constant(["red", ""])
        for name in config.inputs
    }
    assert served(**raw)["valid"].numpy().tolist() == [True, False]


def test_half_precision_is_served_as_float32(tmp_path):
    config, schema = text_only()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_model(config, schema)
    finally:
        keras.config.set_dtype_policy("float32")
    signatures = tf.saved_model.load(
        str(export_model(model, config, schema, tmp_path / "1"))
    ).signatures
    assert signatures["embed"].structured_outputs["fused"].dtype == tf.float32
    assert signatures["predict"].structured_outputs["label_probabilities"].dtype == tf.float32


# Errors


@pytest.mark.parametrize("name", ["v1", "1.0", "-1", "latest", "1" * 19])
def test_a_version_is_a_whole_number(model, tmp_path, name):
    with pytest.raises(ValueError, match=f"NAME/VERSION .* received .*{name}"):
        export_model(model, case.CONFIG, case.SCHEMA, tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_version_is_never_overwritten(model, tmp_path, kind):
    path = tmp_path / "1"
    if kind == "folder":
        path.mkdir()
    kept = path / "kept" if kind == "folder" else path
    kept.write_text("mine")
    with pytest.raises(ValueError, match="never overwritten"):
        export_model(model, case.CONFIG, case.SCHEMA, path)
    assert kept.read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"inputs": {"title": {"type": "text", "max_tokens": 4}}},
            "the model's inputs are .*'price'.*, but the configuration gives",
        ),
        (
            {"inputs": {"title": {"type": "text", "max_tokens": 4}, "price": {"type": "number"}}},
            r"input 'title' is int32 \(None, 3\), but the configuration gives int32 \(None, 4\)",
        ),
        (
            {"fusion": {"presence": False}},
            "the model's inputs are .*'price_present'.*, but the configuration gives",
        ),
        (
            {"heads": {"kind": {"type": "classification"}}},
            r"the model's outputs are \['label'\], but the configuration's heads are \['kind'\]",
        ),
    ],
)
def test_a_model_of_another_configuration(tmp_path, change, message):
    config, schema = text_only()
    other = Config.model_validate(config.model_dump() | change)
    with pytest.raises(ValueError, match=message):
        export_model(build_model(config, schema), other, schema, tmp_path / "1")
    assert os.listdir(tmp_path) == []


def test_a_schema_of_another_table(model, tmp_path):
    fewer = case.SCHEMA.model_copy(
        update={"heads": case.SCHEMA.heads | {"label": Classes(names=["a", "b"], counts=[1, 1])}}
    )
    with pytest.raises(
        ValueError, match=r"output 'label' must be of shape \(None, 2\), received \(None, 3\)"
    ):
        export_model(model, case.CONFIG, fewer, tmp_path / "1")
    with pytest.raises(ValueError, match="heads.tags: the schema must hold classes"):
        export_model(
            model,
            case.CONFIG,
            case.SCHEMA.model_copy(update={"heads": {"label": case.SCHEMA.heads["label"]}}),
            tmp_path / "1",
        )
    assert os.listdir(tmp_path) == []


def test_a_model_without_the_named_layers(tmp_path):
    config, schema = text_only()
    inputs = build_model(config, schema).input
    flat = keras.layers.Dense(2, activation="softmax")(keras.layers.Reshape((1,))(inputs["price"]))
    with pytest.raises(ValueError, match="must have a layer named 'title_embedding'"):
        export_model(keras.Model(inputs, {"label": flat}), config, schema, tmp_path / "1")
    assert os.listdir(tmp_path) == []


def test_a_model_without_names(tmp_path):
    config, schema = text_only()
    for model in (keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), keras.Sequential()):
        with pytest.raises(ValueError, match="functional keras.Model with a dict of inputs"):
            export_model(model, config, schema, tmp_path / "1")
