"""`describe` counts the classes of labels, and proposes weights and thresholds."""

import io

import pandas as pd
import pytest
import rich.console

from multimodal_tf.config import ClassificationHead, MultiLabelHead
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.table import read_table


def described(labels, **types):
    frame = pd.DataFrame({"size": range(len(labels)), "label": labels})
    return describe(read_table(frame), types={"size": "number", **types}, label="label", sample=50)


def text_of(description):
    console = rich.console.Console(file=io.StringIO(), width=300)
    console.print(description.render())
    return console.file.getvalue()


def test_shares_are_those_of_all_rows_and_unequal_classes_get_weights():
    found = described(["no"] * 990 + [" yes "] * 10 + [None] * 5)
    [shares] = [column.classes for column in found.columns if column.classes]
    assert shares.model_dump() == {
        "rows": 1000,
        "without": 0,
        "classes": 2,
        "commonest": "no",
        "commonest_rows": 990,
        "rarest": "yes",
        "rarest_rows": 10,
        "singles": 0,
        "alike": [],
    }
    assert found.config().heads == {
        "label": ClassificationHead(class_weight="balanced", label_smoothing=0)
    }
    assert (
        "commonest class 'no' on 99.0 % of 1000 rows, rarest 'yes' on 1.0 %: so unequal that "
        "class_weight is balanced" in text_of(found)
    )


@pytest.mark.parametrize(
    ("counts", "weighed"),
    [
        ([500, 50], True),
        ([495, 50], False),
        # of three classes
        ([400, 300, 30], True),
        # no class is on half of the rows
        ([300, 300, 30], False),
        # many classes, of which some are always rare
        ([60, 50, 40, 30, 20, 10, 5, 5], False),
        # a slip of the pen
        ([300, 200, 4], False),
        ([300, 30, 5], True),
        ([100], False),
    ],
)
def test_which_classes_are_unequal(counts, weighed):
    labels = [f"c{index}" for index, count in enumerate(counts) for _ in range(count)]
    found = described(labels, label="classification")
    assert found.config().heads["label"].class_weight == ("balanced" if weighed else None)
    assert "commonest class 'c0' on" in text_of(found)


def test_several_labels_get_thresholds():
    found = described(["a;b"] * 30 + ["a"] * 60 + ["b;c"] * 10 + [";"] * 100)
    assert found.config().heads == {"label": MultiLabelHead(threshold="fitted")}
    assert (
        "commonest label 'a' on 45.0 % of 200 rows, rarest 'c' on 5.0 %; validation rows give each"
        in text_of(found)
    )


def test_numbers_and_labels_that_cannot_be_read_have_no_shares():
    assert described([1.5 * i for i in range(40)], label="regression").columns[1].classes is None
    found = described(["a", "b\x1fc", None, "b"] * 10, label="classification").columns[1].classes
    assert (found.rows, found.classes) == (20, 2)
    assert described([None] * 5, label="classification").columns[1].classes is None
    ordered = described(["1"] * 90 + ["2"] * 9, label="ordinal")
    assert ordered.columns[1].classes.rarest == "2"
    assert ordered.config().heads["label"].type == "ordinal"
