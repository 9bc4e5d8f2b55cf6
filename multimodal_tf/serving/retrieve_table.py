"""Search by another input over whole tables: what the command `retrieve` does."""

import os
import pathlib
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from multimodal_tf.config import ALIGNED
from multimodal_tf.data import atomic
from multimodal_tf.data.progress import progress_bar
from multimodal_tf.data.table import Table
from multimodal_tf.serving import search
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.rows import BATCH
from multimodal_tf.serving.search_index import SearchIndex, check_suffix


def check_paths(
    out: str | os.PathLike[str], save_index: str | os.PathLike[str] | None = None
) -> None:
    """Checks the files to write.

    Raises:
        ValueError: one has another ending than its kind of file.
    """
    path = pathlib.Path(out)
    if path.suffix not in (".csv", ".parquet") or path.is_dir():
        raise ValueError(f"results are written to a .csv or .parquet file, received {str(path)!r}")
    if save_index is not None:
        check_suffix(save_index)


def space(client: Client, by: str, for_: str, head: str | None = None) -> str:
    """The alignment head of two inputs; errors as `search.space_of`."""
    if by == for_:
        raise ValueError(f"--by and --for must be two inputs, received {by!r} for both")
    return search.space_of(client.config, [by, for_], head)


def check_loaded(index: SearchIndex, name: str, head: str, path: pathlib.Path) -> None:
    """Checks that a file holds the index of an input in a head's space.

    Raises:
        ValueError: it holds another.
    """
    if (index.head, index.input) != (head, name):
        raise ValueError(
            f"{path} must be an index of {name!r} in {head!r}, received one of {index.input!r} in "
            f"{index.head!r}"
        )


def index_table(
    client: Client, table: Table, name: str, head: str, progress: bool = False
) -> SearchIndex:
    """`Client.index` of a table; memory holds the vectors and one batch of rows.

    Args:
        client: `Client`.
        table: `Table`.
        name: the input whose cells are to be found.
        head: name of the alignment head.
        progress: whether to show on stderr how many rows are done.

    Raises:
        ValueError: the table has no column of this input, or no cell of it can be read.
    """
    rows, vectors, done = [], [], 0
    with progress_bar(f"embed {name}", "rows", shown=progress) as update:
        for found in _vectors(client, table, name, head):
            present = np.flatnonzero(found.any(axis=1))
            rows.append(done + present)
            vectors.append(found[present])
            done += len(found)
            update(completed=done)
    if not sum(map(len, rows)):
        raise ValueError(
            f"{table.name} must have cells of {name!r} that can be read, "
            f"received none in {done} rows"
        )
    return SearchIndex(
        head, name, client.fingerprint, np.concatenate(rows), np.concatenate(vectors)
    )


def retrieve_table(
    client: Client,
    table: Table,
    index: SearchIndex,
    by: str,
    out: str | os.PathLike[str],
    first: int = 10,
    progress: bool = False,
) -> int:
    """Writes what `Client.search` finds for each row of a table.

    Args:
        client: `Client`.
        table: `Table` with the queries.
        index: where to search.
        by: the input that is the query.
        out: `.csv` or `.parquet` file, whole or not at all; its columns are those of
            `Client.search`.
        first: rows that are listed for each query.
        progress: whether to show on stderr how many rows are done.

    Returns:
        The number of queries.

    Raises:
        ValueError: as `check_paths`, `Client.search` and `index_table`.
    """
    check_paths(out)
    search.check_index(client.config, index, by, client.fingerprint)
    done, parts = 0, []
    with progress_bar(f"embed {by}", "rows", shown=progress) as update:
        for found in _vectors(client, table, by, index.head):
            parts.append(found)
            done += len(found)
            update(completed=done)
    vectors = np.concatenate(parts) if parts else index.vectors[:0]
    frame = search.nearest_rows(vectors, index, first)
    _write(frame, pathlib.Path(out))
    return int(frame["query"].nunique())


def _vectors(client: Client, table: Table, name: str, head: str) -> Iterator[np.ndarray]:
    """Vectors of batches of the table's rows."""
    inputs = client.config.vector_inputs()[name]
    sources = client.sources(table.columns)
    columns = list(dict.fromkeys(sources[own] for own in inputs if own in sources))
    if not columns:
        raise ValueError(
            f"{table.name} must have the column {client.config.column(inputs[0])!r} of the input "
            f"{name!r}, received {list(table.columns)}"
        )
    for chunk in table.chunks(rows=BATCH, columns=columns):
        yield client.embed(chunk, table.root, inputs)[head + ALIGNED + name]


def _write(frame: pd.DataFrame, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.remove_abandoned(path)
    write: Callable[[pathlib.Path], None] = (
        (lambda file: frame.to_parquet(file, index=False))
        if path.suffix == ".parquet"
        else (lambda file: frame.to_csv(file, index=False))
    )
    with atomic.full_disk_explained(path, resumes=False), atomic.replacing(path) as temporary:
        write(temporary)
