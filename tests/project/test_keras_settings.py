"""The package says in a sentence which backend of Keras it needs, before Keras is imported."""

import json

import pytest

from multimodal_tf.keras_settings import check_backend


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    return tmp_path


def test_another_backend_is_refused(home, monkeypatch):
    (home / "keras.json").write_text(json.dumps({"backend": "jax"}))
    with pytest.raises(ImportError, match=r"keras\.json must be tensorflow, received 'jax'"):
        check_backend()
    # the variable goes before the file, as in Keras
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    check_backend()
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(ImportError, match="KERAS_BACKEND must be tensorflow, received 'torch'"):
        check_backend()


@pytest.mark.parametrize("content", [None, "{}", "[", '{"backend": "tensorflow"}', "[1]"])
def test_tensorflow_and_files_without_a_backend_are_fine(home, content):
    if content is not None:
        (home / "keras.json").write_text(content)
    check_backend()
