"""A SavedModel as a tower computes the same as by itself, and is saved in one file."""

import base64
import json
import re

import contract
import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
from media import random_audio, random_image
from one_input import built, image, refused, rows_of, vector
from pretrained_networks import WORDS

from multimodal_tf.config import (
    AudioInput,
    ClassificationHead,
    Config,
    ImageInput,
    KerasTower,
    NoTokenizer,
    PresetTower,
    SavedModelTower,
    TextInput,
)
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.data.tokenizers.train_subwords import fit_subwords
from multimodal_tf.models import build_model, build_towers, compile_arguments
from multimodal_tf.schema import Classes, Schema
from multimodal_tf.serving.export import export_model


class TestSavedModel:
    def test_a_feature_map_becomes_one_token_per_cell(self, pretrained):
        input_config = image(SavedModelTower(path=pretrained.image_module(), length=None))
        rows, config = rows_of(input_config), contract.with_input(input_config)
        tokens = build_towers(config, contract.schema_of(config))(rows)["probe"]["tokens"]
        reference = (
            tf.saved_model.load(pretrained.image_module())
            .signatures["image"](image=rows["probe"])["feature_map"]
            .numpy()
        )
        np.testing.assert_allclose(tokens, reference.reshape(3, 4, 3), rtol=1e-5)
        np.testing.assert_allclose(vector(input_config, rows), reference.mean((1, 2)), rtol=1e-4)

    def test_a_single_clip_is_read_row_by_row(self, pretrained):
        input_config = AudioInput(
            sample_rate=1000,
            seconds=0.3,
            tower=SavedModelTower(
                path=pretrained.audio_module(), output="embeddings", pooling="max", length=None
            ),
        )
        rows = rows_of(input_config)
        reference = tf.saved_model.load(pretrained.audio_module())
        expected = [
            reference(tf.constant(row))["embeddings"].numpy().max(0) for row in rows["probe"]
        ]
        np.testing.assert_allclose(vector(input_config, rows), expected, rtol=1e-5)

    @pytest.mark.parametrize(
        ("pixels", "scale", "offset"), [("0..1", 1, 0), ("-1..1", 2, -1), ("0..255", 255, 0)]
    )
    def test_pixels_are_scaled_as_in_the_network_s_training(
        self, pixels, scale, offset, pretrained
    ):
        input_config = image(
            SavedModelTower(path=pretrained.image_module(), pixels=pixels, length=None)
        )
        rows = rows_of(input_config)
        expected = tf.saved_model.load(pretrained.image_module()).signatures["image"](
            image=rows["probe"] * scale + offset
        )["feature_map"]
        np.testing.assert_allclose(
            vector(input_config, rows), expected.numpy().mean((1, 2)), rtol=1e-4, atol=1e-5
        )

    @pytest.mark.parametrize("trainable", [False, True])
    def test_only_trainable_weights_are_trained(self, trainable, pretrained):
        input_config = image(SavedModelTower(path=pretrained.image_module(), trainable=trainable))
        model, config = (
            contract.compiled(contract.with_input(input_config)),
            contract.with_input(input_config),
        )
        network = model.get_layer("probe_network")
        before = network.get_weights()
        model.train_on_batch(contract.rows_of(config, 8), contract.targets_of(config, 8))
        changed = [not np.array_equal(*pair) for pair in zip(before, network.get_weights())]
        # The module's count is no trainable variable.
        assert sorted(changed) == [False, trainable, trainable]
        # Frozen weights have no optimizer state.
        assert len(model.optimizer.variables) == 2 + 2 * len(model.trainable_weights)

    def test_its_variables_are_exported_once(self, pretrained, tmp_path):
        input_config = image(SavedModelTower(path=pretrained.image_module(), trainable=True))
        model, rows = built(input_config), rows_of(input_config)
        archive = keras.export.ExportArchive()
        spec = {name: tf.TensorSpec(x.shape, x.dtype, name) for name, x in model.input.items()}
        archive.add_endpoint("core", lambda inputs: model(inputs), [spec])
        archive.write_out(str(tmp_path / "out"), verbose=False)
        again = tf.saved_model.load(str(tmp_path / "out"))
        np.testing.assert_allclose(
            again.core({name: tf.constant(value) for name, value in rows.items()})["label"],
            model(rows)["label"],
            rtol=1e-5,
        )
        shapes = [
            shape
            for _, shape in tf.train.list_variables(
                str(tmp_path / "out" / "variables" / "variables")
            )
        ]
        assert shapes.count([4, 4, 1, 3]) == 1

    def test_a_configuration_alone_names_the_missing_files(self, pretrained):
        input_config = image(SavedModelTower(path=pretrained.image_module()))
        layer = built(input_config).get_layer("probe_network").network
        copy = type(layer).from_config(layer.get_config() | {"digest": "0" * 64})
        assert copy(keras.Input((8, 8, 1))).shape == (None, 2, 2, 3)
        with pytest.raises(ValueError, match="made from a configuration alone"):
            copy(rows_of(input_config)["probe"])

    def test_the_duplicate_signature_of_a_keras_export_is_ignored(self, pretrained, tmp_path):
        keras.saving.load_model(pretrained.keras_model()).export(tmp_path / "out", verbose=False)
        input_config = image(SavedModelTower(path=str(tmp_path / "out"), length=None))
        reference = keras.saving.load_model(pretrained.keras_model())(
            rows_of(input_config)["probe"]
        )
        np.testing.assert_allclose(
            vector(input_config, rows_of(input_config)), reference, rtol=1e-5
        )

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (
                lambda pretrained: {"path": pretrained.two_signatures()},
                r"tower\.signature: must name one"
                r" .* image\(image: float32 \(any, 8, 8, 1\)\) -> feature_map",
            ),
            (
                lambda pretrained: {"path": pretrained.two_signatures(), "signature": "photo"},
                r"tower\.signature: must be one .* received 'photo'$",
            ),
            (
                lambda pretrained: {"path": pretrained.image_module(), "output": "logits"},
                r"tower\.output: must name one of .*, received 'logits'$",
            ),
            (
                lambda pretrained: {"path": pretrained.audio_module()},
                r"tower: no signature takes .*, float32 \(batch, 8, 8, 1\),"
                r" the SavedModel has serving_default",
            ),
            (
                lambda pretrained: {"path": pretrained.image_module() + "/variables"},
                r"tower\.path: a SavedModel is a folder with saved_model\.pb, .* holds \[",
            ),
        ],
    )
    def test_impossible_settings_are_refused_by_field(self, make, message, pretrained):
        assert re.search(
            rf"^inputs\.probe\.{message}", refused(image(SavedModelTower(**make(pretrained))))
        )

    def test_a_module_without_variables_cannot_be_trained(self, tmp_path):
        module = tf.Module()
        signature = tf.function(
            lambda image: {"out": image[:, 0, 0]},
            [tf.TensorSpec((None, 8, 8, 1), tf.float32, "image")],
        )
        tf.saved_model.save(module, tmp_path, signatures=signature)
        assert refused(image(SavedModelTower(path=str(tmp_path), trainable=True))).endswith(
            "no variable that can be trained, received true"
        )
        assert vector(
            image(SavedModelTower(path=str(tmp_path))),
            rows_of(image(SavedModelTower(path=str(tmp_path)))),
        ).shape == (3, 1)

    def test_a_missing_folder_is_refused(self):
        assert "nothing is at '/no/such'" in refused(
            image(SavedModelTower(path="/no/such")), FileNotFoundError
        )


@pytest.mark.slow
def test_all_are_served_on_raw_cells_in_a_new_process_with_weights_written_once(
    pretrained, new_process, tmp_path
):
    config, schema = served(pretrained)
    model = build_model(config, schema)
    model.save(tmp_path / "model.keras")
    rows = [raw_row(number) for number in range(3)] + [{"photo": random_image(9)}]
    export_model(model, config, schema, tmp_path / "served" / "1")
    (tmp_path / "rows.json").write_text(
        json.dumps(
            [{name: base64.b64encode(cell).decode() for name, cell in row.items()} for row in rows]
        )
    )
    code = """
import base64, json, sys
import keras, numpy as np
import multimodal_tf as mm
import multimodal_tf.models.build
from multimodal_tf.data.preprocessor import Preprocessor
folder = sys.argv[1]
encoded = json.load(open(folder + "/rows.json"))
rows = [{name: base64.b64decode(cell) for name, cell in row.items()} for row in encoded]
client, model = mm.Client(folder + "/served/1"), keras.saving.load_model(folder + "/model.keras")
predictions = client.predict(rows)
assert predictions["valid"].all(), predictions["error"].tolist()
preprocessor = Preprocessor(client.config, client.schema)
cells = {name: np.array([row.get(name, b"") for row in rows]) for name in client.config.inputs}
features, _ = preprocessor.features(cells)
expected = model(preprocessor.model_inputs(features))["label"]
probabilities = np.stack(predictions["label_probabilities"])
np.testing.assert_allclose(probabilities, expected, rtol=1e-4, atol=1e-6)
assert len({*map(tuple, np.round(expected, 5))}) == len(rows)
print(*expected.numpy().ravel())
"""
    new_process(code, tmp_path)
    written = tf.train.list_variables(str(tmp_path / "served" / "1" / "variables" / "variables"))
    assert (
        sum(np.prod(shape, dtype=int) for name, shape in written if "VARIABLE_VALUE" in name)
        <= model.count_params() + 1
    )


def served(pretrained):
    """A model of every kind of pretrained tower."""
    inputs = {
        "photo": ImageInput(height=8, width=8, tower=PresetTower(preset=pretrained.image_preset())),
        "voice": AudioInput(
            sample_rate=2000, seconds=0.2, tower=PresetTower(preset=pretrained.whisper_preset())
        ),
        "song": AudioInput(
            sample_rate=1000,
            seconds=0.3,
            tower=SavedModelTower(path=pretrained.audio_module(), output="embeddings"),
        ),
        "title": TextInput(max_tokens=8, tower=PresetTower(preset=pretrained.text_family("GPT2"))),
        "note": TextInput(
            tokenizer=NoTokenizer(),
            tower=SavedModelTower(path=pretrained.text_module(listed=True), trainable=True),
        ),
        "tags": TextInput(
            tokenizer=NoTokenizer(), tower=KerasTower(path=pretrained.keras_text_model())
        ),
    }
    config = Config(inputs=inputs, heads={"label": ClassificationHead()})
    stats = {
        "title": fit_subwords("inputs.title.tokenizer", config.inputs["title"].tokenizer, None)
    }
    return config, Schema(
        rows=4, inputs=stats, heads={"label": Classes(names=["a", "b"], counts=[2, 2])}
    )


def raw_row(number):
    texts = {
        name: b" ".join(WORDS[(number + i) % 5].encode() for i in range(3))
        for name in ("title", "note", "tags")
    }
    return (
        texts
        | {name: random_audio(number) for name in ("voice", "song")}
        | {"photo": random_image(number)}
    )


@pytest.mark.parametrize("listed", [False, True])
def test_a_saved_model_of_strings_gets_the_plain_text(listed, pretrained, tmp_path):
    input_config = strings(pretrained, listed)
    config, texts = (
        contract.with_input(input_config),
        ["a red bird", "bird sings !", "", "unheard of"] * 5,
    )
    table = pandas.DataFrame({"probe": texts, "other": range(20), "label": ["a", "b"] * 10})
    ingest(read_table(table), config, tmp_path, progress=False)
    schema = Schema.load(tmp_path / "schema.json")
    model = build_model(config, schema)
    model.compile("adam", **compile_arguments(config, schema))
    before = model.get_layer("probe_network").get_weights()[0]
    model.fit(
        load_split(config, schema, tmp_path, "train", training=True), verbose=0, shuffle=False
    )
    assert np.any(model.get_layer("probe_network").get_weights()[0] != before)
    vectors = tf.saved_model.load(pretrained.text_module(listed))(tf.constant(texts[:2]))["default"]
    np.testing.assert_allclose(
        vector(input_config, rows_of(input_config, 2) | {"probe": np.array(texts[:2], object)}),
        vectors,
        rtol=1e-5,
    )


def strings(pretrained, listed):
    return TextInput(
        tokenizer=NoTokenizer(),
        tower=SavedModelTower(path=pretrained.text_module(listed), trainable=True, length=None),
    )
