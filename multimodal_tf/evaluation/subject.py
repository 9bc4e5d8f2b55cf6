"""What is evaluated: a run, a SavedModel, or a model or function with its configuration."""

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import keras
import numpy as np

from multimodal_tf.config import Config
from multimodal_tf.config.heads import generating
from multimodal_tf.data.trained import Trained
from multimodal_tf.evaluation.predictor import Predictor, of_saved_model
from multimodal_tf.schema import Schema

# a batch of model inputs to outputs by head
Predict: TypeAlias = Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]]
Subject: TypeAlias = Predict | keras.Model | Trained | Predictor | str | os.PathLike[str]


def subject(
    given: Subject, config: Config | None, schema: Schema | None
) -> tuple[Predict | keras.Model, Config, Schema]:
    """A model, or a function of model inputs, with its configuration and schema.

    Args:
        given: as `predict` of `evaluate`.
        config, schema: of a model or function; of a run and a SavedModel its own are the default.

    Raises:
        FileNotFoundError: there is no such SavedModel.
        ValueError: the folder is none, or its model generates texts, images or sounds; a model or
            function comes without its configuration.
    """
    found: Any = given
    if isinstance(given, str | os.PathLike):
        found = of_saved_model(given)
    if isinstance(found, Predictor):
        config, schema = config or found.config, schema or found.schema
        made = list(generating(config.heads))
        if found.model is None and made:
            raise ValueError(
                f"a SavedModel gives no metrics of heads of texts, images or sounds, received one "
                f"with {made}: evaluate the run, which load_run gives"
            )
        found = found.outputs if found.model is None else found.model
    elif not isinstance(found, keras.Model) and hasattr(found, "model"):
        config, schema = config or found.config, schema or found.schema
        found = found.model
    if config is None or schema is None:
        raise ValueError(
            "a model or a function must come with its config and its schema, received it without:"
            " what load_run gives, and a SavedModel's folder, have their own"
        )
    return found, config, schema


def model_of(predict: Predict | keras.Model) -> keras.Model | None:
    """The model itself, or that of its `predict`; None for another function."""
    if inspect.ismethod(predict) and predict.__name__ == "predict":
        predict = predict.__self__
    return predict if isinstance(predict, keras.Model) else None


def per_batch(predict: Predict | keras.Model) -> Predict:
    """A function of one batch.

    `model.predict` would open a data set and a progress bar in every call.
    """
    model = model_of(predict)
    found: Predict = predict if model is None else model.predict_on_batch
    return found
