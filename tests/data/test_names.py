"""Names of inputs and heads from names of columns."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_tf.config import SERVED, Config
from multimodal_tf.data.describe.names import safe_names
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.table import read_table


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("photo", "photo"),
        ("Größe (cm)", "Gro_e_cm"),
        ("prix réel", "prix_reel"),
        ("a/b", "a_b"),
        ("图片", "column_1"),
        ("", "column_1"),
        ("1st", "column_1st"),
        ("_x", "x"),
        ("x_", "x_"),
        ("class", "class_"),
        ("self", "self_"),
        ("present", "present"),
        ("fused", "fused_2"),
    ],
)
def test_safe_names(column, name):
    assert safe_names([(column, False)]) == [name]


def test_names_of_heads_do_not_clash_with_served_keys():
    assert safe_names([("present", True), ("valid", True), ("error", True)]) == [
        "present_2",
        "valid_2",
        "error_2",
    ]
    assert safe_names(
        [("photo", False), ("photo_present", False), ("a b", False), ("a_b", False)]
    ) == [
        "photo",
        "photo_present_2",
        "a_b",
        "a_b_2",
    ]


NAMES = st.text(max_size=8) | st.sampled_from(
    [
        "a",
        "a_present",
        "a_probability",
        "a_embedding",
        "a b",
        "class",
        "self",
        "row",
        "fused",
        *SERVED,
        "column_1",
        "a_2",
    ]
)


@settings(max_examples=300, deadline=None)
@given(columns=st.lists(NAMES, min_size=2, max_size=8, unique=True), heads=st.integers(1, 3))
def test_safe_names_make_a_configuration(columns, heads):
    heads = min(heads, len(columns) - 1)
    names = safe_names([(column, index < heads) for index, column in enumerate(columns)])
    assert len(set(names)) == len(columns)
    parts = {
        "heads": {
            name: {"type": "classification", "column": column}
            for name, column in list(zip(names, columns))[:heads]
        },
        "inputs": {
            name: {"type": "number", "column": column}
            for name, column in list(zip(names, columns))[heads:]
        },
    }
    config = Config.model_validate(parts)
    assert [config.column(name) for name in names] == columns


def test_many_columns_of_one_name():
    """In a time that grows with the columns: with their square it would be minutes."""
    names = safe_names([("a" + "!" * (index % 100), False) for index in range(10_000)])
    assert names == ["a", *(f"a_{index}" for index in range(2, 10_001))]


def test_odd_columns_end_to_end(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "图片,present,two words,a/b,class\nu v,1,x y,p q,c\nw x,2,z a,r s,d\n", encoding="utf-8"
    )
    config = describe(read_table(path)).config()
    assert {name: config.column(name) for name in [*config.inputs, *config.heads]} == {
        "column_1": "图片",
        "present": "present",
        "two_words": "two words",
        "a_b": "a/b",
        "class_": "class",
    }


def test_names_that_differ_in_case_alone():
    assert safe_names([("Age", False), ("age", False), ("AGE", True), ("Fused", False)]) == [
        "Age",
        "age_2",
        "AGE_3",
        "Fused",
    ]


def test_a_head_does_not_end_as_base64():
    columns = [("size_bytes", False), ("size bytes", True), ("raw_bytes", True)]
    assert safe_names(columns) == ["size_bytes", "size_bytes_", "raw_bytes_"]


@pytest.mark.parametrize(
    ("inputs", "heads", "message"),
    [
        (["Age", "age"], ["y"], "two input keys would be called 'Age' and 'age', which differ"),
        (["x", "X_present"], ["y"], "two input keys .* 'X_present' and 'x_present', which differ"),
        (["x"], ["y", "y_probability"], "two head keys would be called 'y_probability': choose"),
        (["x"], ["size_bytes"], "a head's name must not end in _bytes, .* received 'size_bytes'"),
    ],
)
def test_names_that_cannot_be_served_are_refused(inputs, heads, message):
    with pytest.raises(ValueError, match=message):
        Config.model_validate(
            {
                "inputs": {name: {"type": "number"} for name in inputs},
                "heads": {name: {"type": "classification"} for name in heads},
            }
        )


def test_an_input_may_end_as_base64():
    # only texts that are served go by their ending, and outputs are told apart by case
    Config.model_validate(
        {
            "inputs": {"size_bytes": {"type": "number"}},
            "heads": {name: {"type": "classification"} for name in ("y", "Y", "Size_Bytes")},
        }
    )
