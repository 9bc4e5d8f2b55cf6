"""Metrics of clustered rows: by hand, by SciPy and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from multimodal_tf.metrics.clustered import (
    effective_sample_size,
    group_codes,
    share,
    weighted_metrics,
)


def test_a_row_without_a_group_is_one_of_its_own():
    assert group_codes([np.nan, 3.0, np.nan, 3.0], 4).tolist() == [0, 1, 2, 1]
    assert group_codes(None, 3).tolist() == [0, 1, 2]


def test_a_metric_that_is_undefined_says_why():
    metric = weighted_metrics(lambda weights: {"x": np.nan}, np.arange(3), 5, 0, "no reason")["x"]
    assert (metric.value, metric.low, metric.reason) == (None, None, "no reason")


def test_independent_rows_have_clopper_and_pearsons_interval():
    for right in (0, 3, 10):
        hits = np.arange(10) < right
        expected = stats.binomtest(right, 10).proportion_ci(0.95, "exact")
        found = share(hits, np.arange(10))
        assert (found.value, found.low, found.high) == pytest.approx(
            (right / 10, expected.low, expected.high)
        )


def test_groups_of_equal_rows_count_once():
    hits = np.repeat([1, 0, 1, 1, 0, 1, 1, 1], 5)
    assert effective_sample_size(hits, np.repeat(np.arange(8), 5)) == pytest.approx(
        8 * 7 / 8 * 40 / 39
    )


def test_where_all_are_hits_a_group_counts_once_and_rows_of_one_group_are_one():
    assert effective_sample_size(np.ones(12), np.arange(12) // 4) == 3
    assert effective_sample_size(np.arange(12) % 2, np.zeros(12, int)) == 1


def test_numbers_of_groups_may_have_gaps_and_any_order():
    hits, codes = np.array([1, 0, 1, 1, 0, 0]), np.array([0, 1, 0, 2, 1, 3])
    assert effective_sample_size(hits, codes) == effective_sample_size(hits, 7 * codes + 5)
    assert effective_sample_size(hits[::-1], codes[::-1]) == pytest.approx(
        effective_sample_size(hits, codes)
    )


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=1, max_size=40))
def test_the_effective_sample_size_is_from_one_to_the_number_of_rows(rows):
    hits, codes = np.array([hit for hit, _ in rows]), np.array([code for _, code in rows])
    assert 1 <= effective_sample_size(hits, codes) <= len(rows)
    found = share(hits, codes)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Forty groups of ten rows with a mean hit rate of 0.7: 95 % of intervals must hold it."""
    random, codes = np.random.default_rng(0), np.repeat(np.arange(40), 10)
    held = {"grouped": 0, "alone": 0}
    for _ in range(400):
        hits = random.random(400) < np.repeat(random.beta(1.4, 0.6, size=40), 10)
        for name, of in (("grouped", codes), ("alone", np.arange(400))):
            found = share(hits, of)
            held[name] += found.low <= 0.7 <= found.high
    assert held["grouped"] > 0.92 * 400
    # which assumes independent rows
    assert held["alone"] < 0.8 * 400
