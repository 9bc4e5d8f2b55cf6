"""The steps that a layer has counted, as a weight."""

from typing import Any

from keras import layers


def step_counter(layer: layers.Layer) -> Any:
    """Adds to a layer an int64 weight `steps` that begins at 0; a checkpoint has it."""
    return layer.add_weight(
        shape=(),
        dtype="int64",
        initializer="zeros",
        trainable=False,
        # all replicas count the same steps
        aggregation="only_first_replica",
        name="steps",
    )
