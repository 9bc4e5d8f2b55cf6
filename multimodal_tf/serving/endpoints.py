"""What a SavedModel answers: the functions behind its endpoints, from raw cells to classes, numbers
and embeddings.
"""

import functools

import keras
import tensorflow as tf

from multimodal_tf.config import PRESENT, PROBABILITIES, QUANTILES
from multimodal_tf.scoring.temperature import tempered
from multimodal_tf.serving import temperature

NOTHING = "no input is present"
# what a model gives in one pass where there is a guard
ANSWERS, VECTORS = "answers", "vectors"


def preparation(preprocessor, config):
    """The part that `predict`, `embed` and `explain` share, as one `tf.function`, so that it is
    traced and written once.

    Returns:
        A `tf.function` of a dict of string or float32 `(batch,)` by input name (missing: "" or NaN)
        that returns `(inputs, status)`: the model's inputs, and `valid` bool `(batch,)`, `error`
        string `(batch,)`, `present` bool `(batch, inputs)`.
    """

    def prepare(raw):
        features, errors = preprocessor.features(raw)
        return preprocessor.model_inputs(features), _status(features, errors, config)

    return tf.function(prepare, input_signature=[preprocessor.raw_spec], autograph=False)


def predict(model, prepare, config, schema, guard=None, temperatures=None):
    """The function behind `predict` and `serving_default`.

    Args:
        model: functional `keras.Model`, dict in, dict out; with a guard, what `with_vectors` makes
            of it.
        prepare: what `preparation` gives.
        config: `Config`.
        schema: `Schema`.
        guard: `guard.Guard` or None.
        temperatures: dict of head to float, or None: by what the logarithms of its probabilities
        are divided.

    Returns:
        A function of raw cells (see `preparation`) that returns a dict: classification `{head}`
        string `(batch,)` and `{head}_probabilities` float32 `(batch, classes)`; multi-label
        `{head}` string `(batch,)`, the labels of probability 0.5 or more joined by the head's
        separator, and `{head}_probabilities`; ordinal as classification; regression `{head}`
        float32 `(batch,)`; quantile `{head}` float32 `(batch,)`, the one nearest to the median, and
        `{head}_quantiles` float32 `(batch, quantiles)`; matching `{head}` float32 `(batch,)`, the
        probability that the two belong together; embedding `{head}` float32 `(batch, dim)`; the
        status; and with a guard what that judges. A row with an error is predicted from its other
        inputs and is not valid.
    """

    def function(raw):
        inputs, status = prepare(raw)
        said = _call(model, inputs)
        outputs, vectors = (said[ANSWERS], said[VECTORS]) if guard is not None else (said, {})
        outputs = {name: tf.cast(output, tf.float32) for name, output in outputs.items()}
        answer = dict(status)
        if guard is not None:
            answer |= guard.judge(outputs, vectors, status, config)
        for name, value in (temperatures or {}).items():
            outputs[name] = tempered(
                outputs[name], value, temperature.any_present(status["present"], config, name)
            )
        for name, output in outputs.items():
            answer |= _head_answer(name, config.heads[name], output, schema)
        return answer

    return function


def with_vectors(model, embedder, name):
    """The model with one of its embeddings beside its answers, so that one pass gives both.

    Args:
        model, embedder: functional `keras.Model`s of the same layers and inputs.
        name: which of the embedder's outputs; None: none of them.

    Returns:
        `keras.Model` that answers `{ANSWERS: dict by head, VECTORS: dict by name}`.
    """
    vectors = {} if name is None else {name: embedder.output[name]}
    return keras.Model(model.input, {ANSWERS: model.output, VECTORS: vectors})


def embed(embedder, prepare):
    """The function behind `embed` and `explain`: raw cells to what a model answers by name, as
    float32, and the status' `error`.

    The embedder answers `(batch, dim)` by name (`Config.vectors`) and by fusion (`fused`), an
    explainer what `models.explanations` says.
    """

    def function(raw):
        inputs, status = prepare(raw)
        vectors = {
            name: tf.cast(vector, tf.float32) for name, vector in _call(embedder, inputs).items()
        }
        return vectors | {"error": status["error"]}

    return function


def core(model):
    """The function behind `core`: the model's own input tensors in, its own outputs by head out; no
    bytes are decoded.
    """
    return functools.partial(_call, model)


def _call(model, inputs):
    """The model's outputs; an empty batch goes through as one row of zeros.

    TensorFlow 2.21 with oneDNN answers a convolution of an empty batch with its input's shape, and
    the next layer fails.
    """
    rows = tf.shape(next(iter(inputs.values())))[0]
    filled = {name: _or_zeros(tensor, rows) for name, tensor in inputs.items()}
    return tf.nest.map_structure(lambda output: output[:rows], model(filled, training=False))


def _or_zeros(tensor, rows):
    filled = tf.cond(
        rows > 0, lambda: tensor, lambda: tf.zeros([1, *tensor.shape[1:]], tensor.dtype)
    )
    return tf.ensure_shape(filled, tensor.shape)


def _status(features, errors, config):
    present = tf.stack([features[name + PRESENT] > 0.5 for name in config.inputs], axis=1)
    said = tf.where(errors == "", NOTHING, errors + "; " + NOTHING)
    errors = tf.where(tf.reduce_any(present, axis=1), errors, said)
    return {"valid": errors == "", "error": errors, "present": present}


def _head_answer(name, head, output, schema):
    match head.type:
        case "regression":
            return {name: output[:, 0]}
        case "quantile":
            return {name: output[:, head.point_index], name + QUANTILES: output}
        case "matching":
            return {name: tf.sigmoid(tf.reduce_sum(output[:, 0] * output[:, 1], axis=1))}
        case "embedding":
            return {name: output}
    classes = tf.constant(schema.heads[name].names)
    if head.target_type == "class":
        answer = tf.gather(classes, tf.argmax(output, axis=1))
    else:
        answer = _joined(classes, output >= 0.5, head.separator)
    return {name: answer, name + PROBABILITIES: output}


def _joined(classes, chosen, separator):
    """Each row's chosen classes in one string: chosen bool `(batch, classes)` -> string `(batch,)`."""
    labels = tf.ragged.boolean_mask(tf.broadcast_to(classes, tf.shape(chosen)), chosen)
    return tf.strings.reduce_join(labels, axis=1, separator=separator)
