"""The temperatures of an exported model: whether they fit it, and where they apply."""

import math
from collections.abc import Mapping

import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.schema import Classes, Schema
from multimodal_tf.scoring import presence
from multimodal_tf.scoring.temperature import tempered
from multimodal_tf.scoring.thresholds import tempered_thresholds


def check(temperature: Mapping[str, float], config: Config) -> None:
    """Checks temperatures by head against a configuration.

    Raises:
        ValueError: a key is no head that predicts classes, or a number is not above 0 and finite.
    """
    choosing, several = (
        [name for name, head in config.heads.items() if head.target_type == kind]
        for kind in ("class", "classes")
    )
    for name, value in temperature.items():
        if name not in (*choosing, *several):
            others = f" or several labels {several}" if several else ""
            raise ValueError(
                f"temperature must be given by heads that choose one class {choosing}{others}, "
                f"received {name!r}"
            )
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ValueError(f"temperature.{name} must be a number above 0, received {value!r}")


def scaled(
    output: tf.Tensor, value: float, present: tf.Tensor, config: Config, head: str
) -> tf.Tensor:
    """A head's probabilities with its temperature; rows without any of its inputs stay.

    Args:
        output: float32 `(batch, classes)`.
        value: the temperature.
        present: bool `(batch, inputs)`.
        config: of the model.
        head: its name.
    """
    independent = config.heads[head].target_type == "classes"
    return tempered(output, value, any_present(present, config, head), independent)


def scaled_thresholds(schema: Schema, config: Config, temperature: Mapping[str, float]) -> Schema:
    """The schema whose fitted thresholds are of probabilities with a temperature.

    The same labels are predicted as without it. A threshold that the configuration gives as a
    number stays: it is compared with what is served.
    """
    heads = dict(schema.heads)
    for name, value in temperature.items():
        stats = heads[name]
        if isinstance(stats, Classes) and stats.thresholds is not None:
            found = tempered_thresholds(stats.thresholds, value).tolist()
            heads[name] = stats.model_copy(update={"thresholds": found})
    return schema.model_copy(update={"heads": heads})


def any_present(present: tf.Tensor, config: Config, head: str) -> tf.Tensor:
    """Whether any input of a head is present: bool `(batch,)`, from bool `(batch, inputs)`."""
    return presence.any_present(present, config.vector_columns(config.head_vectors(head)))
