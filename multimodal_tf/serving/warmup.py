"""The requests that TensorFlow Serving plays to itself when it loads a model, so that no client waits for the first one."""

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

FILE = "assets.extra/tf_serving_warmup_requests"  # TensorFlow Serving looks for this name under the version's folder


def requests(config, schema, model_name, signatures):
    """One request for each signature, of two rows: one with every input missing, one with a small made-up cell of each input.

    Args:
        config: `Config`.
        schema: `Schema`. Its most frequent words and its means are the made-up texts, categories and numbers.
        model_name: str. The name that the server knows the model by.
        signatures: names of signatures that take raw cells.

    Returns:
        A list of `PredictionLog` messages of the package `tensorflow-serving-api`.
    """
    cells = {name: tf.stack([_missing(part), _cell(name, part, schema)]) for name, part in config.inputs.items()}
    inputs = {name: tf.make_tensor_proto(values) for name, values in cells.items()}
    logs = []
    for signature in signatures:
        spec = model_pb2.ModelSpec(name=model_name, signature_name=signature)
        request = predict_pb2.PredictRequest(model_spec=spec, inputs=inputs)
        logs.append(prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request)))
    return logs


def write(logs, folder):
    """Writes `PredictionLog` messages where TensorFlow Serving looks for them under a version's folder."""
    with tf.io.TFRecordWriter(str(folder / FILE)) as writer:
        for log in logs:
            writer.write(log.SerializeToString(deterministic=True))


def _missing(part):
    return tf.constant(float("nan")) if part.type == "number" else tf.constant("")


def _cell(name, part, schema):
    if part.type == "image":
        return tf.io.encode_jpeg(np.full((64, 64, 3), 128, np.uint8))
    if part.type == "audio":
        return tf.audio.encode_wav(tf.zeros([part.sample_rate // 10, 1]), part.sample_rate)
    if part.type == "number":
        return tf.constant(schema.inputs[name].mean)
    words = schema.inputs[name].words
    return tf.constant((" ".join(words[:3]) if part.type == "text" else "".join(words[:1])) or "none")
