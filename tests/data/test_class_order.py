"""The order of an ordinal head's classes: of numbers, or as the configuration gives it."""

import pytest
from small_table import CONFIG, frame

from multimodal_tf.config import Config
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table
from multimodal_tf.schema import Schema


def learn(tmp_path, head, column):
    table = frame()
    table["grade"] = column(table)
    config = Config.model_validate(
        CONFIG.model_dump() | {"heads": {"grade": {"type": "ordinal"} | head}}
    )
    ingest(read_table(table), config, tmp_path, processes=1)
    return Schema.load(tmp_path / "schema.json").heads["grade"]


def test_numbers_are_in_their_own_order(tmp_path):
    assert learn(
        tmp_path, {}, lambda table: [("2", "10", "1")[row % 3] for row in table.index]
    ).names == ["1", "2", "10"]


def test_words_need_an_order(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"^heads\.grade\.classes must give the order of classes that are not all numbers, "
        r"received \['b', ",
    ):
        learn(tmp_path, {}, lambda table: table["label"])


def test_every_class_must_be_in_the_order(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"^heads\.grade\.classes must name every class of the training split, "
        r"received .* without 'd'$",
    ):
        learn(tmp_path, {"classes": ["c", "b"]}, lambda table: table["label"])


def test_a_class_without_rows_keeps_its_index_and_another_order_is_fitted_anew(tmp_path):
    stats = learn(tmp_path, {"classes": ["d", "e", "c", "b"]}, lambda table: table["label"])
    assert stats.names == ["d", "e", "c", "b"]
    assert stats.counts[1] == 0
    assert learn(tmp_path, {"classes": ["b", "c", "d"]}, lambda table: table["label"]).names == [
        "b",
        "c",
        "d",
    ]
