"""What evaluation and serving take of a trained model, wherever it comes from."""

from typing import Protocol

import keras

from multimodal_tf.config import Config
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.manifest import Manifest
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


def check_own_records(given: object, records: PathLike, instead: str = "") -> None:
    """Checks that records are those on which a run was trained.

    A split of others may hold rows that the run was trained on, and then its metrics are wrong.

    Args:
        given: what `load_run` gives; other models do not know their records.
        records: folder of ingested records.
        instead: what the message advises.

    Raises:
        ValueError: the contents of the records are others.
    """
    data = getattr(getattr(given, "record", None), "data", None)
    if data is None:
        return
    manifest = Manifest.load(records)
    if manifest.hash != data.hash:
        raise ValueError(
            f"{records} must be the records that the run was trained on, ingested from"
            f" {data.table} into {data.records}, received others, of {manifest.table}, whose splits"
            f" may hold rows of the training{instead and f': {instead}'}"
        )
