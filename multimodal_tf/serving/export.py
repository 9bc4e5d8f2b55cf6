"""A trained model as one SavedModel that TensorFlow Serving runs on raw bytes and strings."""

import contextlib
import json
import pathlib
import re
import shutil
import uuid

import keras
import tensorflow as tf

from multimodal_tf.config import EMBEDDING, FUSED, FUSED_OF
from multimodal_tf.config.saved_model import (
    ASSETS,
    CONFIG_FILE,
    GUARD_FILE,
    SCHEMA_FILE,
    TEMPERATURE_FILE,
)
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.serving import endpoints, warmup
from multimodal_tf.serving import temperature as temperatures

# what the server's file watcher reads as a version: an int64
_VERSION = re.compile(r"[0-9]{1,18}")


def export_model(model, config, schema, path, explainer=None, guard=None, temperature=None):
    """Writes the SavedModel `path`: preprocessing, weights, configuration and warm-up requests,
    whole or not at all.

    Signatures: `serving_default` and `predict` take string (image, audio, text, category, date) or
    float32 (number, boolean) `(batch,)` by input name, missing "" or NaN, and of a video string
    `(batch, any)`, the image files of its frames, shorter rows filled up with "", or a GIF; they
    answer as `serving.endpoints.predict` says; `embed` takes the same and answers float32 `(batch,
    dim)` by input name (`tabular` in place of the columns that this tower reads) and `fused` (or
    `fused_of_{head}`), and `error`; with an `explainer`, `explain` takes the same and answers
    float32 what that model does, and `error`; `core` takes the model's tensors and answers its
    outputs by head. With a `guard`, `predict` answers besides: `anomaly` float32, `consistency`
    float32 (where the guard has a threshold) and `review` bool `(batch,)`, whether a person should
    look, as `Guard.judge` says; a row without any input is always for review. The batch may be
    empty. A cell that cannot be read is its row's `error` and counts as absent; other rows do not
    change.

    Args:
        model: functional `keras.Model` as `models.build_model` makes it, trained.
        config: `Config` that it was built from.
        schema: `Schema` that it was built from.
        path: folder to write, `.../NAME/VERSION`. It must not exist, or be empty.
        explainer: `models.explanations(model)`: a functional `keras.Model` of the same layers and
        inputs; None: there is no `explain`.
        guard: `serving.guard.Guard`; None: nothing is judged.
        temperature: dict of head to float above 0, such as
            `metrics.calibration.Temperature.fit(...).value.value`: `predict` divides the logarithms
            of that head's probabilities by it. None: they are the model's own, as they are in
            `core` and `explain` always.

    Returns:
        `pathlib.Path` of the folder.

    Raises:
        ValueError: VERSION is not a whole number, `path` has content, the model does not fit the
            configuration and schema, or the explainer, the guard or the temperature not the model.
            Nothing has been written then.
    """
    path = pathlib.Path(path)
    check_path(path)
    _check_outputs(model, config, schema)
    _check_explainer(explainer, model)
    embedder = _embedder(model, config)
    if guard is not None:
        guard.check(config, {name: vector.shape[-1] for name, vector in embedder.output.items()})
    temperatures.check(temperature or {}, config)
    preprocessor = Preprocessor(config, schema)
    prepare = endpoints.preparation(preprocessor, config)
    _check_inputs(model, prepare)
    # it finds the model's variables in the endpoints; tracking the model would write them twice
    archive = keras.export.ExportArchive()
    # but lookup tables it does not find, nor those of a pretrained tower
    archive.track(preprocessor)
    for table in _tables(model):
        archive.track(table)
    raw = [preprocessor.raw_spec]
    answering = model if guard is None else endpoints.with_vectors(model, embedder, guard.embedding)
    answer = endpoints.predict(answering, prepare, config, schema, guard, temperature)
    # the first is `serving_default` too
    archive.add_endpoint("predict", answer, raw)
    archive.add_endpoint("embed", endpoints.embed(embedder, prepare), raw)
    signatures = ["serving_default", "predict", "embed"]
    if explainer is not None:
        archive.add_endpoint("explain", endpoints.embed(explainer, prepare), raw)
        signatures.append("explain")
    tensors = {
        name: tf.TensorSpec(tensor.shape, tensor.dtype, name)
        for name, tensor in model.input.items()
    }
    archive.add_endpoint("core", endpoints.core(model), [tensors])
    logs = warmup.requests(config, schema, path.absolute().parent.name, signatures)
    with _new_folder(path) as folder:
        archive.write_out(str(folder), verbose=False)
        (folder / ASSETS).mkdir()
        config.save(folder / ASSETS / CONFIG_FILE)
        schema.save(folder / ASSETS / SCHEMA_FILE)
        for name, facts in (
            (GUARD_FILE, guard and guard.described()),
            (TEMPERATURE_FILE, temperature),
        ):
            if facts:
                (folder / ASSETS / name).write_text(json.dumps(facts, indent=1), encoding="utf-8")
        warmup.write(logs, folder)
    return path


def check_path(path):
    """Refuses what cannot be the folder of a new version.

    Raises:
        ValueError: its name is not a whole number, or it is there and not empty.
    """
    path = pathlib.Path(path)
    if not _VERSION.fullmatch(path.name):
        raise ValueError(
            f"the exported model's folder must be NAME/VERSION with a whole number as version, received {str(path)!r}"
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(
            f"{path} is there already, and a version is never overwritten: choose another number"
        )


@contextlib.contextmanager
def _new_folder(path):
    """A sibling of `path` to write in, which takes its name at the end of the block; an error
    removes it.
    """
    # no version number: the server does not see it
    folder = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    folder.mkdir(parents=True)
    try:
        yield folder
        # fails where somebody has filled `path` meanwhile
        folder.rename(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tables(model):
    """The lookup tables of a model: those of a SavedModel as a tower, and of Keras' own layers."""
    for layer in model._flatten_layers():
        yield from getattr(layer, "tables", [])
        if isinstance(
            getattr(layer, "lookup_table", None), tf.saved_model.experimental.TrackableResource
        ):
            yield layer.lookup_table


def _check_outputs(model, config, schema):
    if not all(isinstance(getattr(model, side, None), dict) for side in ("input", "output")):
        raise ValueError(
            f"the model must be a functional keras.Model with a dict of inputs and a dict of outputs, received {model!r}"
        )
    if model.output.keys() != config.heads.keys():
        raise ValueError(
            f"the model's outputs are {sorted(model.output)}, but the configuration's heads are {sorted(config.heads)}"
        )
    for name, head in config.heads.items():
        kind = (
            None
            if head.target_type is None
            else "moments"
            if head.target_type == "number"
            else "classes"
        )
        if kind is not None and (name not in schema.heads or schema.heads[name].type != kind):
            raise ValueError(f"the schema has no {kind} for the head {name!r}")
        shape = _shape(head, schema.heads.get(name))
        if shape is not None and model.output[name].shape != shape:
            raise ValueError(
                f"the model's output {name!r} must be of shape {shape}, received {model.output[name].shape}"
            )


def _shape(head, stats):
    """The shape of a head's output; None for an embedding, which is as wide as the fusion."""
    match head.type:
        case "regression":
            return (None, 1)
        case "quantile":
            return (None, len(head.quantiles))
        case "matching":
            return (None, 2, head.dim + 1)
        case "embedding":
            return None
    return (None, len(stats.names))


def _check_inputs(model, prepare):
    """Compares the model's inputs with what the preprocessing gives, by name, shape and dtype."""
    given, _ = prepare.get_concrete_function().structured_outputs
    if model.input.keys() != given.keys():
        raise ValueError(
            f"the model's inputs are {sorted(model.input)}, but the configuration gives {sorted(given)}"
        )
    for name, spec in given.items():
        wanted = model.input[name]
        if wanted.dtype != spec.dtype.name or not spec.shape.is_compatible_with(wanted.shape):
            raise ValueError(
                f"the model's input {name!r} is {wanted.dtype} {wanted.shape}, but the configuration gives {spec.dtype.name} {spec.shape}"
            )


def _check_explainer(explainer, model):
    """Whether the explainer reads what the model reads, with the model's own layers, so that no
    weight is written twice.
    """
    if explainer is None:
        return
    own = {id(weight) for weight in model.weights}
    if explainer.input.keys() != model.input.keys() or any(
        id(weight) not in own for weight in explainer.weights
    ):
        raise ValueError(
            f"the explainer must be explanations(model) of the model itself, received {explainer.name!r} of another one"
        )


def _embedder(model, config):
    """The model up to its embeddings: the outputs of the layers `{name}_embedding` and of the
    fusions, `fused` and `fused_of_{head}`.
    """
    names = {layer.name for layer in model.layers}
    layers = {name: name + EMBEDDING for name in config.vectors()}
    layers |= {
        name: name for name in (FUSED, *(FUSED_OF + head for head in config.heads)) if name in names
    }
    missing = [layer for layer in layers.values() if layer not in names]
    if missing:
        raise ValueError(
            f"the model must have a layer named {missing[0]!r}, whose output the endpoint `embed` gives"
        )
    return keras.Model(
        model.input, {name: model.get_layer(layer).output for name, layer in layers.items()}
    )
