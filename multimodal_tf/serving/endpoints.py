"""The functions behind the endpoints of a SavedModel, from raw cells to predictions."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias, assert_never

import keras
import numpy as np
import tensorflow as tf

from multimodal_tf.config import PRESENT, Config, Head
from multimodal_tf.config.heads import output_key
from multimodal_tf.config.names import BYTES, SEED
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.data.tokenizers.target_texts import texts_of
from multimodal_tf.data.units import centre_of
from multimodal_tf.schema import Schema, Texts, thresholds
from multimodal_tf.scoring.agreement import mean_cosine
from multimodal_tf.scoring.guard import REVIEW, Guard
from multimodal_tf.serving import finite
from multimodal_tf.serving import guard as guards
from multimodal_tf.serving import temperature as temperatures
from multimodal_tf.serving.zero_shot import Classifier

Tensors: TypeAlias = dict[str, tf.Tensor]
# raw cells to the model's inputs and the status of each row
Prepare: TypeAlias = Callable[[Tensors], tuple[Tensors, Tensors]]
Endpoint: TypeAlias = Callable[[Tensors], Tensors]
# the outputs of `with_vectors` and the status of each row to what is served
Finish: TypeAlias = Callable[[Mapping[str, Tensors], Tensors], Tensors]
# a Keras model, or what takes its place: `model(inputs, training=False)`
Network: TypeAlias = Callable[..., Any]

NO_INPUT = "no input is present"
# the outputs of `with_vectors`
PREDICTIONS, VECTORS, SCORES = "predictions", "vectors", "scores"


def preparation(preprocessor: Preprocessor, config: Config) -> Prepare:
    """The preprocessing that `predict`, `embed` and `explain` share.

    It is one `tf.function`, so that it is traced and written once.

    Returns:
        A `tf.function` of raw cells, a dict by input name as `Preprocessor.request_spec`
        (missing: "" or NaN), that returns `(inputs, status)`: the model's inputs, and `valid` bool
        `(batch,)`, `error` string `(batch,)`, `present` bool `(batch, inputs)`.
    """

    def prepare(raw: Tensors) -> tuple[Tensors, Tensors]:
        features, errors = preprocessor.request_features(raw)
        return preprocessor.model_inputs(features), _status(features, errors, config)

    prepared: Prepare = tf.function(
        prepare, input_signature=[preprocessor.request_spec], autograph=False
    )
    return prepared


def finish(
    config: Config,
    schema: Schema,
    without_inputs: Mapping[str, np.ndarray],
    guard: Guard | None = None,
    temperature: Mapping[str, float] | None = None,
    classifier: Classifier | None = None,
) -> Finish:
    """The last part of `predict`: from a model's outputs to what is served.

    Args:
        config: of the model.
        schema: of the model.
        without_inputs: of `finite.outputs_without_inputs`.
        guard: scores each row and marks those for review; None: it has no outputs.
        temperature: by head; the head's log probabilities are divided by it.
        classifier: chooses a class by texts; None: it has no outputs.

    Returns:
        A function of the outputs of `with_vectors` and of the status that returns a dict: for each
        head what `predictions` gives, the status, the scores, and what the guard and the classifier
        give. A row with an error is predicted from its other inputs and is not valid. A head's
        output that is not finite is an error, too, and that of a row without inputs takes its
        place.
    """

    def function(result: Mapping[str, Tensors], status: Tensors) -> Tensors:
        vectors = result[VECTORS]
        outputs = {name: _float32(output) for name, output in result[PREDICTIONS].items()}
        answers = dict(outputs)
        for name, value in (temperature or {}).items():
            answers[name] = temperatures.scaled(
                outputs[name], value, status["present"], config, name
            )
        answers, reasons = finite.replaced(answers, without_inputs)
        answers = finite.replaced_texts(answers, reasons, without_inputs)
        status = finite.with_reasons(status, reasons)
        # a score that is not finite is not small
        served = status | {
            name: tf.where(tf.math.is_finite(score), score, tf.float32.max)
            for name, score in result[SCORES].items()
        }
        if guard is not None:
            served |= guards.judge(guard, outputs, vectors, status, config)
        for name, head in config.heads.items():
            served |= predictions(name, head, answers[name], schema)
        served |= {key: answers[key] for key in answers.keys() - config.heads.keys()}
        if classifier is not None:
            served |= classifier(answers[classifier.head])
        return served

    return function


def predict(model: Network, prepare: Prepare, finish: Finish) -> Endpoint:
    """The function behind `predict` and `serving_default`.

    Args:
        model: the result of `with_vectors`.
        prepare: the result of `preparation`.
        finish: the result of `finish`.

    Returns:
        A function of raw cells (see `preparation`) that returns what `finish` gives.
    """

    def function(raw: Tensors) -> Tensors:
        inputs, status = prepare(raw)
        return finish(call(model, inputs), status)

    return function


def predictions(name: str, head: Head, output: tf.Tensor, schema: Schema) -> Tensors:
    """The served predictions of one head.

    Args:
        name: of the head.
        head: its configuration.
        output: float32, as `models.heads.output`; of a text head int32, and of an image
            head pixels, as `models.generating`.
        schema: of the model.

    Returns:
        By the head's target type. A class: `{name}` string `(batch,)` and `{name}_probabilities`
        float32 `(batch, classes)`. Several classes: `{name}` string `(batch,)`, the labels whose
        probability is at least their threshold, joined by the head's separator, and
        `{name}_probabilities`. A
        number: `{name}` float32 `(batch,)`, the point prediction (float64 where the schema has a
        `centre`); of a quantile head also
        `{name}_quantiles` float32 `(batch, quantiles)`. A text: `{name}` string `(batch,)`; its
        log probability is another output of the model. An image: `{name}` string `(batch,)`, a PNG
        file. None: of a head that compares two inputs
        or their tokens `{name}` float32 `(batch,)`, the probability that they belong together; of
        one that aligns inputs `{name}` float32 `(batch,)`, the mean cosine between those of the
        row, -1 to 1, 0 where fewer than two are present; of an embedding `{name}` float32 `(batch,
        dim)`.
    """
    whole = {output_key(name, head): output} if head.endings else {}
    stats = schema.heads.get(name)
    if isinstance(stats, Texts):
        return {name: texts_of(output, stats)}
    match head.target_type:
        case "class":
            return {name: tf.gather(_classes(schema, name), tf.argmax(output, axis=1))} | whole
        case "classes":
            separator: str = getattr(head, "separator", "")
            least = tf.constant(thresholds(name, head, schema.heads.get(name)), tf.float32)
            return {name: _joined(_classes(schema, name), output >= least, separator)} | whole
        case "number":
            centre = centre_of(stats)
            if centre:
                # float32 would not tell such numbers apart
                output = tf.cast(output, tf.float64) + centre
                whole = dict.fromkeys(whole, output)
            return {name: output[:, head.point_index]} | whole
        case "text":
            raise ValueError(f"heads.{name}: the schema must hold its texts, received none")
        case "image":
            return {name: png(output)}
        case None if head.aligns_inputs:
            return {name: mean_cosine(output[:, :, :-2])}
        case None if head.compares_inputs:
            return {name: tf.sigmoid(tf.reduce_sum(output[:, 0] * output[:, 1], axis=1))}
        case None if head.rereads_inputs:
            return {name: tf.sigmoid(output[:, 0, 0])}
        case None:
            return {name: output}
        case _:
            assert_never(head.target_type)


def png(pixels: tf.Tensor) -> tf.Tensor:
    """Images `(batch, height, width, channels)`, 0 to 1, as PNG files, string `(batch,)`."""
    steps = tf.cast(tf.round(tf.clip_by_value(pixels, 0.0, 1.0) * 255), tf.uint8)
    # of an empty batch, too
    files: tf.Tensor = tf.io.encode_png(steps)
    return files


def sample(
    model: keras.Model,
    prepare: Prepare,
    config: Config,
    schema: Schema,
    without_inputs: Mapping[str, np.ndarray],
) -> Endpoint:
    """The function behind `sample`: predictions that are drawn at random.

    Args:
        model: `sampling` of the model.
        prepare: the result of `preparation`.
        config, schema: of the model.
        without_inputs: of `finite.outputs_without_inputs`.

    Returns:
        A function of raw cells and `seed` int64 `(batch,)` that returns for each head that samples
        what `predictions` gives, and the status. Equal cells and seeds give equal predictions.
    """

    def function(raw: Tensors) -> Tensors:
        inputs, status = prepare({name: one for name, one in raw.items() if name != SEED})
        outputs, reasons = finite.replaced(call(model, inputs | {SEED: raw[SEED]}), without_inputs)
        outputs = finite.replaced_texts(outputs, reasons, without_inputs)
        served = finite.with_reasons(status, reasons)
        for name, output in outputs.items():
            if name in config.heads:
                served |= predictions(name, config.heads[name], output, schema)
            else:
                served[name] = output
        return served

    return function


def with_vectors(
    model: keras.Model,
    embedder: keras.Model,
    names: Collection[str],
    scores: Mapping[str, keras.KerasTensor],
) -> keras.Model:
    """The model with embeddings and scores beside its outputs, so that one pass gives all.

    Args:
        model: functional `keras.Model`.
        embedder: functional `keras.Model` of the same layers and inputs.
        names: which of the embedder's outputs.
        scores: float32 `(batch,)` by served key, of the same layers and inputs.

    Returns:
        `keras.Model` with the outputs `{PREDICTIONS: dict by head, VECTORS: dict by name, SCORES:
        dict by served key}`.
    """
    vectors = {name: embedder.output[name] for name in names}
    outputs = {PREDICTIONS: model.output, VECTORS: vectors, SCORES: dict(scores)}
    return keras.Model(model.input, outputs)


def embed(embedder: Network, prepare: Prepare) -> Endpoint:
    """The function behind `embed` and `explain`: raw cells to a model's outputs, as float32.

    Args:
        embedder: a model of embeddings `(batch, dim)` by name, or `models.build.explanations`.
        prepare: the result of `preparation`.

    Returns:
        A function of raw cells that returns what `embedded` gives.
    """

    def function(raw: Tensors) -> Tensors:
        inputs, status = prepare(raw)
        return embedded(call(embedder, inputs), status)

    return function


def embedded(vectors: Tensors, status: Tensors) -> Tensors:
    """Vectors by name as float32, and `error`; one that is not finite is an error, and zeros."""
    vectors = {name: tf.cast(vector, tf.float32) for name, vector in vectors.items()}
    vectors, reasons = finite.replaced(vectors)
    return vectors | {"error": finite.with_reasons(status, reasons)["error"]}


def of_strings(function: Endpoint, preprocessor: Preprocessor, files: Sequence[str]) -> Endpoint:
    """The function behind `predict_json` and others: `function` of cells that are all strings.

    Strict JSON has no NaN, so that a missing number could not be sent.

    Args:
        function: of cells, as `predict` and `embed` return.
        preprocessor: whose `of_strings` reads the strings.
        files: heads that predict files, which JSON holds in base64.

    Returns:
        A function of string `(batch,)` by input, "" where missing, that returns the same, but files
        in `{head}_bytes`, an ending that TensorFlow Serving's REST takes for base64. A string
        that is no number where one belongs is its row's `error`, and the row is not valid.
    """

    def strings(raw: Tensors) -> Tensors:
        cells, broken = preprocessor.of_strings(raw)
        served = dict(function(cells))
        served |= {name + BYTES: served.pop(name) for name in files if name in served}
        both = tf.strings.join([broken, served["error"]], "; ")
        both = tf.where(served["error"] == "", broken, both)
        served["error"] = tf.where(broken == "", served["error"], both)
        if "valid" in served:
            served["valid"] &= broken == ""
        if REVIEW in served and served[REVIEW].dtype == tf.bool:
            served[REVIEW] |= broken != ""
        return served

    return strings


def core(model: Network, without_inputs: Mapping[str, np.ndarray] | None = None) -> Endpoint:
    """The function behind `core`: the model on its own input tensors; no bytes are decoded.

    The output of a row without inputs, or zeros, take the place of one that is not finite.
    """
    return lambda inputs: finite.replaced(call(model, inputs), without_inputs)[0]


def call(model: Network, inputs: Tensors) -> Tensors:
    """The model's outputs; an empty batch goes through as one row of zeros.

    TensorFlow 2.21 with oneDNN gives a convolution of an empty batch its input's shape, and the
    next layer fails.
    """
    rows = tf.shape(next(iter(inputs.values())))[0]
    padding = tf.cast(tf.equal(rows, 0), tf.int32)
    filled = {name: _with_zeros(tensor, padding) for name, tensor in inputs.items()}
    outputs: Tensors = tf.nest.map_structure(
        lambda output: output[:rows], model(filled, training=False)
    )
    return outputs


def _float32(output: tf.Tensor) -> tf.Tensor:
    """Numbers in float32; token ids as they are."""
    return tf.cast(output, tf.float32) if output.dtype.is_floating else output


def _with_zeros(tensor: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    # neither `tf.cond` nor `tf.ensure_shape`: LiteRT lacks them
    return tf.concat([tensor, tf.zeros([rows, *tensor.shape[1:]], tensor.dtype)], axis=0)


def _status(features: Tensors, errors: tf.Tensor, config: Config) -> Tensors:
    present = tf.stack([features[name + PRESENT] > 0.5 for name in config.inputs], axis=1)
    without = tf.where(errors == "", NO_INPUT, errors + "; " + NO_INPUT)
    errors = tf.where(tf.reduce_any(present, axis=1), errors, without)
    return {"valid": errors == "", "error": errors, "present": present}


def _classes(schema: Schema, name: str) -> tf.Tensor:
    names: list[str] = getattr(schema.heads[name], "names", [])
    return tf.constant(names)


def _joined(classes: tf.Tensor, chosen: tf.Tensor, separator: str) -> tf.Tensor:
    """Each row's chosen classes in one string `(batch,)`, from bool `(batch, classes)`."""
    labels = tf.ragged.boolean_mask(tf.broadcast_to(classes, tf.shape(chosen)), chosen)
    return tf.strings.reduce_join(labels, axis=1, separator=separator)
