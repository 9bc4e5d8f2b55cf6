"""Batches of 64 rows, one of them hostile, through the served signature of an exported model."""

import json
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from fuzz.outcomes import DisagreementError
from multimodal_tf.config import (
    AudioInput,
    CategoryInput,
    CharacterTokenizer,
    ClassificationHead,
    Config,
    CountHead,
    DateInput,
    ImageInput,
    NumberInput,
    RegressionHead,
    TextInput,
    VectorInput,
    VideoInput,
)
from multimodal_tf.data.codecs import frames
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Classes, Moments, Schema, VectorMoments, Vocabulary
from multimodal_tf.serving.export import export_model

ROWS, HOSTILE = 64, 17
_DIM = 8
CONFIG = Config(
    inputs={
        "photo": ImageInput(),
        "sound": AudioInput(),
        "clip": VideoInput(frames=4),
        "title": TextInput(),
        "letters": TextInput(tokenizer=CharacterTokenizer()),
        "colour": CategoryInput(),
        "when": DateInput(),
        "price": NumberInput(),
        "vector": VectorInput(dim=_DIM),
    },
    heads={"label": ClassificationHead(), "age": RegressionHead(), "visits": CountHead()},
)
SCHEMA = Schema(
    rows=9,
    inputs={
        "title": Vocabulary(words=["a", "red", "bird"]),
        "letters": Vocabulary(words=["a", "e", "r"], tokenizer="characters"),
        "colour": Vocabulary(words=["red", "dark blue"]),
        "when": Moments(mean=20_000.0, std=300.0),
        "price": Moments(mean=3.0, std=0.5),
        "vector": VectorMoments(mean=[0.0] * _DIM, std=[0.5] * _DIM, rows=9),
    },
    heads={
        "label": Classes(names=["bird", "cat"], counts=[3, 6]),
        "age": Moments(mean=40.0, std=10.0),
        "visits": Moments(mean=4.0, std=2.0),
    },
)


class HostileRows:
    """As a `fuzz.child.Attempt`, of files in a folder of their input's name.

    Args:
        folder: where the model is exported to, once for all processes.
    """

    def __init__(self, folder: str) -> None:
        path = pathlib.Path(folder) / "hostile" / "1"
        if not path.exists():
            export_model(build_model(CONFIG, SCHEMA), CONFIG, SCHEMA, path)
        self._model = tf.saved_model.load(str(path))
        self._signature = self._model.signatures["serving_default"]
        self._good = {
            name: kind_of(one).example(SCHEMA.inputs.get(name)).numpy()
            for name, one in CONFIG.inputs.items()
        }
        self._expected = self._served("photo", self._good["photo"])

    def __call__(self, data: bytes, path: pathlib.Path) -> str:
        """Refuses where the hostile row is not valid."""
        name = path.parent.name
        one = CONFIG.inputs[name]
        cell: Any = data
        if one.cell_dtype != "string":
            number = json.loads(data)
            cell = np.array(
                [number] + [0.5] * (_DIM - 1) if one.cell_shape else number, one.cell_dtype
            )
        answer = self._served(name, cell)
        others = np.arange(ROWS) != HOSTILE
        for key, expected in self._expected.items():
            values = answer[key]
            if values.dtype == object:
                same = (values[others] == expected[others]).all()
            else:
                if values.dtype.kind == "f" and not np.isfinite(values).all():
                    raise DisagreementError(f"{key} is not finite: {values[HOSTILE]}")
                same = np.array_equal(values[others], expected[others])
            if not same:
                raise DisagreementError(f"{key} of the other rows changed")
        return "" if answer["valid"][HOSTILE] else answer["error"][HOSTILE].decode()

    def _served(self, hostile: str, cell: Any) -> dict[str, np.ndarray]:
        raw = {}
        for name, one in CONFIG.inputs.items():
            cells = [self._good[name]] * ROWS
            if one.is_several:
                cells = [frames.pack(list(files)) for files in cells]
            if name == hostile:
                cells[HOSTILE] = cell
            raw[name] = tf.constant(np.stack(cells) if one.cell_dtype != "string" else cells)
        return {key: value.numpy() for key, value in self._signature(**raw).items()}
