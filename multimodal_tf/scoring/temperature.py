"""One number a head that makes a served probability mean what it says: fitted by
`metrics.calibration.Temperature`, applied in the graph."""

import json
import math
import pathlib

import numpy as np
import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.serving.guard import there

# beside the configuration of an exported model, where there is a temperature
FILE = "temperature.json"
# stands in for a probability of 0, whose logarithm is infinite
LEAST = np.finfo(np.float32).tiny


def check(temperature: dict[str, float], config: Config):
    """Whether temperatures by head fit a configuration.

    Raises:
        ValueError: a key is no head that chooses one class, or a number is not above 0 and finite.
    """
    choosing = [name for name, head in config.heads.items() if head.target_type == "class"]
    for name, value in temperature.items():
        if name not in choosing:
            raise ValueError(
                f"temperature must be given by heads that choose one class {choosing}, received {name!r}"
            )
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ValueError(f"temperature.{name} must be a number above 0, received {value!r}")


def tempered(probabilities: tf.Tensor, value: float, any_present: tf.Tensor) -> tf.Tensor:
    """softmax(log(probabilities) / value): less sure where `value` is above 1, surer below; the
    likeliest class stays.

    Args:
        probabilities: float32 `(batch, classes)`.
        value: float above 0, no unit.
        anyone: bool `(batch,)`. Where it is False nothing is known of the row, and the answer is
        the training split's shares: they stay.

    Returns:
        float32 `(batch, classes)`.

    Example:
        >>> tempered(tf.constant([[0.9, 0.1]]), 2.0, tf.constant([True])).numpy().round(4).tolist()
        [[0.75, 0.25]]

    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """
    better = tf.nn.softmax(tf.math.log(tf.maximum(probabilities, LEAST)) / value)
    return tf.where(any_present[:, None], better, probabilities)


def any_present(present: tf.Tensor, config: Config, head: str) -> tf.Tensor:
    """Whether any input of a head is there, bool `(batch,)`, from bool `(batch, inputs)`."""
    return tf.reduce_any(
        there(present, config, config.heads[head].inputs or config.vectors()), axis=1
    )


def load(folder: pathlib.Path) -> dict[str, float]:
    """The temperatures that an exported model applies, by head; none where it has no such file.

    Args:
        folder: `assets.extra` of a SavedModel.
    """
    path = folder / FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
