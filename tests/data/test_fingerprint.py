"""The hash of a shard's cells: the same for the same cells, another one for others."""

import numpy as np
from ingest_table import FOUR_CONFIG

from multimodal_tf.config import MultiLabelHead
from multimodal_tf.data.ingest import fingerprint


def of(value, config=FOUR_CONFIG, row=0):
    return fingerprint.fingerprint(("title",), [(row, (value,))], config, ".")


def test_is_the_same_for_the_same():
    for make in (
        lambda: "a",
        lambda: b"a",
        lambda: np.arange(3),
        lambda: [1, [2]],
        lambda: {"bytes": b"x"},
        lambda: {"a", "b"},
        lambda: None,
    ):
        assert of(make()) == of(make())


def test_differs_for_what_differs():
    values = [
        "a",
        b"a",
        "b",
        ["a"],
        ["a", ""],
        ["a", None],
        [["a"], []],
        1,
        1.5,
        None,
        np.arange(3),
        np.arange(3.0),
        np.arange(4),
        {"bytes": b"a"},
        "\ud800",
    ]
    assert len({of(value) for value in values}) == len(values)
    assert of("a") != of("a", row=1)
    assert of("a") != of(
        "a", FOUR_CONFIG.model_copy(update={"heads": {"tags": MultiLabelHead(separator=",")}})
    )
