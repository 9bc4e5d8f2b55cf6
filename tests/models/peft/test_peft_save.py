"""Files of `save_peft`: loaded into the same base, also in a new process, and into no other."""

import subprocess
import sys

import keras
import numpy as np
import peft_models as case
import pretrained_case
import pytest
import safetensors.numpy

from multimodal_tf.models.peft import attach, layer_paths
from multimodal_tf.training import peft


def adapted():
    model = case.bert()
    peft.train_head_only(model)
    peft.add_lora(model, "*query_dense", "*/token_embedding", rank=2, alpha=3)
    peft.add_adapters(model, "*_output_dense", units=3)
    case.shake(model)
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A fine-tuned model and its file."""
    model = adapted()
    path = tmp_path_factory.mktemp("file") / "peft.safetensors"
    peft.save_peft(model, path)
    return model, path


def test_it_has_only_added_and_trained_weights(saved):
    model, path = saved
    assert set(safetensors.numpy.load_file(path)) == set(case.trained(model))


def test_a_new_base_has_the_same_outputs_and_trained_weights(saved):
    model, path = saved
    fresh = case.bert()
    peft.load_peft(fresh, path)
    np.testing.assert_allclose(case.answers(fresh), case.answers(model), rtol=1e-6)
    assert case.trained(fresh) == case.trained(model)


def test_in_a_new_process_with_another_head_and_other_numbers_in_names(saved, tmp_path):
    model, path = saved
    code = f"""
import sys; sys.path.insert(0, {str(case.__file__.rsplit("/", 1)[0])!r})
import keras, numpy, pretrained_case, peft_models
pretrained_case.text_preset = lambda: {pretrained_case.text_preset()!r}
# Keras counts layers in the names that it makes up
for _ in range(3): keras.layers.Dense(1), keras.layers.Embedding(1, 1)
from multimodal_tf.training import peft
model = peft_models.bert(heads=("label", "further"))
peft.load_peft(model, {str(path)!r})
numpy.save({str(tmp_path / "answers.npy")!r}, peft_models.answers(model))
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "answers.npy"), case.answers(model), rtol=1e-5)


def test_a_shared_adapter_is_saved_with_its_first_layer(tmp_path):
    model = case.bert()
    peft.add_adapters(model, "*output_dense", units=3, shared=True)
    peft.train_head_only(model)
    assert len({path for path in case.trained(model) if "/peft/" in path}) == 4
    case.shake(model)
    peft.save_peft(model, tmp_path / "shared.safetensors")
    fresh = case.bert()
    peft.load_peft(fresh, tmp_path / "shared.safetensors")
    np.testing.assert_allclose(case.answers(fresh), case.answers(model), rtol=1e-6)
    assert case.trained(fresh) == case.trained(model)


def test_merging_after_loading_gives_the_same_outputs(saved, tmp_path):
    model = case.stack()
    peft.freeze(model, "photo_*")
    peft.add_lora(model, "photo_*", rank=2)
    case.shake(model)
    peft.save_peft(model, tmp_path / "a.safetensors")
    fresh = case.stack()
    # trained, so in the file
    fresh.get_layer("label").set_weights(
        [weight * 0 for weight in fresh.get_layer("label").get_weights()]
    )
    peft.load_peft(fresh, tmp_path / "a.safetensors")
    peft.merge_lora(fresh)
    x = {"photo": np.ones((1, 4), "float32")}
    np.testing.assert_allclose(fresh(x)["label"], model(x)["label"], rtol=1e-5, atol=1e-6)


def test_statistics_of_trained_layers_are_saved(tmp_path):
    model = normalised()
    peft.freeze(model, "photo_frozen")
    model.compile("sgd", "mse", run_eagerly=True)
    x = {"photo": np.random.default_rng(0).normal(3, 2, (8, 4)).astype("float32")}
    model.train_on_batch(x, {"label": np.zeros((8, 4))})
    peft.save_peft(model, tmp_path / "a.safetensors")
    names = set(safetensors.numpy.load_file(tmp_path / "a.safetensors"))
    assert "photo_trained/moving_mean" in names
    assert "photo_frozen/moving_mean" not in names
    fresh = normalised()
    peft.load_peft(fresh, tmp_path / "a.safetensors")
    np.testing.assert_allclose(fresh(x)["label"], model(x)["label"], rtol=1e-6)


def normalised():
    x = photo = keras.Input((4,), name="photo")
    for name in ("photo_frozen", "photo_trained"):
        x = keras.layers.BatchNormalization(name=name)(x)
    return keras.Model({"photo": photo}, {"label": x})


class TestAnotherBase:
    def test_other_numbers_are_refused_by_name_and_nothing_is_changed(self, saved):
        other = case.bert()
        key = f"{case.BLOCK}/self_attention_layer/key_dense/kernel"
        weight = layer_paths.weights(other)[key]
        weight.assign(weight + 1e-3)
        before = case.values(other)
        with pytest.raises(
            ValueError, match=rf"{key}: must have the values of .* it is of another base$"
        ):
            peft.load_peft(other, saved[1])
        assert not attach.hosts(other)
        np.testing.assert_array_equal(before["label/kernel"], case.values(other)["label/kernel"])

    def test_one_without_the_tower_is_refused_by_name(self, saved):
        with pytest.raises(
            ValueError,
            match=r"title_network/.*: must be a weight of the model, which has none of this name",
        ):
            peft.load_peft(case.stack(), saved[1])

    def test_another_head_is_refused_by_name(self, tmp_path):
        model, other = case.stack(), keras.Input((4,), name="photo")
        peft.freeze(model, "photo_*")
        peft.save_peft(model, tmp_path / "a.safetensors")
        x = other
        for name in ("photo_low", "photo_high"):
            x = model.get_layer(name)(x)
        other = keras.Model({"photo": other}, {"label": keras.layers.Dense(2, name="label")(x)})
        with pytest.raises(
            ValueError,
            match=r"label/bias: must be of the shape \(4,\) .* received \(2,\): it is of "
            r"another base",
        ):
            peft.load_peft(other, tmp_path / "a.safetensors")

    def test_a_model_with_lora_is_refused(self, saved):
        with pytest.raises(
            ValueError, match=r"token_embedding: must have no LoRA and no adapter yet"
        ):
            peft.load_peft(saved[0], saved[1])


class TestFiles:
    def test_damaged_foreign_and_missing_files(self, saved, tmp_path):
        damaged, foreign = tmp_path / "damaged.safetensors", tmp_path / "foreign.safetensors"
        damaged.write_bytes(saved[1].read_bytes()[:100])
        safetensors.numpy.save_file({"a": np.zeros(1)}, foreign)
        for path, message in (
            (damaged, "must be a file of save_peft"),
            (foreign, "must be of the format .* received None"),
        ):
            with pytest.raises(ValueError, match=message):
                peft.load_peft(case.stack(), path)
        with pytest.raises(FileNotFoundError, match="there is no file of save_peft"):
            peft.load_peft(case.stack(), tmp_path / "no.safetensors")

    def test_what_cannot_be_saved(self, tmp_path):
        model = case.stack()
        with pytest.raises(ValueError, match=r"^path: must end in \.safetensors, received .*a\.h5"):
            peft.save_peft(model, tmp_path / "a.h5")
        peft.freeze_all(model)
        with pytest.raises(ValueError, match=r"^model: must have trained weights"):
            peft.save_peft(model, tmp_path / "a.safetensors")
