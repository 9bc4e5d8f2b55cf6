"""Whether a model that is given to `fit` is one of its configuration and strategy."""

import keras
import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.models.build import build_model, settings_digest
from multimodal_tf.schema import Schema


def check_model(
    model: keras.Model, config: Config, schema: Schema, strategy: tf.distribute.Strategy
) -> None:
    """Checks that a model has the configuration's inputs and outputs, and the strategy.

    Raises:
        ValueError: it has not.
    """
    # building another one takes seconds where it reads pretrained weights
    if getattr(model, "built_from", None) != settings_digest(config, schema):
        built = build_model(config, schema)
        for side in ("input", "output"):
            wanted, received = (
                keras.tree.map_structure(lambda x: str(x.shape), getattr(one, side))
                for one in (built, model)
            )
            if wanted != received:
                raise ValueError(
                    f"model: its {side}s must be the configuration's, {wanted}, received {received}"
                )
    if model.distribute_strategy is not strategy:
        wanted, received = (type(one).__name__ for one in (strategy, model.distribute_strategy))
        raise ValueError(
            "model: it must be made in the scope of the strategy that is passed to fit, "
            f"{wanted}, received one of {received}: make it `with strategy_of(...).scope()`"
        )
