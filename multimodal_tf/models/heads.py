"""The fused vector -> one answer a task, with each task's loss and metrics.

Losses keep Keras' reduction `sum_over_batch_size`: the weighted losses of all rows, divided by the number of all rows. So a row of weight
0 adds nothing, a class weight means the same in every batch, and any batching and any number of replicas give the same total. Keras'
`mean_with_sample_weight` divides by the batch's own sum of weights instead: class weights then cancel out in small batches (entirely
in a batch of one), and replicas whose labels are unevenly missing are averaged wrongly. What remains is that a head whose label is
often missing would pull less: `loss_weight` makes up for that with the share of rows that bear the label in the training split.
"""

import keras
from keras import layers

from multimodal_tf.config import ClassificationHead, MultiLabelHead
from multimodal_tf.losses import ScaledMeanSquaredError, SmoothedCrossentropy

# every head is float32 under mixed precision too: a loss needs more digits than a convolution


def output(head, learnt, x, name):
    """The answer of one head.

    Args:
        head: a head of the configuration.
        learnt: what the schema holds for it: `Classes`, or `Moments` for a regression.
        x: `(batch, dim)`, the fused vector.
        name: str. Name of the last layer.

    Returns:
        float32: classification `(batch, classes)`, sums to 1; multi-label `(batch, classes)`, each 0 to 1; regression `(batch, 1)` in the
        label's own unit.
    """
    if isinstance(head, ClassificationHead):
        return layers.Dense(len(learnt.names), activation="softmax", dtype="float32", name=name)(x)
    if isinstance(head, MultiLabelHead):
        return layers.Dense(len(learnt.names), activation="sigmoid", dtype="float32", name=name)(x)
    normalised = layers.Dense(1, dtype="float32", name=f"{name}_normalised")(x)
    return layers.Rescaling(learnt.std, offset=learnt.mean, dtype="float32", name=name)(normalised)


def loss(head, learnt):
    """The loss of one head, a `keras.losses.Loss`; targets and answers as `data.pipeline` and `output` give them."""
    if isinstance(head, ClassificationHead):
        return SmoothedCrossentropy(head.label_smoothing)
    if isinstance(head, MultiLabelHead):
        return keras.losses.BinaryCrossentropy()
    return ScaledMeanSquaredError(learnt.std**2)


def loss_weight(head, learnt, rows):
    """The factor of one head's loss in the total: `head.weight`, divided by the share of the training rows that bear this label."""
    return head.weight * (rows / learnt.rows if learnt.rows else 1.0)


def metrics(head, learnt):
    """The metrics of one head, weighted ones: a row of weight 0 does not count."""
    if isinstance(head, ClassificationHead):
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    if isinstance(head, MultiLabelHead):
        return [keras.metrics.BinaryAccuracy(name="accuracy")]
    return [keras.metrics.MeanAbsoluteError(name="mae")]
