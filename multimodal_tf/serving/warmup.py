"""The requests that TensorFlow Serving plays to itself when it loads a model, so that no client
waits for the first one.
"""

import datetime

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

# of a made-up video
_FRAMES = 2
# from which the schema counts a date's days
_EPOCH = datetime.date(1970, 1, 1)
# TensorFlow Serving looks for this name under the version's folder
FILE = "assets.extra/tf_serving_warmup_requests"


def requests(config, schema, model_name, signatures):
    """One request for each signature, of two rows: one with every input missing, one with a small
    made-up cell of each input.

    Args:
        config: `Config`.
        schema: `Schema`. Its most frequent words and its means are the made-up texts, categories,
        numbers and dates.
        model_name: str. The name that the server knows the model by.
        signatures: names of signatures that take raw cells.

    Returns:
        A list of `PredictionLog` messages of the package `tensorflow-serving-api`.
    """
    cells = {
        name: tf.stack([_missing(part), _cell(name, part, schema)])
        for name, part in config.inputs.items()
    }
    inputs = {name: tf.make_tensor_proto(values) for name, values in cells.items()}
    logs = []
    for signature in signatures:
        spec = model_pb2.ModelSpec(name=model_name, signature_name=signature)
        request = predict_pb2.PredictRequest(model_spec=spec, inputs=inputs)
        logs.append(
            prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
        )
    return logs


def write(logs, folder):
    """Writes `PredictionLog` messages where TensorFlow Serving looks for them under a version's
    folder.
    """
    with tf.io.TFRecordWriter(str(folder / FILE)) as writer:
        for log in logs:
            writer.write(log.SerializeToString(deterministic=True))


def _missing(part):
    if part.type == "video":
        return tf.constant([""] * _FRAMES)
    return tf.constant(float("nan")) if part.type in ("number", "boolean") else tf.constant("")


def _cell(name, part, schema):
    if part.type in ("image", "video"):
        picture = tf.io.encode_jpeg(np.full((64, 64, 3), 128, np.uint8))
        return tf.fill([_FRAMES], picture) if part.type == "video" else picture
    if part.type == "audio":
        return tf.audio.encode_wav(tf.zeros([part.sample_rate // 10, 1]), part.sample_rate)
    if part.type == "number":
        return tf.constant(schema.inputs[name].mean)
    if part.type == "boolean":
        return tf.constant(1.0)
    if part.type == "date":
        return tf.constant(
            (_EPOCH + datetime.timedelta(days=round(schema.inputs[name].mean))).isoformat()
        )
    # subwords and n-grams have none
    words = getattr(schema.inputs.get(name), "words", [])
    return tf.constant(
        (" ".join(words[:3]) if part.type == "text" else "".join(words[:1])) or "none"
    )
