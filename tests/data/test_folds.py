"""Folds: every row is held out once, groups stay together, classes are stratified."""

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
)
from multimodal_tf.data import record_files
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.training.folds import make_folds

ROWS = 90
INPUTS = {"title": CategoryInput(), "price": NumberInput()}
LABEL = {"label": ClassificationHead()}
GROUPED = Config(inputs=INPUTS, heads=LABEL, split=Split(group="shop", stratify="label"), seed=3)


def frame():
    """Two classes, 1 in 3; 30 shops of three rows each, some missing; a unique word per title."""
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
    """The rows of a split, by their numbers in the table."""
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
    folder = tmp_path_factory.mktemp("grouped")
    table = ingested(folder / "records", GROUPED)
    return folder, table, make_folds(folder / "records", folder / "folds", 4, table)


def test_every_row_is_for_validation_once_and_no_test_row(grouped):
    folder, _, folds = grouped
    ours = {*rows_of(folder / "records", "train"), *rows_of(folder / "records", "validation")}
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


def test_the_same_folds_are_reused(grouped):
    folder, table, folds = grouped
    written = (folder / "folds" / "rows" / "part-0.tfrecord").stat().st_mtime_ns
    assert make_folds(folder / "records", folder / "folds", 4, table) == folds
    assert (folder / "folds" / "rows" / "part-0.tfrecord").stat().st_mtime_ns == written
    elsewhere = make_folds(folder / "records", folder / "folds again", 4, table)
    assert sides(elsewhere) == sides(folds)
    assert (
        Manifest.load(elsewhere[1]).hash
        == Manifest.load(folds[1]).hash
        != Manifest.load(folds[0]).hash
    )


def test_the_schema_of_a_fold_is_fitted_on_its_training_rows_alone(grouped):
    words = frame()["title"]
    for fold in grouped[2]:
        stats = schema_for(GROUPED, fold)
        assert set(stats.inputs["title"].words) == set(words[rows_of(fold, "train")])
        assert stats.rows == len(rows_of(fold, "train"))


def test_a_fold_is_read_like_any_records(grouped):
    fold = grouped[2][1]
    batches = load_split(GROUPED, schema_for(GROUPED, fold), fold, "validation", batch_size=7)
    prices = np.concatenate([inputs["price"] for inputs, _, _ in batches.as_numpy_iterator()])
    assert sorted(prices) == pytest.approx(
        sorted(frame()["price"][rows_of(fold, "validation")]), rel=1e-6
    )


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A split by a column, without groups."""
    folder = tmp_path_factory.mktemp("given")
    ingested(folder / "records", Config(inputs=INPUTS, heads=LABEL, split=Split(column="split")))
    return folder


def test_without_groups_the_first_heads_classes_are_stratified(given):
    label = frame()["label"]
    counts = [
        (label[list(valid)] == "rare").sum()
        for _, valid in sides(make_folds(given / "records", given / "five", 5))
    ]
    assert max(counts) - min(counts) <= 1
    assert sum(counts) == (label[:70] == "rare").sum()


def test_a_group_can_be_named_if_a_column_gives_the_split(given):
    shops = frame()["shop"]
    folds = make_folds(given / "records", given / "named", 3, read_table(frame()), group="shop")
    assert all(
        not set(shops[list(train)].dropna()) & set(shops[list(valid)].dropna())
        for train, valid in sides(folds)
    )


def test_without_classes_folds_have_equal_sizes(tmp_path):
    config = Config(
        inputs={"shop": CategoryInput()},
        heads={"price": RegressionHead()},
        split=Split(column="split"),
    )
    # rows without a shop are dropped
    ingested(tmp_path / "records", config)
    folds = make_folds(tmp_path / "records", tmp_path / "folds", 3)
    sizes = [len(valid) for _, valid in sides(folds)]
    assert max(sizes) - min(sizes) <= 1


def test_a_class_of_fewer_rows_than_folds_is_in_some_of_them(tmp_path):
    table = frame()
    table.loc[0, "label"] = "single"
    config = Config(inputs=INPUTS, heads=LABEL, split=Split(column="split"))
    ingest(read_table(table), config, tmp_path / "records", processes=1)
    folds = make_folds(tmp_path / "records", tmp_path / "folds", 3)
    assert sum(0 in valid for _, valid in sides(folds)) == 1


def test_impossible_folds_are_refused_in_one_sentence(grouped, given, tmp_path):
    folder, table, _ = grouped
    wrong = [
        (folder, {"folds": 1, "table": table}, "folds must be from 2 to"),
        (folder, {"folds": 4}, "need the column 'shop'.*pass the table"),
        (folder, {"folds": 60, "table": table}, "groups of column 'shop', received 60"),
        (folder, {"folds": 4, "table": read_table(frame()[:80])}, "of 90 rows, received .* of 80"),
        (given, {"folds": 3, "table": table, "group": "street"}, "no column 'street'"),
        (given, {"folds": 71}, "to the 70 rows"),
    ]
    for directory, arguments, message in wrong:
        with pytest.raises(ValueError, match=message):
            make_folds(directory / "records", tmp_path / "folds", **arguments)
    assert not (tmp_path / "folds").exists()
    with pytest.raises(ValueError, match="holds folds of other rows"):
        make_folds(folder / "records", folder / "folds", 3, table)
    with pytest.raises(FileNotFoundError, match="manifest.json"):
        make_folds(tmp_path, tmp_path / "folds")


def test_an_incomplete_copy_is_made_again(given):
    folds = make_folds(given / "records", given / "short", 2)
    before = sides(folds)
    (given / "short" / "folds.txt").unlink()
    (given / "short" / "rows" / "part-1.tfrecord").write_bytes(b"")
    assert sides(make_folds(given / "records", given / "short", 2)) == before
