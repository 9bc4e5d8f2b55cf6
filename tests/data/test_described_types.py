"""The types that `describe` finds by value, those that are given, and arguments it refuses."""

import datetime

import pandas as pd
import pytest
from described_tables import column_of, described, png, types_of

from multimodal_tf.data.describe.heads import HEADS


def test_the_majority_decides_and_the_rest_is_rejected(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    found = described(
        {
            "x": ["a.png"] * 8 + ["nothing here", 5],
            "n": ["1.5"] * 9 + ["cheap"],
            "label": list("ab") * 5,
        },
        root=tmp_path,
    )
    assert types_of(found) == {"x": "image", "n": "number", "label": "classification"}
    assert [rejection.row for rejection in column_of(found, "x").rejections] == [8, 9]
    assert column_of(found, "n").rejections[0].model_dump() == {
        "row": 9,
        "reason": "not a number: 'cheap'",
    }


# Types by value


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([1, 2.5, None, 4] * 5, "number"),
        (["1", " 2.5", "-3e2", "nan"] * 5, "number"),
        ([True, False] * 10, "boolean"),
        (["Yes", "no "] * 10, "boolean"),
        ([0, 1] * 10, "boolean"),
        (["1.0", "0.0"] * 10, "boolean"),
        (["yes", "no", "maybe", "no"] * 5, "category"),
        ([0, 1, 2, 1] * 5, "number"),
        (["2024-05-17", "2024-05-18 09:30", None, "2023-02-30"] * 5, "date"),
        (["2024-05-17"] * 9 + ["soon"] + ["2024-06"] * 10, "date"),
        (["2024", "2025"] * 10, "number"),
        (["007", "010"] * 10, "category"),
        (["red", "green"] * 10, "category"),
        (["a long sentence that comes twice", "another sentence of some words"] * 10, "text"),
        ([f"word{chr(97 + n)} text" for n in range(20)], "text"),
        (["你好", "谢谢你", "再见"] + [chr(0x4E00 + n) * 3 for n in range(17)], "text"),
        ([f"photos/{n}" for n in range(20)], "ignored"),
        ([pd.Timestamp(2020, 1, 1 + n) for n in range(20)], "date"),
        ([datetime.date(2020, 1, 1 + n) for n in range(20)], "date"),
        ([[0.5, 0.25, 1.0]] * 20, "ignored"),
        ([{"a": 1}] * 20, "ignored"),
        ([None] * 20, "ignored"),
    ],
)
def test_types_by_value(cells, kind):
    assert types_of(described({"x": cells, "label": list("ab") * 10}))["x"] == kind


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["a", "b"] * 20, "classification"),
        ([0, 1, 2, 3] * 10, "classification"),
        (["007", "010", "3", "4"] * 10, "classification"),
        ([n / 7 for n in range(40)], "regression"),
        ([f"{n * 3}" for n in range(40)], "regression"),
        ([["x", "y"], ["x"], [], None] * 10, "multi_label"),
        (["x;y", "x", "y; z", ""] * 10, "multi_label"),
        (["x|y", "x", "y|z", "z"] * 10, "multi_label"),
        (["rock, hard", "paper"] * 20, "classification"),
    ],
)
def test_heads_by_value(cells, kind):
    label = column_of(
        described({"title": [f"some title {n}" for n in range(40)], "label": cells}), "label"
    )
    assert label.type == kind
    assert label.rejected == 0


def test_the_separator_goes_into_the_configuration():
    config = described(
        {"title": ["an owl", "a tree", "both of"], "tags": ["x|y", "x", "y"]}
    ).config()
    assert config.heads["tags"].separator == "|"


def test_cells_that_a_regression_cannot_read():
    label = column_of(
        described({"title": ["a b"] * 41, "label": [str(n * 3) for n in range(40)] + ["dear"]}),
        "label",
    )
    assert (label.type, label.rejected, label.rejections[0].row) == ("regression", 1, 40)


# Given types and labels


@pytest.mark.parametrize("kind", HEADS)
def test_every_head_with_labels_can_be_given(kind):
    columns = {"title": [f"some title {n}" for n in range(40)], "grade": [1, 2] * 20}
    found = described(columns, types={"grade": kind})
    assert found.config().heads["grade"].type == kind
    assert column_of(found, "grade").rejected == 0


def test_given_types_and_labels():
    columns = {
        "a": ["1", "2"],
        "b": ["x y", "z"],
        "c": ["u", "v"],
        "d": ["1", "2"],
        "e": ["p", "q"],
        "f": ["f.png", "g.png"],
    }
    found = described(
        columns,
        types={"a": "category", "c": "group", "e": "ignored", "f": "text"},
        label=["b", "d"],
    )
    assert types_of(found) == {
        "a": "category",
        "b": "classification",
        "c": "group",
        "d": "classification",
        "e": "ignored",
        "f": "text",
    }
    # as a text it is not opened
    assert found.columns[5].rejected == 0
    config = found.config()
    assert (list(config.inputs), list(config.heads)) == (["a", "f"], ["b", "d"])
    assert (config.split.group, config.split.stratify) == ("c", "b")


def test_a_type_can_make_a_label():
    found = described(
        {"title": ["a b", "c d"], "price": [1, 2], "label": ["u", "v"]},
        types={"price": "regression"},
    )
    # and the usual label is one, too: as an input it would tell the answer
    assert types_of(found) == {"title": "text", "price": "regression", "label": "classification"}
    assert column_of(found, "label").why.endswith(
        "named as a label: give it a type to make it an input"
    )
    given = {"price": "regression", "label": "category"}
    found = described({"title": ["a b", "c d"], "price": [1, 2], "label": ["u", "v"]}, types=given)
    assert list(found.config().heads) == ["price"]
    # of columns that are named as the labels, no other is added
    found = described(
        {"title": ["a b", "c d"], "price": [1, 2], "label": ["u", "v"]}, label="price"
    )
    assert list(found.config().heads) == ["price"]
    assert (
        described({"title": ["a"], "tags": ["x;y"]}, types={"tags": "multi_label"})
        .config()
        .heads["tags"]
        .type
        == "multi_label"
    )


def test_a_given_group_leaves_no_other():
    columns = {"family": [1, 1, 2], "speaker": [1, 2, 2], "x": [1, 1, 1], "label": list("aba")}
    found = types_of(described(columns, types={"x": "group"}))
    assert found == {
        "family": "ignored",
        "speaker": "ignored",
        "x": "group",
        "label": "classification",
    }
    assert types_of(described(columns))["speaker"] == "ignored"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"types": {"titel": "text"}}, "no column 'titel': did you mean 'title'"),
        (
            {"types": {"title": "picture"}},
            "the type of column 'title' must be one of image, .* received 'picture'",
        ),
        ({"types": {"title": "imgae"}}, "received 'imgae': did you mean 'image'"),
        ({"label": "prize"}, "no column 'prize': did you mean 'price'"),
        (
            {"label": "price", "types": {"price": "number"}},
            "column 'price' is the label, so its type must be one of classification",
        ),
        (
            {"types": {"title": "group", "price": "group"}},
            "only one column can be the group, received .'title', 'price'",
        ),
        ({"sample": 0}, "sample=0"),
    ],
)
def test_wrong_arguments(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        described({"title": ["a b", "c d"], "price": [1, 2]}, **arguments)


def test_no_label_and_no_input():
    found = described({"title": ["a b", "c d"], "price": [1, 2]})
    # it is described all the same
    assert types_of(found) == {"title": "text", "price": "number"}
    with pytest.raises(
        ValueError,
        match="no column called label, class, .*: name the one to predict with label=; .* 'title'",
    ):
        found.config()
    with pytest.raises(ValueError, match="no column to predict from"):
        described({"id": [1, 2], "label": ["a", "b"]}).config()


def test_the_label_is_the_first_name_that_labels_have():
    columns = {"Category": ["a", "b"], "Label": ["a", "b"], "title": ["a b", "c d"]}
    assert types_of(described(columns)) == {
        "Category": "text",
        "Label": "classification",
        "title": "text",
    }


def test_one_row():
    found = described({"title": ["a b"], "label": ["x"]})
    assert types_of(found) == {"title": "text", "label": "classification"}
    assert list(found.config().inputs) == ["title"]
