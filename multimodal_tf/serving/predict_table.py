"""The predictions of an exported model for every row of a table, as a file."""

import contextlib
import itertools
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import tensorflow as tf

from multimodal_tf.config import PROBABILITIES, ROW
from multimodal_tf.data import atomic
from multimodal_tf.data.csv_frame import escape_frame
from multimodal_tf.data.kinds.lists import is_bracketed
from multimodal_tf.data.progress import progress_bar
from multimodal_tf.data.table import Table
from multimodal_tf.schema import Classes, thresholds
from multimodal_tf.serving import zero_shot
from multimodal_tf.serving.client import BATCH, Client
from multimodal_tf.serving.columns import DERIVED

# batches that are written at once: a Parquet file of many small row groups is slow to read
_GROUP = 32


def predict_table(
    client: Client, table: Table, out: str | os.PathLike[str], progress: bool = False
) -> list[str]:
    """Predicts every row of a table and writes a file; memory does not grow with the rows.

    Args:
        client: `Client`.
        table: `Table`. Columns that the model does not read are ignored.
        out: `.csv` or `.parquet` file to write, whole or not at all; an older one is replaced. Its
            columns are `row` (the row's number in the table, from 0) and those of `Client.predict`;
            several labels are written as ingest reads them, as a JSON list where none applies or
            where a label holds the separator; in a CSV, probabilities are a JSON list, and a text
            that a spreadsheet would run as a formula has an apostrophe before it
            (`config.formulas.unescape`).
        progress: whether to show on stderr how many rows are done.

    Returns:
        Notes for the user: columns that the table lacks, and how many rows are not valid.

    Raises:
        ValueError: `out` has another ending, or no column of the table is an input's.
    """
    path = pathlib.Path(out)
    if path.suffix not in (".csv", ".parquet") or path.is_dir():
        raise ValueError(
            f"predictions are written to a .csv or .parquet file, received {str(path)!r}"
        )
    sources = client.sources(table.columns)
    notes = [
        f"{table.name} has no column {client.config.column(name)!r}: "
        f"the input {name!r} is missing in every row"
        for name in client.config.inputs
        if name not in sources
    ]
    done = invalid = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.remove_abandoned(path)
    with (
        atomic.full_disk_explained(path, resumes=False),
        atomic.replacing(path) as temporary,
        _writer(temporary, path.suffix, client) as write,
        progress_bar("predict", "rows", shown=progress) as update,
    ):
        predicted = (
            client.predict(chunk, table.root)
            for chunk in table.chunks(rows=BATCH, columns=list(dict.fromkeys(sources.values())))
        )
        while group := list(itertools.islice(predicted, _GROUP)):
            frame = _as_ingest_reads(pd.concat(group), client).rename_axis(ROW).reset_index()
            write(frame)
            done, invalid = done + len(frame), invalid + int((~frame["valid"]).sum())
            update(completed=done)
    if invalid:
        notes.append(f"{invalid} of {done} rows are not valid: the column `error` says why")
    return notes


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


@contextlib.contextmanager
def _writer(
    path: pathlib.Path, suffix: str, client: Client
) -> Iterator[Callable[[pd.DataFrame], None]]:
    """A function that appends a DataFrame to the file."""
    if suffix == ".parquet":
        schema = _parquet_schema(client)
        with pa.parquet.ParquetWriter(path, schema) as writer:
            yield lambda frame: writer.write_table(
                pa.Table.from_pandas(frame, schema, preserve_index=False)
            )
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            yield lambda frame: escape_frame(_with_json(frame)).to_csv(
                file, index=False, header=file.tell() == 0
            )


def _parquet_schema(client: Client) -> pa.Schema:
    """The columns of `Client.predict`, by the served tensors."""
    fields = [(ROW, pa.int64())]
    for name, head in client.config.heads.items():
        fields.append((name, _parquet_type(client.served[name])))
        for ending in head.endings:
            key = name + ending
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


def _parquet_type(spec: tf.TensorSpec) -> pa.DataType:
    """The type of a column that holds one row of a tensor in each cell."""
    cell = (
        pa.from_numpy_dtype(spec.dtype.as_numpy_dtype) if spec.dtype != tf.string else pa.string()
    )
    return cell if spec.shape.rank == 1 else pa.list_(cell)


def _with_json(frame: pd.DataFrame) -> pd.DataFrame:
    """Arrays as JSON lists, each number with as many digits as a float32 needs."""
    lists = {
        str(name): ["[" + ", ".join(map(str, row)) + "]" for row in frame[name]]
        for name in frame
        if len(frame) and isinstance(frame[name].iloc[0], np.ndarray)
    }
    return frame.assign(**lists)
