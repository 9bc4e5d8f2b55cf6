"""Files of `save_peft` are loaded into the same base, and into no other."""

import keras
import numpy as np
import peft_models
import pytest
import safetensors.numpy

from multimodal_tf.models.peft import attach, layer_paths
from multimodal_tf.training import peft


@pytest.fixture(scope="module")
def saved(bert, tmp_path_factory):
    """A fine-tuned model and its file."""
    model = bert.fine_tuned()
    path = tmp_path_factory.mktemp("file") / "peft.safetensors"
    peft.save_peft(model, path)
    return model, path


def test_it_has_only_added_and_trained_weights(saved):
    model, path = saved
    assert set(safetensors.numpy.load_file(path)) == set(peft_models.trained(model))


def test_a_new_base_has_the_same_outputs_and_trained_weights(bert, saved):
    model, path = saved
    fresh = bert.model()
    peft.load_peft(fresh, path)
    np.testing.assert_allclose(bert.predicted(fresh), bert.predicted(model), rtol=1e-6)
    assert peft_models.trained(fresh) == peft_models.trained(model)


def test_a_shared_adapter_is_saved_with_its_first_layer(bert, tmp_path):
    model = bert.model()
    peft.add_adapters(model, "*output_dense", units=3, shared=True)
    peft.train_head_only(model)
    assert len({path for path in peft_models.trained(model) if "/peft/" in path}) == 4
    peft_models.shake(model)
    peft.save_peft(model, tmp_path / "shared.safetensors")
    fresh = bert.model()
    peft.load_peft(fresh, tmp_path / "shared.safetensors")
    np.testing.assert_allclose(bert.predicted(fresh), bert.predicted(model), rtol=1e-6)
    assert peft_models.trained(fresh) == peft_models.trained(model)


def test_merging_after_loading_gives_the_same_outputs(saved, tmp_path):
    model = peft_models.stack()
    peft.freeze(model, "photo_*")
    peft.add_lora(model, "photo_*", rank=2)
    peft_models.shake(model)
    peft.save_peft(model, tmp_path / "a.safetensors")
    fresh = peft_models.stack()
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
    def test_other_numbers_are_refused_by_name_and_nothing_is_changed(self, bert, saved):
        other = bert.model()
        key = f"{peft_models.BLOCK}/self_attention_layer/key_dense/kernel"
        weight = layer_paths.weights(other)[key]
        weight.assign(weight + 1e-3)
        before = peft_models.values(other)
        with pytest.raises(
            ValueError, match=rf"{key}: must have the values of .* it is of another base$"
        ):
            peft.load_peft(other, saved[1])
        assert not attach.hosts(other)
        np.testing.assert_array_equal(
            before["label/kernel"], peft_models.values(other)["label/kernel"]
        )

    def test_one_without_the_tower_is_refused_by_name(self, saved):
        with pytest.raises(
            ValueError,
            match=r"title_network/.*: must be a weight of the model, which has none of this name",
        ):
            peft.load_peft(peft_models.stack(), saved[1])

    def test_another_head_is_refused_by_name(self, tmp_path):
        model, other = peft_models.stack(), keras.Input((4,), name="photo")
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
                peft.load_peft(peft_models.stack(), path)
        with pytest.raises(FileNotFoundError, match="there is no file of save_peft"):
            peft.load_peft(peft_models.stack(), tmp_path / "no.safetensors")

    @pytest.mark.parametrize(
        ("part", "change", "message"),
        [
            (
                "added",
                lambda text: text.replace('"rank": ', '"size": '),
                r"is damaged: added.*rank",
            ),
            (
                "added",
                lambda text: text.replace('"rank": ', '"rank": 9999999'),
                r"is damaged: adde",
            ),
            ("added", lambda text: "[]", r"must be a weight of the model, which has none"),
            ("added", lambda text: "[" * 50_000, r"is damaged: added"),
            ("base", lambda text: '{"a": 1}', r"is damaged: base"),
            ("base", lambda text: "", r"is damaged: base"),
        ],
    )
    def test_what_a_file_says_of_itself(self, saved, tmp_path, part, change, message):
        tensors = safetensors.numpy.load_file(saved[1])
        with safetensors.safe_open(saved[1], framework="numpy") as file:
            metadata = file.metadata()
        metadata[part] = change(metadata[part])
        safetensors.numpy.save_file(tensors, tmp_path / "a.safetensors", metadata=metadata)
        with pytest.raises(ValueError, match=message):
            peft.load_peft(peft_models.stack(), tmp_path / "a.safetensors")

    def test_what_cannot_be_saved(self, tmp_path):
        model = peft_models.stack()
        with pytest.raises(ValueError, match=r"^path: must end in \.safetensors, received .*a\.h5"):
            peft.save_peft(model, tmp_path / "a.h5")
        peft.freeze_all(model)
        with pytest.raises(ValueError, match=r"^model: must have trained weights"):
            peft.save_peft(model, tmp_path / "a.safetensors")
