"""The columns of a file of predictions: of `Client.predict`, with a column for each class."""

import base64
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import tensorflow as tf

from multimodal_tf.config import PROBABILITIES, ROW
from multimodal_tf.data.kinds.lists import is_bracketed
from multimodal_tf.schema import Classes, Texts, thresholds
from multimodal_tf.serving import zero_shot
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.columns import DERIVED

# begins the data URI of an image
_PNG = "data:image/png;base64,"


def as_file(frame: pd.DataFrame, client: Client, kept: pd.DataFrame) -> pd.DataFrame:
    """The predictions of some rows as they stand in a file.

    Args:
        frame: of `Client.predict`; its index numbers the rows.
        client: that predicted.
        kept: columns of the table that are carried along, for the same rows.
    """
    frame = _as_ingest_reads(frame, client)
    columns: dict[str, Any] = {ROW: frame.index, **{str(name): kept[name] for name in kept}}
    by_key = _class_names(client)
    for key in map(str, frame):
        names = by_key.get(key)
        if names is None:
            columns[key] = frame[key]
            continue
        rows = frame[key]
        values = np.stack(list(rows)) if len(rows) else np.zeros((0, len(names)), np.float32)
        columns |= dict(zip(class_columns(key, names), values.T))
    return pd.DataFrame(columns, index=frame.index)


def class_columns(key: str, names: Sequence[str]) -> list[str]:
    """The names of the columns of a head's probabilities.

    Example:
        >>> class_columns("label_probabilities", ["Flags", "Birds"])
        ['label=Flags', 'label=Birds']
    """
    head = key.removesuffix(PROBABILITIES)
    return [f"{head}={name}" for name in names]


def _class_names(client: Client) -> dict[str, list[str]]:
    """The classes of each column of `Client.predict` that holds a probability for each."""
    heads: Mapping[str, Any] = client.config.heads
    found = {}
    for name, head in heads.items():
        stats = client.schema.heads.get(name)
        if head.target_type in ("class", "classes") and isinstance(stats, Classes):
            found[name + PROBABILITIES] = list(stats.names)
        if isinstance(stats, Texts) and stats.choices:
            found[name + PROBABILITIES] = list(stats.choices)
    return found


def _as_ingest_reads(frame: pd.DataFrame, client: Client) -> pd.DataFrame:
    """Several labels as cells that mean the same in a table."""
    columns = {}
    heads: Mapping[str, Any] = client.config.heads
    for name, head in heads.items():
        stats = client.schema.heads.get(name)
        if head.target_type != "classes" or not isinstance(stats, Classes):
            continue
        if any(head.separator in one or is_bracketed(one) for one in stats.names):
            least = np.array(thresholds(name, head, stats), np.float32)
            columns[name] = [
                json.dumps(list(itertools.compress(stats.names, row >= least)), ensure_ascii=False)
                for row in frame[name + PROBABILITIES]
            ]
        elif head.empty == "unknown":
            columns[name] = ["[]" if labels == "" else labels for labels in frame[name]]
    return frame.assign(
        **{name: pd.Series(cells, frame.index, "str") for name, cells in columns.items()}
    )


def parquet_schema(client: Client, kept: Sequence[str] = ()) -> pa.Schema:
    """The columns of `as_file`, by the served tensors; those of the table are texts."""
    by_key = _class_names(client)
    fields = [(ROW, pa.int64()), *((name, pa.string()) for name in kept)]
    for name, head in client.config.heads.items():
        fields.append((name, _type_of_labels(client, name)))
        for ending in head.endings:
            key = name + ending
            if key in by_key:
                fields += [(one, pa.float32()) for one in class_columns(key, by_key[key])]
                continue
            fields.append(
                (key, pa.float32() if ending in DERIVED else _parquet_type(client.served[key]))
            )
    if client.zero_shot is not None:
        name = client.zero_shot[0]
        fields.append((name + zero_shot.CLASS, pa.string()))
        fields.append((name + zero_shot.PROBABILITY, pa.float32()))
    fields += [
        (key, _parquet_type(client.served[key]))
        for key in (*client.disagreement_keys, *client.guard_keys, "valid")
    ]
    return pa.schema([*fields, ("error", pa.string()), ("present", pa.string())])


def _type_of_labels(client: Client, name: str) -> pa.DataType:
    if client.config.heads[name].cell_input is not None:
        return pa.binary()
    return pa.int64() if name in client.whole_numbers else _parquet_type(client.served[name])


def _parquet_type(spec: tf.TensorSpec) -> pa.DataType:
    """The type of a column that holds one row of a tensor in each cell."""
    cell = (
        pa.from_numpy_dtype(spec.dtype.as_numpy_dtype) if spec.dtype != tf.string else pa.string()
    )
    return cell if spec.shape.rank == 1 else pa.list_(cell)


def with_json(frame: pd.DataFrame) -> pd.DataFrame:
    """Arrays as JSON lists, each number with as many digits as a float32 needs; files as URIs."""
    texts: dict[str, list[str]] = {}
    for name in frame if len(frame) else ():
        first = frame[name].iloc[0]
        if isinstance(first, np.ndarray):
            texts[str(name)] = ["[" + ", ".join(map(str, row)) + "]" for row in frame[name]]
        elif isinstance(first, bytes):
            texts[str(name)] = [_PNG + base64.b64encode(file).decode() for file in frame[name]]
    return frame.assign(**texts)
