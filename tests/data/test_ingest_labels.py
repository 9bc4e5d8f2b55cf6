"""Labels of another type than the head's are refused before anything is written."""

import pandas as pd
import pytest

from multimodal_tf.config import ClassificationHead, Config, CountHead, RegressionHead, TextInput
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table


def ingested(labels, head, out):
    table = read_table(pd.DataFrame({"title": ["a"] * len(labels), "target": labels}))
    config = Config(inputs={"title": TextInput()}, heads={"y": head(column="target")})
    return ingest(table, config, out, processes=1)


@pytest.mark.parametrize(
    ("labels", "head", "message"),
    [
        (
            ["b", None, "c"] * 10,
            RegressionHead,
            "must hold what a regression learns from, received 20 broken labels, .* number: 'b'$",
        ),
        (
            [0.5, None, 1.5] * 10,
            CountHead,
            "must hold what a count learns from, received 20 broken labels, .* received 0.5$",
        ),
        (
            [b"\xff"] * 30,
            ClassificationHead,
            "must hold what a classification learns from, received 30 broken labels, .* UTF-8",
        ),
        (
            [row / 7 + 0.1 for row in range(30)],
            ClassificationHead,
            "must hold classes, .* nearly all different, such as 0.1$",
        ),
    ],
)
def test_labels_of_another_type(tmp_path, labels, head, message):
    with pytest.raises(ValueError, match=f"^heads\\.y: the column 'target' {message}"):
        ingested(labels, head, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("labels", [[0.5, 1.5, 2.5] * 10, [str(row) for row in range(30)]])
def test_classes_may_be_numbers(tmp_path, labels):
    assert ingested(labels, ClassificationHead, tmp_path / "out").kept == 30


def test_a_broken_label_among_others_costs_its_row_alone(tmp_path):
    assert ingested(["b", *[None] * 279, *range(29)], RegressionHead, tmp_path / "out").kept == 29
