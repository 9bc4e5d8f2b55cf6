"""Agreement of a row's inputs, mismatched rows and the odd one out."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import distance

from multimodal_tf.evaluation.alignment import (
    agreement,
    exchanged,
    pair_cosines,
    threshold,
)
from multimodal_tf.scoring import agreement as scoring


def odd_one_out(embeddings, present=None):
    """The odd one out of all pairs of inputs, as its index among the inputs."""
    pairs = [tuple(pair) for pair in itertools.combinations("abcd"[: np.shape(embeddings)[1]], 2)]
    return scoring.odd_one_out(*pair_cosines(embeddings, present), pairs)


# --- agreement


def test_agreement_is_the_mean_cosine_over_pairs():
    embeddings = np.random.default_rng(0).normal(size=(20, 4, 5))
    expected = [1 - distance.pdist(row, "cosine").mean() for row in embeddings]
    assert agreement(embeddings) == pytest.approx(expected)


def test_a_missing_input_takes_no_part():
    """Also where its embedding is not zero, or NaN."""
    embeddings = np.random.default_rng(1).normal(size=(6, 3, 5))
    expected = agreement(embeddings[:, :2])
    embeddings[:, 2] = np.nan
    assert agreement(embeddings, [[1, 1, 0]] * 6) == pytest.approx(expected)
    embeddings[:, 2] = 0
    assert agreement(embeddings) == pytest.approx(expected)


def test_without_a_pair_there_is_no_agreement():
    assert np.isnan(agreement(np.ones((2, 3, 4)), [[0, 0, 0], [0, 1, 0]])).all()


# --- the odd one out


def test_the_odd_one_is_the_one_without_which_the_others_agree_most():
    random = np.random.default_rng(2)
    embeddings = random.normal(size=(30, 4, 6))
    without = np.stack([agreement(np.delete(embeddings, i, axis=1)) for i in range(4)], axis=1)
    assert odd_one_out(embeddings).tolist() == without.argmax(axis=1).tolist()


def test_of_two_inputs_none_is_odd_and_a_missing_one_never():
    embeddings = np.array([[[1.0, 0], [0, 1], [1, 0], [-1, 0]]] * 3)
    assert odd_one_out(embeddings, [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]).tolist() == [
        -1,
        1,
        3,
    ]


def test_of_equally_odd_ones_it_is_the_first():
    assert odd_one_out(np.ones((1, 3, 2))).tolist() == [0]


# --- exchanges


@settings(max_examples=80, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=2, max_size=8), seed=st.integers(0, 1000))
def test_an_exchange_never_stays_in_its_group_and_each_row_gives_once(sizes, seed):
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    if 2 * max(sizes) > len(groups):
        with pytest.raises(ValueError, match="groups of at most half"):
            exchanged(len(groups), groups, seed)
        return
    source = exchanged(len(groups), groups, seed)
    assert sorted(source) == list(range(len(groups)))
    assert (groups[source] != groups).all()
    assert (source == exchanged(len(groups), groups, seed)).all()


@pytest.mark.parametrize("rows", [2, 3, 4, 50])
def test_without_groups_no_row_keeps_its_own(rows):
    for seed in range(20):
        source = exchanged(rows, seed=seed)
        assert sorted(source) == list(range(rows))
        assert (source != np.arange(rows)).all()


def test_every_pair_of_rows_is_exchanged_about_equally_often():
    counts = np.zeros((6, 6))
    for seed in range(3000):
        counts[np.arange(6), exchanged(6, seed=seed)] += 1
    off = counts[~np.eye(6, dtype=bool)]
    assert np.abs(off / 3000 - 1 / 5).max() < 5 * np.sqrt(0.16 / 3000)


def test_classes_are_mixed_with_all_others():
    groups = np.repeat(np.arange(5), 40)
    met = {(a, b) for a, b in zip(groups, groups[exchanged(200, groups)])}
    assert met == {(a, b) for a in range(5) for b in range(5) if a != b}


def test_rows_without_a_group_can_be_exchanged_with_each_other():
    source = exchanged(4, [None, None, None, None])
    assert (source != np.arange(4)).all()


# --- threshold


def test_a_threshold_is_a_low_quantile_of_right_rows():
    assert threshold(np.arange(99), 0.05) == 4


# --- bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: agreement(np.ones((3, 1, 2))), "2 or more inputs"),
        (lambda: agreement(np.ones((3, 2))), r"received \(3, 2\)"),
        (
            lambda: agreement(np.ones((3, 2, 4)), np.ones((3, 4))),
            r"present must have the shape \(3, 2\)",
        ),
        (
            lambda: agreement(np.full((3, 2, 4), np.nan)),
            "finite numbers, received NaN or infinity in 3 of 3",
        ),
        (lambda: exchanged(1), "2 or more rows, received 1"),
        (lambda: exchanged(3, ["a", "a", "b"]), "at most half of the 3 rows, received one of 2"),
        (lambda: exchanged(3, ["a", "b"]), r"groups must have the shape \(3,\)"),
        (lambda: threshold([1.0, 2.0], 0.05), "needs 19 rows or more, received 2"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
