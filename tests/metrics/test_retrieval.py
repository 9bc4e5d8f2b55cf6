"""Retrieval between two sets of embeddings: by hand, scikit-learn and SciPy; groups and ties."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from multimodal_tf.metrics import retrieval as module
from multimodal_tf.metrics.retrieval import retrieval
from multimodal_tf.scoring import retrieval as scoring


def _values(*arguments, **settings):
    return {
        name: metric.value
        for name, metric in retrieval(*arguments, **{"resamples": 0} | settings).metrics.items()
    }


def _vectors(random, rows, dim=6):
    return random.normal(size=(rows, dim)).astype("float32")


def _cosines(queries, items):
    return (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ (
        items / np.linalg.norm(items, axis=1, keepdims=True)
    ).T


def test_by_hand():
    """Queries at 0, 42, 100 degrees, their items at 10, 50, 30: the nearest ranks first."""
    queries, items = (
        np.stack([np.cos(np.radians(of)), np.sin(np.radians(of))], axis=1)
        for of in ([0, 42, 100], [10, 50, 30])
    )
    # 0: 10 30 50, relevant is 10: rank 1. 42: 50 30 10, relevant is 50: rank 1.
    # 100: 50 30 10, relevant is 30: rank 2.
    assert _values(queries, items, first=[1, 2]) == pytest.approx(
        {
            "recall_at_1": 2 / 3,
            "recall_at_2": 1,
            "median_rank": 1,
            "mean_average_precision": (1 + 1 + 1 / 2) / 3,
        }
    )
    # The other way: 10 finds 0 (10 away), 50 finds 42, 30 finds 42, then 0, then 100.
    assert _values(items, queries, first=[1, 2]) == pytest.approx(
        {
            "recall_at_1": 2 / 3,
            "recall_at_2": 2 / 3,
            "median_rank": 1,
            "mean_average_precision": (1 + 1 + 1 / 3) / 3,
        }
    )


@pytest.mark.parametrize("groups", [None, "few", "many"])
def test_scikit_learn_and_scipy_agree(groups):
    random = np.random.default_rng(0)
    queries, items = _vectors(random, 60), _vectors(random, 60)
    codes = {
        None: np.arange(60),
        "few": random.integers(4, size=60),
        "many": random.integers(40, size=60),
    }[groups]
    scores, relevant = _cosines(queries, items), codes[:, None] == codes
    best = np.array([stats.rankdata(-row)[of].min() for row, of in zip(scores, relevant)])
    expected = {f"recall_at_{k}": (best <= k).mean() for k in (1, 5, 10)} | {
        "median_rank": np.median(best)
    }
    expected["mean_average_precision"] = np.mean(
        [sk.average_precision_score(of, row) for row, of in zip(scores, relevant)]
    )
    assert _values(queries, items, groups=None if groups is None else codes) == pytest.approx(
        expected
    )


def test_how_rows_are_cut_into_blocks_changes_nothing(monkeypatch):
    random = np.random.default_rng(1)
    queries, items, groups = (
        _vectors(random, 50),
        _vectors(random, 50),
        random.integers(20, size=50),
    )
    whole = _values(queries, items, groups)
    monkeypatch.setattr(scoring, "SCORES", 7 * 50)
    assert _values(queries, items, groups) == pytest.approx(whole)


def test_equal_answers_are_right_where_they_are_of_one_group():
    random = np.random.default_rng(2)
    vectors = np.repeat(_vectors(random, 10), 3, axis=0)
    groups = np.repeat(np.arange(10), 3)
    assert _values(vectors, vectors, groups) == {
        "recall_at_1": 1,
        "recall_at_5": 1,
        "recall_at_10": 1,
        "median_rank": 1,
        "mean_average_precision": 1,
    }


def test_equal_answers_that_are_wrong_share_the_chance():
    """Each item three times, each row its own group: rank 1 to 3, each as likely."""
    random = np.random.default_rng(3)
    vectors = np.repeat(_vectors(random, 10, dim=64), 3, axis=0)
    found = _values(vectors, vectors, first=[1, 2, 3])
    assert found == pytest.approx(
        {
            "recall_at_1": 1 / 3,
            "recall_at_2": 2 / 3,
            "recall_at_3": 1,
            "median_rank": 2,
            "mean_average_precision": 1 / 3,
        }
    )


def test_embeddings_that_all_collapsed_have_the_recall_of_chance():
    found = _values(np.ones((40, 3)), np.ones((40, 3)))
    assert found["recall_at_1"] == pytest.approx(1 / 40)
    assert found["recall_at_10"] == pytest.approx(10 / 40)
    assert found["median_rank"] == pytest.approx(41 / 2)


@pytest.mark.parametrize("dim", [7, 64, 100])
@pytest.mark.parametrize("rows", [5, 7, 37])
def test_equal_answers_are_level_to_the_last_bit(dim, rows):
    """A matrix product may round equal columns differently, which would break the tie."""
    random = np.random.default_rng(9)
    found = _values(
        _vectors(random, rows, dim), np.repeat(_vectors(random, 1, dim), rows, axis=0), first=[1]
    )
    assert found["recall_at_1"] == pytest.approx(1 / rows)
    assert found["median_rank"] == (rows + 1) / 2


def test_ties_are_the_mean_over_orders():
    """Whole-number scores against the same scores with noise that breaks the ties."""
    random = np.random.default_rng(4)
    queries, items, groups = (
        np.eye(4)[random.integers(4, size=24)],
        np.eye(4)[random.integers(4, size=24)],
        random.integers(12, size=24),
    )
    drawn = []
    for _ in range(600):
        row = np.argsort(-(queries @ items.T) + random.random((24, 24)) * 1e-3, axis=1)
        first = (groups[row] == groups[:, None]).argmax(axis=1) + 1
        drawn.append([(first <= 1).mean(), (first <= 5).mean()])
    found = _values(queries, items, groups, first=[1, 5])
    expected = np.mean(drawn, axis=0)
    assert [found["recall_at_1"], found["recall_at_5"]] == pytest.approx(
        expected, abs=4 * np.std(drawn) / np.sqrt(600)
    )


def test_a_rows_length_does_not_count():
    random = np.random.default_rng(5)
    queries, items = _vectors(random, 30), _vectors(random, 30)
    assert _values(queries * random.uniform(1, 9, (30, 1)), items) == pytest.approx(
        _values(queries, items)
    )


def test_intervals_hold_the_metric_and_draw_groups_as_a_whole():
    random = np.random.default_rng(6)
    few = _vectors(random, 30)
    near = few + _vectors(random, 30)
    single = retrieval(few, near, resamples=300)
    grouped = retrieval(
        np.repeat(few, 4, axis=0),
        np.repeat(near, 4, axis=0),
        np.repeat(np.arange(30), 4),
        resamples=300,
    )
    assert (grouped.n, grouped.groups, single.groups) == (120, 30, 30)
    for name in ("recall_at_1", "median_rank"):
        one, other = single.metrics[name], grouped.metrics[name]
        assert one.low <= one.value <= one.high
        assert (other.value, other.resamples) == (pytest.approx(one.value), 300)
    expected = dataclasses.replace(single.metrics["recall_at_1"], n=120)
    assert dataclasses.asdict(grouped.metrics["recall_at_1"]) == pytest.approx(
        dataclasses.asdict(expected)
    )


def test_clusters_are_drawn_as_a_whole_and_are_not_relevant():
    """Four rows of a cluster, either all found or none."""
    random = np.random.default_rng(6)
    hits, clusters = np.arange(30) % 3 == 0, np.repeat(np.arange(30), 4)
    queries = np.eye(120)
    items = np.where(hits[clusters][:, None], queries, random.permutation(-queries))
    settings = {"first": [1], "resamples": 400}
    alone, drawn, of_groups = (
        retrieval(queries, items, **settings, **given).metrics["recall_at_1"]
        for given in ({}, {"clusters": clusters}, {"groups": clusters})
    )
    assert alone.value == drawn.value == pytest.approx(1 / 3, abs=0.02) != of_groups.value
    assert (drawn.high - drawn.low) / (alone.high - alone.low) == pytest.approx(2, rel=0.15)
    assert drawn.low == pytest.approx(drawn.value - 1.96 * np.sqrt(2 / 9 / 30), abs=0.03)
    # a cluster joins the groups of its rows, and a row without one is alone
    given = {"groups": np.arange(120) // 2, "clusters": np.where(clusters < 15, "a", None)}
    assert retrieval(queries, items, **settings, **given).groups == 60


def test_the_median_of_resampled_ranks_is_numpys():
    random = np.random.default_rng(7)
    values, weights = (
        np.sort(random.integers(9, size=15)).astype(float),
        random.integers(3, size=(40, 15)).astype(float),
    )
    for row in weights:
        assert module._median(values, np.cumsum(row)) == np.median(
            np.repeat(values, row.astype(int))
        )


def test_no_matrix_of_all_pairs_is_in_memory():
    random = np.random.default_rng(8)
    queries, items = _vectors(random, 6000, 8), _vectors(random, 6000, 8)
    tracemalloc.start()
    retrieval(queries, items, resamples=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6000 * 6000 * 4 * 0.75


@pytest.mark.parametrize(
    ("queries", "items", "message"),
    [
        (np.ones((1, 2)), np.ones((1, 2)), "2 or more rows"),
        (np.ones((3, 2)), np.ones((3, 4)), r"the same shape, received \(3, 2\) and \(3, 4\)"),
        (np.ones((3, 2)), np.ones((4, 2)), "the same shape"),
        ([[1, 0], [0, 0]], np.ones((2, 2)), "queries must be finite and not zero, received 1 of 2"),
        (
            np.ones((2, 2)),
            [[1, np.nan], [0, 1]],
            "items must be finite and not zero, received 1 of 2",
        ),
        (np.ones((9, 2)), np.ones((9, 2)), r"from 1 to the 9 rows, received \[1, 5, 10\]"),
    ],
)
def test_bad_embeddings_are_refused(queries, items, message):
    with pytest.raises(ValueError, match=message):
        retrieval(queries, items)
