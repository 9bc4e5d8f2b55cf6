"""Search by another input: which head's space, whether an index fits, and what is found."""

import hashlib
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from multimodal_tf.config import Config
from multimodal_tf.serving.search_index import SearchIndex

COLUMNS = ("query", "rank", "row", "cosine")


def space_of(config: Config, inputs: Sequence[str], head: str | None = None) -> str:
    """The name of the alignment head that aligns some inputs.

    Args:
        config: of the model.
        inputs: names of inputs.
        head: its name; None: the only one.

    Raises:
        ValueError: there is none, or more than one, or `head` does not.

    Example:
        >>> from multimodal_tf.config import AlignmentHead, TextInput
        >>> config = Config(
        ...     inputs={"title": TextInput(), "body": TextInput()},
        ...     heads={"space": AlignmentHead(inputs=["title", "body"])},
        ... )
        >>> space_of(config, ["title"])
        'space'
    """
    aligned = {name: one.inputs or [] for name, one in config.heads.items() if one.aligns_inputs}
    fit = [name for name, own in aligned.items() if set(inputs) <= {*own}]
    if head is not None and head not in fit:
        raise ValueError(
            f"head must be an alignment head of {' and '.join(inputs)}, one of {fit}, "
            f"received {head!r}"
        )
    if head is None and len(fit) != 1:
        raise ValueError(
            f"{' and '.join(inputs)} must be aligned by one head, received "
            + (f"several, {fit}: name one" if fit else f"a model with {aligned or 'no such head'}")
        )
    return fit[0] if head is None else head


def check_index(config: Config, index: SearchIndex, by: str, fingerprint: str) -> None:
    """Checks that an index is of this model, and its space that of `by`.

    Raises:
        ValueError: it is not.
    """
    if index.model != fingerprint:
        raise ValueError(
            f"an index must be made by the model that searches it, received one of {index.input!r} "
            "by another model: make it again"
        )
    aligned = config.heads[index.head].inputs or []
    if by not in aligned:
        raise ValueError(
            f"by must be an input of {index.head!r}, one of {aligned}, received {by!r}"
        )


def nearest_rows(queries: np.ndarray, index: SearchIndex, first: int) -> pd.DataFrame:
    """The nearest rows of each query, as `Client.search` returns them.

    Args:
        queries: float32 `(rows, dim)`, zeros where a row has no query.
        index: where to search.
        first: how many rows of each query.
    """
    asked = np.flatnonzero(queries.any(axis=1))
    rows, cosines = index.nearest(queries[asked], first)
    width = rows.shape[1]
    columns = (
        np.repeat(asked, width),
        np.tile(np.arange(1, width + 1), len(asked)),
        rows.reshape(-1),
        cosines.reshape(-1),
    )
    return pd.DataFrame(dict(zip(COLUMNS, columns)))


def fingerprint(path: str | os.PathLike[str]) -> str:
    """A hash of an exported model, of TensorFlow's own of its graph and weights."""
    file = pathlib.Path(path) / "fingerprint.pb"
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
