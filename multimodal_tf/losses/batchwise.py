"""The base class of losses that compare rows."""

import keras


class BatchwiseLoss(keras.losses.Loss):
    """A loss that compares the rows of a batch with each other.

    Under `tf.distribute` a replica must see the rows of all replicas: `DistributedModel` gathers
    them for losses of this class.
    """
