"""Preprocessing from raw cells to the model's inputs, the same in training and in serving."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from multimodal_tf.config import PRESENT, Config
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.data.kinds.kind import batch_spec
from multimodal_tf.data.requests import request_spec, strings_spec
from multimodal_tf.data.tokenizers.spelling import spelled
from multimodal_tf.schema import Schema, check_input_stats

Tensors = dict[str, tf.Tensor]


class Preprocessor(tf.Module):
    """Preprocessing of a configuration's inputs with the statistics of its training split.

    A module that calls it must track it to be saved: it holds lookup tables.

    Args:
        config: `Config`.
        schema: `Schema` of the same inputs.

    Raises:
        ValueError: the schema lacks an input of the configuration, or was learned for another
            tokenizer, or `max_tokens` leaves no room for a token between the tokenizer's start and
            end.

    Example:
        >>> from multimodal_tf.config import BooleanInput, ClassificationHead
        >>> heads = {"label": ClassificationHead()}
        >>> config = Config(inputs={"new": BooleanInput()}, heads=heads)
        >>> preprocessor = Preprocessor(config, Schema(rows=1, inputs={}, heads={}))
        >>> features, errors = preprocessor.features({"new": [1.0, float("nan")]})
        >>> features["new_present"].numpy().tolist(), errors.numpy().tolist()
        ([1.0, 0.0], [b'', b''])
    """

    def __init__(self, config: Config, schema: Schema) -> None:
        super().__init__(name="preprocessor")
        check_input_stats(config, schema)
        self._readers = {
            name: kind_of(input_config).reader(schema.inputs.get(name))
            for name, input_config in config.inputs.items()
        }
        self._presence, self._gaps = config.fusion.presence, list(config.missing)
        # traced once, which takes seconds, for all graphs and eager calls that use it
        self._graph = tf.function(self._features, input_signature=[self.raw_spec], autograph=False)

    @property
    def raw_spec(self) -> dict[str, tf.TensorSpec]:
        """What `features` takes: `tf.TensorSpec` by input, with a batch of unknown size.

        It is float64 `(None,)` for numbers, float32 `(None,)` for booleans, float32 `(None, dim)`
        for vectors, string `(None, None)` where a cell is several files, and string `(None,)` for
        other inputs.
        """
        return {name: batch_spec(reader.config, name) for name, reader in self._readers.items()}

    @property
    def request_spec(self) -> dict[str, tf.TensorSpec]:
        """What `request_features` takes: as `raw_spec`, but string `(None,)` for several files.

        No axis but the batch is free.
        """
        return {name: request_spec(reader.config, name) for name, reader in self._readers.items()}

    def features(self, raw: Mapping[str, Any]) -> tuple[Tensors, tf.Tensor]:
        """Decodes a batch of cells to compact tensors.

        Args:
            raw: by input, as `raw_spec`. "", text of white space, no frame and NaN are missing.

        Returns:
            `(features, errors)`. `features` holds by input what its `Reader.read` in `data.kinds`
            returns, such as uint8 `(batch, height, width, channels)` or int32
            `(batch, max_tokens)`, and `{name}_present` float32 `(batch,)`, 0 or 1. A missing or
            broken cell is all zeros (a number or a date: the training mean). `errors`, string
            `(batch,)`, is "name: reason" of the broken cells of a row, joined by "; ", or "". The
            other cells of the row are unchanged.
        """
        spec = self.raw_spec
        features, errors = self._graph(
            {name: _as(raw[name], spec[name].dtype) for name in self._readers}
        )
        return features, errors

    @property
    def strings_spec(self) -> dict[str, tf.TensorSpec]:
        """What `of_strings` takes: string `(None,)` for every input."""
        return {name: strings_spec(reader.config, name) for name, reader in self._readers.items()}

    def of_strings(self, raw: Mapping[str, Any]) -> tuple[Tensors, tf.Tensor]:
        """Cells of a request from strings, as JSON clients send them; inside a graph.

        Args:
            raw: by input, string `(batch,)`; missing is "" or a word of `config.missing`.

        Returns:
            `(cells, errors)`: by input as `request_spec`, and string `(batch,)` as of `features`.
        """
        cells, reasons = {}, []
        for name, reader in self._readers.items():
            texts = raw[name]
            if self._gaps and not reader.config.is_media:
                is_gap = tf.reduce_any(spelled(texts)[:, tf.newaxis] == self._gaps, axis=1)
                texts = tf.where(is_gap, "", texts)
            cells[name], reason = reader.of_strings(texts)
            reasons.append(_named(name, reason))
        return cells, _all(reasons)

    def request_features(self, raw: Mapping[str, Any]) -> tuple[Tensors, tf.Tensor]:
        """As `features`, for the cells of a request to an exported model; inside a graph.

        Args:
            raw: by input, as `request_spec`. Several files are one string: `codecs.frames`.
        """
        cells, broken = {}, {}
        for name, reader in self._readers.items():
            cells[name], broken[name] = reader.of_request(raw[name])
        return self._features(cells, broken)

    def model_inputs(self, features: Tensors) -> Tensors:
        """The model's inputs from `features`.

        Pixels are float32 0..1, samples float32 -1..1, other inputs unchanged; with the presence
        flags if the fusion takes them.
        """
        inputs = {}
        for name, reader in self._readers.items():
            inputs[name] = reader.model_input(features[name])
            if self._presence:
                inputs[name + PRESENT] = features[name + PRESENT]
        return inputs

    def _features(self, raw: Tensors, broken: Tensors | None = None) -> tuple[Tensors, tf.Tensor]:
        """As `features`; `broken` holds by input why cells were left out before."""
        features, reasons = {}, []
        for name, reader in self._readers.items():
            features[name], present, reason = reader.read(raw[name])
            features[name + PRESENT] = tf.cast(present, tf.float32)
            if broken is not None:
                reason = tf.where(broken[name] == "", reason, broken[name])
            reasons.append(_named(name, reason))
        return features, _all(reasons)


def _as(cells: Any, dtype: tf.DType) -> tf.Tensor:
    """Cells as a tensor; numbers of another type are cast."""
    if tf.is_tensor(cells) and cells.dtype != tf.string and dtype != tf.string:
        return tf.cast(cells, dtype)
    return tf.convert_to_tensor(cells, dtype)


def _named(name: str, reason: tf.Tensor) -> tf.Tensor:
    return tf.where(reason == "", "", tf.strings.join([f"; {name}: ", reason]))


def _all(reasons: list[tf.Tensor]) -> tf.Tensor:
    return tf.strings.regex_replace(tf.strings.join(reasons), "^; ", "", replace_global=False)
