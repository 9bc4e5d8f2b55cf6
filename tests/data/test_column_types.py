"""The rules for column types, on columns made by hand."""

import pytest

from multimodal_tf.data.describe.column_types import describe_input_column
from multimodal_tf.data.describe.heads import describe_head_column, label_column
from multimodal_tf.data.describe.sample import COUNTED, Cell, Column


def column(name, values, kind="text", rows=None, distinct=None):
    cells = [Cell(row, kind, value) for row, value in enumerate(values)]
    return Column(
        name,
        len(values) if rows is None else rows,
        0,
        len(set(values)) if distinct is None else distinct,
        cells,
    )


@pytest.mark.parametrize(
    ("name", "values", "kind", "expected"),
    [
        ("ID", [3, 1, 2], "number", "ignored"),
        ("Unnamed: 0", [0, 1, 2], "number", "ignored"),
        ("image id", ["a", "b"], "text", "ignored"),
        # it repeats, so it identifies no row
        ("id", [1, 1, 2], "number", "number"),
        ("product_id", [1, 2], "number", "ignored"),
        ("speaker", ["ann", "bob", "ann"], "text", "group"),
        ("speaker", ["ann", "bob"], "text", "text"),
        ("age_group", ["old", "young", "old"], "text", "group"),
        ("patient-id", [1, 1], "number", "group"),
        ("Split", ["train", "Dev", " test"], "text", "split"),
        ("place", ["train", "dev", "test"], "text", "text"),
        ("key", [f"{n:032x}" for n in range(20)], "text", "ignored"),
        ("page", [f"https://a.b/{n}" for n in range(20)], "text", "ignored"),
        ("day", ["2024-05-17", "2024-05-18"] * 5, "text", "date"),
        # a date even if it never repeats
        ("visit_id", [f"2024-05-{n}" for n in range(10, 30)], "text", "date"),
        ("year", [2023, 2024], "number", "number"),
        ("sold", ["Y", "n", "y"], "text", "boolean"),
        ("sold", ["yes", "yes"], "text", "category"),
        ("floors", [1, 0, 1], "number", "boolean"),
        ("floors", [1, 0, 2], "number", "number"),
        ("word", [chr(97 + n) * 4 for n in range(20)], "text", "text"),
    ],
)
def test_inputs(name, values, kind, expected):
    assert describe_input_column(column(name, values, kind))[0] == expected


def test_nine_tenths_make_numbers_and_half_make_images():
    mixed = column("x", ["1"] * 9, "number")
    mixed.cells += column("x", ["dear"]).cells
    mixed.rows = 10
    assert describe_input_column(mixed) == ("number", "90% numbers")
    mixed.cells += column("x", ["dear"]).cells
    assert describe_input_column(mixed)[0] != "number"
    half = column("x", ["a.png"], "image")
    half.cells += column("x", ["two owls"]).cells
    assert describe_input_column(half) == ("image", "1 of 2 cells open as images")


def test_a_third_value_outside_the_sample_makes_no_boolean():
    assert (
        describe_input_column(column("sold", ["yes", "no"] * 5, rows=1000, distinct=3))[0]
        == "category"
    )
    assert (
        describe_input_column(column("sold", ["0", "1"] * 5, "number", rows=1000, distinct=3))[0]
        == "number"
    )


def test_distinct_values_beyond_counting():
    assert (
        describe_input_column(column("id", [5, 9], "number", rows=10**6, distinct=COUNTED))[0]
        == "ignored"
    )
    assert (
        describe_input_column(column("title", ["an owl", "a tree"], rows=10**6, distinct=COUNTED))[
            0
        ]
        == "text"
    )
    assert (
        describe_head_column(column("label", ["owl", "tree"], rows=10**6, distinct=COUNTED))[1]
        == "10000 or more distinct values"
    )


@pytest.mark.parametrize(
    ("distinct", "rows", "expected"),
    [
        (20, 100, "classification"),
        (21, 100, "regression"),
        (100, 5000, "classification"),
        (1001, 10**6, "regression"),
    ],
)
def test_whole_numbers_as_labels(distinct, rows, expected):
    assert (
        describe_head_column(column("y", list(range(50)), "number", rows, distinct))[0] == expected
    )


def test_the_name_of_the_label():
    assert label_column(["Target", "class", "Label "]) == "Label "
    assert label_column(["label", "Label"]) == "label"
    assert label_column(["title", "labelled"]) is None
