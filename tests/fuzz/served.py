"""Cells of texts and values through `Client` and the served signature of an exported model."""

import pathlib
import struct
from collections.abc import Collection
from typing import Any

import numpy as np
import tensorflow as tf

from fuzz.outcomes import DisagreementError
from multimodal_tf.config import (
    BooleanInput,
    CategoryInput,
    CharacterTokenizer,
    ClassificationHead,
    Config,
    CountHead,
    DateInput,
    MultiLabelHead,
    NgramTokenizer,
    NumberInput,
    RegressionHead,
    TextInput,
    VectorInput,
)
from multimodal_tf.config.heads import output_key
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.data.kinds.cell import is_missing
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Classes, Moments, Schema, VectorMoments, Vocabulary
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.export import export_model

_DIM = 8
TEXTS = ("words", "characters", "ngrams", "colour")
VALUES = ("price", "new", "when", "vector")
CONFIG = Config(
    inputs={
        "words": TextInput(max_tokens=8),
        "characters": TextInput(max_tokens=8, tokenizer=CharacterTokenizer()),
        "ngrams": TextInput(tokenizer=NgramTokenizer()),
        "price": NumberInput(),
        "new": BooleanInput(),
        "when": DateInput(),
        "colour": CategoryInput(),
        "vector": VectorInput(dim=_DIM),
    },
    heads={
        "label": ClassificationHead(),
        "tags": MultiLabelHead(separator=","),
        "age": RegressionHead(),
        "visits": CountHead(),
    },
)
SCHEMA = Schema(
    rows=9,
    inputs={
        "words": Vocabulary(words=["a", "red", "bird", "的"]),
        "characters": Vocabulary(words=["a", "e", "r", "的"], tokenizer="characters"),
        "price": Moments(mean=3.0, std=0.01),
        "when": Moments(mean=20_000.0, std=300.0),
        "colour": Vocabulary(words=["red", "dark blue"]),
        "vector": VectorMoments(mean=[0.0] * _DIM, std=[0.01] * _DIM, rows=9),
    },
    heads={
        "label": Classes(names=["bird", "猫"], counts=[3, 6]),
        "tags": Classes(names=["old", "new"], counts=[1, 2]),
        "age": Moments(mean=40.0, std=10.0),
        "visits": Moments(mean=4.0, std=2.0),
    },
)


class Served:
    """As a `fuzz.child.Attempt`: a cell of every input at a time.

    Args:
        folder: where the model is exported to, once for all processes.
        judged: the inputs one of which accepts a file that counts as accepted.
    """

    def __init__(self, folder: str, judged: Collection[str]) -> None:
        self._judged = [index for index, name in enumerate(CONFIG.inputs) if name in judged]
        path = pathlib.Path(folder) / "fuzz" / "1"
        if not path.exists():
            export_model(build_model(CONFIG, SCHEMA), CONFIG, SCHEMA, path)
        self._client = Client(path)
        self._signature = tf.saved_model.load(str(path)).signatures["serving_default"]

    def __call__(self, data: bytes, path: pathlib.Path) -> str:
        """Every input gets the same cell, as text and as bytes; numbers get its bytes as floats."""
        text = data.decode("utf-8", "surrogateescape")
        # a row an input, with another that is good, and a good last row
        rows: list[dict[str, Any]] = [
            {("colour" if name == "words" else "words"): "red"} | {name: text}
            for name in CONFIG.inputs
        ]
        rows.append({"words": "red bird"})
        answers = self._client.predict(rows)
        for name, valid, error in zip(CONFIG.inputs, answers["valid"], answers["error"]):
            refusal = _ingest(name, text)
            # ingest does not know the training mean
            if valid == bool(refusal) and not error.endswith(" to be scaled"):
                raise DisagreementError(f"{name}: ingest: {refusal!r}; Client: {error!r}")
        if not answers["valid"].iloc[-1]:
            raise DisagreementError("the last row is not valid")
        self._request(data)
        judged = answers.iloc[self._judged]
        return "" if judged["valid"].any() else "; ".join(judged["error"])

    def _request(self, data: bytes) -> None:
        """Raw bytes in strings, and floats of any bits in numbers; all that is served is finite."""
        bits = (data * 4 * _DIM)[: 4 * _DIM].ljust(4 * _DIM, b"\0")
        floats = np.array(struct.unpack(f"<{_DIM}f", bits), np.float32)
        with np.errstate(all="ignore"):
            given = np.stack([floats, np.full(_DIM, floats[0])])
        raw = {
            name: tf.constant(
                given
                if one.cell_shape
                else given[:, 0]
                if one.cell_dtype != "string"
                else [data, b""],
                one.cell_dtype,
            )
            for name, one in CONFIG.inputs.items()
        }
        answer = {key: value.numpy() for key, value in self._signature(**raw).items()}
        for name, head in CONFIG.heads.items():
            for key in {name, output_key(name, head)}:
                values = answer[key]
                if values.dtype != object and not np.isfinite(values).all():
                    raise DisagreementError(f"served {key} is not finite")


def _ingest(name: str, text: str) -> str:
    """The reason with which ingest would refuse the cell."""
    if is_missing(text):
        return ""
    try:
        kind_of(CONFIG.inputs[name]).read_checked(text, ".")
    except CellError as error:
        return str(error) or "no reason"
    return ""
