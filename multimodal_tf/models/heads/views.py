"""Two views of one cell: the vectors of both, of length 1."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from multimodal_tf.config import ViewsHead
from multimodal_tf.losses.views import ViewsLoss
from multimodal_tf.models import views
from multimodal_tf.models.heads.alignment import AlignedVectors, BatchRecall, UnitVector
from multimodal_tf.models.momentum import momentum_copy
from multimodal_tf.models.reread import Reread


def output(
    head: ViewsHead,
    stats: None,
    x: Sequence[Reread],
    name: str,
    any_present: None = None,
) -> keras.KerasTensor:
    """Vectors `(batch, 2, head.dim + 2)`; see `models.heads.output`."""
    (own,) = x
    first, second = (views.view(own.given, f"{name}_view_{number}") for number in (1, 2))
    begin = views.unchanged(own.given, own.encoding)
    vector = own.again_from(begin, first, f"{name}_again_1").vector
    project = _projection(head, vector.shape[-1], name)
    if head.momentum:
        kept = [own.given.x] if begin is not own.given.x else []
        kept += [] if own.given.present is None else [own.given.present]
        network = keras.Model([begin, *kept], project(own.encoding.vector))
        encoder = momentum_copy(network, head.momentum, f"{name}_momentum")
        vectors = [project(vector), encoder([second, *kept])]
    else:
        again = own.again_from(begin, second, f"{name}_again_2").vector
        vectors = [project(vector), project(again)]
    flag = [] if own.given.present is None else [own.given.present]
    units = [
        UnitVector(dtype="float32", name=f"{name}_unit_{number}")(one, *flag)
        for number, one in enumerate(vectors, start=1)
    ]
    # a learned temperature would make two views of one cell ever easier to tell from others
    side_by_side = AlignedVectors(
        head.temperature, queue=head.queue, trainable=False, dtype="float32", name=name
    )
    return side_by_side(units)


def prior(head: ViewsHead, stats: None, width: int) -> list[float]:
    """Zeros: the input is missing."""
    return [0.0] * width


def loss(head: ViewsHead, stats: None) -> keras.losses.Loss:
    """NT-Xent, or with a momentum encoder MoCo's InfoNCE."""
    return ViewsLoss(head.queue, keys=head.momentum > 0)


def metrics(head: ViewsHead) -> list[keras.metrics.Metric]:
    """Recall at 1: how often a view's nearest of the other views of the batch is its own row's."""
    return [BatchRecall(name="recall_at_1")]


def _projection(head: ViewsHead, width: int, name: str) -> Any:
    """A function of a vector: two layers, as in Chen et al. 2020, section 4.2."""
    hidden = layers.Dense(width, activation="relu", dtype="float32", name=f"{name}_hidden")
    last = layers.Dense(head.dim, dtype="float32", name=f"{name}_projection")
    return lambda vector: last(hidden(vector))
