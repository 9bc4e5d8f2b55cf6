"""Texts from a decoder: the most probable token at each step, or the best of several texts."""

from typing import Any

import keras
import tensorflow as tf

from multimodal_tf.models.decoders.beam import beam_search
from multimodal_tf.models.decoders.commonest import or_commonest
from multimodal_tf.models.decoders.decoder import Decoder, Generated
from multimodal_tf.models.decoders.teacher_forcing import TargetScores
from multimodal_tf.models.decoders.with_scores import WithScores
from multimodal_tf.models.decoders.written import written


class TextSearch(WithScores[TargetScores]):
    """The most probable token at each step, or a beam search, until every row has ended.

    What a row gets depends on no other row. A row without any input gets the training split's most
    frequent text, with the log of its share.

    Args:
        scores: the layer whose decoder and settings are used; its weights are shared.

    Call:
        `memory`, `visible` and `any_present` as of `TargetScores`. Returns `(tokens,
        log_probability)`: int32 `(batch, length)`, the end among them, and float32 `(batch,)`.
    """

    def call(self, memory: Any, visible: Any, any_present: Any = None) -> Any:
        scores = self.scores
        if scores.beam == 1:
            found = greedy(scores.decoder, memory, visible)
        else:
            found = beam_search(scores.decoder, memory, visible, scores.beam, scores.length_penalty)
        if any_present is None:
            return found
        end = scores.decoder.end
        return or_commonest(found, scores.commonest, scores.share, end, any_present)

    def compute_output_spec(self, memory: keras.KerasTensor, *others: Any) -> Any:
        rows, length = memory.shape[0], self.scores.decoder.length
        return (
            keras.KerasTensor((rows, length), "int32"),
            keras.KerasTensor((rows,), "float32"),
        )


def greedy(decoder: Decoder, memory: Any, visible: Any) -> Generated:
    """The most probable token at each step; see `TextSearch`."""

    def most_probable(logs: Any, index: Any) -> Any:
        return tf.argmax(logs, axis=-1, output_type=tf.int32)

    return written(decoder, memory, visible, most_probable)
