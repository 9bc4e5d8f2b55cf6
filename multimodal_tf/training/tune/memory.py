"""How much memory the training of a model takes, about."""

import contextlib
import math

import keras
from keras.src.backend.common import global_state

from multimodal_tf.config import Config
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Schema

# Keras' name of the list
_WAITING = "uninitialized_variables"
# bytes
_FLOAT = 4
# numbers that the optimizer keeps of each weight
_STATES = {"adamw": 2, "sgd": 1}


def training_bytes(config: Config, schema: Schema) -> int:
    """Bytes that training takes, without the rows and TensorFlow itself.

    Each weight counts with its gradient and what the optimizer keeps of it; what layers answer to
    one batch counts twice, for the step back. A layer around a library's network counts by its own
    answer only, and the scratch memory of convolutions and attention not at
    all: take it for a lower bound. Nothing of this size is allocated, except where a tower brings
    its own weights along.

    Args:
        config: `Config`.
        schema: `Schema`, which belongs to it.

    Raises:
        ValueError: as `build_model`.
    """
    with _without_values():
        model = build_model(config, schema)
    trained = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    batch = config.training.batch_size
    answers = sum(math.prod(size or batch for size in tensor.shape) for tensor in _answers(model))
    return _FLOAT * (
        model.count_params() + trained * (1 + _STATES[config.training.optimizer]) + 2 * answers
    )


@contextlib.contextmanager
def _without_values():
    """Variables that are made in the block have shapes and no values.

    Keras (3.15) keeps a list of such variables, and gives them values as soon as it leaves another
    scope of this kind, of which it opens
    many itself: they are taken off that list.
    """
    waiting = list(global_state.get_global_attribute(_WAITING, []))
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute(_WAITING, waiting)


def _answers(model):
    """The output tensors of all layers, also of models within."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _answers(layer)
        elif getattr(layer, "output", None) is not None:
            yield from keras.tree.flatten(layer.output)


def shown(size: int) -> str:
    """A number of bytes, for people.

    Example:
        >>> shown(1_300_000_000)
        '1.3 GB'
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
