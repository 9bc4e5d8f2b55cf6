"""Warm-up requests, which TensorFlow Serving runs when it loads a model.

Without them the first client would wait for the graph's initialization.
"""

import pathlib
from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from multimodal_tf.config import Config
from multimodal_tf.config.names import SEED
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.data.requests import of_records, to_strings
from multimodal_tf.schema import Schema
from multimodal_tf.serving.saved_functions import Specs

# TensorFlow Serving looks for this name under the version's folder
FILE = "assets.extra/tf_serving_warmup_requests"


def requests(
    config: Config, schema: Schema, model_name: str, signatures: Mapping[str, Specs]
) -> list[prediction_log_pb2.PredictionLog]:
    """One request for each signature, of two rows: all inputs missing, and all present.

    Args:
        config: `Config`.
        schema: `Schema`. The present cells are `Kind.example`, such as its most frequent words and
            its means.
        model_name: the name that the server knows the model by.
        signatures: specifications of the inputs of signatures that take raw cells; strings where
            all are.

    Returns:
        `PredictionLog` messages of the package `tensorflow-serving-api`.
    """
    cells = {}
    for name, input_config in config.inputs.items():
        example = kind_of(input_config).example(schema.inputs.get(name))
        missing = tf.constant("" if example.dtype == tf.string else np.nan, example.dtype)
        cells[name] = tf.stack([tf.fill(tf.shape(example), missing), example])
    cells = of_records(config, cells)
    logs = []
    for signature, specs in signatures.items():
        inputs = {
            name: tf.make_tensor_proto(
                one if one.dtype == specs[name].dtype else to_strings(config.inputs[name], one)
            )
            for name, one in cells.items()
        }
        for name in specs.keys() - cells.keys():
            # a seed, or a text to be scored
            other = [0, 1] if name == SEED else ["", "a"]
            inputs[name] = tf.make_tensor_proto(other, specs[name].dtype)
        spec = model_pb2.ModelSpec(name=model_name, signature_name=signature)
        request = predict_pb2.PredictRequest(model_spec=spec, inputs=inputs)
        logs.append(
            prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
        )
    return logs


def write(logs: Iterable[prediction_log_pb2.PredictionLog], folder: pathlib.Path) -> None:
    """Writes the messages where TensorFlow Serving reads them in a version's folder."""
    (folder / FILE).parent.mkdir()
    with tf.io.TFRecordWriter(str(folder / FILE)) as writer:
        for log in logs:
            writer.write(log.SerializeToString(deterministic=True))
