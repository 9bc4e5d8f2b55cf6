"""What is examined: a Keras model of ours or an exported SavedModel, as functions of raw cells."""

import concurrent.futures
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from scipy import special

from multimodal_tf.config import PRESENT, Config
from multimodal_tf.config.names import embedding_layers
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.evaluation.matching import vectors_present
from multimodal_tf.schema import Schema

# rows a call of the model; how rows are batched changes no figure
BATCH = 256
_ENDPOINTS = ("core", "embed")

Arrays = dict[str, np.ndarray]


class Predictor:
    """A model as functions of undecoded cells, dicts of arrays by input as `pipeline.load_raw`
    yields them.

    Args:
        config: `Config`.
        schema: `Schema`.
        core: function of a dict of the model's input tensors to a dict of its answers by head.
        embed: function of such a dict to embeddings by name.
        embeds_cells: whether `embed` takes a batch of cells instead, as the endpoint of a
        SavedModel does.

    Example:
        >>> predictor = of_model(model, config, schema)  # doctest: +SKIP
        >>> predictor.answer(raw)["label"].shape  # doctest: +SKIP
        (471, 10)
    """

    def __init__(
        self,
        config: Config,
        schema: Schema,
        core: Callable,
        embed: Callable,
        embeds_cells: bool = False,
    ):
        self.config, self.schema = config, schema
        # its graph is traced once; a data set for each call would take seconds
        self._preprocessor = Preprocessor(config, schema)
        self._parts = {tuple(config.inputs): self._preprocessor}
        self._core, self._embed, self._embeds_cells = core, embed, embeds_cells

    def answer(self, raw: Mapping[str, np.ndarray]) -> Arrays:
        """The model's answers by head.

        Raises:
            ValueError: one holds NaN or infinity.
        """
        return _finite(_joined(map(self._core, self._inputs(raw))))

    def embed(self, raw: Mapping[str, np.ndarray]) -> Arrays:
        """The embeddings by name, float32 `(rows, dim)`."""
        return _joined(
            map(self._embed, self._batches(raw) if self._embeds_cells else self._inputs(raw))
        )

    def features(self, raw: Mapping[str, np.ndarray]) -> dict[str, tf.Tensor]:
        """The cells decoded, in their compact form: `Preprocessor.features`."""
        parts = [self._preprocessor.features(batch)[0] for batch in self._batches(raw)]
        return {name: tf.concat([part[name] for part in parts], axis=0) for name in parts[0]}

    def answer_features(
        self, features: Mapping[str, tf.Tensor], without: tuple[str, ...] = ()
    ) -> Arrays:
        """The answers to decoded cells, as if the inputs of `without` were absent in every row;
        errors as `answer`.
        """
        features = dict(features)
        if without:
            absent = self._preprocessor.features(self._nothing())[0]
            for name in without:
                features[name] = tf.zeros_like(features[name]) + absent[name]
                features[name + PRESENT] = tf.zeros_like(features[name + PRESENT])
        return _finite(
            _joined(self._core(self._preprocessor.model_inputs(batch)) for batch in _cut(features))
        )

    def answer_changed(
        self, features: Mapping[str, tf.Tensor], cells: Mapping[str, np.ndarray]
    ) -> Arrays:
        """The answers to decoded rows with other cells in some of the inputs, which alone are
        decoded; errors as `answer`.
        """
        readers = self._of(tuple(cells))

        def inputs(batch, others):
            return self._preprocessor.model_inputs(others | readers.features(batch)[0])

        changed = _cut(
            {
                name: tf.convert_to_tensor(cells[name], spec.dtype)
                for name, spec in readers.raw_spec.items()
            }
        )
        return _finite(_joined(map(self._core, _ahead(map(inputs, changed, _cut(features))))))

    def _of(self, names):
        """The preprocessing of some of the inputs."""
        if names not in self._parts:
            config = self.config.model_copy(
                update={"inputs": {name: self.config.inputs[name] for name in names}}
            )
            self._parts[names] = Preprocessor(config, self.schema)
        return self._parts[names]

    def _inputs(self, raw):
        """The model's inputs, batch by batch; the next one is decoded while the model works."""
        return _ahead(
            self._preprocessor.model_inputs(self._preprocessor.features(batch)[0])
            for batch in self._batches(raw)
        )

    def _batches(self, raw):
        spec = self._preprocessor.raw_spec
        return _cut(
            {name: tf.convert_to_tensor(raw[name], spec[name].dtype) for name in self.config.inputs}
        )

    def _nothing(self):
        """One row without any cell."""
        spec = self._preprocessor.raw_spec
        return {
            name: tf.fill([1] * len(part.shape), "" if part.dtype == tf.string else np.nan)
            for name, part in spec.items()
        }


class Trained(Protocol):
    """What `load_run` gives, as far as it matters here."""

    @property
    def model(self) -> keras.Model: ...
    @property
    def config(self) -> Config: ...
    @property
    def schema(self) -> Schema: ...


Model: TypeAlias = keras.Model | Trained | Predictor | str | os.PathLike


def predictor_of(
    model: Model, config: Config | None = None, schema: Schema | None = None
) -> Predictor:
    """A `Predictor` of what was trained: a run, a Keras model with its configuration and schema, or
    the folder of a SavedModel.

    Raises:
        FileNotFoundError, ValueError: as `of_model` and `of_saved_model`, or a Keras model comes
        without its configuration.
    """
    if isinstance(model, Predictor):
        return model
    if isinstance(model, str | os.PathLike):
        return of_saved_model(model)
    if not isinstance(model, keras.Model):
        return of_model(model.model, model.config, model.schema)
    if config is None or schema is None:
        raise ValueError(
            "a Keras model must come with its config and its schema, received it without"
        )
    return of_model(model, config, schema)


def of_model(model: keras.Model, config: Config, schema: Schema) -> Predictor:
    """A functional Keras model of `build_model`, trained.

    Raises:
        ValueError: it does not answer the configuration's heads.
    """
    if (
        not isinstance(getattr(model, "output", None), dict)
        or model.output.keys() != config.heads.keys()
    ):
        raise ValueError(
            f"the model must be a functional keras.Model that answers {sorted(config.heads)}, received {model!r}"
        )
    layers = {layer.name: layer for layer in model.layers}
    names = embedding_layers(layers, config.vectors(), config.heads)
    embeddings = {name: layers[layer].output for name, layer in names.items()}
    return Predictor(
        config,
        schema,
        _graph(model),
        _graph(keras.Model(model.input, embeddings)) if embeddings else lambda inputs: {},
    )


def of_saved_model(path: str | os.PathLike) -> Predictor:
    """What `export_model` wrote, with the temperatures that it applies to probabilities.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it is not a SavedModel that `export_model` wrote.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: there is no such folder")
    settings = path / "assets.extra"
    if (
        not (path / "saved_model.pb").is_file()
        or not (settings / "config.yaml").is_file()
        or not (settings / "schema.json").is_file()
    ):
        raise ValueError(
            f"{path} must be a SavedModel that export_model wrote, which has assets.extra/config.yaml, received another folder"
        )
    loaded = tf.saved_model.load(str(path))
    lacking = [name for name in _ENDPOINTS if not hasattr(loaded, name)]
    if lacking:
        raise ValueError(
            f"{path} must have the endpoints {' and '.join(_ENDPOINTS)}, as export_model writes them, received none {lacking[0]!r}"
        )

    def embed(batch):
        return {name: vectors for name, vectors in loaded.embed(batch).items() if name != "error"}

    config, temperatures = Config.load(settings / "config.yaml"), settings / "temperature.json"
    core = loaded.core
    if temperatures.is_file():
        core = _tempered(core, json.loads(temperatures.read_text(encoding="utf-8")), config)
    return Predictor(config, Schema.load(settings / "schema.json"), core, embed, embeds_cells=True)


def _tempered(core, temperatures, config):
    """`core` answers what the model does; `predict` divides the logarithms, but not where no input
    is there.
    """

    def served(inputs):
        answers = {name: np.asarray(answer) for name, answer in core(inputs).items()}
        for head, value in temperatures.items():
            logits = np.log(np.maximum(answers[head], np.finfo(np.float32).tiny)) / value
            better = special.softmax(logits, axis=1)
            answers[head] = np.where(
                _anyone(inputs, config, head, len(better))[:, None], better, answers[head]
            )
        return answers

    return served


def _anyone(inputs, config, head, rows):
    if not config.fusion.presence:
        return np.ones(rows, bool)
    there = vectors_present(
        np.stack([np.asarray(inputs[name + PRESENT]) > 0.5 for name in config.inputs], axis=1),
        config,
    )
    return np.any([there[name] for name in config.heads[head].inputs or config.vectors()], axis=0)


def _graph(model):
    return tf.function(
        lambda inputs: model(inputs, training=False), reduce_retracing=True, autograph=False
    )


def _cut(tensors):
    rows = len(next(iter(tensors.values())))
    return [
        {name: tensor[start : start + BATCH] for name, tensor in tensors.items()}
        for start in range(0, rows, BATCH)
    ]


def _ahead(items: Iterable) -> Iterator:
    """The items, each made in a thread while the one before is in use."""
    rest = iter(items)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, rest, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, rest, None)
            yield item


def _finite(answers):
    for name, answer in answers.items():
        if not np.isfinite(answer).all():
            raise ValueError(
                f"head {name!r}: answers must be finite numbers, received NaN or infinity"
            )
    return answers


def _joined(batches):
    """Dicts of tensors of several batches as arrays of all rows, float32."""
    parts = [
        {name: np.asarray(tf.cast(value, tf.float32)) for name, value in batch.items()}
        for batch in batches
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
