"""The order of rows: a uniform permutation in every epoch, by seed, epoch and position alone."""

import collections
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from multimodal_tf.data import shuffle


def epoch_of(rows, seed, epoch, positions=None):
    positions = np.arange(rows) if positions is None else positions
    return shuffle.shuffled(
        tf.constant(positions, tf.int64), rows, seed, tf.constant(epoch, tf.int64)
    ).numpy()


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 50, 1797, 65_537, 262_145])
def test_an_epoch_is_a_permutation(rows):
    """Also where the last index is a power of 4 from 65,536 on, where TensorFlow repeats a row."""
    for epoch in (0, 1, 2**31):
        np.testing.assert_array_equal(np.sort(epoch_of(rows, 3, epoch)), np.arange(rows))


def test_a_position_alone_gets_the_row_that_it_gets_among_others():
    whole = epoch_of(1000, 7, 2)
    assert [int(epoch_of(1000, 7, 2, [position])[0]) for position in (0, 17, 999)] == whole[
        [0, 17, 999]
    ].tolist()


def test_seeds_and_epochs_differ_in_order():
    orders = {tuple(epoch_of(50, seed, epoch)) for seed in range(10) for epoch in range(10)}
    assert len(orders) == 100


def test_all_orders_of_four_rows_are_equally_likely():
    """Chi-square over 24 orders in 1,200 epochs: mean 23, standard deviation 6.8."""
    positions, epochs = tf.range(4, dtype=tf.int64), tf.range(1200, dtype=tf.int64)
    orders = tf.data.Dataset.from_tensor_slices(epochs).map(
        lambda epoch: shuffle.shuffled(positions, 4, 0, epoch)
    )
    seen = collections.Counter(map(tuple, orders.batch(1200).get_single_element().numpy().tolist()))
    assert set(seen) == set(itertools.permutations(range(4)))
    assert sum((count - 50) ** 2 / 50 for count in seen.values()) < 23 + 5 * 6.8


@pytest.mark.parametrize("rows", [1000, 10**6, 10**9])
def test_neighbours_in_the_table_do_not_stay_neighbours(rows):
    """About two pairs of 1,000 rows in random order; with an unmixed key more than a hundred."""
    count = min(rows, 20_000)
    for epoch in range(3):
        order_of = epoch_of(rows, 0, epoch, np.arange(count)).astype(float)
        assert np.sum(np.abs(np.diff(order_of)) == 1) <= 12
        assert abs(np.corrcoef(order_of[:-1], order_of[1:])[0, 1]) < 5 / math.sqrt(count)
        assert abs(order_of.mean() / (rows - 1) - 0.5) < 5 * 0.29 / math.sqrt(count)


def listed(*arguments, **named):
    return [batch.tolist() for batch in shuffle.batches(*arguments, **named).as_numpy_iterator()]


def test_batches_without_a_seed_are_in_order():
    assert listed(5, 2) == [[0, 1], [2, 3], [4]]
    assert listed(5, 2, start=2) == [[4]]
    assert listed(5, 2, start=3) == []


def test_every_iteration_is_the_next_epoch():
    batches = shuffle.batches(5, 2, seed=1)
    assert len(batches) == 3
    for epoch in range(3):
        rows = [row for batch in batches.as_numpy_iterator() for row in batch.tolist()]
        assert rows == epoch_of(5, 1, epoch).tolist()


def test_concurrent_iterations_are_independent():
    batches = shuffle.batches(6, 2, seed=1)
    first, second = iter(batches), iter(batches)
    drawn = [
        np.concatenate(pair)
        for pair in zip(*((next(first).numpy(), next(second).numpy()) for _ in range(3)))
    ]
    assert [part.tolist() for part in drawn] == [
        epoch_of(6, 1, 0).tolist(),
        epoch_of(6, 1, 1).tolist(),
    ]


def test_a_variable_selects_the_epoch():
    epoch = tf.Variable(4, dtype=tf.int64)
    batches = shuffle.batches(7, 3, seed=1, start=1, epoch=epoch)
    for number in (4, 4, 9):
        epoch.assign(number)
        assert (
            np.concatenate(list(batches.as_numpy_iterator())).tolist()
            == epoch_of(7, 1, number)[3:].tolist()
        )


@pytest.mark.parametrize(
    ("rows", "workers", "seed"),
    [(2, 3, None), (2, 3, 1), (5, 1, 1), (5, 3, None), (13, 3, None), (13, 3, 1), (13, 1, None)],
)
def test_shares_are_the_batch(rows, workers, seed):
    shares = [listed(rows, 5, seed=seed, worker=(worker, workers)) for worker in range(workers)]
    assert [sum(parts, []) for parts in zip(*shares, strict=True)] == listed(rows, 5, seed=seed)
    for parts in zip(*shares):
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
