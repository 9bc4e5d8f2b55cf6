"""The text of a row without any input."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from multimodal_tf.models.decoders.decoder import Generated


def or_commonest(
    found: Generated, commonest: Sequence[int], share: float, end: int, any_present: Any
) -> Generated:
    """What was found where any input is present, else the training split's most frequent text.

    Args:
        found: `Generated`.
        commonest: token ids of that text, without its end.
        share: float, share of the training rows that have it.
        end: int, the id of a text's end.
        any_present: float `(batch,)`, above 0.5 where any input is present.
    """
    length = found.tokens.shape[1]
    ids = [*commonest, end, *[0] * length][:length]
    present = any_present > 0.5
    return Generated(
        tf.where(present[:, tf.newaxis], found.tokens, tf.constant(ids, tf.int32)),
        tf.where(present, found.log_probability, math.log(share or 1.0)),
    )
