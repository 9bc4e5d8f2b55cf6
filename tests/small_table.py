"""A small table with three labels, its configuration, and its records."""

import numpy as np
import pandas as pd

from multimodal_tf.config import (
    BagTower,
    CategoryInput,
    ClassificationHead,
    Config,
    MultiLabelHead,
    NumberInput,
    RegressionHead,
    Split,
    TextInput,
    Training,
)
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table
from multimodal_tf.schema import Schema

CONFIG = Config(
    inputs={
        "title": TextInput(max_tokens=4, tower=BagTower(embedding_dim=4)),
        "price": NumberInput(),
        "colour": CategoryInput(),
    },
    heads={"label": ClassificationHead(), "tags": MultiLabelHead(), "age": RegressionHead()},
    fusion={"hidden": [8], "dropout": 0.1},
    split=Split(column="split"),
    training=Training(epochs=3, batch_size=8),
    seed=7,
)


def with_parts(inputs=("price", "colour"), heads=("label",), **fields):
    """`CONFIG` with some of its inputs and heads, for speed, and with other fields."""
    return Config(
        inputs={name: CONFIG.inputs[name] for name in inputs},
        heads={name: CONFIG.heads[name] for name in heads},
        **{"split": CONFIG.split} | fields,
    )


def frame(train=40, validation=11, test=19):
    """Rows whose title determines the class, with missing inputs and labels.

    The last test row has a class that is not in the training split.
    """
    random = np.random.default_rng(0)
    rows = train + validation + test
    kind = random.integers(3, size=rows)
    table = pd.DataFrame(
        {
            "split": ["train"] * train + ["validation"] * validation + ["test"] * test,
            "title": [f"{['bird', 'cat', 'dog'][k]} {random.choice(['old', 'new'])}" for k in kind],
            "price": random.normal(10, 3, rows),
            "colour": random.choice(["red", "blue"], rows),
            "label": [["b", "c", "d"][k] for k in kind],
            "tags": [random.choice(["x;y", "x", "y", "z;x"]) for _ in kind],
            "age": kind * 10 + random.normal(0, 1, rows),
        }
    )
    for column, every in (("title", 5), ("price", 7), ("label", 6), ("tags", 9), ("age", 4)):
        table.loc[table.index % every == every - 1, column] = None
    table.loc[rows - 1, "label"] = "zebra"
    return table


def ingested(directory, config=CONFIG, table=None):
    """Ingests `table` into `directory`; returns the schema."""
    ingest(read_table(frame() if table is None else table), config, directory, processes=1)
    return Schema.load(directory / "schema.json")
