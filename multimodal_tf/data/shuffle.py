"""The order of rows in training: a pure function of seed, epoch and position. No list of rows is
kept or shuffled anywhere.
"""

import tensorflow as tf

# of the cipher: with the 4 that TensorFlow takes by default, the orders of 50 rows are sometimes
# far from even
_ROUNDS = 8


def shuffled(positions, rows, seed, epoch):
    """The rows that stand at some positions of an epoch.

    Each epoch is a permutation of all rows, as if drawn anew. What a position costs does not depend
    on the number of rows.

    Args:
        positions: int64 `(n,)`, 0 to `rows` - 1.
        rows: int, 1 to 2^62.
        seed: int.
        epoch: int64 scalar, at least 0.

    Returns:
        int64 `(n,)`, 0 to `rows` - 1.

    Example:
        >>> sorted(shuffled(tf.range(5, dtype=tf.int64), 5, seed=0, epoch=3).numpy().tolist())
        [0, 1, 2, 3, 4]

    Source: TensorFlow's `RandomIndexShuffle`, a Simon cipher (Beaulieu et al. 2013, «The SIMON and
    SPECK Families of Lightweight Block Ciphers») that walks on until it meets a row (Black and
    Rogaway 2002, «Ciphers with Arbitrary Finite Domains»).
    """
    # It takes its key as it is: with one as plain as (seed, epoch, 0), neighbours in the table
    # often stay neighbours.
    pair = tf.stack([tf.constant(seed, tf.int64), tf.cast(epoch, tf.int64)])
    key = tf.random.stateless_uniform([3], pair, minval=None, maxval=None, dtype=tf.int64)
    # TensorFlow 2.21 gives one row twice and another not at all where the last row's number is a
    # power of two. There, one more is taken for a row; whoever gets it gets what stands at its own
    # place.
    last = rows if rows - 1 & rows - 2 == 0 else rows - 1

    def permute(x):
        return tf.raw_ops.RandomIndexShuffle(
            index=x, seed=key, max_index=tf.constant(last, tf.int64), rounds=_ROUNDS
        )

    # it refuses to answer for none
    found = permute(tf.concat([positions, [0]], axis=0))
    found = found if last < rows else tf.where(found == rows, permute(found), found)
    return found[:-1]


def batches(rows, batch_size, seed=None, worker=(0, 1), start=0, epoch=None) -> tf.data.Dataset:
    """The row numbers of each batch of an epoch, or one worker's share of them.

    Args:
        rows: int > 0.
        batch_size: int > 0.
        seed: int, as in `shuffled`; None: the rows in their own order.
        worker: `(w, n)`: the worker's number, from 0, and how many there are. Their shares, one
        after another, are the batch.
        start: int. The batch to begin with.
        epoch: int64 scalar `tf.Variable`, read when an iteration draws its first batch; None: the
            first iteration that draws one is epoch 0, the next epoch 1, and so on.

    Returns:
        `tf.data.Dataset` of int64 `(batch_size // n,)`, or one more; the last one is shorter where
        the rows do not divide.

    Example:
        >>> [batch.tolist() for batch in batches(5, 2, start=1).as_numpy_iterator()]
        [[2, 3], [4]]
    """
    steps = tf.data.Dataset.range(start, -(-rows // batch_size))

    number, workers = worker

    def positions(step):
        first = step * batch_size
        size = tf.minimum(rows - first, batch_size)
        return first + tf.range(number * size // workers, (number + 1) * size // workers)

    if seed is None:
        return steps.map(positions)
    epoch_at = _counted() if epoch is None else lambda first: epoch.read_value()

    def rows_of(now, step):
        first = step == start
        now = tf.where(first, epoch_at(first), now)
        return now, shuffled(positions(step), rows, seed, now)

    return steps.scan(tf.constant(0, tf.int64), rows_of)


def _counted():
    """A function that answers how often it was told that a first batch is drawn, before this one.

    (A `tf.Variable` that is made in a strategy's scope would be one for each of its devices.)
    """
    table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.int64, default_value=0)
    key = tf.constant(0, tf.int64)

    def count(first):
        number = table.lookup(key)
        table.insert(key, number + tf.cast(first, tf.int64))
        return number

    return count
