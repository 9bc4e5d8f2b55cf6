"""`Predictor`: a Keras model of ours or an exported SavedModel, as functions of raw cells."""

import concurrent.futures
import functools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, TypeVar

import keras
import numpy as np
import tensorflow as tf

from multimodal_tf.config import PRESENT, Config
from multimodal_tf.config.heads import generating
from multimodal_tf.config.names import embedding_layers
from multimodal_tf.config.saved_model.files import (
    ASSETS,
    CONFIG_FILE,
    SCHEMA_FILE,
    load_temperatures,
)
from multimodal_tf.config.saved_model.form import load_exported
from multimodal_tf.data import requests
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.data.trained import Trained
from multimodal_tf.data.units import in_units
from multimodal_tf.evaluation.frozen_outputs import FrozenOutputs
from multimodal_tf.schema import Schema
from multimodal_tf.scoring.presence import any_present
from multimodal_tf.scoring.temperature import tempered

# rows per call of the model; how rows are batched changes no metric
BATCH = 256
_ENDPOINTS = ("core", "embed")

Arrays = dict[str, np.ndarray]
Tensors = dict[str, tf.Tensor]
# model inputs or raw cells to outputs by name
Function = Callable[[Tensors], Mapping[str, tf.Tensor]]
Item = TypeVar("Item")


class Predictor:
    """A model as functions of undecoded cells, arrays by input as `pipeline.load_raw` yields them.

    Args:
        config: `Config`.
        schema: `Schema`.
        core: function of the model's input tensors to its outputs by head.
        embed: function of such tensors to embeddings by name.
        embeds_cells: whether `embed` takes a batch of cells instead, as the endpoint of a
            SavedModel does.
        model: the Keras model whose outputs `core` gives, if there is one. Its frozen towers are
            run once for rows that are predicted repeatedly.
        embedder: the same layers with embeddings as outputs, in place of `embed`.

    Example:
        >>> predictor = of_model(model, config, schema)  # doctest: +SKIP
        >>> predictor.predict(raw)["label"].shape  # doctest: +SKIP
        (471, 10)
    """

    def __init__(
        self,
        config: Config,
        schema: Schema,
        core: Function,
        embed: Function,
        embeds_cells: bool = False,
        model: keras.Model | None = None,
        embedder: keras.Model | None = None,
    ) -> None:
        self.config, self.schema, self.model = config, schema, model
        # its graph is traced once; a data set for each call would take seconds
        self._preprocessor = Preprocessor(config, schema)
        self._readers = {tuple(config.inputs): self._preprocessor}
        self._core, self._embed, self._embeds_cells = core, embed, embeds_cells
        self._frozen = None if model is None else FrozenOutputs(model, self._empty_inputs)
        if self._frozen is not None:
            self._core = _graph(self._frozen.predict)
            if embedder is not None:
                self._embed = _graph(functools.partial(self._frozen.predict, model=embedder))

    def outputs(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """The outputs by head for a batch of model inputs."""
        return _joined([self._core(dict(inputs))])

    def predict(self, raw: Mapping[str, np.ndarray]) -> Arrays:
        """The model's outputs by head.

        Raises:
            ValueError: an output holds NaN or infinity.
        """
        return self._outputs(map(self._core, self._inputs(raw)))

    def embed(self, raw: Mapping[str, np.ndarray]) -> Arrays:
        """The embeddings by name, float32 `(rows, dim)`."""
        batches = self._batches(raw) if self._embeds_cells else self._inputs(raw)
        return _joined(map(self._embed, batches))

    def embed_features(
        self, raw: Mapping[str, np.ndarray], features: Mapping[str, tf.Tensor]
    ) -> Arrays:
        """As `embed`, of cells whose decoded form is `features`."""
        if self._embeds_cells:
            return self.embed(raw)
        return _joined(self._embed(self._model_inputs(batch)) for batch in _cut(features))

    def kept_outputs(
        self, records: PathLike, split: str, rows: np.ndarray, fill: bool, cache: bool = True
    ) -> Tensors:
        """What `features` takes as `kept`, by `FrozenOutputs.of_records`."""
        if self._frozen is None:
            return {}
        return self._frozen.of_records(self.config, self.schema, records, split, rows, fill, cache)

    def features(
        self, raw: Mapping[str, np.ndarray], kept: Mapping[str, tf.Tensor] | None = None
    ) -> Tensors:
        """The cells decoded, in their compact form, as `Preprocessor.features`.

        With them are the outputs of frozen towers, under keys that no input has. Those in `kept`
        are not computed again.
        """
        batches = [self._preprocessor.features(batch)[0] for batch in self._batches(raw)]
        rows = sum(len(next(iter(batch.values()))) for batch in batches)
        if self._frozen is not None and self._frozen.fit_in_memory(rows):
            known = _cut(kept) if kept else [{} for _ in batches]
            for batch, of_batch in zip(batches, known):
                inputs = self._preprocessor.model_inputs(batch)
                batch |= of_batch | self._frozen.of(inputs, of_batch)
        return {name: tf.concat([batch[name] for batch in batches], axis=0) for name in batches[0]}

    def predict_features(
        self, features: Mapping[str, tf.Tensor], without: tuple[str, ...] = ()
    ) -> Arrays:
        """The outputs for decoded cells, with the inputs of `without` missing in every row.

        Raises:
            ValueError: as `predict`.
        """
        features = dict(features)
        if without:
            empty = self._preprocessor.features(self._empty_row())[0]
            for name in without:
                if self._frozen is not None:
                    features |= self._frozen.missing(name, tf.shape(features[name])[0])
                features[name] = tf.zeros_like(features[name]) + empty[name]
                features[name + PRESENT] = tf.zeros_like(features[name + PRESENT])
        batches = _cut(features)
        return self._outputs(self._core(self._model_inputs(batch)) for batch in batches)

    def predict_changed(
        self, features: Mapping[str, tf.Tensor], cells: Mapping[str, np.ndarray]
    ) -> Arrays:
        """The outputs for decoded rows with other cells in some inputs, which alone are decoded.

        Raises:
            ValueError: as `predict`.
        """
        reader = self._reader(tuple(cells))

        def inputs(batch: Tensors, others: Tensors) -> Tensors:
            return self._model_inputs(others | reader.features(batch)[0], changed=tuple(cells))

        changed = {
            name: tf.convert_to_tensor(cells[name], spec.dtype)
            for name, spec in reader.raw_spec.items()
        }
        batches = _ahead(map(inputs, _cut(changed), _cut(features)))
        return self._outputs(map(self._core, batches))

    def _outputs(self, batches: Iterable[Mapping[str, Any]]) -> Arrays:
        return _finite(in_units(_joined(batches), self.schema))

    def _model_inputs(self, features: Tensors, changed: tuple[str, ...] = ()) -> Tensors:
        """The model's inputs, with what is known of frozen towers, but for changed inputs."""
        kept = {} if self._frozen is None else self._frozen.kept(features, changed)
        return self._preprocessor.model_inputs(features) | kept

    def _empty_inputs(self) -> Tensors:
        return self._preprocessor.model_inputs(self._preprocessor.features(self._empty_row())[0])

    def _reader(self, names: tuple[str, ...]) -> Preprocessor:
        """The preprocessing of some of the inputs."""
        if names not in self._readers:
            inputs = {name: self.config.inputs[name] for name in names}
            config = self.config.model_copy(update={"inputs": inputs})
            self._readers[names] = Preprocessor(config, self.schema)
        return self._readers[names]

    def _inputs(self, raw: Mapping[str, np.ndarray]) -> Iterator[Tensors]:
        """The model's inputs by batch; the next batch is decoded while the model works."""
        return _ahead(
            self._preprocessor.model_inputs(self._preprocessor.features(batch)[0])
            for batch in self._batches(raw)
        )

    def _batches(self, raw: Mapping[str, np.ndarray]) -> list[Tensors]:
        spec = self._preprocessor.raw_spec
        return _cut(
            {name: tf.convert_to_tensor(raw[name], spec[name].dtype) for name in self.config.inputs}
        )

    def _empty_row(self) -> Tensors:
        """One row without any cell."""
        return {
            name: tf.fill(
                [size or 1 for size in spec.shape], "" if spec.dtype == tf.string else np.nan
            )
            for name, spec in self._preprocessor.raw_spec.items()
        }


Model: TypeAlias = keras.Model | Trained | Predictor | str | os.PathLike[str]


def predictor_of(
    model: Model, config: Config | None = None, schema: Schema | None = None
) -> Predictor:
    """A `Predictor` of a run, of a Keras model with its configuration and schema, or of a folder.

    Args:
        model: what `load_run` gives, a Keras model, a `Predictor`, or the folder of a SavedModel.
        config, schema: of a Keras model.

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
    """The predictor of a trained functional Keras model of `build_model`.

    Raises:
        ValueError: its outputs are not the configuration's heads.
    """
    if (
        not isinstance(getattr(model, "output", None), dict)
        or model.output.keys() != config.heads.keys()
    ):
        raise ValueError(
            "the model must be a functional keras.Model with the outputs "
            f"{sorted(config.heads)}, received {model!r}"
        )
    core = without_generated(model) if generating(config.heads) else model
    embedder = embedding_model(core, config)
    found = Predictor(
        config, schema, _graph(_inference(core)), lambda inputs: {}, model=core, embedder=embedder
    )
    found.model = model
    return found


def without_generated(model: Any) -> keras.Model:
    """The model without its heads of texts and images, which it would have to write or draw.

    Raises:
        ValueError: it is not of `build_model`.
    """
    if not hasattr(model, "without_generated"):
        raise ValueError(
            "a model with heads of texts or images must be of build_model, or loaded from what it "
            f"saved, received {type(model).__name__}"
        )
    found: keras.Model = model.without_generated()
    return found


def embedding_model(model: keras.Model, config: Config) -> keras.Model | None:
    """The same layers and inputs as `model`, with its embeddings as outputs; None without any."""
    layers = {layer.name: layer for layer in model.layers}
    names = embedding_layers(layers, config.vectors(), config.heads)
    outputs = {name: layers[layer].output for name, layer in names.items()}
    return keras.Model(model.input, outputs) if outputs else None


def of_saved_model(path: str | os.PathLike[str], calibrated: bool = True) -> Predictor:
    """The predictor of a SavedModel of `export_model`; calibrated: with its temperatures applied.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it is not a SavedModel that `export_model` wrote.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: there is no such folder")
    assets = path / ASSETS
    files = (path / "saved_model.pb", assets / CONFIG_FILE, assets / SCHEMA_FILE)
    if not all(file.is_file() for file in files):
        raise ValueError(
            f"{path} must be a SavedModel that export_model wrote, "
            f"which has {ASSETS}/{CONFIG_FILE}, received another folder"
        )
    # the functions stay as long as what they were loaded from
    loaded = load_exported(path)
    lacking = [name for name in _ENDPOINTS if name not in loaded.signatures]
    if lacking:
        raise ValueError(
            f"{path} must have the endpoints {' and '.join(_ENDPOINTS)}, as export_model writes "
            f"them, received none {lacking[0]!r}"
        )

    def signature(name: str, batch: Tensors) -> Tensors:
        function = loaded.signatures[name]
        specs = function.structured_input_signature[1]
        outputs: Tensors = function(
            **{key: tf.convert_to_tensor(batch[key], spec.dtype) for key, spec in specs.items()}
        )
        return outputs

    def embed(batch: Tensors) -> Tensors:
        vectors = signature("embed", requests.of_records(config, batch))
        return {name: vector for name, vector in vectors.items() if name != "error"}

    config, schema = Config.load(assets / CONFIG_FILE), Schema.load(assets / SCHEMA_FILE)
    core: Function = functools.partial(signature, "core")
    core = _tempered_core(core, load_temperatures(path) if calibrated else {}, config)
    return Predictor(config, schema, core, embed, embeds_cells=True)


def _tempered_core(core: Function, temperatures: Mapping[str, float], config: Config) -> Function:
    """`core` gives the model's own probabilities; `predict` applies the temperatures."""

    def served(inputs: Tensors) -> Tensors:
        outputs = dict(core(inputs))
        for head, value in temperatures.items():
            present = _any_present(inputs, config, head)
            independent = config.heads[head].target_type == "classes"
            output = tf.cast(outputs[head], tf.float32)
            outputs[head] = tempered(output, value, present, independent)
        return outputs

    return served if temperatures else core


def _any_present(inputs: Tensors, config: Config, head: str) -> tf.Tensor | None:
    if not config.fusion.presence:
        return None
    flags = tf.stack([inputs[name + PRESENT] > 0.5 for name in config.inputs], axis=1)
    return any_present(flags, config.vector_columns(config.head_vectors(head)))


def _inference(model: keras.Model) -> Callable[[Tensors], Any]:
    return lambda inputs: model(inputs, training=False)


def _graph(function: Callable[[Tensors], Any]) -> Function:
    graph: Function = tf.function(function, reduce_retracing=True, autograph=False)
    return graph


def _cut(tensors: Mapping[str, tf.Tensor]) -> list[Tensors]:
    rows = len(next(iter(tensors.values())))
    return [
        {name: tensor[start : start + BATCH] for name, tensor in tensors.items()}
        for start in range(0, rows, BATCH)
    ]


def _ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The items, each made in a thread while the one before is in use."""
    rest = iter(items)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, rest, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, rest, None)
            yield item


def _finite(outputs: Arrays) -> Arrays:
    for name, output in outputs.items():
        if not np.isfinite(output).all():
            raise ValueError(
                f"head {name!r}: predictions must be finite numbers, received NaN or infinity"
            )
    return outputs


def _joined(batches: Iterable[Mapping[str, Any]]) -> Arrays:
    """Outputs of several batches as arrays of all rows, float32."""
    arrays = [
        {name: np.asarray(tf.cast(value, tf.float32)) for name, value in batch.items()}
        for batch in batches
    ]
    return {name: np.concatenate([batch[name] for batch in arrays]) for name in arrays[0]}
