"""A shop's table: every kind of input without media, a label for every kind of head, bad cells."""

import json

import numpy as np
import pandas as pd

# the training rows that are kept fill batches of 16
TRAIN, VALIDATION, TEST = 50, 30, 22
ROWS = TRAIN + VALIDATION + TEST
DIM = 8
ANIMALS = ["bird", "cat", "dog"]
SIZES = ["small", "medium", "large"]
# no count is in these rows, by cell
BAD_COUNTS = {0: "-1.0", 1: "2.5"}
# row: (column, cell, reason)
BAD_CELLS = {
    3: ("v", [0.5, 1.0, 2.0, 3.0], "a vector must have 8 finite numbers, received 4"),
    4: ("price", "heavy", "not a number"),
    5: ("day", "2023-02-30", "not a date in ISO 8601"),
    6: ("day", "soon", "not a date in ISO 8601"),
}
# has no label at all: only heads without a column learn from it
UNLABELLED = 2
# types that `describe` is given; the other columns' it finds
TYPES = {
    "title": "text",
    "label": "classification",
    "visits": "count",
    "size": "ignored",
    "age": "ignored",
}
# that `describe` does not write
HEADS = {
    "label": {"type": "classification", "loss": "focal", "inputs": ["title", "v"]},
    "size": {"type": "ordinal", "classes": SIZES, "inputs": ["title", "price"]},
    "cost": {"type": "quantile", "quantiles": [0.1, 0.4, 0.9], "column": "age"},
    "pair": {"type": "matching", "inputs": ["title", "colour"], "dim": 4},
    "vector": {"type": "embedding"},
}


def frame():
    """The title and the vector tell the label; there are missing cells in every column."""
    random = np.random.default_rng(0)
    kind, price = random.integers(3, size=ROWS), random.normal(10, 3, ROWS).round(2)
    days = pd.Timestamp("2023-01-01") + pd.to_timedelta(random.integers(0, 700, ROWS), "D")
    colour = random.choice(["red", "blue"], ROWS)
    vectors = random.normal(size=[ROWS, DIM]) + 3 * kind[:, np.newaxis]
    table = pd.DataFrame(
        {
            "split": ["train"] * TRAIN + ["validation"] * VALIDATION + ["test"] * TEST,
            "title": [f"{ANIMALS[k]} {random.choice(['old', 'new'])}" for k in kind],
            "price": price.astype(str),
            "colour": colour,
            "sold": np.where(random.random(ROWS) < 0.5, "Yes", "no"),
            "day": days.strftime("%Y-%m-%d"),
            "v": vectors.round(3).tolist(),
            "label": [ANIMALS[k] for k in kind],
            "visits": random.poisson(np.where(colour == "red", 2.0, 20.0)).astype(str),
            "size": np.array(SIZES)[np.digitize(price, [8, 12])],
            "age": (kind * 10 + random.normal(0, 1, ROWS)).round(3).astype(str),
        }
    ).astype(object)
    gaps = {"title": 5, "price": 7, "colour": 9, "sold": 6, "day": 11, "v": 8}
    for column, every in (gaps | {"label": 12, "visits": 10, "age": 4}).items():
        table.loc[table.index % every == every - 1, column] = None
    for row, cell in BAD_COUNTS.items():
        table.loc[row, "visits"] = cell
    for row, (column, cell, _) in BAD_CELLS.items():
        table.at[row, column] = cell
    table.loc[UNLABELLED, ["label", "visits", "size", "age"]] = None
    return table


def texts():
    """The same cells as a CSV has them: vectors as JSON."""
    table = frame()
    table["v"] = [None if cell is None else json.dumps(cell) for cell in table["v"]]
    return table
