"""The temperatures of an exported model: whether they fit it, and where they apply."""

import math
from collections.abc import Mapping

import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.scoring import presence


def check(temperature: Mapping[str, float], config: Config) -> None:
    """Checks temperatures by head against a configuration.

    Raises:
        ValueError: a key is no head that chooses one class, or a number is not above 0 and finite.
    """
    choosing = [name for name, head in config.heads.items() if head.target_type == "class"]
    for name, value in temperature.items():
        if name not in choosing:
            raise ValueError(
                f"temperature must be given by heads that choose one class {choosing}, "
                f"received {name!r}"
            )
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ValueError(f"temperature.{name} must be a number above 0, received {value!r}")


def any_present(present: tf.Tensor, config: Config, head: str) -> tf.Tensor:
    """Whether any input of a head is present: bool `(batch,)`, from bool `(batch, inputs)`."""
    return presence.any_present(present, config.vector_columns(config.head_vectors(head)))
