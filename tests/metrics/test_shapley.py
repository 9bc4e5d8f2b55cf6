"""Shapley values of inputs: a game by hand, the axioms, drawn orders, groups and classes."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from multimodal_tf.metrics.metric import mean_metrics
from multimodal_tf.metrics.shapley import coalitions, contributions, shapley

# one left glove, two right ones
GLOVES = {
    "left": 0,
    "right": 0,
    "other": 0,
    "left+right": 1,
    "left+other": 1,
    "right+other": 0,
    "all": 1,
}


def _values_of(of, value_of):
    """The value of each subset, by a function of its inputs."""
    return np.array(
        [value_of({name for name, present in zip(of.names, row) if present}) for row in of.present],
        dtype=float,
    )


def _by_definition(names, value_of, empty):
    """The mean over all orders of what an input adds."""
    found = dict.fromkeys(names, 0.0)
    for order in itertools.permutations(names):
        for index, name in enumerate(order):
            before = set(order[:index])
            found[name] += value_of(before | {name}) - (value_of(before) if before else empty)
    return [found[name] / math.factorial(len(names)) for name in names]


def _random_game(names, seed):
    random = np.random.default_rng(seed)
    value_of = {
        frozenset(of): random.normal()
        for size in range(len(names) + 1)
        for of in itertools.combinations(names, size)
    }
    return lambda present: value_of[frozenset(present)]


def test_the_subsets_of_three_inputs_are_seven():
    of = coalitions(["a", "b", "c"])
    assert of.present.astype(int).tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [1, 1, 0],
        [1, 0, 1],
        [0, 1, 1],
        [1, 1, 1],
    ]
    assert of.by_order is None


def test_the_glove_game_by_hand():
    """The owner of the only left glove gets 4 / 6, each other owner 1 / 6."""
    assert shapley(
        coalitions(["left", "right", "other"]), list(GLOVES.values()), 0
    ) == pytest.approx([4 / 6, 1 / 6, 1 / 6])


@pytest.mark.parametrize("size", range(1, 7))
def test_exact_values_are_the_mean_over_all_orders(size):
    names = [f"input_{i}" for i in range(size)]
    value_of, of = _random_game(names, size), coalitions(names)
    assert len(of.present) == 2**size - 1
    assert shapley(of, _values_of(of, value_of), value_of(())) == pytest.approx(
        _by_definition(names, value_of, value_of(()))
    )


@pytest.mark.parametrize("size", [3, 6, 8])
def test_efficiency_they_add_up_to_what_all_inputs_give(size):
    names = [f"input_{i}" for i in range(size)]
    of, value_of = coalitions(names), _random_game(names, 1)
    values = _values_of(of, value_of)
    assert shapley(of, values, value_of(())).sum() == pytest.approx(values[-1] - value_of(()))


def test_symmetry_inputs_that_give_the_same_get_the_same():
    of = coalitions("abcd")
    found = shapley(
        of, _values_of(of, lambda present: len(present & {"a", "b"}) ** 2 + 3 * ("c" in present)), 0
    )
    assert found == pytest.approx([2, 2, 3, 0])


@pytest.mark.parametrize("names", ["abc", "abcdefgh"])
def test_dummy_an_input_that_changes_nothing_gets_nothing(names):
    of = coalitions(names)
    found = shapley(of, _values_of(of, lambda present: float({"a", "b"} <= present) + 0.1), 0.1)
    assert found[2:] == pytest.approx(np.zeros(len(names) - 2), abs=1e-12)


def test_drawn_orders_are_unbiased_and_their_error_is_as_stated():
    names = "abcdefg"
    value_of = _random_game(names, 3)
    truth = np.array(_by_definition(names, value_of, value_of(())))
    estimates, errors = [], []
    for seed in range(200):
        of = coalitions(names, permutations=8, seed=seed)
        table = np.tile(_values_of(of, value_of), (2, 1))
        found = contributions(of, table, value_of(()), resamples=0)
        estimates.append([found.shapley[name].value for name in names])
        errors.append(list(found.sampling_error.values()))
    spread = np.std(estimates, axis=0)
    assert np.abs(np.mean(estimates, axis=0) - truth).max() < 4 * spread.max() / math.sqrt(200)
    assert np.sqrt(np.mean(np.square(errors), axis=0)) == pytest.approx(spread, rel=0.2)


def test_the_same_seed_draws_the_same_subsets_and_they_hold_each_alone_and_each_left_out():
    first, second = (
        coalitions("abcdefgh", permutations=4, seed=2),
        coalitions("abcdefgh", permutations=4, seed=2),
    )
    assert (first.present == second.present).all()
    sizes = first.present.sum(axis=1)
    assert (np.sum(sizes == 1), np.sum(sizes == 7), np.sum(sizes == 8)) == (8, 8, 1)
    assert sizes[-1] == 8
    assert len(np.unique(first.present, axis=0)) == len(first.present) < 2**8


def test_shares_by_hand():
    """Four rows, hits with photo 1 0 0 0, title 1 1 0 0, both 1 1 1 0, none 0 0 0 1."""
    values = np.array([[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]])
    found = contributions(
        coalitions(["photo", "title"]),
        values,
        [0, 0, 0, 1],
        [0, 0, 1, 1],
        ["cat", "dog"],
        resamples=20,
    )
    assert (found.n, found.groups, found.none.value, found.all.value) == (
        4,
        4,
        0.25,
        0.75,
    )
    assert [(of.inputs, of.metric.value) for of in found.subsets] == [
        (["photo"], 0.25),
        (["title"], 0.5),
        (["photo", "title"], 0.75),
    ]
    # photo: (0.25 - 0.25 + 0.75 - 0.5) / 2; title: (0.5 - 0.25 + 0.75 - 0.25) / 2
    assert {name: metric.value for name, metric in found.shapley.items()} == pytest.approx(
        {"photo": 0.125, "title": 0.375}
    )
    assert {name: metric.value for name, metric in found.share.items()} == pytest.approx(
        {"photo": 0.25, "title": 0.75}
    )
    assert {name: metric.value for name, metric in found.drop.items()} == pytest.approx(
        {"photo": 0.25, "title": 0.5}
    )
    assert found.sampling_error == {}
    cat, dog = found.classes["cat"], found.classes["dog"]
    assert (cat.n, cat.all.value, cat.shapley["title"].value, cat.drop["title"].value) == (
        2,
        1.0,
        0.75,
        0.5,
    )
    assert (dog.n, dog.shapley["photo"].value, dog.share["photo"].value) == (2, 0, None)
    assert dog.share["photo"].reason == "the inputs together are no better than none"


def test_classes_weighted_by_their_rows_give_the_whole():
    random = np.random.default_rng(0)
    of, labels = coalitions("abc"), random.integers(3, size=60)
    found = contributions(
        of, random.random((60, 7)), random.random(60), labels, ["x", "y", "z"], resamples=0
    )
    for name in "abc":
        parts = [(one.n, one.shapley[name].value) for one in found.classes.values()]
        assert sum(n * value for n, value in parts) / 60 == pytest.approx(found.shapley[name].value)


def test_intervals_over_rows_are_those_of_the_mean_of_the_rows_values():
    random = np.random.default_rng(1)
    of, table = coalitions("abc"), random.integers(2, size=(80, 7))
    found = contributions(of, table, 0, resamples=200, seed=5)
    rows = shapley(of, table, np.zeros(80))
    expected = mean_metrics({name: rows[:, i] for i, name in enumerate("abc")}, 200, 5)
    for name in "abc":
        assert dataclasses.asdict(found.shapley[name]) == pytest.approx(
            dataclasses.asdict(expected[name])
        )


def test_rows_of_one_group_are_drawn_together():
    """Each row ten times: without groups the interval is too narrow by sqrt(10)."""
    random = np.random.default_rng(2)
    of, few = coalitions("ab"), random.random((40, 3))
    many, groups = np.repeat(few, 10, axis=0), np.repeat([f"film {i}" for i in range(40)], 10)

    def width(found):
        return found.shapley["a"].high - found.shapley["a"].low

    single, grouped = (
        contributions(of, few, 0, resamples=400),
        contributions(of, many, 0, groups=groups, resamples=400),
    )
    assert (grouped.n, grouped.groups) == (400, 40)
    assert width(grouped) == pytest.approx(width(single))
    assert width(contributions(of, many, 0, resamples=400)) == pytest.approx(
        width(single) / math.sqrt(10), rel=0.15
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1, 0, 1]], 0), "2 or more rows"),
        (([[1, 0], [1, 1]], 0), "a column for each of the 3 subsets"),
        (([[1, 0, np.nan], [1, 1, 1]], 0), "finite numbers, received NaN or infinity in 1 of 8"),
        (([[1, 0, 1], [1, 1, 1]], [0, 0, 0]), r"a number or have the shape \(2,\)"),
        (([[1, 0, 1], [1, 1, 1]], 0, [0, 2], ["cat", "dog"]), "2 indices from 0 to 1"),
        (([[1, 0, 1], [1, 1, 1]], 0, None, (), ["only one"]), r"groups must have the shape \(2,\)"),
    ],
)
def test_bad_values_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        contributions(coalitions(["photo", "title"]), *arguments)


@pytest.mark.parametrize(("names", "permutations"), [([], 8), (["a", "a"], 8), (["a", "b"], 1)])
def test_bad_names_and_too_few_orders_are_refused(names, permutations):
    with pytest.raises(ValueError, match="received"):
        coalitions(names, permutations)
