"""The outputs of a model's frozen towers, kept in memory for rows that are predicted repeatedly."""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from multimodal_tf.config import PRESENT, Config
from multimodal_tf.data.cache import frozen_cells
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.pipeline import available_memory
from multimodal_tf.schema import Schema

Tensors = dict[str, tf.Tensor]


class FrozenOutputs:
    """What frozen towers give for rows that are predicted with other inputs left out or changed.

    Args:
        model: from `build_model`.
        empty: function without arguments that returns the model's inputs of one row without any.
    """

    def __init__(self, model: keras.Model, empty: Callable[[], Tensors]) -> None:
        self._model, self._empty = model, empty
        self._beginning: Any = getattr(model, "frozen_beginning", lambda: None)()
        self._missing: dict[str, Tensors] = {}

    def fit_in_memory(self, rows: int) -> bool:
        """Whether the outputs for so many rows may be kept."""
        frozen = () if self._beginning is None else self._beginning.inputs.values()
        sizes = [math.prod(one.shape[1:]) for each in frozen for one in each.outputs.values()]
        return bool(4 * sum(sizes) * rows <= available_memory() / 8)

    def of(self, inputs: Tensors, known: Collection[str] = ()) -> Tensors:
        """The outputs by key for a batch of model inputs; empty if nothing is frozen.

        Those that are known are not computed.
        """
        if self._beginning is None or not self._beginning.inputs:
            return {}
        if not self._missing:
            empty = self._empty()
            self._missing = {
                name: {key: value[0] for key, value in one(empty).items()}
                for name, one in self._beginning.inputs.items()
            }
            self._beginning.start_after(self._missing)
        found: Tensors = {}
        for one in self._beginning.inputs.values():
            if not set(one.outputs) <= set(known):
                found |= one(inputs)
        return found

    def of_records(
        self,
        config: Config,
        schema: Schema,
        records: PathLike,
        split: str,
        rows: np.ndarray,
        fill: bool,
        cache: bool | PathLike = True,
    ) -> Tensors:
        """The outputs by key that are kept beside the records, for some rows of a split.

        Args:
            config, schema: of the model.
            records, split: as for `load_split`.
            rows: int `(rows,)`, their positions in the split.
            fill: whether to compute and keep what is not there; else all or nothing is read.
            cache: as for `fit`.
        """
        if self._beginning is None or not self._beginning.inputs:
            return {}
        opened = (config, schema, records, [split], cache)
        cells = frozen_cells(self._model, *opened, progress=False, fill=fill)
        if cells is None or not self.fit_in_memory(len(rows)):
            return {}
        found = cells.reader(split, in_memory=False)(tf.constant(rows, tf.int64))
        return {key: value for key, value in found.items() if not key.endswith(PRESENT)}

    def kept(self, features: Mapping[str, tf.Tensor], without: Collection[str] = ()) -> Tensors:
        """Those of the outputs among features, but for some inputs."""
        return {
            key: features[key]
            for name, outputs in self._missing.items()
            for key in outputs
            if key in features and name not in without
        }

    def missing(self, name: str, rows: tf.Tensor) -> Tensors:
        """The outputs of one input where it is missing, for so many rows."""
        return {
            key: tf.repeat(value[tf.newaxis], rows, axis=0)
            for key, value in self._missing.get(name, {}).items()
        }

    def predict(self, inputs: Tensors, model: keras.Model | None = None) -> Any:
        """The model's outputs for a batch of its inputs, or with frozen outputs among them.

        Args:
            inputs: by name and by key.
            model: with the layers and inputs of the model; None: the model itself.
        """
        model = self._model if model is None else model
        if self._missing and self._beginning.is_in(inputs):
            return self._beginning.run(inputs, model, training=False)
        return model(inputs, training=False)
