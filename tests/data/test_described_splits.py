"""Columns of splits, in the words of any tool, are proposed as the split and never as an input."""

import re

import pandas as pd
import pytest
from described_tables import column_of, described, types_of

from multimodal_tf.config import Split
from multimodal_tf.data.split import assign_splits
from multimodal_tf.data.table import read_table

TITLES = [f"some title {n}" for n in range(60)]
LABELS = ["a", "b"] * 30


def with_split(name, cells, **arguments):
    rows = {"title": TITLES, name: (cells * 60)[:60], "label": LABELS}
    return described(rows, presets=False, **arguments)


@pytest.mark.parametrize(
    ("name", "cells", "values"),
    [
        ("split", ["train", "val", "TEST"], None),
        # Ludwig
        ("split", [0, 1, 2], {"0": "train", "1": "validation", "2": "test"}),
        ("split", ["0.0", "1.0", "2"], {"0": "train", "1": "validation", "2": "test"}),
        ("Set", [0.0, 2.0], {"0": "train", "2": "test"}),
        # fastai
        ("is_valid", [False, True], {"false": "train", "true": "validation"}),
        ("is_valid", ["False", "True", "False"], {"False": "train", "True": "validation"}),
        ("is_test", ["0", "1"], {"0": "train", "1": "test"}),
        ("isTrain", ["no", "yes"], {"no": "test", "yes": "train"}),
        ("is_training_image", [1, 0], {"1": "train", "0": "test"}),
        # Kaggle
        (
            "Usage",
            ["Training", "PublicTest", "PrivateTest"],
            {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"},
        ),
        ("subset", ["train", "holdout"], {"train": "train", "holdout": "test"}),
        # ingest asks for the other word
        ("split", ["train", "extra", "test"], {"train": "train", "test": "test"}),
    ],
)
def test_other_peoples_splits_are_the_split(name, cells, values):
    found = with_split(name, cells)
    assert types_of(found) == {"title": "text", name: "split", "label": "classification"}
    config = found.config()
    assert (config.split.column, config.split.values) == (name, values)
    assert type(config).from_yaml(config.to_yaml()) == config
    assert (config.split.stratify, config.split.group) == (None, None)
    rows = {"title": TITLES, name: (cells * 60)[:60], "label": LABELS}
    table = read_table(pd.DataFrame(rows))
    if "extra" in cells:
        with pytest.raises(
            ValueError, match="row 1: .*'split' must say train, test, received 'ext"
        ):
            assign_splits(table, config)
    else:
        assert 0 < (assign_splits(table, config) == 0).sum() < 60


def test_every_row_is_looked_at_for_the_values():
    words = ["Training"] * 59 + ["PrivateTest"]
    assert with_split("Usage", words, sample=5).config().split.values == {
        "Training": "train",
        "PrivateTest": "test",
    }


@pytest.mark.parametrize(
    ("name", "cells", "why"),
    [
        (
            "fold",
            [0, 1, 2, 3, 4],
            "0, 1, 2, 3, 4 do not say which rows are the test: to use it, give",
        ),
        ("kfold", ["a", "b"], r"split: {column: kfold, values: {a: train, b: test}}"),
        ("split", ["red", "blue", "green"], "named as a split, but red, blue, green do not say"),
        ("is_valid", [False], "all rows say False|all rows say false"),
    ],
)
def test_what_names_no_test_is_ignored_with_a_sentence(name, cells, why):
    found = with_split(name, cells)
    assert column_of(found, name).type == "ignored"
    assert re.search(why, column_of(found, name).why)
    assert found.config().split == Split(stratify="label")


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("set", ["u", "v"], "category"),
        ("Usage", [1.5, 2.5, 9.0], "number"),
        ("subset", [3, 4], "number"),
    ],
)
def test_an_input_that_is_named_as_a_split_has_a_word(name, cells, kind):
    column = column_of(with_split(name, cells), name)
    assert column.type == kind
    assert "named as a split, but its values name none" in column.why


def test_columns_of_other_names_are_inputs():
    for name, cells in (("is_red", [0, 1]), ("price", [0, 1, 2]), ("splitter", ["train", "test"])):
        column = column_of(with_split(name, cells), name)
        assert column.type in ("boolean", "number", "category")
        assert "split" not in column.why


def test_a_given_split_gets_its_values_whatever_its_name():
    found = with_split("part", [0, 1, 2], types={"part": "split"})
    assert found.config().split.values == {"0": "train", "1": "validation", "2": "test"}


def test_a_second_split_is_ignored():
    rows = {"title": TITLES, "split": [0, 1, 2] * 20, "is_valid": [0, 1] * 30, "label": LABELS}
    found = described(rows, presets=False)
    assert column_of(found, "is_valid").why == "looks like a split too, but 'split' is it"
    assert found.config().split.column == "split"


def test_empty_cells_are_announced():
    assert (
        "ingest refuses its 20 empty cells"
        in column_of(with_split("split", ["train", None, "test"]), "split").why
    )
