"""Confusions, worst rows and slices: by hand, by SciPy, and a planted slice among many."""

import datetime

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from multimodal_tf.evaluation.slices import confusions, slices, worst_rows
from multimodal_tf.metrics.calibration import log_losses


def _rows(counts):
    """The labels and predictions of rows that a confusion matrix counts."""
    counts = np.array(counts)
    return [np.repeat(place, counts.ravel()) for place in np.indices(counts.shape).reshape(2, -1)]


def test_the_most_frequent_confusions_come_first():
    found = confusions(*_rows([[5, 3, 0], [1, 10, 3], [0, 1, 1]]), ["cat", "dog", "fox"])
    assert [(of.truth, of.predicted, of.n, of.share.value) for of in found] == [
        ("cat", "dog", 3, 3 / 8),
        ("dog", "fox", 3, 3 / 14),
        ("fox", "dog", 1, 1 / 2),
        ("dog", "cat", 1, 1 / 14),
    ]
    assert (found[2].share.low, found[2].share.high) == pytest.approx(
        (1 - np.sqrt(1 - 0.025), np.sqrt(1 - 0.025))
    )
    assert [of.n for of in confusions(*_rows([[5, 3], [1, 10]]), ["cat", "dog"], top=1)] == [3]


def test_a_model_without_errors_has_no_confusions():
    assert confusions(*_rows(np.diag([3, 0])), ["cat", "dog"]) == []


def test_the_worst_rows_have_the_highest_loss():
    losses = log_losses([0, 1, 0], [[0.5, 0.5], [0.9, 0.1], [0.6, 0.4]])
    assert worst_rows(losses, top=2).tolist() == [1, 0]
    assert worst_rows(losses).tolist() == [1, 0, 2]
    assert worst_rows([1.0, np.inf, 1.0]).tolist() == [1, 0, 2]


# --- slices


def _by_value(found):
    return {of.value: of for of in found.slices}


def test_slices_by_hand():
    """Day: 9 of 10 right; night: 4 of 10; not known: 6 of 12."""
    light = ["day"] * 10 + ["night"] * 10 + [None] * 12
    hits = [1] * 9 + [0] + [1] * 4 + [0] * 6 + [1, 0] * 6
    found = slices({"light": light}, hits)
    by_value = _by_value(found)
    assert {value: (of.n, of.accuracy.value) for value, of in by_value.items()} == {
        "day": (10, 0.9),
        "night": (10, 0.4),
        None: (12, 0.5),
    }
    assert by_value["day"].difference == pytest.approx(0.9 - 10 / 22)
    assert by_value["day"].p == pytest.approx(stats.fisher_exact([[9, 1], [10, 12]]).pvalue)
    p = sorted(of.p for of in found.slices)
    assert [of.adjusted_p for of in found.slices] == pytest.approx(
        [min(p[0] * 3, p[1] * 3 / 2, p[2]), min(p[1] * 3 / 2, p[2]), p[2]]
    )
    expected = stats.binomtest(9, 10).proportion_ci(0.95, "exact")
    assert (by_value["day"].accuracy.low, by_value["day"].accuracy.high) == pytest.approx(
        (expected.low, expected.high)
    )
    assert (found.n, found.small, found.whole) == (32, {"light": 0}, [])


def test_numbers_and_dates_are_cut_at_their_quantiles():
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(days=i) for i in range(40)]
    found = slices({"price": np.arange(40.0), "day": pd.to_datetime(days)}, [1, 0] * 20, bins=4)
    assert [(of.column, of.n) for of in found.slices] == [("price", 10)] * 4 + [("day", 10)] * 4
    assert {of.value for of in found.slices if of.column == "price"} == {
        "(-0.001, 9.75]",
        "(9.75, 19.5]",
        "(19.5, 29.25]",
        "(29.25, 39.0]",
    }


def test_few_numbers_flags_and_gaps_are_values():
    columns = {
        "size": [1, 2] * 20,
        "new": [True, False] * 20,
        "price": [np.nan] * 20 + list(np.arange(20.0)),
    }
    found = slices(columns, [1, 0] * 20, bins=2)
    assert {(of.column, of.value, of.n) for of in found.slices} == {
        *(("size", "1", 20), ("size", "2", 20), ("new", "True", 20), ("new", "False", 20)),
        *(("price", None, 20), ("price", "(-0.001, 9.5]", 10), ("price", "(9.5, 19.0]", 10)),
    }


def test_a_column_of_many_equal_numbers_has_fewer_slices():
    found = slices({"price": [0.0] * 60 + list(range(1, 41))}, [1, 0] * 50, bins=4)
    assert sum(of.n for of in found.slices) == 100
    assert len(found.slices) == 2


def test_small_slices_and_columns_of_one_value_are_left_out_and_named():
    found = slices(
        {
            "title": [f"title {i}" for i in range(30)],
            "shop": ["one"] * 30,
            "kind": ["a"] * 21 + ["b"] * 9,
        },
        [1, 0] * 15,
    )
    assert [(of.column, of.value) for of in found.slices] == [("kind", "a")]
    assert found.small == {"title": 30, "kind": 1}
    assert found.whole == ["shop"]


def test_a_planted_slice_is_found_among_many_and_chance_ones_are_not():
    random = np.random.default_rng(0)
    columns = {f"column {i}": random.integers(8, size=2000).astype(str) for i in range(25)}
    hits = random.random(2000) < np.where(columns["column 7"] == "3", 0.6, 0.85)
    found = slices(columns, hits)
    assert len(found.slices) == 200
    assert [(of.column, of.value) for of in found.slices if of.adjusted_p <= 0.05] == [
        ("column 7", "3")
    ]
    # which without the correction would be called different
    assert sum(of.p <= 0.05 for of in found.slices) > 3


def test_rows_of_a_group_count_together():
    """Of each ten equal rows all are right or none is: 100 rows count as ten."""
    light, hits, groups = (
        np.repeat(["day", "night"], 50),
        np.repeat([1, 1, 1, 1, 1, 1, 1, 0, 0, 0], 10),
        np.repeat(np.arange(10), 10),
    )
    alone, grouped = (
        _by_value(slices({"light": light}, hits, groups=of))["night"] for of in (None, groups)
    )
    assert alone.accuracy.value == grouped.accuracy.value == 0.4
    assert alone.p < 1e-9
    assert grouped.p == pytest.approx(stats.fisher_exact([[2, 3], [5, 0]]).pvalue)
    assert grouped.accuracy.high - grouped.accuracy.low > 2 * (
        alone.accuracy.high - alone.accuracy.low
    )
    [found] = confusions([0] * 10, [1] * 4 + [0] * 6, ["cat", "dog"], groups=[1] * 10)
    assert (found.share.value, found.share.low < 0.02, found.share.high > 0.95) == (0.4, True, True)


def test_where_all_rows_are_right_no_slice_differs():
    found = slices({"kind": ["a", "b"] * 20}, np.ones(40))
    assert [(of.p, of.adjusted_p, of.difference) for of in found.slices] == [(1.0, 1.0, 0.0)] * 2
    assert 0.8 < found.slices[0].accuracy.low < 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: confusions([0, 1], [0], ["cat", "dog"]), r"received the shapes \(2,\) and \(1,\)"),
        (
            lambda: confusions([0, 1], [0, 2], ["cat", "dog"]),
            r"indices below 2 .* with \[0, 1, 2\]",
        ),
        (lambda: confusions([0, 0.5], [0, 1], ["cat", "dog"]), "indices below 2"),
        (lambda: confusions([0, 1], [0, 1], ["cat", "dog"], top=0), "top must be at least 1"),
        (lambda: worst_rows([]), "one or more rows"),
        (lambda: worst_rows([1.0, np.nan]), "received 1 NaN"),
        (lambda: slices({"a": [1]}, [1]), "2 or more rows"),
        (lambda: slices({"a": [1, 2]}, [1, 0.5]), "hits must be 0 or 1"),
        (lambda: slices({"a": [1, 2]}, [1, np.nan]), "hits must be 0 or 1"),
        (
            lambda: slices({"a": [1, 2, 3]}, [1, 0]),
            "column 'a' must have a cell for each of the 2 rows, received 3",
        ),
        (lambda: slices({}, [1, 0]), "slices need a column"),
        (lambda: slices({"a": [1, 2]}, [1, 0], bins=1), "slices need a column, 2 bins"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
