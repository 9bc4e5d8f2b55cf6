"""The command line on what it has made: other settings and places, and errors in one sentence."""

import json

import fsspec
import pytest

from multimodal_tf.config import Adapters, CharacterTokenizer, ClassificationHead, Config, Peft
from multimodal_tf.schema import Schema
from multimodal_tf.serving.client import Client


def test_records_on_another_file_system_give_the_same_metrics(shop, command, tmp_path):
    files, out = fsspec.filesystem("memory"), tmp_path / "remote.json"
    files.put(str(shop / "records"), "/cli/records", recursive=True)
    try:
        words = ("--out", out, "--page", tmp_path / "page")
        assert command("evaluate", shop / "run", "memory://cli/records", *words) == 0
    finally:
        files.rm("/cli", recursive=True)
    assert out.read_text() == (shop / "metrics.json").read_text()
    # every head has its tile
    page = json.loads((tmp_path / "page" / "report.json").read_text())
    assert [tile["section"] for tile in page["tiles"]] == list(json.loads(out.read_text())["heads"])


@pytest.fixture(scope="module")
def adapted(shop, command, tmp_path_factory):
    """The run of a model that reads the characters of the title, with an adapter."""
    folder = tmp_path_factory.mktemp("adapted")
    settings = Config.load(shop / "config.yaml")
    title = settings.inputs["title"].model_copy(update={"tokenizer": CharacterTokenizer()})
    changed = {
        "inputs": {"title": title},
        "heads": {"label": ClassificationHead()},
        "peft": Peft(adapters=[Adapters(layers=["title_words"], units=2)]),
    }
    settings.model_copy(update=changed).save(folder / "config.yaml")
    words = ("--config", folder / "config.yaml", "--out", folder / "run", "--epochs", "1")
    assert command("train", shop / "records", *words) == 0
    return folder / "run"


def test_another_tokenizer_needs_no_new_ingest(adapted):
    characters = Schema.load(adapted / "schema.json").inputs["title"].words
    assert set("birdcatdognew") <= set(characters)


def test_an_adapter_that_cannot_be_merged_is_refused_before_writing(
    adapted, command, tmp_path, capsys
):
    assert command("export", adapted, tmp_path / "refused" / "1", "--merge") == 1
    assert "only a linear adapter can be merged, received one with gelu" in capsys.readouterr().err
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["describe", "{folder}/none.csv"], ["none.csv"]),
        (["describe", "{folder}/table.csv", "--type", "title"], ["COLUMN=TYPE", "'title'"]),
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
        (["export", "{folder}/run", "{folder}/run", "{folder}/new/1"], ["--ensemble"]),
        (["export", "--ensemble", "{folder}/run", "{folder}/new/1"], ["two runs or more"]),
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
def test_an_error_is_one_sentence(shop, command, capsys, words, expected):
    assert command(*(word.format(folder=shop) for word in words)) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert [word for word in expected if word not in message.replace("\n", "")] == []
    assert "Traceback" not in message


@pytest.mark.slow
def test_several_runs_are_exported_as_one(small_run, small_records, command, capsys, tmp_path):
    out, records = tmp_path / "small" / "1", ("--records", small_records)
    words = ("--ensemble", small_run, small_run, out, "--guard", "--fpr", "0.3", *records)
    assert command("export", *words) == 0
    assert "Without review" in capsys.readouterr().out
    client = Client(out)
    assert client.disagreement_keys == (
        "label_disagreement",
        "tags_disagreement",
        "age_disagreement",
    )
    assert "review" in client.guard_keys


def test_wrong_usage_is_exit_code_2(command, capsys):
    assert command("ingest") == 2
    assert "Missing" in capsys.readouterr().err


def test_help_does_not_load_tensorflow(new_process):
    code = """
import sys
from multimodal_tf import cli
sys.argv = ["multimodal-tf", "train", "--help"]
try:
    cli.main()
except SystemExit as stop:
    assert not stop.code
print("tensorflow" in sys.modules)
"""
    output = new_process(code)
    assert output.strip().endswith("False")
    assert "--epochs" in output
