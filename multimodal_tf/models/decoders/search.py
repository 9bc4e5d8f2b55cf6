"""Texts from a decoder: the most probable token at each step, or the best of several texts."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from multimodal_tf.models.decoders.beam import beam_search
from multimodal_tf.models.decoders.commonest import or_commonest
from multimodal_tf.models.decoders.decoder import Decoder, Generated, State
from multimodal_tf.models.decoders.teacher_forcing import TargetScores


class TextSearch(layers.Layer):
    """The most probable token at each step, or a beam search, until every row has ended.

    What a row gets depends on no other row. A row without any input gets the training split's most
    frequent text, with the log of its share.

    Args:
        scores: the layer whose decoder and settings are used; its weights are shared.

    Call:
        `memory`, `visible` and `any_present` as of `TargetScores`. Returns `(tokens,
        log_probability)`: int32 `(batch, length)`, the end among them, and float32 `(batch,)`.
    """

    def __init__(self, scores: TargetScores, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scores = scores

    def build(self, *shapes: Any) -> None:
        self.built = True

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
    rows = tf.shape(memory)[0]
    logits, state = decoder.start(memory, visible)
    tokens, total, running = _chosen(logits, decoder, tf.zeros([rows]), tf.ones([rows], tf.bool))
    written = tf.concat([tokens[:, tf.newaxis], tf.zeros([rows, decoder.length - 1], tf.int32)], 1)

    def step(
        index: Any, written: Any, last: Any, total: Any, running: Any, state: State
    ) -> tuple[Any, ...]:
        logits, state = decoder.step(last, index, memory, visible, state)
        last, total, running = _chosen(logits, decoder, total, running)
        place = tf.one_hot(index, decoder.length, dtype=tf.int32)
        written += place * last[:, tf.newaxis]
        return index + 1, written, last, total, running, state

    found = tf.while_loop(
        lambda index, written, last, total, running, state: (
            (index < decoder.length) & tf.reduce_any(running)
        ),
        step,
        (tf.constant(1), written, tokens, total, running, tuple(state)),
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape([None, decoder.length]),
            *[tf.TensorShape([None])] * 3,
            tuple(tf.TensorShape([None, *one.shape[1:]]) for one in state),
        ),
        maximum_iterations=decoder.length,
    )
    return Generated(found[1], found[3])


def _chosen(logits: Any, decoder: Decoder, total: Any, running: Any) -> tuple[Any, Any, Any]:
    """The next token of each row, 0 in one that has ended; the sums; which rows go on."""
    logs = decoder.choices(tf.nn.log_softmax(logits))
    tokens = tf.argmax(logs, axis=-1, output_type=tf.int32)
    total += tf.where(running, tf.reduce_max(logs, axis=-1), 0.0)
    tokens = tf.where(running, tokens, 0)
    return tokens, total, running & (tokens != decoder.end)
