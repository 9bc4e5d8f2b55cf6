"""Cells as requests to an exported model hold them: one value a row, a vector `dim` numbers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.config.inputs import Input
from multimodal_tf.data.codecs import frames
from multimodal_tf.data.codecs.cell import Cell


def request_spec(config: Input, name: str | None = None) -> tf.TensorSpec:
    """The spec of a batch of cells in a request: `(None,)`, or `(None, dim)` for a vector."""
    return tf.TensorSpec([None, *config.request_shape], config.cell_dtype, name)


def of_cells(config: Input, cells: Sequence[Cell | None]) -> tf.Tensor:
    """What `kinds.read_cell` gave for a batch as a tensor of a request.

    Args:
        config: the input's.
        cells: None where missing.

    Returns:
        As `request_spec`; missing is "" or NaN.

    Example:
        >>> from multimodal_tf.config import NumberInput
        >>> of_cells(NumberInput(), [1.5, None]).numpy().tolist()
        [1.5, nan]
    """
    shape = config.request_shape
    missing: Any = b"" if config.cell_dtype == "string" else np.full(shape, np.nan).tolist()
    values: list[Any] = [missing if cell is None else cell for cell in cells]
    if config.is_several:
        values = [frames.pack(cell) if isinstance(cell, list) else cell for cell in values]
    return tf.reshape(tf.constant(values, config.cell_dtype), [len(cells), *shape])


def strings_spec(config: Input, name: str | None = None) -> tf.TensorSpec:
    """The spec of a batch of cells in a request in which every cell is a string: `(None,)`."""
    return tf.TensorSpec([None], tf.string, name)


def to_strings(config: Input, cells: tf.Tensor) -> tf.Tensor:
    """Cells of a request as strings: "" is missing, a vector is a list as JSON writes it; eager.

    Example:
        >>> from multimodal_tf.config import NumberInput
        >>> to_strings(NumberInput(), tf.constant([1.5, float("nan")])).numpy().tolist()
        [b'1.5', b'']
    """
    if cells.dtype == tf.string:
        return cells
    rows = [row if isinstance(row, list) else [row] for row in cells.numpy().tolist()]
    texts = ["" if np.isnan(row).all() else json.dumps(row) for row in rows]
    if not config.request_shape:
        texts = [text.strip("[]") for text in texts]
    return tf.constant(texts, tf.string)


def of_records(config: Config, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Cells as `record_files.parse` gives them, as a request holds them; eager.

    Args:
        config: for its inputs.
        raw: by input, `(batch, *cell_shape)`.

    Returns:
        By input, as `request_spec`.
    """
    return {
        name: of_cells(one, [[file for file in row if file] for row in np.asarray(raw[name])])
        if one.is_several
        else tf.convert_to_tensor(raw[name], one.cell_dtype)
        for name, one in config.inputs.items()
    }
