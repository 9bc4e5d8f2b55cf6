"""What evaluation and serving take of a trained model, wherever it comes from."""

from typing import Protocol

import keras

from multimodal_tf.config import Config
from multimodal_tf.schema import Schema


class Trained(Protocol):
    """A model with its configuration and schema, such as what `load_run` gives."""

    @property
    def model(self) -> keras.Model:
        """With trained weights."""

    @property
    def config(self) -> Config:
        """By which it was built."""

    @property
    def schema(self) -> Schema:
        """By which it was built."""
