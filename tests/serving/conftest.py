"""Shared by the tests of serving: loaded models, and what a process of its own predicts."""

import json
import pathlib

import numpy as np
import pytest
import small_model as small
import tensorflow as tf

from multimodal_tf.config import ClassificationHead, Config, TextInput, WordPieceTokenizer
from multimodal_tf.data.tokenizers.train_subwords import fit_subwords
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Classes, Schema
from multimodal_tf.serving.export import export_model

PROGRAM = pathlib.Path(__file__).parent / "other_process_program.py"


@pytest.fixture(scope="session")
def signatures(exported, guarded):
    """The signatures of the two models of `small_model`, by model."""
    return {
        "small": tf.saved_model.load(str(exported)).signatures,
        "guarded": tf.saved_model.load(str(guarded)).signatures,
    }


@pytest.fixture(scope="session")
def clean(signatures):
    """What `small` predicts for 64 rows."""
    return small.served(signatures["small"]["serving_default"], small.raw_rows(64))


@pytest.fixture(scope="session")
def matching_rows():
    """64 rows of `small_model.MATCHING` with missing cells; row 3 has only a broken text, row 5 no
    cell.
    """
    rows = small.raw_rows(64, small.MATCHING)
    for row in (3, 5):
        for name, cells in rows.items():
            cells[row] = float("nan") if name == "price" else b""
    rows["title"][3] = b"caf\xe9"
    return rows


@pytest.fixture(scope="session")
def serving_process(once, new_process, guarded, matching_rows):
    """What `other_process_program.py` finds, made once for all workers.

    Has `guarded`, what `predict` gives for `matching_rows`; `words`, the folder of a model whose
    tokenizer needs TensorFlow Text; and the probabilities of `words`.
    """

    def make(folder):
        np.savez(folder / "raw.npz", **matching_rows)
        _export_words(folder / "words" / "1")
        (folder / "words.json").write_text(new_process(PROGRAM.read_text(), folder, guarded))

    folder = once("serving_process", make)
    return {
        "guarded": dict(np.load(folder / "given.npz", allow_pickle=True)),
        "words": folder / "words" / "1",
        "probabilities": json.loads((folder / "words.json").read_text()),
    }


def _export_words(path):
    tokenizer, texts = WordPieceTokenizer(), tf.constant(["a red bird", "a blue bird"])
    config = Config(
        inputs={"title": TextInput(tokenizer=tokenizer, max_tokens=4)},
        heads={"label": ClassificationHead()},
    )
    stats = fit_subwords(
        "inputs.title.tokenizer",
        tokenizer,
        lambda prepare: [one.decode() for one in prepare(texts).numpy()],
    )
    schema = Schema(
        rows=2, inputs={"title": stats}, heads={"label": Classes(names=["x", "y"], counts=[1, 1])}
    )
    export_model(build_model(config, schema), config, schema, path)
