"""The command that finds cells of one input by another."""

import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from multimodal_tf.cli.app import Delimiter, Encoding, Root, TablePath, app, console, open_table
from multimodal_tf.cli.serving import Paths, SavedModel

if TYPE_CHECKING:
    from multimodal_tf.data.table import Table
    from multimodal_tf.serving.client import Client
    from multimodal_tf.serving.search_index import SearchIndex

_By = Annotated[str, typer.Option("--by", help="The input that is the query, such as a text.")]
_For = Annotated[str, typer.Option("--for", help="The input whose cells are to be found.")]
_Queries = Annotated[
    pathlib.Path | None,
    typer.Option(help="A table with the queries. (default: the rows of TABLE)", show_default=False),
]
_Head = Annotated[
    str | None,
    typer.Option(
        help="The alignment head. (default: the only one of both inputs)", show_default=False
    ),
]
_First = Annotated[int, typer.Option(min=1, help="Rows that are listed for each query.")]
_SaveIndex = Annotated[
    pathlib.Path | None,
    typer.Option(
        help="Write the vectors of --for as well: .npz or .parquet, for FAISS or ScaNN.",
        show_default=False,
    ),
]
_Index = Annotated[
    pathlib.Path | None,
    typer.Option(
        help="Search in this file of --save-index; TABLE then has the queries alone.",
        show_default=False,
    ),
]
_Out = Annotated[pathlib.Path, typer.Option("--out", "-o", help=".csv or .parquet file to write.")]


@app.command()
def retrieve(
    saved_model: SavedModel,
    table: TablePath,
    by: _By,
    for_: _For,
    out: _Out,
    queries: _Queries = None,
    head: _Head = None,
    first: _First = 10,
    save_index: _SaveIndex = None,
    index: _Index = None,
    root: Root = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    paths: Paths = True,
) -> None:
    """Find the nearest cells of one input for each cell of another, with an exported model."""
    from multimodal_tf.serving import retrieve_table
    from multimodal_tf.serving.client import Client

    if index is not None and (queries is not None or save_index is not None):
        raise ValueError(
            "--index holds what is searched, and TABLE the queries: received --index with "
            + ("--queries" if queries is not None else "--save-index")
        )
    retrieve_table.check_paths(out, save_index)
    client, rows = Client(saved_model, paths), open_table(table, root, encoding, delimiter)
    space = retrieve_table.space(client, by, for_, head)
    items = _items(client, rows, for_, space, index, save_index)
    asked = rows if queries is None else open_table(queries, root, encoding, delimiter)
    count = retrieve_table.retrieve_table(client, asked, items, by, out, first, progress=True)
    console.print(f"Found for {count} queries among {len(items.rows)} cells of {for_}: {out}")


def _items(
    client: "Client",
    rows: "Table",
    name: str,
    head: str,
    index: pathlib.Path | None,
    save_index: pathlib.Path | None,
) -> "SearchIndex":
    from multimodal_tf.serving import retrieve_table
    from multimodal_tf.serving.search_index import SearchIndex

    if index is not None:
        loaded = SearchIndex.load(index)
        retrieve_table.check_loaded(loaded, name, head, index)
        return loaded
    items = retrieve_table.index_table(client, rows, name, head, progress=True)
    if save_index is not None:
        items.save(save_index)
        console.print(f"Index: {save_index}")
    return items
