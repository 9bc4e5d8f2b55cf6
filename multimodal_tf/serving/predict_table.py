"""The predictions of an exported model for every row of a table, as a file."""

import contextlib
import itertools
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from multimodal_tf.data import atomic
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.csv_frame import escape_frame
from multimodal_tf.data.kinds.cell import read_text
from multimodal_tf.data.progress import progress_bar
from multimodal_tf.data.table import Table
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.prediction_file import as_file, parquet_schema, with_json
from multimodal_tf.serving.rows import BATCH

# batches that are written at once: a Parquet file of many small row groups is slow to read
_GROUP = 32


def predict_table(
    client: Client,
    table: Table,
    out: str | os.PathLike[str],
    progress: bool = False,
    keep: Sequence[str] = (),
) -> list[str]:
    """Predicts every row of a table and writes a file; memory does not grow with the rows.

    Args:
        client: `Client`.
        table: `Table`. Columns that the model does not read are ignored.
        out: `.csv` or `.parquet` file to write, whole or not at all; an older one is replaced. Its
            columns are `row` (the row's number in the table, from 0), those of `keep`, and those of
            `Client.predict`, of whose probabilities each class has a column, such as `label=cat`;
            several labels are written as ingest reads them, as a JSON list where none applies or
            where a label holds the separator; in a CSV, an image is a data URI, other arrays are a
            JSON list, and a text that a spreadsheet would run as a formula has an apostrophe before
            it (`config.formulas.unescape`).
        progress: whether to show on stderr how many rows are done.
        keep: columns of the table that are written, too, as texts, such as an id.

    Returns:
        Notes for the user: columns that the table lacks, and how many rows are not valid.

    Raises:
        ValueError: `out` has another ending; no column of the table is an input's; the table has no
            column of `keep`, or it has the name of a column of predictions.
    """
    path = pathlib.Path(out)
    if path.suffix not in (".csv", ".parquet") or path.is_dir():
        raise ValueError(
            f"predictions are written to a .csv or .parquet file, received {str(path)!r}"
        )
    sources = client.sources(table.columns)
    keep = _checked(keep, client, table)
    notes = _missing_inputs(client, table, sources)
    done = invalid = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.remove_abandoned(path)
    with (
        atomic.full_disk_explained(path, resumes=False),
        atomic.replacing(path) as temporary,
        _writer(temporary, path.suffix, client, keep) as write,
        progress_bar("predict", "rows", shown=progress) as update,
    ):
        columns = list(dict.fromkeys([*sources.values(), *keep]))
        predicted = (
            as_file(client.predict(chunk, table.root), client, _texts(chunk[keep]))
            for chunk in table.chunks(rows=BATCH, columns=columns)
        )
        while group := list(itertools.islice(predicted, _GROUP)):
            frame = pd.concat(group)
            write(frame)
            done, invalid = done + len(frame), invalid + int((~frame["valid"]).sum())
            update(completed=done)
    if invalid:
        notes.append(f"{invalid} of {done} rows are not valid: the column `error` says why")
    return notes


def _missing_inputs(client: Client, table: Table, sources: Mapping[str, str]) -> list[str]:
    return [
        f"{table.name} has no column {client.config.column(name)!r}: "
        f"the input {name!r} is missing in every row"
        for name in client.config.inputs
        if name not in sources
    ]


def _checked(keep: Sequence[str], client: Client, table: Table) -> list[str]:
    """The columns to carry along, each once, by the names that the table gives them."""
    names = list(dict.fromkeys(table.column(name) for name in keep))
    taken = parquet_schema(client).names
    twice = next((name for name in names if name in taken), None)
    if twice is not None:
        raise ValueError(
            f"keep: {twice!r} is a column of the predictions, too: rename it in {table.name}"
        )
    return names


def _texts(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells as texts; missing ones stay missing."""
    texts = {
        name: [None if cell is None else shown(cell) for cell in frame[name]] for name in frame
    }
    return pd.DataFrame(texts, index=frame.index, dtype=object)


def shown(cell: Any) -> str:
    """A cell of a table as a text of a file.

    Example:
        >>> shown(3.0), shown("007"), shown([1, 2])
        ('3', '007', '[1, 2]')
    """
    try:
        return read_text(cell)
    except CellError:
        return str(cell)


@contextlib.contextmanager
def _writer(
    path: pathlib.Path, suffix: str, client: Client, keep: Sequence[str]
) -> Iterator[Callable[[pd.DataFrame], None]]:
    """A function that appends a DataFrame to the file."""
    if suffix == ".parquet":
        schema = parquet_schema(client, keep)
        with pa.parquet.ParquetWriter(path, schema) as writer:
            yield lambda frame: writer.write_table(
                pa.Table.from_pandas(frame, schema, preserve_index=False)
            )
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            yield lambda frame: escape_frame(with_json(frame)).to_csv(
                file, index=False, header=file.tell() == 0
            )
