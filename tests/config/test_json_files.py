"""A damaged JSON file that the package wrote is one sentence, whoever reads it."""

import os

import pytest

from multimodal_tf.cli import training
from multimodal_tf.config.json_files import read_object
from multimodal_tf.config.saved_model.files import load_temperatures
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.evaluation.evaluate import Evaluation
from multimodal_tf.schema import Schema
from multimodal_tf.training import identity
from multimodal_tf.training.run_dir import load_record
from multimodal_tf.training.tune import outcome, report

DAMAGED = {
    "empty": b"",
    "cut": b'{"a": {"b": 1',
    "a list": b"[1, 2]",
    "a number": b"17",
    "no UTF-8": b'{"a": "\xff"}',
    "zeros": bytes(100),
    "many brackets": b"[" * 100_000,
    "many braces": b'{"a":' * 100_000,
    "a long number": b'{"a": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_one_sentence_in_every_reader(name, tmp_path):
    data = DAMAGED[name]
    places = {
        "run.json": load_record,
        "run.json, for its machine": lambda path: training._set_environment(path),
        "manifest.json": lambda path: Manifest.load(path.parent),
        "schema.json": Schema.load,
        "evaluation.json": Evaluation.load,
        "assets.extra/temperature.json": lambda path: load_temperatures(path.parents[1]),
        "search.json": lambda path: identity.check_same(path, {"a": 1}, "search", lengthy="space"),
        "outcomes/key.json": lambda path: outcome.load(tmp_path, "key"),
        "trial_1/trial.json": lambda path: report.ended_trials(tmp_path),
    }
    for place, read in places.items():
        path = tmp_path / place.partition(",")[0]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        with pytest.raises(ValueError, match=path.name) as caught:
            read(path)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 1000


def test_a_good_file_is_read_and_a_missing_one_is_said(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1]}')
    assert read_object(tmp_path / "a.json", "an object") == {"a": [1]}
    with pytest.raises(FileNotFoundError):
        read_object(tmp_path / "b.json", "an object")


def test_the_machine_of_a_run_may_be_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    for text in ("{}", '{"machine": 1}', '{"machine": {"onednn": []}}'):
        (tmp_path / "run.json").write_text(text)
        training._set_environment(tmp_path / "run.json")
        assert "TF_ENABLE_ONEDNN_OPTS" not in os.environ
    (tmp_path / "run.json").write_text('{"machine": {"onednn": "0"}}')
    training._set_environment(tmp_path / "run.json")
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"
