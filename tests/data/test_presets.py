"""Preset folders: what they say of themselves, where they are looked for, their digests."""

import hashlib
import json
import os
import pathlib
import shutil

import h5py
import pytest

from multimodal_tf.data.presets import find, folder, proposed
from multimodal_tf.data.presets.find import find_presets
from multimodal_tf.data.presets.folder import check_preset, read_preset, weights_digest

PICTURES, SOUNDS = "efficientnet_lite0_ra_imagenet", "whisper_tiny_multi"


@pytest.fixture(scope="module")
def presets(pretrained):
    return pathlib.Path(pretrained.one_of_each())


@pytest.fixture
def own(presets, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(presets, tmp_path / "own")


def test_what_is_proposed_is_kerashubs():
    import keras_hub

    theirs = keras_hub.models.Backbone.presets
    for proposal in proposed.PROPOSED:
        numbers = theirs[proposal.name]["metadata"]["params"]
        # float32; the classifier of an image network comes along
        assert proposal.megabytes == pytest.approx(numbers * 4 / 1e6, rel=0.05)
        assert theirs[proposal.name]["kaggle_handle"].startswith("kaggle://")
    assert all(
        issubclass(getattr(keras_hub.models, one), keras_hub.models.Backbone)
        for one in proposed.BACKBONES
    )
    assert all(
        hasattr(keras_hub.tokenizers, one) or hasattr(keras_hub.models, one)
        for one in proposed.MANY_LANGUAGES
    )


@pytest.mark.parametrize(
    ("name", "kind", "backbone"),
    [
        ("pictures", "image", "MobileNetBackbone"),
        ("english", "text", "BertBackbone"),
        ("sounds", "sound", "WhisperBackbone"),
    ],
)
def test_a_preset_is_known_by_its_class(presets, tmp_path, name, kind, backbone):
    # the name of another kind
    misnamed = tmp_path / (PICTURES if kind != "image" else SOUNDS)
    shutil.copytree(presets / name, misnamed)
    found = read_preset(misnamed)
    assert (found.kind, found.backbone, found.many_languages) == (kind, backbone, False)
    assert found.bytes == (misnamed / "model.weights.h5").stat().st_size
    check_preset(found)


def change(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("english", lambda path: (path / "config.json").unlink(), "config.json is missing$"),
        ("english", lambda path: (path / "config.json").write_text("{"), "config.json is damaged"),
        ("english", lambda path: (path / "config.json").write_bytes(b"\xff"), "is damaged"),
        ("english", lambda path: (path / "config.json").write_text("[" * 9999), "is damaged"),
        ("english", lambda path: (path / "config.json").write_text("[1]"), "an object of JSON$"),
        (
            "english",
            lambda path: (path / "config.json").write_text('{"model_type": "bert"}'),
            "encoder of images, texts or sounds .* received no KerasHub network$",
        ),
        (
            "english",
            lambda path: change(path / "config.json", class_name="GPT2Backbone"),
            "received GPT2Backbone$",
        ),
        ("english", lambda path: (path / "tokenizer.json").unlink(), "tokenizer.json is missing$"),
        (
            "pictures",
            lambda path: (path / "image_converter.json").unlink(),
            "a preset of a MobileNetBackbone, image_converter.json is missing$",
        ),
        ("sounds", lambda path: (path / "audio_converter.json").unlink(), "audio_converter.json"),
        ("sounds", lambda path: (path / "model.weights.h5").unlink(), "has no weights"),
        (
            "sounds",
            lambda path: os.truncate(path / "model.weights.h5", 9_000),
            "model.weights.h5 is damaged, or was not fetched to its end",
        ),
        ("sounds", lambda path: os.truncate(path / "model.weights.h5", 0), "is damaged"),
    ],
)
def test_a_damaged_folder_is_one_sentence(own, name, spoil, message):
    spoil(own / name)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        read_preset(own / name)
    assert "\n" not in str(caught.value)
    # the others are found, and the reason is told
    if (own / name / "config.json").is_file():
        found = find_presets(own)
        assert len(found.found) == 2
        assert found.faults == [str(caught.value)]


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_weights_that_do_not_load_are_one_sentence(own):
    settings = json.loads((own / "english" / "config.json").read_text())
    settings["config"]["hidden_dim"] = 6
    (own / "english" / "config.json").write_text(json.dumps(settings))
    found = read_preset(own / "english")
    with pytest.raises(
        ValueError, match=r"english: KerasHub does not load its Backbone: \S"
    ) as caught:
        check_preset(found)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_weights_that_lack_a_layer_are_one_sentence(own):
    with h5py.File(own / "english" / "model.weights.h5", "r+") as file:
        del file["layers/transformer_encoder"]
    with pytest.raises(ValueError, match=r"english.*(must hold the .* weights|does not load)"):
        check_preset(read_preset(own / "english"))


def test_a_digest_is_that_of_the_weights(own, monkeypatch):
    file = own / "english" / "model.weights.h5"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert weights_digest(own / "english") == digest
    # is not read again
    monkeypatch.setattr(folder.hashlib, "file_digest", None)
    assert weights_digest(own / "english") == digest
    monkeypatch.undo()
    # the configuration does not count, other weights do
    change(own / "english" / "config.json", more=1)
    assert weights_digest(own / "english") == digest
    file.write_bytes(file.read_bytes() + b"x")
    assert weights_digest(own / "english") == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_digest_of_shards_is_that_of_their_digests(tmp_path):
    lines = ""
    for name in ("model_00000.weights.h5", "model_00001.weights.h5"):
        (tmp_path / name).write_bytes(name.encode())
        lines += f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n"
    # of a task's head, which no tower loads
    (tmp_path / "task.weights.h5").write_bytes(b"head")
    assert weights_digest(tmp_path) == hashlib.sha256(lines.encode()).hexdigest()
    with pytest.raises(FileNotFoundError, match="has no weights"):
        weights_digest(tmp_path / "none")


class TestFind:
    def test_a_folder_by_argument_and_by_environment(self, presets, monkeypatch):
        given = find_presets(presets)
        assert {one.name: one.kind for one in given.found} == {
            "english": "text",
            "pictures": "image",
            "sounds": "sound",
        }
        monkeypatch.setenv(find.ENVIRONMENT, str(presets))
        assert find_presets() == given
        assert given.looked == [str(presets), "KerasHub's cache /no/cache"]
        assert all(one.folder.is_absolute() for one in given.found)

    def test_one_preset_is_a_folder_as_well(self, presets):
        assert [one.name for one in find_presets(presets / "english").found] == ["english"]

    def test_nothing_is_given(self):
        assert find_presets().found == []

    def test_proposed_names_come_first_then_the_smaller(self, own):
        shutil.copytree(own / "pictures", own / "a_picture")
        shutil.copytree(own / "pictures", own / PICTURES)
        large = own / "large" / "model.weights.h5"
        shutil.copytree(own / "pictures", own / "large")
        shutil.copy(own / "sounds" / "model.weights.h5", large)
        names = [one.name for one in find_presets(own).found if one.kind == "image"]
        assert names == [
            PICTURES,
            *sorted(
                names[1:], key=lambda name: ((own / name / "model.weights.h5").stat().st_size, name)
            ),
        ]

    def test_the_cache_in_its_latest_whole_version(self, presets, tmp_path, monkeypatch):
        monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
        place = tmp_path / "models" / "keras" / "efficientnet" / "keras" / PICTURES
        for version in ("2", "10", "11"):
            shutil.copytree(presets / "pictures", place / version)
        (place / "11" / "image_converter.json").unlink()
        # none that is proposed
        shutil.copytree(presets / "english", place.parent / "bert_tiny_en" / "1")
        (found,) = find_presets().found
        assert (found.name, found.folder) == (PICTURES, place / "10")
        # a folder comes before the cache
        assert [one.kind for one in find_presets(presets / "pictures").found] == ["image", "image"]
        assert find_presets(presets / "pictures").found[0].name == "pictures"

    def test_what_is_being_fetched_is_left_out(self, own):
        (own / "sounds").rename(own / "sounds.host-1.tmp")
        assert {one.name for one in find_presets(own).found} == {"english", "pictures"}

    @pytest.mark.parametrize("source", ["presets", find.ENVIRONMENT])
    def test_a_folder_that_is_none(self, tmp_path, monkeypatch, source):
        (tmp_path / "file").write_text("")
        (tmp_path / "empty" / "more").mkdir(parents=True)

        def look(name):
            if source == "presets":
                return find_presets(tmp_path / name)
            monkeypatch.setenv(source, str(tmp_path / name))
            return find_presets()

        for name in ("file", "none"):
            with pytest.raises(
                NotADirectoryError, match=f"^{source}: must be a folder of KerasHub"
            ):
                look(name)
        with pytest.raises(
            ValueError, match=f"^{source}: .* none of its folders has a config.json"
        ):
            look("empty")
