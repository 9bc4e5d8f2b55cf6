"""One value has one spelling: in Python, in the graph, in tables, records, schemas and splits."""

import datetime
import decimal
import string
import unicodedata

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from multimodal_tf.config import (
    CategoryInput,
    ClassificationHead,
    Config,
    MultiLabelHead,
    OrdinalHead,
)
from multimodal_tf.config.spelling import spelling
from multimodal_tf.data.kinds import kind_of, read_cell
from multimodal_tf.data.kinds.cell import cell_key, read_value
from multimodal_tf.data.kinds.label import read_label
from multimodal_tf.data.split import column_codes
from multimodal_tf.data.table import read_table
from multimodal_tf.data.targets import Targets
from multimodal_tf.data.tokenizers.spelling import spelled
from multimodal_tf.schema import Classes, Schema, Vocabulary

graph = tf.function(spelled, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
COMPOSED, DECOMPOSED = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")


def in_graph(texts):
    return [one.decode() for one in graph(tf.constant([text.encode() for text in texts])).numpy()]


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("1.0", "1"),
        (" 1 ", "1"),
        ("2.50", "2.5"),
        ("10.00", "10"),
        ("100", "100"),
        ("-3.0", "-3"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("0.0", "0"),
        ("9007199254740993", "9007199254740993"),
        ("1e-05", "0.00001"),
        ("-1.25e-07", "-0.000000125"),
        ("1e+16", "10000000000000000"),
        ("1.5e+300", "15" + "0" * 299),
        ("2024-01-01 00:00:00", "2024-01-01"),
        ("2024-01-01T00:00:00.000000000", "2024-01-01"),
        ("2024-01-01 08:30:00", "2024-01-01 08:30:00"),
        (DECOMPOSED, COMPOSED),
        ("\u00a0red\u3000", "red"),
        # the sign of Kelvin
        ("5 \u212a", "5 K"),
        ("true", "true"),
        ("", ""),
        *((code, code) for code in ("007", "01.0", "+1", "1e3", "1E+16", "1,000", "1.2.0", ".5")),
        *(
            (code, code)
            for code in ("1.", "--1", "0x1", "1_0", "1.0a", "-", "v1.0", "1 .0", "e-05")
        ),
    ],
)
def test_plain_numbers_have_one_spelling_and_codes_stay(text, right):
    assert spelling(text) == right
    assert in_graph([text]) == [right]
    assert spelling(right) == right


@settings(max_examples=60, deadline=None)
@example(["\x1c1.0\x85", "1.0\n", "\n", "1\0.0", "٣.0"])
@given(
    st.lists(
        st.one_of(
            st.from_regex(r"[-+]?[0-9]{0,3}(\.[0-9]{0,4})?(e[-+]?[0-9]{1,3})?\s?", fullmatch=True),
            st.text(st.sampled_from(string.digits + "-+.e :T\n")),
            st.floats().map(str),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_python_and_graph_agree_on_every_text(texts):
    assert in_graph(texts) == list(map(spelling, texts))


def test_what_pandas_reads_and_writes_is_one_value(tmp_path):
    numbers = [1, 2.5, None, 1e-05, 1e16, 12345678.0]
    frame = pd.DataFrame({"a": numbers, "b": pd.to_datetime(["2024-01-01"] * 6)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    written = next(read_table(tmp_path / "t.csv").chunks())
    read = next(read_table(frame).chunks())
    for column in frame:
        assert list(map(cell_key, written[column])) == list(map(cell_key, read[column]))


@pytest.mark.parametrize(
    "one",
    ["1", "1.0", 1, 1.0, np.int8(1), np.float32(1), np.float64(1), decimal.Decimal("1.00"), b"1.0"],
)
def test_a_number_of_any_type_is_one_category_class_and_label(one):
    assert read_value(one) == "1"
    assert read_cell(one, CategoryInput()) == b"1"
    assert read_label(one, ClassificationHead()) == read_label([one], MultiLabelHead()) == "1"
    if not isinstance(one, bytes):
        assert cell_key(one) == cell_key("1")


def test_other_values_of_python():
    assert read_value(decimal.Decimal("1E+2")) == "100"
    assert read_value(1e23) == "1" + "0" * 23
    assert read_value(np.datetime64("2024-01-01T10:30", "ns")) == "2024-01-01 10:30:00"
    assert read_value(datetime.date(2024, 1, 1)) == read_value(pd.Timestamp("2024-01-01"))
    # a boolean is the word that pandas writes, and no number
    assert read_value(True) == read_value(np.True_) == "True" != cell_key(1)
    assert read_label(decimal.Decimal("NaN"), ClassificationHead()) is None


def test_a_served_category_is_found_in_each_spelling():
    reader = kind_of(CategoryInput()).reader(Vocabulary(words=["2", COMPOSED, "007"]))
    texts = ["2", "2.0", " 2.00", COMPOSED, DECOMPOSED, "007", "7", "red", ""]
    index, present, _ = reader.read(tf.constant(texts))
    assert index.numpy().tolist() == [1, 1, 1, 2, 2, 3, 0, 0, 0]
    assert present.numpy().tolist() == [True] * 8 + [False]


def test_a_schema_of_an_earlier_version_is_read():
    # it may hold both spellings: the first wins
    reader = kind_of(CategoryInput()).reader(Vocabulary(words=["1.0", "3", "1"]))
    assert reader.read(tf.constant(["1", "1.0", "3"]))[0].numpy().tolist() == [1, 1, 2]


def test_a_class_is_found_and_named_in_each_spelling():
    head = OrdinalHead(classes=[1, 2.0, "3.0"])
    assert head.classes == ["1", "2", "3"]
    weighed = ClassificationHead(class_weight={1: 2.0, DECOMPOSED: 3.0})
    assert weighed.class_weight == {"1": 2.0, COMPOSED: 3.0}
    config = Config(inputs={"colour": CategoryInput()}, heads={"label": weighed})
    schema = Schema(
        rows=3, inputs={}, heads={"label": Classes(names=["1.0", COMPOSED], counts=[1, 2])}
    )
    targets, weights = Targets(config, schema, class_weights=True)(
        {"label": tf.constant(["1", COMPOSED, ""])}
    )
    assert targets["label"].numpy().tolist() == [0, 1, 0]
    assert weights["label"].numpy().tolist() == [2.0, 3.0, 0.0]


def test_groups_and_strata_go_by_spelling():
    frame = pd.DataFrame({"group": [1, "1.0", 1.0, "01", COMPOSED, DECOMPOSED, True]})
    codes = column_codes(read_table(frame), "group", missing_alone=True)
    assert codes.tolist() == [0, 0, 0, 1, 2, 2, 3]
