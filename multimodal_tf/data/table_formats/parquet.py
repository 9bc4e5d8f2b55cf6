"""Parquet files; Hugging Face's names of classes stand for the integers of such a column."""

import contextlib
import functools
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow
import pyarrow.parquet

from multimodal_tf.data import parquet_footer
from multimodal_tf.data.arrow_cells import arrow_cells
from multimodal_tf.data.codecs.cell import BrokenCell
from multimodal_tf.data.table_formats.reader import Columns, Reader, first_line

# the key of Hugging Face Datasets in a schema's metadata
_HUGGING_FACE = b"huggingface"


def open_parquet(path: pathlib.Path) -> tuple[list[str], Reader]:
    """The columns and the reader of a file.

    Raises:
        ValueError: the file is not readable Parquet.
    """
    schema = _parquet(path).schema_arrow
    return schema.names, functools.partial(_cells, path, class_names(schema.metadata or {}))


def class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """The names of classes that Hugging Face Datasets wrote, by column.

    Args:
        metadata: of the file's schema.

    Example:
        >>> features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
        >>> class_names({b"huggingface": json.dumps({"info": {"features": features}}).encode()})
        {'label': ['cat', 'dog']}
    """
    try:
        features = json.loads(metadata.get(_HUGGING_FACE, b"{}"))["info"]["features"]
        found = {name: _names(feature) for name, feature in features.items()}
    # another tool's, or none
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}
    return {name: names for name, names in found.items() if names}


def _names(feature: Any) -> list[str]:
    """The names of a ClassLabel, or of a list of them."""
    if isinstance(feature, list):
        return _names(feature[0]) if len(feature) == 1 else []
    if not isinstance(feature, dict):
        return []
    if feature.get("_type") == "ClassLabel":
        names = feature.get("names")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return []
        return names
    return _names(feature.get("feature"))


def _class(names: Sequence[str], cell: Any) -> Any:
    """The name of a class; None for -1, as which Hugging Face writes that there is no label."""
    if isinstance(cell, list):
        return [_class(names, one) for one in cell]
    if isinstance(cell, bool) or not isinstance(cell, int) or cell == -1:
        return None if cell == -1 else cell
    if 0 <= cell < len(names):
        return names[cell]
    return BrokenCell(f"class {cell}, though the file names only {len(names)} classes, from 0")


def _cells(
    path: pathlib.Path, classes: Mapping[str, list[str]], rows: int, columns: Sequence[str]
) -> Iterator[tuple[int, Columns]]:
    with _errors(path):
        # not through pandas, which turns integers into floats where a cell is missing
        for batch in _parquet(path).iter_batches(batch_size=rows, columns=list(columns)):
            cells = {name: arrow_cells(batch.column(name)) for name in columns}
            for name in classes.keys() & cells.keys():
                cells[name] = [_class(classes[name], cell) for cell in cells[name]]
            yield batch.num_rows, cells


def _parquet(path: pathlib.Path) -> pyarrow.parquet.ParquetFile:
    with _errors(path):
        problem = parquet_footer.problem(path)
        if problem:
            raise pyarrow.ArrowInvalid(problem)
        # by default whole row groups are read ahead
        return pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)


@contextlib.contextmanager
def _errors(path: pathlib.Path) -> Iterator[None]:
    """Turns Arrow's errors into one sentence."""
    try:
        yield
    except (pyarrow.ArrowException, OSError, KeyError, UnicodeDecodeError, MemoryError) as error:
        # of the operating system, such as a missing permission
        if getattr(error, "errno", None) is not None:
            raise
        raise ValueError(f"{path} is not a readable Parquet file: {first_line(error)}") from error
