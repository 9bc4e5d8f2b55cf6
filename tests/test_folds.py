"""Folds: every training and validation row once for validation, whole groups, even classes, and
nothing learned from the fold left out.
"""

import numpy as np
import pandas as pd
import pytest

from multimodal_tf.config import (
    CategoryInput,
    ClassificationHead,
    Config,
    NumberInput,
    RegressionHead,
    Split,
    TextInput,
)
from multimodal_tf.data import record_files
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.training.folds import make_folds

ROWS = 90
INPUTS = {"title": TextInput(max_tokens=4), "price": NumberInput()}
LABEL = {"label": ClassificationHead()}
GROUPED = Config(inputs=INPUTS, heads=LABEL, split=Split(group="shop", stratify="label"), seed=3)


def frame():
    """Two classes, 1 in 3; 30 shops of three rows each, but for some without one; a word of its own
    in every title.
    """
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "title": [f"word{chr(97 + row // 26)}{chr(97 + row % 26)}" for row in range(ROWS)],
            "price": random.normal(size=ROWS),
            "label": ["rare" if row % 3 == 0 else "common" for row in range(ROWS)],
            "shop": [f"shop {row % 30}" for row in range(ROWS)],
            "split": ["train"] * 50 + ["validation"] * 20 + ["test"] * 20,
        }
    )
    table.loc[::10, "shop"] = None
    return table


def ingested(directory, config):
    table = read_table(frame())
    ingest(table, config, directory, processes=1)
    return table


def rows_of(directory, split):
    """Numbers in the table of a split's rows."""
    content, config = Manifest.load(directory), Config.load(directory / "config.yaml")
    found = [
        record_files.parse(config, serialized)[0].numpy()
        for serialized in record_files.read(content.shards(split), 100)
    ]
    return np.concatenate(found) if found else np.zeros(0, int)


def sides(folds):
    return [(set(rows_of(fold, "train")), set(rows_of(fold, "validation"))) for fold in folds]


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    place = tmp_path_factory.mktemp("grouped")
    table = ingested(place / "records", GROUPED)
    return place, table, make_folds(place / "records", place / "folds", 4, table)


def test_every_row_is_for_validation_once_and_no_test_row_ever(grouped):
    place, _, folds = grouped
    ours = {*rows_of(place / "records", "train"), *rows_of(place / "records", "validation")}
    assert sorted(row for _, valid in sides(folds) for row in valid) == sorted(ours)
    assert all(train | valid == ours and not train & valid for train, valid in sides(folds))
    assert [len(rows_of(fold, "test")) for fold in folds] == [0] * 4


def test_no_group_is_on_both_sides(grouped):
    shops = frame()["shop"]
    for train, valid in sides(grouped[2]):
        assert not set(shops[list(train)].dropna()) & set(shops[list(valid)].dropna())


def test_classes_keep_their_proportions(grouped):
    rare = frame()["label"] == "rare"
    shares = [rare[list(valid)].mean() for _, valid in sides(grouped[2])]
    assert shares == pytest.approx([1 / 3] * 4, abs=0.12)


def test_the_same_folds_again_without_writing_them_anew(grouped):
    place, table, folds = grouped
    written = (place / "folds" / "rows" / "part-0.tfrecord").stat().st_mtime_ns
    assert make_folds(place / "records", place / "folds", 4, table) == folds
    assert (place / "folds" / "rows" / "part-0.tfrecord").stat().st_mtime_ns == written
    elsewhere = make_folds(place / "records", place / "folds again", 4, table)
    assert sides(elsewhere) == sides(folds)
    assert (
        Manifest.load(elsewhere[1]).hash
        == Manifest.load(folds[1]).hash
        != Manifest.load(folds[0]).hash
    )


def test_a_turn_learns_from_its_training_rows_alone(grouped):
    words = frame()["title"]
    for fold in grouped[2]:
        stats = schema_for(GROUPED, fold)
        assert set(stats.inputs["title"].words) == set(words[rows_of(fold, "train")])
        assert stats.rows == len(rows_of(fold, "train"))


def test_a_turn_is_read_like_any_records(grouped):
    fold = grouped[2][1]
    batches = load_split(GROUPED, schema_for(GROUPED, fold), fold, "validation", batch_size=7)
    prices = np.concatenate([inputs["price"] for inputs, _, _ in batches.as_numpy_iterator()])
    assert sorted(prices) == pytest.approx(
        sorted(frame()["price"][rows_of(fold, "validation")]), rel=1e-6
    )


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A split that a column says, so without groups."""
    place = tmp_path_factory.mktemp("given")
    ingested(place / "records", Config(inputs=INPUTS, heads=LABEL, split=Split(column="split")))
    return place


def test_without_groups_the_first_heads_classes_are_as_even_as_can_be(given):
    label = frame()["label"]
    counts = [
        (label[list(valid)] == "rare").sum()
        for _, valid in sides(make_folds(given / "records", given / "five", 5))
    ]
    assert max(counts) - min(counts) <= 1
    assert sum(counts) == (label[:70] == "rare").sum()


def test_a_group_can_be_named_where_the_split_was_given(given):
    shops = frame()["shop"]
    folds = make_folds(given / "records", given / "named", 3, read_table(frame()), group="shop")
    assert all(
        not set(shops[list(train)].dropna()) & set(shops[list(valid)].dropna())
        for train, valid in sides(folds)
    )


def test_rows_without_classes_are_dealt_evenly(tmp_path):
    config = Config(
        inputs={"shop": CategoryInput()},
        heads={"price": RegressionHead()},
        split=Split(column="split"),
    )
    # rows without a shop are left out
    ingested(tmp_path / "records", config)
    folds = make_folds(tmp_path / "records", tmp_path / "folds", 3)
    sizes = [len(valid) for _, valid in sides(folds)]
    assert max(sizes) - min(sizes) <= 1


def test_a_class_of_fewer_rows_than_folds_stands_where_it_can(tmp_path):
    table = frame()
    table.loc[0, "label"] = "single"
    config = Config(inputs=INPUTS, heads=LABEL, split=Split(column="split"))
    ingest(read_table(table), config, tmp_path / "records", processes=1)
    folds = make_folds(tmp_path / "records", tmp_path / "folds", 3)
    assert sum(0 in valid for _, valid in sides(folds)) == 1


def test_folds_that_cannot_be_dealt_are_refused_in_one_sentence(grouped, given, tmp_path):
    place, table, _ = grouped
    wrong = [
        (place, {"folds": 1, "table": table}, "folds must be from 2 to"),
        (place, {"folds": 4}, "need the column 'shop'.*pass the table"),
        (place, {"folds": 60, "table": table}, "groups of column 'shop', received 60"),
        (place, {"folds": 4, "table": read_table(frame()[:80])}, "of 90 rows, received .* of 80"),
        (given, {"folds": 3, "table": table, "group": "street"}, "no column 'street'"),
        (given, {"folds": 71}, "to the 70 rows"),
    ]
    for directory, arguments, said in wrong:
        with pytest.raises(ValueError, match=said):
            make_folds(directory / "records", tmp_path / "folds", **arguments)
    assert not (tmp_path / "folds").exists()
    with pytest.raises(ValueError, match="holds folds of other rows"):
        make_folds(place / "records", place / "folds", 3, table)
    with pytest.raises(FileNotFoundError, match="manifest.json"):
        make_folds(tmp_path, tmp_path / "folds")


def test_a_copy_that_was_cut_short_is_made_again(given):
    folds = make_folds(given / "records", given / "short", 2)
    before = sides(folds)
    (given / "short" / "folds.txt").unlink()
    (given / "short" / "rows" / "part-1.tfrecord").write_bytes(b"")
    assert sides(make_folds(given / "records", given / "short", 2)) == before
