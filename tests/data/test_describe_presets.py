"""Pretrained towers in a description: for which columns, from which preset, and the sentence."""

import pathlib
import shutil
import socket

import numpy as np
import pandas as pd
import pytest
from described_tables import clip_bytes, column_of, described, png

from multimodal_tf.config import Config, PresetTokenizer, PresetTower
from multimodal_tf.data.describe import pretrained as proposals
from multimodal_tf.data.describe.column_description import ColumnDescription, Spread
from multimodal_tf.data.describe.defaults import default_input
from multimodal_tf.data.describe.pretrained import ROWS, Pretrained
from multimodal_tf.data.describe.sample import Cell, Column
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.presets.find import ENVIRONMENT
from multimodal_tf.data.table import read_table
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Schema

SENTENCES = ["the old owl in the tree", "a red bird and the blue dog", "the cat and the owl"] * 9
DUTCH = ["de oude uil in de boom", "een rode vogel en de blauwe hond", "de kat en de uil"] * 9
RUSSIAN = ["старая сова на дереве", "красная птица и синяя собака", "кошка и сова"] * 9
CHINESE = ["一只老猫头鹰", "红色的鸟和蓝色的狗", "猫和猫头鹰"] * 9


@pytest.fixture(scope="module")
def presets(pretrained):
    return pathlib.Path(pretrained.one_of_each())


@pytest.fixture(scope="module")
def many(pretrained, tmp_path_factory):
    """A folder with one preset, whose tokenizer is one of many languages."""
    folder = tmp_path_factory.mktemp("many")
    shutil.copytree(pretrained.many_languages_preset(), folder / "many")
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a network call that nobody asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def columns_of(kind, rows, missing=0, texts=(), **sizes):
    """A described column of so many rows, and its cells."""
    found = ColumnDescription(
        name="x", column="x", type=kind, why="given", missing=missing, distinct=2, **sizes
    )
    found.input, found.tower = default_input(found, rows)
    return found, Column("x", rows, cells=[Cell(n, kind, one) for n, one in enumerate(texts)])


def proposed(folder, kind, rows=100, **fields):
    """The column's configuration and reason, and the sentence."""
    found, column = columns_of(kind, rows, **fields)
    said = Pretrained(folder).set_towers([found], [column], rows)
    return found.input, found.tower, said


def test_a_table_of_every_kind(presets):
    many_texts = SENTENCES[:12]
    rows = len(many_texts)
    table = {
        "photo": [png(40 + n, 200) for n in range(rows)],
        "clip": [clip_bytes(0.4 + n / 20) for n in range(rows)],
        "title": [f"{text} {n}" for n, text in enumerate(many_texts)],
        "price": [n + 0.5 for n in range(rows)],
        "label": ["a", "b"] * (rows // 2),
    }
    found = described(table, presets=presets)
    config = found.config()
    pictures, english, sounds = (
        PresetTower(preset=str(presets / name)) for name in ("pictures", "english", "sounds")
    )
    photo, clip, title = (config.inputs[name] for name in ("photo", "clip", "title"))
    film = proposed(presets, "video")[0]
    # the size of the network of `pictures`, and the rate of `sounds`, which hears 1 s
    assert (photo.tower, photo.height, photo.width) == (pictures, 16, 16)
    assert (film.tower.frame, film.height, film.width) == (pictures, 16, 16)
    assert (clip.tower, clip.sample_rate, clip.seconds) == (sounds, 2000, 1.0)
    assert (title.tower, title.tokenizer) == (english, PresetTokenizer(preset=english.preset))
    assert not any(
        one.trainable for one in (photo.tower, film.tower.frame, clip.tower, title.tower)
    )
    assert config.inputs["price"].tower.type == "dense"
    assert found.pretrained == ""
    assert column_of(found, "photo").tower == (
        f"frozen MobileNetBackbone, pretrained ({presets / 'pictures'}): it pays up to 30,000 rows,"
        " here are 12"
    )
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_without_any_a_sentence_says_what_was_looked_for_and_would_come(monkeypatch):
    table = {"photo": [png()] * 3, "title": SENTENCES[:3], "label": ["a", "b", "a"]}
    found = described(table, types={"title": "text"})
    assert found.config().inputs["photo"].tower.type == "cnn"
    assert found.pretrained == (
        "No pretrained weights were found for 'photo' and 'title' in KerasHub's cache /no/cache:"
        " multimodal-tf presets FOLDER --fetch brings efficientnet_lite0_ra_imagenet (19 MB,"
        " images, videos) and all_minilm_l6_v2_en (91 MB, English texts), frozen towers that are"
        " usually more accurate than those trained on up to 30,000 rows alone."
    )
    assert described(table, types={"title": "text"}, presets=False).pretrained == ""
    numbers = {"price": [1.5, 2.5, 4.5], "label": ["a", "b", "a"]}
    assert described(numbers).pretrained == ""


def test_the_environment_names_the_folder(presets, monkeypatch):
    table = {"title": SENTENCES[:3], "label": ["a", "b", "a"]}
    monkeypatch.setenv(ENVIRONMENT, str(presets))
    for given, kind in ((None, "preset"), (False, "bag")):
        found = described(table, types={"title": "text"}, presets=given)
        assert found.config().inputs["title"].tower.type == kind


def test_what_another_folder_lacks_is_named_with_the_fault(presets, tmp_path):
    own = shutil.copytree(presets, tmp_path / "own")
    shutil.rmtree(own / "pictures")
    (own / "sounds" / "model.weights.h5").unlink()
    assert proposed(own, "text", texts=SENTENCES)[2] == ""
    for kind in ("image", "video", "audio"):
        config, _, said = proposed(own, kind)
        assert "preset" not in config.model_dump_json()
        assert f"{own} and KerasHub's cache /no/cache ({own / 'sounds'} has no weights" in said


@pytest.mark.parametrize("kind", ["image", "audio", "video", "text"])
def test_small_tables_alone(presets, kind):
    texts = SENTENCES if kind == "text" else []
    for rows, missing, is_preset in (
        (1, 0, True),
        (ROWS, 0, True),
        (ROWS + 1, 0, False),
        # what counts are the rows with a value
        (ROWS + 1, 1, True),
        (5, 5, False),
    ):
        config, _, said = proposed(presets, kind, rows, missing=missing, texts=texts)
        assert ("PresetTower" in repr(config)) == is_preset, (rows, missing)
        assert said == ""


@pytest.mark.parametrize("kind", ["image", "video"])
def test_tiny_pictures_keep_a_tower_of_their_own(presets, kind):
    for side, is_preset in ((28, False), (32, False), (33, True)):
        pixels = Spread(min=side, median=side, p95=side, max=999)
        config, _, said = proposed(presets, kind, width=pixels, height=pixels)
        assert ("PresetTower" in repr(config)) == is_preset
        # nothing would be brought either
        assert said == ""
        assert proposed(None, kind, width=pixels, height=pixels)[2] == "" or is_preset


@pytest.mark.parametrize(
    ("texts", "language"),
    [(SENTENCES, "English"), (DUTCH, "100"), (RUSSIAN, "100"), (CHINESE, "100"), ([], "100")],
    ids=["english", "dutch", "russian", "chinese", "none"],
)
def test_a_vocabulary_that_knows_the_words(presets, many, texts, language):
    """A tokenizer of one language reads texts of that language alone, one of many reads all."""
    config, _, said = proposed(presets, "text", texts=texts)
    assert (config.tower.type == "preset") == (language == "English")
    assert ("multilingual_e5_small" in said) == (language == "100")
    assert proposed(many, "text", texts=texts)[0].tower.preset == str(many / "many")


def test_the_language_that_is_looked_for():
    """Without a vocabulary to look words up in, letters tell."""
    for texts, name in ((SENTENCES, "all_minilm"), (DUTCH, "all_minilm"), (RUSSIAN, "e5_small")):
        assert name in proposed(None, "text", texts=texts)[2]


def test_of_both_the_smaller_one_that_reads_the_texts(presets, many, tmp_path):
    both = shutil.copytree(presets, tmp_path / "both")
    shutil.copytree(many / "many", both / "a_first")
    for texts, name in ((SENTENCES, "english"), (DUTCH, "a_first")):
        assert proposed(both, "text", texts=texts)[0].tower.preset == str(both / name)


def test_a_preset_of_many_languages_reads_a_table(many, tmp_path):
    table = {"title": RUSSIAN, "label": ["a", "b", "a"] * 9}
    config = described(table, types={"title": "text"}, presets=many).config()
    frame = pd.DataFrame(table)
    ingest(read_table(frame), config, tmp_path, processes=1)
    schema = Schema.load(tmp_path / "schema.json")
    model = build_model(config, schema)
    outputs = model.predict(load_split(config, schema, tmp_path, "train"), verbose=0)
    assert np.isfinite(outputs["label"]).all()


def test_tokens_are_those_of_the_preset(presets):
    """A word of three letters that the vocabulary lacks is three tokens; there are two ends."""
    texts = ["the owl the owl the owl the owl", *["a red owl"] * 99]
    assert proposed(presets, "text", texts=texts)[0].max_tokens == 8
    texts = ["the owl the owl the owl the owl"] * 9 + ["the owl the owl the owl xyz"]
    assert proposed(presets, "text", texts=texts)[0].max_tokens == 11
    # the network reads 16
    assert proposed(presets, "text", texts=["the owl " * 40])[0].max_tokens == 16


def test_fetching_brings_what_is_missing_and_no_more(presets, many, tmp_path, monkeypatch):
    fetched = []

    def fetch(name, into, timeout=0):
        fetched.append(name)
        source = {
            "all_minilm_l6_v2_en": presets / "english",
            "multilingual_e5_small": many / "many",
        }
        return proposals.find_presets(
            shutil.copytree(source.get(name, presets / "pictures"), into / name)
        ).found[0]

    monkeypatch.setattr(proposals, "fetch_preset", fetch)
    table = {"a": [png()] * 3, "b": [png(50)] * 3, "title": DUTCH[:3], "label": ["a", "b", "a"]}
    found = described(table, types={"title": "text"}, presets=tmp_path, fetch=True)
    # the English one shows that the texts are not English
    assert fetched == [
        "efficientnet_lite0_ra_imagenet",
        "all_minilm_l6_v2_en",
        "multilingual_e5_small",
    ]
    towers = {name: one.tower.preset for name, one in found.config().inputs.items()}
    assert towers == {
        "a": str(tmp_path / fetched[0]),
        "b": str(tmp_path / fetched[0]),
        "title": str(tmp_path / fetched[2]),
    }
    assert found.pretrained == ""


def test_bad_arguments_are_refused_before_the_table_is_read(tmp_path):
    table = {"title": SENTENCES[:3], "label": ["a", "b", "a"]}
    with pytest.raises(NotADirectoryError, match=r"^presets: must be a folder of KerasHub preset"):
        described(table, presets=tmp_path / "none")
    with pytest.raises(ValueError, match=r"^fetch needs presets, the folder to fetch into"):
        described(table, fetch=True)
    with pytest.raises(ValueError, match=r"^fetch needs presets.* received False"):
        described(table, presets=False, fetch=True)


def test_a_size_of_the_converter_goes_before_that_of_the_network(presets, tmp_path):
    own = shutil.copytree(presets, tmp_path / "own")
    file = own / "pictures" / "image_converter.json"
    file.write_text(file.read_text().replace('"image_size": null', '"image_size": [24, 32]'))
    config, *_ = proposed(own, "image")
    assert (config.height, config.width, config.channels) == (24, 32, 3)
