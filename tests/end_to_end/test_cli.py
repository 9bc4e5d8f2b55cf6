"""The command line on a small table, and its errors: one sentence, exit code 1, no traceback."""

import json
import math
import subprocess
import sys

import fsspec
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

from multimodal_tf import cli
from multimodal_tf.config import Adapters, CharacterTokenizer, Config, LoRA, Peft
from multimodal_tf.models.peft.layer_paths import weights
from multimodal_tf.schema import Schema
from multimodal_tf.training.run_dir import load_run


def run(monkeypatch_argv, *words):
    """Runs the command line in this process; returns its exit code."""
    monkeypatch_argv.setattr(sys, "argv", ["multimodal-tf", *map(str, words)])
    try:
        cli.main()
    except SystemExit as stop:
        return stop.code
    return 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of 60 rows: bright images are «day», dark ones «night»; gaps, and a broken file."""
    folder = tmp_path_factory.mktemp("cli")
    random = np.random.default_rng(0)
    rows = []
    for row in range(60):
        day = row % 2 == 0
        pixels = (
            random.integers(128, 255, (12, 16, 3)) if day else random.integers(0, 127, (12, 16, 3))
        )
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{row}.png")
        rows.append(
            {
                "photo": f"{row}.png",
                "word": ["sun", "sky"][row % 3 == 0] if day else "moon",
                "label": "day" if day else "night",
            }
        )
    rows[5]["photo"], rows[6]["word"] = "", ""
    (folder / "7.png").write_text("<html>not found</html>")
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def made(folder):
    """All files that the commands write, in their order."""
    with pytest.MonkeyPatch.context() as patch:
        table, config, records, trained = (
            folder / "table.csv",
            folder / "config.yaml",
            folder / "records",
            folder / "run",
        )
        assert run(patch, "describe", table, "--out", config, "--type", "word=text") == 0
        settings = Config.load(config)
        settings.inputs["photo"].tower.filters = [4]
        settings.inputs["word"].tower.dim = 4
        settings.inputs["word"].tower.dropout = settings.fusion.dropout = 0
        settings.training.learning_rate = 0.02
        settings.save(config)
        assert (
            run(patch, "ingest", table, "--config", config, "--out", records, "--processes", "1")
            == 0
        )
        assert run(patch, "train", records, "--out", trained, "--epochs", "12") == 0
        assert run(patch, "evaluate", trained, records, "--out", folder / "metrics.json") == 0
        assert run(patch, "export", trained, folder / "saved" / "1") == 0
        assert (
            run(
                patch, "predict", folder / "saved" / "1", table, "--out", folder / "predictions.csv"
            )
            == 0
        )
    return folder


def test_describe_writes_a_configuration(made):
    config = Config.load(made / "config.yaml")
    assert {name: one.type for name, one in config.inputs.items()} == {
        "photo": "image",
        "word": "text",
    }
    assert {name: head.type for name, head in config.heads.items()} == {"label": "classification"}


def test_describe_gives_reasons_in_one_line_a_column(made, monkeypatch, capsys):
    assert run(monkeypatch, "describe", made / "table.csv") == 0
    lines = capsys.readouterr().out.split("\n")
    photo = lines.index(
        "photo: 58 of 59 cells open as images;"
        " plain CNN: a ResNet pays from 10,000 rows, here are 59"
    )
    assert lines[photo + 1].startswith("  row 7: not an image")
    assert lines[photo + 2].startswith("word: ")


def test_ingest_lists_the_bad_cell(made):
    rejected = pd.read_csv(made / "records" / "rejected.csv")
    assert rejected[["row", "column", "path"]].values.tolist() == [[7, "photo", "7.png"]]


def test_train_writes_its_record(made):
    assert json.loads((made / "run" / "run.json").read_text())["config"]["training"]["epochs"] == 12


def test_records_on_another_file_system_give_the_same_metrics(made, monkeypatch):
    files = fsspec.filesystem("memory")
    files.put(str(made / "records"), "/cli/records", recursive=True)
    try:
        assert (
            run(
                monkeypatch,
                "evaluate",
                made / "run",
                "memory://cli/records",
                "--out",
                made / "remote.json",
            )
            == 0
        )
    finally:
        files.rm("/cli", recursive=True)
    assert (made / "remote.json").read_text() == (made / "metrics.json").read_text()


def test_predictions_are_right_and_the_broken_cell_is_reported(made):
    predictions = pd.read_csv(made / "predictions.csv", keep_default_na=False)
    truth = pd.read_csv(made / "table.csv")
    assert len(predictions) == 60
    assert (predictions["label"] == truth["label"]).mean() > 0.9
    assert "photo" in predictions["error"][7]
    assert not predictions["valid"][7]
    assert predictions["valid"].sum() == 59


def test_a_table_without_labels_can_be_predicted_to_parquet(made, monkeypatch):
    (made / "new.jsonl").write_text('{"photo": "0.png", "word": "sun"}\n{"word": "moon"}\n')
    assert (
        run(
            monkeypatch,
            "predict",
            made / "saved" / "1",
            made / "new.jsonl",
            "--out",
            made / "new.parquet",
        )
        == 0
    )
    assert pd.read_parquet(made / "new.parquet")["label"].tolist() == ["day", "night"]


def test_another_tokenizer_needs_no_new_ingest(made, monkeypatch):
    settings = Config.load(made / "config.yaml")
    settings.inputs["word"].tokenizer = CharacterTokenizer()
    settings.save(made / "characters.yaml")
    words = ("--config", made / "characters.yaml", "--out", made / "characters", "--epochs", "1")
    assert run(monkeypatch, "train", made / "records", *words) == 0
    assert set("moonsun") <= set(
        Schema.load(made / "characters" / "schema.json").inputs["word"].words
    )


@pytest.mark.slow
def test_towers_of_a_run_for_a_table_of_other_classes(made, monkeypatch, capsys):
    table = pd.read_csv(made / "table.csv")
    table["label"] = table["label"].map({"day": "light", "night": "dark"})
    table.to_csv(made / "other.csv", index=False)
    settings = Config.load(made / "config.yaml")
    settings.peft = Peft(train="heads")
    settings.save(made / "other.yaml")
    assert (
        run(
            monkeypatch,
            "ingest",
            made / "other.csv",
            "--config",
            made / "other.yaml",
            "--out",
            made / "others",
            "--processes",
            "1",
        )
        == 0
    )
    assert (
        run(
            monkeypatch,
            "train",
            made / "others",
            "--from",
            made / "run",
            "--out",
            made / "second",
            "--epochs",
            "2",
        )
        == 0
    )
    old, new = (weights(load_run(made / name).model) for name in ("run", "second"))
    assert {
        name for name, weight in new.items() if (weight.numpy() != old[name].numpy()).any()
    } == {"label/kernel", "label/bias"}
    assert Schema.load(made / "second" / "schema.json").heads["label"].names == ["dark", "light"]
    capsys.readouterr()
    assert (
        run(
            monkeypatch,
            "train",
            made / "others",
            "--from",
            made / "records",
            "--out",
            made / "third",
        )
        == 1
    )
    assert capsys.readouterr().err.startswith("error: ")
    assert not (made / "third").exists()


@pytest.mark.slow
def test_merged_lora_is_exported_as_large_as_the_base(made, monkeypatch):
    settings = Config.load(made / "config.yaml")
    settings.peft = Peft(lora=[LoRA(layers=["word_words"], rank=2)])
    settings.save(made / "lora.yaml")
    assert (
        run(
            monkeypatch,
            "train",
            made / "records",
            "--config",
            made / "lora.yaml",
            "--out",
            made / "lora",
            "--epochs",
            "2",
        )
        == 0
    )
    for name, flags in (("added", []), ("merged", ["--merge"])):
        assert run(monkeypatch, "export", made / "lora", made / name / "1", *flags) == 0
        assert (
            run(
                monkeypatch,
                "predict",
                made / name / "1",
                made / "table.csv",
                "--out",
                made / f"{name}.csv",
            )
            == 0
        )
    pd.testing.assert_frame_equal(
        pd.read_csv(made / "merged.csv"), pd.read_csv(made / "added.csv"), rtol=1e-4
    )
    held = {
        name: tf.train.list_variables(str(made / name / "1" / "variables" / "variables"))
        for name in ("saved", "added", "merged")
    }
    numbers = {
        name: sum(math.prod(shape) for _, shape in variables) for name, variables in held.items()
    }
    assert numbers["merged"] == numbers["saved"] < numbers["added"]


def test_an_adapter_that_cannot_be_merged_is_refused_before_writing(made, monkeypatch, capsys):
    settings = Config.load(made / "config.yaml")
    settings.peft = Peft(adapters=[Adapters(layers=["word_words"], units=2)])
    settings.save(made / "adapters.yaml")
    assert (
        run(
            monkeypatch,
            "train",
            made / "records",
            "--config",
            made / "adapters.yaml",
            "--out",
            made / "adapters",
            "--epochs",
            "1",
        )
        == 0
    )
    capsys.readouterr()
    assert run(monkeypatch, "export", made / "adapters", made / "refused" / "1", "--merge") == 1
    assert "only a linear adapter can be merged, received one with gelu" in capsys.readouterr().err
    assert not (made / "refused").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["describe", "{folder}/none.csv"], ["none.csv"]),
        (["describe", "{folder}/table.csv", "--type", "photo"], ["COLUMN=TYPE", "'photo'"]),
        (["describe", "{folder}/table.csv", "--label", "kind"], ["kind"]),
        (
            [
                "ingest",
                "{folder}/table.csv",
                "--config",
                "{folder}/none.yaml",
                "--out",
                "{folder}/x",
            ],
            ["none.yaml"],
        ),
        (
            [
                "ingest",
                "{folder}/table.csv",
                "--config",
                "{folder}/table.csv",
                "--out",
                "{folder}/x",
            ],
            ["table.csv", "configuration"],
        ),
        (["train", "{folder}", "--out", "{folder}/x"], ["manifest.json", "ingest a table"]),
        (["evaluate", "{folder}/run", "{folder}/records", "--split", "exam"], ["exam"]),
        (["evaluate", "{folder}/none", "{folder}/records"], ["none"]),
        (["export", "{folder}/run", "{folder}/saved/1"], ["saved/1"]),
        (["export", "{folder}/run", "{folder}/saved/first"], ["first"]),
        (
            ["predict", "{folder}/records", "{folder}/table.csv", "--out", "{folder}/p.csv"],
            ["records"],
        ),
        (
            ["predict", "{folder}/saved/1", "{folder}/table.csv", "--out", "{folder}/p.xlsx"],
            ["p.xlsx"],
        ),
    ],
    ids=lambda value: " ".join(value[:1]) if isinstance(value, list) else None,
)
def test_an_error_is_one_sentence(made, monkeypatch, capsys, words, expected):
    assert run(monkeypatch, *(word.format(folder=made) for word in words)) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert [word for word in expected if word not in message.replace("\n", "")] == []
    assert "Traceback" not in message


def test_wrong_usage_is_exit_code_2(monkeypatch, capsys):
    assert run(monkeypatch, "ingest") == 2
    assert "Missing" in capsys.readouterr().err


def test_help_does_not_load_tensorflow():
    code = """
import sys
from multimodal_tf import cli
sys.argv = ["multimodal-tf", "train", "--help"]
try:
    cli.main()
finally:
    print("tensorflow" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip().endswith("False")
    assert "--epochs" in done.stdout
