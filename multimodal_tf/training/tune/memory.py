"""An estimate of the memory that training a model takes."""

import contextlib
import math
from collections.abc import Iterator

import keras
from keras.src.backend.common import global_state

from multimodal_tf.config import Config
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Schema

# Keras' name of the list
_UNINITIALIZED = "uninitialized_variables"
_FLOAT_BYTES = 4
# numbers that the optimizer keeps for each weight
_SLOTS = {"adamw": 2, "sgd": 1}


def training_bytes(config: Config, schema: Schema) -> int:
    """A lower bound of the bytes that training takes, without the rows and TensorFlow itself.

    It counts each weight with its gradient and optimizer state, and each layer's output for one
    batch twice, for the backward pass. A layer around a library's network counts by its own output
    only, and temporary memory of convolutions and attention is left out. Nothing of this size is
    allocated, except for towers with pretrained weights.

    Args:
        config, schema: of the model.

    Raises:
        ValueError: as `build_model`.
    """
    with _without_values():
        model = build_model(config, schema)
    trained = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    batch = config.training.batch_size
    outputs = sum(math.prod(size or batch for size in tensor.shape) for tensor in _outputs(model))
    weights = model.count_params() + trained * (1 + _SLOTS[config.training.optimizer])
    return int(_FLOAT_BYTES * (weights + 2 * outputs))


@contextlib.contextmanager
def _without_values() -> Iterator[None]:
    """Variables that are made in the block have shapes and no values.

    Keras (3.15) keeps a list of such variables, and gives them values when it leaves another scope
    of this kind, of which it opens many itself. They are therefore removed from that list.
    """
    before = list(global_state.get_global_attribute(_UNINITIALIZED, []))
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute(_UNINITIALIZED, before)


def _outputs(model: keras.Model) -> Iterator[keras.KerasTensor]:
    """The output tensors of all layers, also of models within the model."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _outputs(layer)
        elif getattr(layer, "output", None) is not None:
            yield from keras.tree.flatten(layer.output)


def format_bytes(size: int) -> str:
    """A readable number of bytes.

    Example:
        >>> format_bytes(1_300_000_000)
        '1.3 GB'
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
