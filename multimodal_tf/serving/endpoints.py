"""What a SavedModel answers: the functions behind its endpoints, from raw cells to classes, numbers and embeddings."""

import functools

import tensorflow as tf

from multimodal_tf.config import FUSED, PRESENT, PROBABILITIES

NOTHING = "no input is present"


def predict(model, preprocessor, config, schema):
    """The function behind `predict` and `serving_default`.

    Args:
        model: functional `keras.Model`, dict in, dict out, in the shapes of `preprocessor.model_inputs`.
        preprocessor: `Preprocessor` of the same configuration and schema.
        config: `Config`.
        schema: `Schema`.

    Returns:
        A function of a dict of string or float32 `(batch,)` by input name (missing: "" or NaN) that returns a dict:
        classification `{head}` string `(batch,)` and `{head}_probabilities` float32 `(batch, classes)`; multi-label `{head}` string
        `(batch,)`, the labels of probability 0.5 or more joined by the head's separator, and `{head}_probabilities`; regression `{head}`
        float32 `(batch,)`; and `valid` bool `(batch,)`, `error` string `(batch,)`, `present` bool `(batch, inputs)`. A row with an
        error is predicted from its other inputs and is not valid.
    """

    def function(raw):
        features, errors = preprocessor.features(raw)
        outputs = _call(model, preprocessor.model_inputs(features))
        answer = _status(features, errors, config)
        for name, head in config.heads.items():
            answer.update(_head_answer(name, head, tf.cast(outputs[name], tf.float32), schema))
        return answer

    return function


def embed(embedder, preprocessor, config):
    """The function behind `embed`: as `predict`, but the answer is float32 `(batch, dim)` by input name and `fused`, and `error`."""

    def function(raw):
        features, errors = preprocessor.features(raw)
        vectors = _call(embedder, preprocessor.model_inputs(features))
        answer = {name: tf.cast(vectors[name], tf.float32) for name in (*config.inputs, FUSED)}
        return answer | {"error": _status(features, errors, config)["error"]}

    return function


def core(model):
    """The function behind `core`: the model's own input tensors in, its own outputs by head out; no bytes are decoded."""
    return functools.partial(_call, model)


def _call(model, inputs):
    """The model's outputs; an empty batch goes through as one row of zeros.

    TensorFlow 2.21 with oneDNN answers a convolution of an empty batch with its input's shape, and the next layer fails.
    """
    rows = tf.shape(next(iter(inputs.values())))[0]
    filled = {name: _or_zeros(tensor, rows) for name, tensor in inputs.items()}
    return {name: output[:rows] for name, output in model(filled, training=False).items()}


def _or_zeros(tensor, rows):
    filled = tf.cond(rows > 0, lambda: tensor, lambda: tf.zeros([1, *tensor.shape[1:]], tensor.dtype))
    return tf.ensure_shape(filled, tensor.shape)


def _status(features, errors, config):
    present = tf.stack([features[name + PRESENT] > 0.5 for name in config.inputs], axis=1)
    said = tf.where(errors == "", NOTHING, errors + "; " + NOTHING)
    errors = tf.where(tf.reduce_any(present, axis=1), errors, said)
    return {"valid": errors == "", "error": errors, "present": present}


def _head_answer(name, head, output, schema):
    if head.type == "regression":
        return {name: output[:, 0]}
    classes = tf.constant(schema.heads[name].names)
    if head.type == "classification":
        answer = tf.gather(classes, tf.argmax(output, axis=1))
    else:
        answer = _joined(classes, output >= 0.5, head.separator)
    return {name: answer, name + PROBABILITIES: output}


def _joined(classes, chosen, separator):
    """Each row's chosen classes in one string: chosen bool `(batch, classes)` -> string `(batch,)`."""
    labels = tf.ragged.boolean_mask(tf.broadcast_to(classes, tf.shape(chosen)), chosen)
    return tf.strings.reduce_join(labels, axis=1, separator=separator)
