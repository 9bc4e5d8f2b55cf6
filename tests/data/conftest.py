"""Shared by the tests of data: why a cell is refused, and a table that is ingested once."""

import json
import types

import pandas as pd
import pytest
from ingest_table import CONFIG, ROWS_PER_SHARD, make_table

from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.kinds import read_cell
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.table import read_table


@pytest.fixture(scope="session")
def reason():
    """`reason(value, input_config, root)`: why the cell is refused."""

    def of(value, input_config, root="."):
        with pytest.raises(CellError) as caught:
            read_cell(value, input_config, root)
        return str(caught.value)

    return of


@pytest.fixture(scope="session")
def ingested(once):
    """The table of every good and bad cell, ingested by one process.

    Has `folder`; the `frame`, whose files are in `root`; the `(row, column, path, reason)` of each
    of its cells that must be `rejected`; the `directory` of records and its `manifest`.
    """

    def make(folder):
        root = folder / "files"
        root.mkdir()
        frame, rejected = make_table(root)
        frame.to_pickle(folder / "table.pkl")
        (folder / "rejected.json").write_text(json.dumps(rejected))
        table = read_table(frame, root)
        ingest(table, CONFIG, folder / "out", processes=1, rows_per_shard=ROWS_PER_SHARD)

    folder = once("ingested", make)
    return types.SimpleNamespace(
        folder=folder,
        root=folder / "files",
        frame=pd.read_pickle(folder / "table.pkl"),
        rejected=[tuple(one) for one in json.loads((folder / "rejected.json").read_text())],
        directory=folder / "out",
        manifest=Manifest.load(folder / "out"),
    )
