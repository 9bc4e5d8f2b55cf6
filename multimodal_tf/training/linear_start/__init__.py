"""Heads begin as logistic or ridge regression over what nothing trains, before `model.fit`."""

import pathlib
from typing import Any, NamedTuple

import keras

from multimodal_tf.config import Config
from multimodal_tf.data.cache import FrozenCells
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.schema import Schema
from multimodal_tf.training import distribute
from multimodal_tf.training.linear_start.start import start_linear_heads
from multimodal_tf.training.run_dir import CHECKPOINT

__all__ = ["LinearStart", "begin_linear", "start_linear_heads"]


class LinearStart(NamedTuple):
    """How the first weights do.

    Attributes:
        metrics: on the validation rows, `val_` before their names; empty where no head is linear
            over fixed features, or there are no validation rows.
        is_whole: whether these heads are all that is trained, and validation rows selected their
            strength of L2: gradient descent would only undo it.
    """

    metrics: dict[str, float]
    is_whole: bool


def begin_linear(
    model: keras.Model,
    config: Config,
    schema: Schema,
    records: PathLike,
    validation: Any,
    run_dir: pathlib.Path | None,
    frozen: FrozenCells | None = None,
) -> LinearStart:
    """Gives a compiled model the first weights of `start_linear_heads`, and saves it as the best.

    Args:
        model: compiled, with its first weights.
        config, schema, records: as `fit`.
        validation: batches of the validation rows; None: there are none.
        run_dir: gets `checkpoint.keras`; None: nothing is saved.
        frozen: as for `load_split`.

    Returns:
        `LinearStart`.
    """
    if not config.training.linear_start:
        return LinearStart({}, False)
    solved = start_linear_heads(model, config, schema, records, frozen)
    strategy = model.distribute_strategy
    for name, weights in solved.items():
        # workers may round differently, and must begin with equal weights
        shared = [distribute.all_gather(strategy, one.ravel().tolist())[0] for one in weights]
        with strategy.scope():
            model.get_layer(name).set_weights(
                [numbers.reshape(one.shape) for numbers, one in zip(shared, weights)]
            )
    if not solved or validation is None:
        return LinearStart({}, False)
    logs = model.evaluate(validation, verbose=0, return_dict=True)
    if run_dir is not None:
        model.save(run_dir / CHECKPOINT)
    weights_of = {id(one) for name in solved for one in model.get_layer(name).trainable_variables}
    is_whole = all(id(one) in weights_of for one in model.trainable_variables)
    return LinearStart({f"val_{name}": float(value) for name, value in logs.items()}, is_whole)
