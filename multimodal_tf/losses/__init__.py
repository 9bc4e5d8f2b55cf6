"""Losses that return one value a row, `(batch,)`.

Under `tf.distribute` Keras scales rows across the replicas, but not scalars. All take `name` and
`reduction` as every `keras.losses.Loss`; a row without a label needs `sample_weight` 0.
"""

from multimodal_tf.losses.alignment import (
    ContrastiveLoss,
    PairedDistance,
    PairwiseSigmoidLoss,
    compared_inputs,
)
from multimodal_tf.losses.batchwise import BatchwiseLoss
from multimodal_tf.losses.labels import (
    CumulativeLinkLoss,
    FocalCrossentropy,
    PinballLoss,
    PoissonLoss,
    ScaledMeanSquaredError,
    SmoothedCrossentropy,
)
from multimodal_tf.losses.matching import MatchingLoss, Pairs, TokenMatchingLoss, pairs
from multimodal_tf.losses.multi_label import WeightedBinaryCrossentropy
from multimodal_tf.losses.objective import RowLoss
from multimodal_tf.losses.target import TargetLoss
from multimodal_tf.losses.teacher import CosineDistance, DistillationLoss, TaughtLoss
from multimodal_tf.losses.views import ViewsLoss

__all__ = [
    "BatchwiseLoss",
    "ContrastiveLoss",
    "CosineDistance",
    "CumulativeLinkLoss",
    "DistillationLoss",
    "FocalCrossentropy",
    "MatchingLoss",
    "PairedDistance",
    "Pairs",
    "PairwiseSigmoidLoss",
    "PinballLoss",
    "PoissonLoss",
    "RowLoss",
    "ScaledMeanSquaredError",
    "SmoothedCrossentropy",
    "TaughtLoss",
    "ViewsLoss",
    "TokenMatchingLoss",
    "WeightedBinaryCrossentropy",
    "compared_inputs",
    "pairs",
    "TargetLoss",
]
