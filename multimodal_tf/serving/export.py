"""A trained model as one SavedModel that TensorFlow Serving runs on raw bytes and strings."""

import contextlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from multimodal_tf.config import EMBEDDING, Config
from multimodal_tf.config.heads import cell_tensors, scoring
from multimodal_tf.config.model import check_config
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
from multimodal_tf.schema import Schema, check_schema, thresholds
from multimodal_tf.scoring.guard import Guard
from multimodal_tf.serving import endpoints, finite, saved_functions, scores, warmup
from multimodal_tf.serving import guard as guards
from multimodal_tf.serving import temperature as temperatures
from multimodal_tf.serving.ensemble import disagreements, ensemble
from multimodal_tf.serving.served_heads import (
    sampling_model,
    scoring_model,
    served_config,
    served_model,
)
from multimodal_tf.serving.zero_shot import Classifier, ZeroShot

# ends the names of signatures whose inputs are all strings
STRINGS = "_json"
# what the server's file watcher reads as a version: an int64
_VERSION = re.compile(r"[0-9]{1,18}")


def export_model(
    model: keras.Model,
    config: Config,
    schema: Schema,
    out: str | os.PathLike[str],
    explainer: keras.Model | None = None,
    guard: Guard | None = None,
    temperature: Mapping[str, float] | None = None,
    zero_shot: ZeroShot | None = None,
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

    Returns:
        Path of the folder.

    Raises:
        ValueError: VERSION is not a whole number, `out` has content, the model does not fit the
            configuration and schema, no head is served, thresholds are fitted and not in the
            schema, a trainable weight is NaN or infinite, or the explainer, the guard, the
            temperature or `zero_shot` does not fit the model. Nothing has been written then.
    """
    path = pathlib.Path(out)
    _check(path, model, config, schema, explainer)
    config = served_config(config)
    embedder, served = _embedder(model, config), served_model(model, config)
    _check_guard(guard, embedder, config)
    temperatures.check(temperature or {}, config)
    schema = temperatures.scaled_thresholds(schema, config, temperature or {})
    prepare = endpoints.preparation(preprocessor := Preprocessor(config, schema), config)
    _check_inputs(model, prepare)
    prior = finite.outputs_without_inputs(served, endpoints.call)
    classifier = None if zero_shot is None else Classifier(zero_shot, served, config, prepare)
    guarded = None if guard is None else guard.embedding
    with_scores = endpoints.with_vectors(served, embedder, guarded, disagreements(model, config))
    predict = endpoints.predict(
        with_scores, prepare, config, schema, prior, guard, temperature, classifier
    )
    made = (prepare, predict, endpoints.core(served, prior), embedder, explainer)
    functions = _signatures(model, config, preprocessor, *made)
    tokens = scores.target_tokens(config, schema)
    of_requests = _of_requests(model, prepare, config, schema, prior, tokens)
    for name, (function, specs) in of_requests.items():
        functions[name] = function, {**preprocessor.request_spec, **specs}
    tables = [preprocessor, *tables_of(model), *tokens.values()]
    _write(path, functions, tables, config, schema, _beside(guard, temperature, classifier))
    return path


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
    check_path(out)
    model, config, schema = ensemble(runs)
    return export_model(model, config, schema, out, None, guard, temperature)


def _check(
    path: pathlib.Path,
    model: keras.Model,
    config: Config,
    schema: Schema,
    explainer: keras.Model | None,
) -> None:
    check_path(path)
    check_config(config)
    _check_outputs(model, config, schema)
    _check_explainer(explainer, model)


def _of_requests(
    model: keras.Model,
    prepare: endpoints.Prepare,
    config: Config,
    schema: Schema,
    without_inputs: Mapping[str, np.ndarray],
    tokens: Mapping[str, TargetTokens],
) -> dict[str, tuple[endpoints.Endpoint, saved_functions.Specs]]:
    """The functions that take more than cells, and the tensors that they take besides.

    - `sample`, where a head samples: `seed` int64 `(batch,)`; see `endpoints.sample`.
    - `score`, where a head gives the probability of a text: `{head}_target` string `(batch,)`; see
      `scores.score`.
    """
    found: dict[str, tuple[endpoints.Endpoint, saved_functions.Specs]] = {}
    if any(head.samples for head in config.heads.values()):
        drawing = sampling_model(model)
        function = endpoints.sample(drawing, prepare, config, schema, without_inputs)
        found["sample"] = function, {SEED: tf.TensorSpec([None], tf.int64, SEED)}
    if scoring(config.heads):
        keys = [name + TARGET for name in tokens]
        function = scores.score(scoring_model(model), prepare, config, tokens)
        found["score"] = function, {key: tf.TensorSpec([None], tf.string, key) for key in keys}
    return found


def _beside(
    guard: Guard | None, temperature: Mapping[str, float] | None, classifier: Classifier | None
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


def _write(
    path: pathlib.Path,
    functions: Mapping[str, tuple[endpoints.Endpoint, saved_functions.Specs]],
    tables: Sequence[object],
    config: Config,
    schema: Schema,
    beside: Mapping[str, Mapping[str, object] | None],
) -> None:
    """Writes the folder, with the files that `Client` and `evaluate` read: of `beside` not None."""
    of_cells = {name: specs for name, (_, specs) in functions.items() if name != "core"}
    of_cells = {"serving_default": next(iter(of_cells.values()))} | of_cells
    logs = warmup.requests(config, schema, path.absolute().parent.name, of_cells)
    with _new_folder(path) as folder:
        saved_functions.save(functions, tables, folder)
        assets = folder / ASSETS
        assets.mkdir()
        config.save(assets / CONFIG_FILE)
        schema.save(assets / SCHEMA_FILE)
        for name, content in beside.items():
            if content is not None:
                _write_json(assets / name, content)
        warmup.write(logs, folder)


def check_path(path: str | os.PathLike[str]) -> None:
    """Checks that a path can be the folder of a new version.

    Raises:
        ValueError: its name is not a whole number, or it exists and is not empty, or stands beside
            the same number in other digits, such as `01` beside `1`.
    """
    path = pathlib.Path(path)
    if not _VERSION.fullmatch(path.name):
        raise ValueError(
            "the exported model's folder must be NAME/VERSION with a whole number as version, "
            f"received {str(path)!r}"
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(
            f"{path} exists already, and a version is never overwritten: choose another number"
        )
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    for other in beside:
        same = _VERSION.fullmatch(other.name) and int(other.name) == int(path.name)
        if same and other.name != path.name:
            raise ValueError(
                f"{path} is the same version to TensorFlow Serving as {other}: "
                "choose another number"
            )


def _signatures(
    model: keras.Model,
    config: Config,
    preprocessor: Preprocessor,
    prepare: endpoints.Prepare,
    predict: endpoints.Endpoint,
    core: endpoints.Endpoint,
    embedder: keras.Model,
    explainer: keras.Model | None,
) -> dict[str, tuple[endpoints.Endpoint, saved_functions.Specs]]:
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
    raw, strings = preprocessor.request_spec, preprocessor.strings_spec
    of_cells = {"predict": predict, "embed": endpoints.embed(embedder, prepare)}
    if explainer is not None:
        of_cells["explain"] = endpoints.embed(explainer, prepare)
    files = [name for name, head in config.heads.items() if head.cell_input is not None]
    functions: dict[str, tuple[endpoints.Endpoint, saved_functions.Specs]] = {}
    for name, function in of_cells.items():
        functions[name] = saved_functions.graph(function, raw), raw
    for name in of_cells:
        of_strings = endpoints.of_strings(functions[name][0], preprocessor, files)
        functions[name + STRINGS] = of_strings, strings
    tensors = {
        name: tf.TensorSpec(tensor.shape, tensor.dtype, name)
        for name, tensor in cell_tensors(model.input, model.output).items()
    }
    return functions | {"core": (core, tensors)}


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


def _write_json(file: pathlib.Path, content: Mapping[str, object]) -> None:
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")


def tables_of(model: keras.Model) -> Iterator[object]:
    """The lookup tables of a model: those of a SavedModel as a tower, and of Keras' own layers."""
    for layer in model._flatten_layers():
        yield from getattr(layer, "tables", [])
        table = getattr(layer, "lookup_table", None)
        if isinstance(table, tf.saved_model.experimental.TrackableResource):
            yield table


def _check_outputs(model: keras.Model, config: Config, schema: Schema) -> None:
    if isinstance(model, str | os.PathLike):
        raise ValueError(
            "the model must be a keras.Model, such as load_run(path).model, received the path "
            f"{os.fspath(model)!r}"
        )
    if not all(isinstance(getattr(model, side, None), dict) for side in ("input", "output")):
        raise ValueError(
            "the model must be a functional keras.Model with a dict of inputs and a dict of "
            f"outputs, received {type(model).__name__}"
        )
    if model.output.keys() != config.heads.keys():
        raise ValueError(
            f"the model's outputs are {sorted(model.output)}, "
            f"but the configuration's heads are {sorted(config.heads)}"
        )
    check_schema(config, schema)
    for name, head in config.heads.items():
        stats = schema.heads.get(name)
        thresholds(name, head, stats)
        shape = head.output_shape(len(getattr(stats, "names", ())))
        if shape is not None and model.output[name].shape != (None, *shape):
            raise ValueError(
                f"the model's output {name!r} must be of shape {(None, *shape)}, "
                f"received {model.output[name].shape}"
            )


def _check_inputs(model: keras.Model, prepare: endpoints.Prepare) -> None:
    """Compares the model's inputs with the preprocessing's, by name, shape and dtype."""
    given, _ = prepare.get_concrete_function().structured_outputs  # type: ignore[attr-defined]
    inputs = cell_tensors(model.input, model.output)
    if inputs.keys() != given.keys():
        raise ValueError(
            f"the model's inputs are {sorted(inputs)}, but the configuration gives {sorted(given)}"
        )
    for name, spec in given.items():
        wanted = model.input[name]
        if wanted.dtype != spec.dtype.name or not spec.shape.is_compatible_with(wanted.shape):
            raise ValueError(
                f"the model's input {name!r} is {wanted.dtype} {wanted.shape}, "
                f"but the configuration gives {spec.dtype.name} {spec.shape}"
            )


def _check_explainer(explainer: keras.Model | None, model: keras.Model) -> None:
    """Checks that the explainer has the model's inputs and layers: weights are written once."""
    if explainer is None:
        return
    own = {id(weight) for weight in model.weights}
    inputs = cell_tensors(model.input, model.output)
    if explainer.input.keys() != inputs.keys() or any(
        id(weight) not in own for weight in explainer.weights
    ):
        raise ValueError(
            "the explainer must be explanations(model) of the model itself, "
            f"received {explainer.name!r} of another one"
        )


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
