"""Temperature scaling: one number per head that calibrates its probabilities.

`metrics.calibration.Temperature` fits it; an exported model applies it in its graph.
"""

import tensorflow as tf

from multimodal_tf.scoring.probabilities import log_probabilities


def tempered(
    probabilities: tf.Tensor,
    value: float,
    any_present: tf.Tensor | None = None,
    independent: bool = False,
) -> tf.Tensor:
    """softmax(log(probabilities) / value); the most probable class stays the same.

    Of independent labels each is scaled alone, sigmoid(logit(probability) / value); the order of
    the rows by a label's probability stays the same.

    Args:
        probabilities: float tensor or array `(batch, classes)`.
        value: float above 0, no unit. Above 1 it lowers the confidence, below 1 it raises it.
        any_present: bool `(batch,)`. Rows where it is False have no input, so their probabilities
            are the class priors: they stay as given. None: every row has an input.
        independent: whether each probability is a label's own, as in a multi-label head.

    Returns:
        `(batch, classes)` of the same dtype.

    Example:
        >>> tempered(tf.constant([[0.9, 0.1]]), 2.0).numpy().round(4).tolist()
        [[0.75, 0.25]]

    Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """
    logits = log_probabilities(probabilities)
    if independent:
        scaled = tf.sigmoid((logits - log_probabilities(1 - probabilities)) / value)
    else:
        scaled = tf.nn.softmax(logits / value)
    return scaled if any_present is None else tf.where(any_present[:, None], scaled, probabilities)
