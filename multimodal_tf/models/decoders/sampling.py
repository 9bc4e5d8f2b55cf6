"""Texts that are drawn at random, the same for a row and its seed in any batch."""

import zlib
from typing import Any

import keras
import tensorflow as tf

from multimodal_tf.models.decoders.commonest import or_commonest
from multimodal_tf.models.decoders.decoder import Generated
from multimodal_tf.models.decoders.teacher_forcing import TargetScores
from multimodal_tf.models.decoders.with_scores import WithScores
from multimodal_tf.models.decoders.written import written
from multimodal_tf.models.draws import uniform


class SampledText(WithScores[TargetScores]):
    """A text whose tokens are drawn from the decoder's probabilities, by a seed for each row.

    A row without any input gets the training split's most frequent text, with the log of its share.

    Args:
        scores: the layer whose decoder and settings are used; its weights are shared.

    Call:
        `seed` is int64 `(batch,)`; `memory`, `visible` and `any_present` are as of `TargetScores`.
        A row's text depends on its inputs and its seed alone. Returns as `TextSearch`; the log
        probability is that of the model, whatever tokens could be drawn.
    """

    def __init__(self, scores: TargetScores, **kwargs: Any) -> None:
        super().__init__(scores, **kwargs)
        # XLA has no fingerprints
        self.supports_jit = False

    def call(self, seed: Any, memory: Any, visible: Any, any_present: Any = None) -> Any:
        scores = self.scores
        # two heads draw other numbers from one seed
        own = zlib.crc32(scores.name.encode())
        numbers = uniform(seed, scores.decoder.length, tf.zeros([], tf.int64), own)

        def choose(logs: Any, index: Any) -> Any:
            number = tf.gather(numbers, index, axis=1)
            return drawn(logs, number, scores.temperature, scores.top_k, scores.top_p)

        found: Generated = written(scores.decoder, memory, visible, choose)
        if any_present is None:
            return found
        end = scores.decoder.end
        return or_commonest(found, scores.commonest, scores.share, end, any_present)

    def compute_output_spec(self, seed: Any, memory: keras.KerasTensor, *others: Any) -> Any:
        rows, length = memory.shape[0], self.scores.decoder.length
        return (
            keras.KerasTensor((rows, length), "int32"),
            keras.KerasTensor((rows,), "float32"),
        )


def drawn(logs: Any, numbers: Any, temperature: float, top_k: int | None, top_p: float) -> Any:
    """A token of each row, by the inverse of the cumulated probabilities.

    Args:
        logs: log probabilities, float32 `(batch, size)`; they need not sum to 1.
        numbers: uniform ones, `(batch,)`, at least 0 and less than 1.
        temperature: float > 0, what the log probabilities are divided by first.
        top_k: int > 0, only so many of the most probable tokens are drawn from; None: all.
        top_p: float, only the fewest most probable tokens that together have at least this
            probability, among those of `top_k`, are drawn from.

    Returns:
        int32 `(batch,)`.

    Example:
        >>> logs = tf.math.log([[0.1, 0.5, 0.4]])
        >>> [int(drawn(logs, [one], 1.0, None, 0.8)[0]) for one in (0.0, 0.5, 0.6, 0.99)]
        [1, 1, 2, 2]

    Source: top-p: Holtzman et al. 2020, arXiv:1904.09751, section 3.1; top-k: Fan et al. 2018,
    arXiv:1805.04833, section 5.4.
    """
    size = logs.shape[-1]
    best, tokens = tf.math.top_k(logs / temperature, size if top_k is None else min(top_k, size))
    probabilities = tf.nn.softmax(best)
    kept = probabilities
    if top_p < 1:
        # the first one always
        kept = tf.where(tf.cumsum(kept, axis=1, exclusive=True) < top_p, kept, 0.0)
    sums = tf.cumsum(kept, axis=1)
    least = tf.convert_to_tensor(numbers, sums.dtype)[:, tf.newaxis] * sums[:, -1:]
    chosen = tf.reduce_sum(tf.cast(sums <= least, tf.int32), axis=1)
    # where rounding makes the product the whole sum
    last = tf.reduce_sum(tf.cast(kept > 0, tf.int32), axis=1) - 1
    found: Any = tf.gather(tokens, tf.minimum(chosen, last), batch_dims=1)
    return found
