"""What a step of training needs of all `tf.distribute` replicas: their number, sums, rows."""

from typing import Any

import tensorflow as tf


def count() -> int:
    replicas: int = tf.distribute.get_strategy().num_replicas_in_sync
    return replicas


def summed(tensors: Any) -> Any:
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)


def gathered(tensors: Any) -> Any:
    """The rows of all replicas, in their order, with gradients.

    Each replica pads its rows with zeros to those of all, and these are summed.
    """
    context, rows = tf.distribute.get_replica_context(), rows_of(tensors)
    replica = tf.cast(context.replica_id_in_sync_group, tf.int32)
    counts = summed(tf.one_hot(replica, count(), on_value=rows, off_value=0))
    before = tf.reduce_sum(counts[:replica])
    ends = [[before, tf.reduce_sum(counts) - before - rows]]
    padded = [
        tf.pad(one, ends + [[0, 0]] * (len(one.shape) - 1)) for one in tf.nest.flatten(tensors)
    ]
    # a reduction of several tensors concatenates them
    for dtype in {one.dtype for one in padded}:
        index = [number for number, one in enumerate(padded) if one.dtype == dtype]
        for number, total in zip(index, summed([padded[number] for number in index])):
            padded[number] = total
    return tf.nest.pack_sequence_as(tensors, padded)


def every_row(tensors: Any) -> Any:
    """As `gathered`, also for booleans and any int32; on one device the tensors themselves."""
    if count() == 1:
        return tensors
    # not int32: TensorFlow reduces no two tensors of it at once
    whole = tf.nest.map_structure(
        lambda one: tf.cast(one, tf.int64) if one.dtype in (tf.bool, tf.int32) else one, tensors
    )
    return tf.nest.map_structure(
        lambda one, every: tf.cast(every, one.dtype), tensors, gathered(whole)
    )


def rows_of(x: Any) -> Any:
    return tf.shape(tf.nest.flatten(x)[0])[0]
