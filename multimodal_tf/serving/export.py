"""A trained model as one SavedModel that TensorFlow Serving runs on raw bytes and strings."""

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from multimodal_tf.config import EMBEDDING, Config
from multimodal_tf.config.forms import Form, Weights
from multimodal_tf.config.heads import cell_tensors, scoring
from multimodal_tf.config.names import SEED, TARGET, embedding_layers
from multimodal_tf.config.saved_model.files import (
    ASSETS,
    CONFIG_FILE,
    GUARD_FILE,
    SCHEMA_FILE,
    TEMPERATURE_FILE,
    ZERO_SHOT_FILE,
)
from multimodal_tf.data import atomic
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.data.tokenizers.target_texts import TargetTokens
from multimodal_tf.data.trained import Trained
from multimodal_tf.schema import Schema
from multimodal_tf.scoring.guard import Guard
from multimodal_tf.serving import endpoints, finite, saved_functions, scores, small_forms, warmup
from multimodal_tf.serving import export_checks as checks
from multimodal_tf.serving import guard as guards
from multimodal_tf.serving import temperature as temperatures
from multimodal_tf.serving.ensemble import disagreements, ensemble
from multimodal_tf.serving.float16_weights import Float16Weights
from multimodal_tf.serving.served_heads import (
    generator,
    served_config,
    served_model,
)
from multimodal_tf.serving.zero_shot import Classifier, ZeroShot

# ends the names of signatures whose inputs are all strings
STRINGS = "_json"

# functions of tensors by signature, and the tensors that they take
_Functions: TypeAlias = dict[str, tuple[endpoints.Endpoint, saved_functions.Specs]]
# a model as the export holds its weights
_Stored: TypeAlias = Callable[[keras.Model], endpoints.Network]


def export_model(
    model: keras.Model,
    config: Config,
    schema: Schema,
    out: str | os.PathLike[str],
    explainer: keras.Model | None = None,
    guard: Guard | None = None,
    temperature: Mapping[str, float] | None = None,
    zero_shot: ZeroShot | None = None,
    form: Form = "saved_model",
    weights: Weights = "float32",
    accept: Callable[[pathlib.Path], object] | None = None,
) -> pathlib.Path:
    """Writes a SavedModel: preprocessing, weights, configuration and warm-up requests.

    It is written whole or not at all; `_signatures` and `_of_requests` list its signatures. The
    batch may be empty. A cell that cannot be read is its row's `error` and counts as missing; other
    rows do not change. A row without any input is always for review. Heads that only teach, such as
    `config.OrderHead`, are not served, and the folder's configuration has them no more.

    Args:
        model: functional `keras.Model` of `build_model`, trained.
        config, schema: those that it was built from.
        out: folder to write, `.../NAME/VERSION`. It must not exist, or be empty.
        explainer: `models.build.explanations(model)`; None: there is no `explain`.
        guard: for the outputs `ood_score`, `agreement` and `review`; None: none of them.
        temperature: by head, above 0, such as `evaluation.fit_guard.fit_temperatures` finds:
            `predict` divides the head's log probabilities (of a multi-label head its logits) by it,
            `core` and `explain` never do. Fitted thresholds follow: the same labels are served.
        zero_shot: classes that `predict` chooses by their names; None: there are none.
        form: "litert" or "onnx": the network is a file of that format, and the SavedModel holds
            what comes before and after it. TensorFlow Serving does not serve it, `Client` does.
        weights: the type in which the folder holds matrices, one of `config.forms.WEIGHTS`.
        accept: called with the written folder before it gets its name; an error removes it.

    Returns:
        Path of the folder.

    Raises:
        ValueError: VERSION is not a whole number, `out` has content, the model does not fit the
            configuration and schema, no head is served, thresholds are fitted and not in the
            schema, a trainable weight is NaN or infinite, or the explainer, the guard, the
            temperature or `zero_shot` does not fit the model; or the form cannot hold the model or
            is not installed. Nothing has been written then.
    """
    path = pathlib.Path(out)
    checks.check(path, model, config, schema, explainer)
    config = served_config(config)
    checks.check_form(form, weights, config)
    parts, beside = _parts(model, config, schema, guard, temperature or {}, zero_shot)
    if form == "saved_model":
        fill = _saved_model(path, parts, guard, explainer, weights)
    else:
        fill = _small_form(parts, form, weights)
    with _new_folder(path) as folder:
        fill(folder)
        _write_assets(folder / ASSETS, config, parts.schema, beside)
        if accept is not None:
            accept(folder)
    return path


class _Parts(NamedTuple):
    """What the functions of an exported model are made of."""

    model: keras.Model
    config: Config
    schema: Schema
    embedder: keras.Model
    served: keras.Model
    preprocessor: Preprocessor
    prepare: endpoints.Prepare
    prior: Mapping[str, np.ndarray]
    finish: endpoints.Finish

    def with_vectors(self, names: Collection[str]) -> keras.Model:
        """The served model with these vectors, and how far the models of an ensemble disagree."""
        scored = disagreements(self.model, self.config)
        return endpoints.with_vectors(self.served, self.embedder, names, scored)


def _parts(
    model: keras.Model,
    config: Config,
    schema: Schema,
    guard: Guard | None,
    temperature: Mapping[str, float],
    zero_shot: ZeroShot | None,
) -> tuple[_Parts, dict[str, Mapping[str, object] | None]]:
    """The parts of a model with a served configuration, and what the files beside them hold."""
    embedder, served = _embedder(model, config), served_model(model, config)
    _check_guard(guard, embedder, config)
    temperatures.check(temperature, config)
    schema = temperatures.scaled_thresholds(schema, config, temperature)
    prepare = endpoints.preparation(preprocessor := Preprocessor(config, schema), config)
    checks.check_inputs(model, prepare)
    prior = finite.outputs_without_inputs(served, endpoints.call)
    classifier = None if zero_shot is None else Classifier(zero_shot, served, config, prepare)
    finish = endpoints.finish(config, schema, prior, guard, temperature, classifier)
    parts = _Parts(model, config, schema, embedder, served, preprocessor, prepare, prior, finish)
    return parts, _beside(guard, temperature, classifier)


def _small_form(
    parts: _Parts, form: Literal["litert", "onnx"], weights: Weights
) -> Callable[[pathlib.Path], None]:
    """Converts the network; returns what writes the files of `small_forms` to a folder."""
    network = parts.with_vectors(parts.embedder.output)
    content = small_forms.network_bytes(network, tables_of(parts.model), form, weights)
    around = (parts.preprocessor, parts.prepare, parts.finish)
    return lambda folder: small_forms.write(folder, content, form, weights, network, *around)


def _saved_model(
    path: pathlib.Path,
    parts: _Parts,
    guard: Guard | None,
    explainer: keras.Model | None,
    weights: Weights,
) -> Callable[[pathlib.Path], None]:
    """Returns what writes the signatures and the warm-up requests to a folder."""
    kept: dict[int, tf.Variable] = {}

    def stored(model: keras.Model) -> endpoints.Network:
        return Float16Weights(model, kept) if weights == "float16" else model

    prepare, vectors = (
        parts.prepare,
        () if guard is None or guard.embedding is None else (guard.embedding,),
    )
    of_cells = {
        "predict": endpoints.predict(stored(parts.with_vectors(vectors)), prepare, parts.finish),
        "embed": endpoints.embed(stored(parts.embedder), prepare),
    }
    if explainer is not None:
        of_cells["explain"] = endpoints.embed(stored(explainer), prepare)
    tokens = scores.target_tokens(parts.config, parts.schema)
    functions = _signatures(parts, of_cells, stored)
    functions |= _of_requests(parts, tokens, stored)
    name = path.absolute().parent.name
    specs = {key: spec for key, (_, spec) in functions.items() if key != "core"}
    logs = warmup.requests(parts.config, parts.schema, name, specs)
    tables = [parts.preprocessor, *tables_of(parts.model), *tokens.values()]

    def write(folder: pathlib.Path) -> None:
        saved_functions.save(functions, tables, folder)
        warmup.write(logs, folder)

    return write


def export_ensemble(
    runs: Sequence[Trained],
    out: str | os.PathLike[str],
    guard: Guard | None = None,
    temperature: Mapping[str, float] | None = None,
) -> pathlib.Path:
    """Writes one SavedModel of several trained models: their mean, and how far they disagree.

    Beside what `export_model` writes, each head of labels has `{head}_disagreement`, float32
    `(batch,)`, 0 where all agree: of classes a mutual information in nats, of numbers a standard
    deviation in their unit (`ensemble.ensemble`). A high one marks a row unlike the training rows.
    There is no `explain`.

    Args:
        runs: two or more, such as `load_run` gives, trained on the same records.
        out, guard, temperature: as `export_model`; fitted on `ensemble(runs)`.

    Returns:
        Path of the folder.

    Raises:
        ValueError: the runs do not fit together, as `ensemble` says, or as `export_model`.
    """
    checks.check_path(out)
    model, config, schema = ensemble(runs)
    return export_model(model, config, schema, out, None, guard, temperature)


def _of_requests(parts: _Parts, tokens: Mapping[str, TargetTokens], stored: _Stored) -> _Functions:
    """The functions that take more than cells, and the tensors that they take.

    - `sample`, where a head samples: `seed` int64 `(batch,)`; see `endpoints.sample`.
    - `score`, where a head gives the probability of a text: `{head}_target` string `(batch,)`; see
      `scores.score`.
    """
    found: _Functions = {}
    raw, prepare, config = parts.preprocessor.request_spec, parts.prepare, parts.config
    if any(head.samples for head in config.heads.values()):
        drawing = stored(generator(parts.model).sampling())
        function = endpoints.sample(drawing, prepare, config, parts.schema, parts.prior)
        found["sample"] = function, {**raw, SEED: tf.TensorSpec([None], tf.int64, SEED)}
    if scoring(config.heads):
        targets = {
            name + TARGET: tf.TensorSpec([None], tf.string, name + TARGET) for name in tokens
        }
        scorer = stored(generator(parts.model).scoring())
        found["score"] = scores.score(scorer, prepare, config, tokens), {**raw, **targets}
    return found


def _beside(
    guard: Guard | None, temperature: Mapping[str, float], classifier: Classifier | None
) -> dict[str, Mapping[str, object] | None]:
    """What the files beside the graph hold, by name; None: there is no such file."""
    return {
        GUARD_FILE: None if guard is None else guard.described(),
        TEMPERATURE_FILE: temperature or None,
        ZERO_SHOT_FILE: None if classifier is None else classifier.described(),
    }


def _check_guard(guard: Guard | None, embedder: keras.Model, config: Config) -> None:
    if guard is not None:
        widths = {name: vector.shape[-1] for name, vector in embedder.output.items()}
        guards.check(guard, config, widths)


def _signatures(
    parts: _Parts, of_cells: Mapping[str, endpoints.Endpoint], stored: _Stored
) -> _Functions:
    """The function of each signature, and the tensors that it takes.

    - `serving_default` and `predict` take by input name what `Preprocessor.request_spec` says:
      numbers `(batch,)` for numbers and booleans, `(batch, dim)` for vectors, and string `(batch,)`
      for other inputs; a video is an image file, or a `tf.train.Example` that lists several
      (`data.codecs.frames`). Missing is "" or NaN. They return what `endpoints.predict` says.
    - `embed` takes the same and returns float32 `(batch, dim)` by input name (`tabular` in place
      of the columns that this tower reads), `fused` (or `fused_of_{head}`) and
      `{head}_aligned_{input}`, of length 1, of heads that align inputs; and `error`.
    - `explain`, with an explainer, takes the same and returns its outputs, and `error`.
    - `predict_json`, `embed_json` and `explain_json` take string `(batch,)` for every input, and
      return the same: strict JSON has no NaN. Images are in `{head}_bytes`, for base64.
    - `core` takes the model's tensors and returns its outputs by head.
    """
    preprocessor, heads = parts.preprocessor, parts.config.heads
    raw, strings = preprocessor.request_spec, preprocessor.strings_spec
    files = [name for name, head in heads.items() if head.cell_input is not None]
    functions: _Functions = {
        name: (saved_functions.graph(function, raw), raw) for name, function in of_cells.items()
    }
    functions = {"serving_default": functions["predict"]} | functions
    for name in of_cells:
        of_strings = endpoints.of_strings(functions[name][0], preprocessor, files)
        functions[name + STRINGS] = of_strings, strings
    tensors = {
        name: tf.TensorSpec(tensor.shape, tensor.dtype, name)
        for name, tensor in cell_tensors(parts.model.input, parts.model.output).items()
    }
    return functions | {"core": (endpoints.core(stored(parts.served), parts.prior), tensors)}


def _write_assets(
    assets: pathlib.Path,
    config: Config,
    schema: Schema,
    beside: Mapping[str, Mapping[str, object] | None],
) -> None:
    """Writes the files that `Client` and `evaluate` read; of `beside` those that are not None."""
    assets.mkdir(exist_ok=True)
    config.save(assets / CONFIG_FILE)
    schema.save(assets / SCHEMA_FILE)
    for name, content in beside.items():
        if content is not None:
            (assets / name).write_text(json.dumps(content, indent=1), encoding="utf-8")


@contextlib.contextmanager
def _new_folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A sibling of `path` to write in, renamed to `path` after the block; an error removes it."""
    # no version number: the server does not see it
    hidden = path.with_name(f".{path.name}")
    atomic.remove_abandoned(hidden)
    folder = atomic.temporary(hidden)
    with atomic.full_disk_explained(path, resumes=False):
        folder.mkdir(parents=True)
        try:
            yield folder
            # fails where somebody has filled `path` meanwhile
            folder.rename(path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def tables_of(model: keras.Model) -> Iterator[object]:
    """The lookup tables of a model: those of a SavedModel as a tower, and of Keras' own layers."""
    for layer in model._flatten_layers():
        yield from getattr(layer, "tables", [])
        table = getattr(layer, "lookup_table", None)
        if isinstance(table, tf.saved_model.experimental.TrackableResource):
            yield table


def _embedder(model: keras.Model, config: Config) -> keras.Model:
    """The whole model up to its embeddings: an input may be read by a head that only teaches."""
    layers = embedding_layers(
        [layer.name for layer in model.layers], config.vectors(), config.heads
    )
    missing = [name for name in config.vectors() if name not in layers]
    if missing:
        raise ValueError(
            f"the model must have a layer named {missing[0] + EMBEDDING!r}, "
            "whose output the endpoint `embed` gives"
        )
    outputs = {name: model.get_layer(layer).output for name, layer in layers.items()}
    return keras.Model(cell_tensors(model.input, model.output), outputs)
