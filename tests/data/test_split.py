"""Every row gets one split, groups stay whole, proportions hold, and the seed decides the rest."""

import collections

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_tf.config import ClassificationHead, Config, Split, TextInput
from multimodal_tf.data.split import SPLITS, assign_splits
from multimodal_tf.data.table import read_table


def config_of(seed=0, **split):
    return Config(
        inputs={"title": TextInput()},
        heads={"label": ClassificationHead()},
        split=Split(**split),
        seed=seed,
    )


def split_of(columns, seed=0, **split):
    return assign_splits(read_table(pd.DataFrame(columns)), config_of(seed, **split))


def counts_of(splits):
    return [int(np.sum(splits == index)) for index in range(3)]


def test_the_order_of_the_splits():
    assert SPLITS == ("train", "validation", "test")


# By a column


def test_a_column_gives_the_split():
    words = ["train", "Training", " TRAIN ", "val", "valid", "Validation", "dev", "test", "TEST"]
    splits = split_of({"part": words}, column="part")
    assert splits.tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert splits.dtype == np.int8


@pytest.mark.parametrize("cell", ["holdout", None, 1.0])
def test_another_value_is_an_error_with_its_row(cell):
    rows = pd.DataFrame({"part": ["train"] * 1500 + [cell]}, dtype=object)
    with pytest.raises(
        ValueError,
        match=f"row 1500: column 'part' must say train, validation, test, received {cell!r}",
    ):
        assign_splits(read_table(rows), config_of(column="part"))


def test_values_of_any_spelling():
    values = {0: "train", "1.0": "validation", " Private Test ": "test", True: "test"}
    cells = ["0", 0, 0.0, "0.0", 1, "1", 1.0, "private test", "TRUE", True]
    splits = split_of({"part": pd.Series(cells, dtype=object)}, column="part", values=values)
    assert splits.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    # a code is no number, and a word of no value is none
    for cell in ("00", "train", 2, None, b"0"):
        rows = pd.DataFrame({"part": pd.Series([0, cell], dtype=object)})
        with pytest.raises(ValueError, match="row 1: .* split.values names the split of each"):
            assign_splits(read_table(rows), config_of(column="part", values=values))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"values": {"a": "train"}}, "split.column, which must be given"),
        ({"column": "a", "values": {"a": "test"}}, "must name one as train"),
        ({"column": "a", "values": {}}, "at least 1"),
        ({"column": "a", "values": {0: "train", "0.0": "test"}}, "two values are one"),
        ({"column": "a", "values": {"a": "holdout"}}, "'train', 'validation' or 'test'"),
        ({"column": "a", "values": ["train"]}, "dictionary"),
    ],
)
def test_wrong_values(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        Split.model_validate(fields)


def test_nothing_to_train_on():
    with pytest.raises(ValueError, match="no row of column 'part' says train"):
        split_of({"part": ["test", "val"]}, column="part")


@pytest.mark.parametrize("field", ["column", "group", "stratify"])
def test_a_column_that_does_not_exist(field):
    with pytest.raises(ValueError, match="no column 'famly': did you mean 'family'"):
        split_of({"family": ["a"]}, **{field: "famly"})


# Random


def test_random_numbers_of_rows():
    assert counts_of(split_of({"n": range(1000)})) == [700, 100, 200]
    # 1.5 rounds to 2
    assert counts_of(split_of({"n": range(10)}, validation=0.15, test=0.15)) == [6, 2, 2]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(1, [1, 0, 0]), (2, [1, 0, 1]), (3, [1, 1, 1]), (4, [2, 1, 1]), (10, [7, 1, 2])],
)
def test_few_rows(rows, expected):
    assert counts_of(split_of({"n": range(rows)})) == expected


@pytest.mark.parametrize(
    "how", [{}, {"stratify": "y"}, {"group": "n"}, {"group": "n", "stratify": "y"}]
)
def test_splits_of_no_size(how):
    columns = {"n": range(50), "y": ["a", "b"] * 25}
    assert counts_of(split_of(columns, validation=0, test=0, **how)) == [50, 0, 0]
    assert counts_of(split_of(columns, validation=0, test=0.2, **how)) == [40, 0, 10]
    assert counts_of(split_of(columns, validation=0.2, test=0, **how)) == [40, 10, 0]


@pytest.mark.parametrize(
    "how", [{}, {"stratify": "y"}, {"group": "g"}, {"group": "g", "stratify": "y"}]
)
def test_the_seed_decides_and_chunks_do_not(how, monkeypatch):
    table = read_table(
        pd.DataFrame({"y": list("aabbc") * 60, "g": [f"g{n // 3}" for n in range(300)]})
    )
    first = assign_splits(table, config_of(seed=1, **how))
    assert np.array_equal(first, assign_splits(table, config_of(seed=1, **how)))
    assert not np.array_equal(first, assign_splits(table, config_of(seed=2, **how)))
    chunks = type(table).chunks
    monkeypatch.setattr(
        type(table), "chunks", lambda self, rows=1000, columns=None: chunks(self, 7, columns)
    )
    assert np.array_equal(first, assign_splits(table, config_of(seed=1, **how)))


def test_rows_are_drawn_evenly_from_the_whole_table():
    tests = sum(
        (split_of({"y": ["a", "b"] * 10}, seed=seed, stratify="y") == 2).astype(int)
        for seed in range(200)
    )
    assert tests.sum() == 200 * 4
    # 40 expected for each row, standard deviation 5.7
    assert tests.min() > 15
    assert tests.max() < 65


# Stratified


def test_stratified_by_hand():
    labels = np.array(["a"] * 50 + ["b"] * 30 + ["c"] * 20)
    splits = split_of({"y": labels}, stratify="y")
    assert {y: counts_of(splits[labels == y]) for y in "abc"} == {
        "a": [35, 5, 10],
        "b": [21, 3, 6],
        "c": [14, 2, 4],
    }


def test_tiny_classes_go_to_training():
    labels = np.array(["a"] * 40 + ["b"] * 7 + ["one"] + ["two"] * 2)
    for seed in range(20):
        splits = split_of({"y": labels}, seed=seed, stratify="y")
        assert counts_of(splits) == [35, 5, 10]
        assert not splits[(labels == "one") | (labels == "two")].any()


def test_more_classes_than_rows_in_a_split():
    # 64 rows: validation has 6 of them for 16 classes
    labels = np.repeat([f"class {n}" for n in range(16)], 4)
    splits = split_of({"y": labels}, stratify="y")
    assert counts_of(splits) == [45, 6, 13]
    assert all((splits[labels == label] == 0).any() for label in set(labels))


def test_a_column_that_never_repeats_is_drawn_at_random():
    assert counts_of(split_of({"price": np.arange(100) / 7}, stratify="price")) == [70, 10, 20]


def test_missing_and_listed_classes_are_classes():
    cells = [None, ["x"], ["x", "y"], "z"] * 10
    splits = split_of({"y": pd.Series(cells, dtype=object)}, stratify="y")
    assert all(counts_of(splits[start::4]) == [7, 1, 2] for start in range(4))


@settings(max_examples=100, deadline=None)
@given(
    labels=st.lists(st.sampled_from([*"abcdefgh", None]), min_size=1, max_size=120),
    validation=st.sampled_from([0, 0.1, 0.25]),
    test=st.sampled_from([0, 0.05, 0.2, 0.5]),
    seed=st.integers(0, 9),
    stratify=st.sampled_from([None, "y"]),
)
def test_fractions_are_within_a_row(labels, validation, test, seed, stratify):
    splits = split_of(
        {"y": pd.Series(labels, dtype=object)},
        seed,
        validation=validation,
        test=test,
        stratify=stratify,
    )
    trained, valid, tested = counts_of(splits)
    assert trained >= 1
    assert trained + valid + tested == len(splits) == len(labels)
    assert (
        abs(valid - validation * len(labels)) <= 1 and abs(tested - test * len(labels)) <= 1
    ) or len(labels) < 4
    counts = collections.Counter(labels)
    rare = sum(count for count in counts.values() if count < 3) if len(counts) > 1 else 0
    if stratify and not rare:
        for label, count in counts.items():
            mine = splits[[other == label for other in labels]]
            assert abs(np.sum(mine == 2) - count * tested / len(labels)) <= 2
            assert abs(np.sum(mine == 0) - count * trained / len(labels)) <= 2


# Grouped


def splits_by_group(splits, groups):
    found = collections.defaultdict(set)
    for split, group in zip(splits, groups):
        found[group].add(int(split))
    return found


def test_grouped_by_hand():
    groups = [f"g{n // 4}" for n in range(400)]
    splits = split_of({"g": groups}, group="g")
    assert counts_of(splits) == [280, 40, 80]
    assert all(len(found) == 1 for found in splits_by_group(splits, groups).values())


def test_grouped_and_stratified_by_hand():
    groups = np.arange(600) // 3
    labels = np.array(["a", "a", "a", "b"])[groups % 4]
    splits = split_of({"g": groups, "y": labels}, group="g", stratify="y")
    assert all(len(found) == 1 for found in splits_by_group(splits, groups).values())
    assert counts_of(splits[labels == "a"]) == pytest.approx([315, 45, 90], abs=6)
    assert counts_of(splits[labels == "b"]) == pytest.approx([105, 15, 30], abs=6)


def test_rows_without_a_group_are_groups_of_their_own():
    splits = split_of({"g": [None, "", " "] * 100}, group="g")
    assert counts_of(splits) == [210, 30, 60]


def test_spaces_do_not_make_another_group():
    groups = ["x", " x", "x "] * 5 + ["y"] * 10
    splits = split_of({"g": groups}, group="g", validation=0, test=0.4)
    assert counts_of(splits) == [15, 0, 10]


def test_one_huge_group_trains():
    for seed in range(10):
        splits = split_of({"g": ["huge"] * 80 + [f"g{n}" for n in range(20)]}, seed, group="g")
        assert not splits[:80].any()
        assert counts_of(splits)[1] > 0
        assert counts_of(splits)[2] > 0


@pytest.mark.parametrize(
    ("groups", "expected"),
    [(["x"] * 5, [5, 0, 0]), (["x", "y"] * 5, [5, 0, 5]), (["x", "y", "z"], [1, 1, 1])],
)
def test_few_groups(groups, expected):
    assert counts_of(split_of({"g": groups}, group="g")) == expected


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.one_of(st.none(), st.integers(0, 30)), st.sampled_from("abcd")),
        min_size=1,
        max_size=150,
    ),
    validation=st.sampled_from([0, 0.1, 0.15]),
    test=st.sampled_from([0, 0.2, 0.33, 0.8]),
    seed=st.integers(0, 9),
    stratify=st.sampled_from([None, "y"]),
)
def test_no_group_in_two_splits(rows, validation, test, seed, stratify):
    groups = [group for group, _ in rows]
    columns = {"g": pd.Series(groups, dtype=object), "y": [label for _, label in rows]}
    splits = split_of(columns, seed, group="g", stratify=stratify, validation=validation, test=test)
    assert len(splits) == len(rows)
    assert set(splits.tolist()) <= {0, 1, 2}
    assert (splits == 0).any()
    found = splits_by_group(splits, groups)
    assert all(len(found[group]) == 1 for group in found if group is not None)
    assert validation or not (splits == 1).any()
    assert test or not (splits == 2).any()


def test_groups_of_one_row_fill_the_splits_up():
    # folds of 7 rows alone could not make 10 and 20
    groups = [f"g{n // 7}" for n in range(70)] + [None] * 30
    for seed in range(5):
        assert counts_of(split_of({"g": groups}, seed, group="g")) == [70, 10, 20]


def test_no_group_left_to_train_on(monkeypatch):
    monkeypatch.setattr(
        "multimodal_tf.data.split._draw_groups", lambda *arguments: np.ones(2, np.int8)
    )
    with pytest.raises(
        ValueError,
        match="no group of column 'g' is left to train on: lower split.validation or split.test",
    ):
        split_of({"g": ["x", "y"]}, group="g")


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=60, max_size=90),
    seed=st.integers(0, 9),
    stratify=st.booleans(),
)
def test_grouped_fractions_are_near(sizes, seed, stratify):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    columns = {"g": groups, "y": np.array(list("ab"))[groups % 2]}
    trained, valid, tested = np.array(
        counts_of(split_of(columns, seed, group="g", stratify="y" if stratify else None))
    ) / len(groups)
    assert trained == pytest.approx(0.7, abs=0.06)
    assert valid == pytest.approx(0.1, abs=0.06)
    assert tested == pytest.approx(0.2, abs=0.06)
