"""The order of rows in training: a pure function of seed, epoch and position, without a list."""

from collections.abc import Callable

import tensorflow as tf

# of the cipher; with TensorFlow's default of 4, some orders of 50 rows are far from uniform
_ROUNDS = 8


def shuffled(positions: tf.Tensor, rows: int, seed: int, epoch: tf.Tensor | int) -> tf.Tensor:
    """The rows at some positions of an epoch, which is a pseudorandom permutation of all rows.

    The cost of a position does not depend on the number of rows.

    Args:
        positions: int64 `(n,)`, 0 to `rows` - 1.
        rows: 1 to 2^62.
        epoch: int64 scalar, at least 0.

    Returns:
        int64 `(n,)`, 0 to `rows` - 1.

    Example:
        >>> sorted(shuffled(tf.range(5, dtype=tf.int64), 5, seed=0, epoch=3).numpy().tolist())
        [0, 1, 2, 3, 4]

    Source: TensorFlow's `RandomIndexShuffle`, a Simon cipher (Beaulieu et al. 2013, «The SIMON and
    SPECK Families of Lightweight Block Ciphers») with cycle walking (Black and Rogaway 2002,
    «Ciphers with Arbitrary Finite Domains»).
    """
    # The op does not mix its key: with (seed, epoch, 0) itself, rows that are neighbours in the
    # table often stay neighbours.
    pair = tf.stack([tf.constant(seed, tf.int64), tf.cast(epoch, tf.int64)])
    key = tf.random.stateless_uniform([3], pair, minval=None, maxval=None, dtype=tf.int64)
    # If the largest index is a power of two, the op of TensorFlow 2.21 returns one row twice and
    # omits another. Then the index range is larger by one, and the position that gets this extra
    # index takes what the extra position gets.
    last = rows if rows - 1 & rows - 2 == 0 else rows - 1

    def permute(x: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.RandomIndexShuffle(
            index=x, seed=key, max_index=tf.constant(last, tf.int64), rounds=_ROUNDS
        )

    # the op refuses an empty index
    found = permute(tf.concat([positions, [0]], axis=0))
    found = found if last < rows else tf.where(found == rows, permute(found), found)
    return found[:-1]


def batches(
    rows: int,
    batch_size: int,
    seed: int | None = None,
    worker: tuple[int, int] = (0, 1),
    start: int = 0,
    epoch: tf.Variable | None = None,
) -> tf.data.Dataset:
    """The row indices of each batch of an epoch, or one worker's share of them.

    Args:
        rows, batch_size: at least 1.
        seed: as in `shuffled`; None: the rows in their own order.
        worker: `(w, n)`: the worker's index, from 0, and their number. Their shares, concatenated,
            are the batch.
        start: the batch to begin with.
        epoch: int64 scalar, read when an iteration draws its first batch; None: the first
            iteration is epoch 0, the next epoch 1, and so on.

    Returns:
        `tf.data.Dataset` of int64 `(batch_size // n,)`, or one more; the last one is shorter where
        the rows do not divide.

    Example:
        >>> [batch.tolist() for batch in batches(5, 2, start=1).as_numpy_iterator()]
        [[2, 3], [4]]
    """
    steps = tf.data.Dataset.range(start, -(-rows // batch_size))
    index, workers = worker

    @tf.autograph.experimental.do_not_convert
    def positions(step: tf.Tensor) -> tf.Tensor:
        first = step * batch_size
        size = tf.minimum(rows - first, batch_size)
        return first + tf.range(index * size // workers, (index + 1) * size // workers)

    if seed is None:
        return steps.map(positions)
    epoch_at = _count_first() if epoch is None else lambda first: epoch.read_value()

    @tf.autograph.experimental.do_not_convert
    def rows_of(current: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        first = step == start
        current = tf.where(first, epoch_at(first), current)
        return current, shuffled(positions(step), rows, seed, current)

    return steps.scan(tf.constant(0, tf.int64), rows_of)


def _count_first() -> Callable[[tf.Tensor], tf.Tensor]:
    """A function of a bool scalar: how often it was true before.

    A `tf.Variable` made in a strategy's scope would be one per device, so a table counts.
    """
    table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.int64, default_value=0)
    key = tf.constant(0, tf.int64)

    def count(first: tf.Tensor) -> tf.Tensor:
        before = table.lookup(key)
        table.insert(key, before + tf.cast(first, tf.int64))
        return before

    return count
