"""A row is read as it was written; a cell without an entry is missing."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_tf.config import (
    ClassificationHead,
    Config,
    ImageInput,
    MultiLabelHead,
    NumberInput,
    RegressionHead,
    TextInput,
)
from multimodal_tf.data import record_files

CONFIG = Config(
    inputs={"photo": ImageInput(), "title": TextInput(), "price": NumberInput()},
    heads={"label": ClassificationHead(), "tags": MultiLabelHead(), "rating": RegressionHead()},
)


def test_missing_is_empty_or_nan():
    rows, inputs, labels = record_files.parse(CONFIG, [record_files.encode(5, {}, {})])
    assert rows.numpy().tolist() == [5]
    assert [inputs[name].numpy()[0] for name in ("photo", "title")] == [b"", b""]
    assert [labels[name].numpy()[0] for name in ("label", "tags")] == [b"", b""]
    assert math.isnan(inputs["price"].numpy()[0])
    assert math.isnan(labels["rating"].numpy()[0])


@settings(max_examples=50, deadline=None)
@given(
    st.binary(max_size=64),
    st.text(max_size=16),
    st.floats(width=32, allow_nan=False),
    st.integers(0, 2**62),
)
def test_round_trip(photo, label, price, row):
    data = record_files.encode(row, {"photo": photo, "price": price}, {"label": label})
    assert data == record_files.encode(row, {"price": price, "photo": photo}, {"label": label})
    rows, inputs, labels = record_files.parse(CONFIG, [data])
    assert rows.numpy()[0] == row
    assert inputs["photo"].numpy()[0] == photo
    assert inputs["price"].numpy()[0] == price
    assert labels["label"].numpy()[0] == label.encode()
