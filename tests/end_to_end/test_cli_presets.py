"""`multimodal-tf presets`, and `describe --presets`."""

import pathlib
import shutil

import pandas as pd
import pytest

from multimodal_tf.config import Config
from multimodal_tf.data.presets.folder import weights_digest


@pytest.fixture
def presets(pretrained, tmp_path):
    return pathlib.Path(
        shutil.copytree(pathlib.Path(pretrained.one_of_each()), tmp_path / "presets")
    )


@pytest.fixture
def table(tmp_path):
    frame = pd.DataFrame({"title": ["the old owl", "a red bird"] * 9, "label": ["a", "b"] * 9})
    frame.insert(0, "text", [f"the old owl {'and the dog ' * n}" for n in range(18)])
    frame.drop(columns="title").to_csv(tmp_path / "table.csv", index=False)
    return tmp_path / "table.csv"


def row(printed, name):
    return next(line.split() for line in printed.splitlines() if name in line)


def test_a_list_of_what_is_there_and_what_is_not(command, presets, capsys):
    assert command("presets", presets) == 0
    printed = capsys.readouterr().out
    assert row(printed, "pictures")[:2] == ["images,", "videos"]
    assert row(printed, "english")[-2:] == [
        weights_digest(presets / "english")[:12],
        str(presets / "english"),
    ]
    assert row(printed, "multilingual_e5_small")[-3:] == ["471", "not", "found"]
    assert f"Looked in {presets} and KerasHub's cache /no/cache." in printed


def test_a_damaged_one_is_one_sentence_after_the_list(command, presets, capsys):
    weights = presets / "english" / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:9_000])
    assert command("presets", presets) == 1
    printed = capsys.readouterr()
    assert row(printed.out, "all_minilm")[-2:] == ["not", "found"]
    assert printed.err.startswith(f"error: {weights} is damaged, or was not fetched to its end: ")
    assert len(printed.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["{folder}/none"], "presets: must be a folder of KerasHub preset folders"),
        (["{folder}"], "none of its folders has a config.json"),
        (["--fetch"], "--fetch needs a FOLDER to fetch into"),
        (["{folder}", "--fetch", "--only", "bert"], "must be one of efficientnet_lite0"),
        (["{folder}/presets", "--only", "bert"], "--only needs --fetch"),
    ],
)
def test_wrong_words(command, presets, tmp_path, capsys, words, expected):
    (tmp_path / "empty").mkdir()
    folder = tmp_path if "presets" in str(words) else tmp_path / "empty"
    assert command("presets", *(word.format(folder=folder) for word in words)) == 1
    assert expected in capsys.readouterr().err


def test_fetching_what_is_missing(command, presets, tmp_path, monkeypatch, capsys):
    from multimodal_tf.data.presets import fetch as fetching
    from multimodal_tf.data.presets.folder import read_preset

    fetched = []

    def fetch(name, folder, timeout):
        fetched.append((name, timeout))
        return read_preset(pathlib.Path(shutil.copytree(presets / "sounds", folder / name)))

    monkeypatch.setattr(fetching, "fetch_preset", fetch)
    shutil.rmtree(presets / "pictures")
    assert command("presets", presets, "--fetch", "--timeout", "9") == 0
    assert fetched == [("efficientnet_lite0_ra_imagenet", 9), ("multilingual_e5_small", 9)]
    assert "Fetching efficientnet_lite0_ra_imagenet, 19 MB ..." in capsys.readouterr().out
    new = tmp_path / "new"
    assert command("presets", new, "--fetch", "--only", "whisper_tiny_multi") == 0
    assert row(capsys.readouterr().out, "speech")[-1] == str(new / "whisper_tiny_multi")


def test_describe_takes_the_folder(command, presets, table, tmp_path, capsys):
    out = tmp_path / "config.yaml"
    assert command("describe", table, "--presets", presets, "--out", out) == 0
    assert Config.load(out).inputs["text"].tower.preset == str(presets / "english")
    assert "frozen BertBackbone, pretrained" in capsys.readouterr().out
    for words in ([], ["--no-presets"]):
        assert command("describe", table, "--out", out, *words) == 0
        assert Config.load(out).inputs["text"].tower.type == "bag"
        assert ("No pretrained weights" in capsys.readouterr().out) == (words == [])
    assert command("describe", table, "--presets", presets, "--no-presets") == 1
    assert "--no-presets excludes --presets and --fetch" in capsys.readouterr().err
