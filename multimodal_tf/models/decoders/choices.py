"""The most probable of a list of texts."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from multimodal_tf.models.decoders.decoder import Decoder
from multimodal_tf.models.decoders.teacher_forcing import TargetScores
from multimodal_tf.models.decoders.with_scores import WithScores


class ChosenText(WithScores[TargetScores]):
    """The most probable of the texts that a head chooses from, and the probabilities of all.

    The probability of a choice is that of the text with its end, over the sum of all choices'. The
    memory is there once for all of them. A row without any input gets the choices' shares of the
    training rows.

    Args:
        scores: the layer whose decoder and choices are used; its weights are shared.

    Call:
        `memory`, `visible` and `any_present` as of `TargetScores`. Returns `(tokens,
        log_probability, probabilities)`: int32 `(batch, length)`, the end among them; float32
        `(batch,)`, in nats, of the text among all texts; and float32 `(batch, choices)`.
    """

    def call(self, memory: Any, visible: Any, any_present: Any = None) -> Any:
        scores, decoder = self.scores, self.scores.decoder
        logs = log_probabilities(decoder, self._ids(), memory, visible)
        if any_present is not None:
            shares = tf.constant(np.log(scores.choice_shares), tf.float32)
            logs = tf.where(any_present[:, tf.newaxis] > 0.5, logs, shares)
        ids = np.pad(self._ids(), [(0, 0), (0, decoder.length - self._ids().shape[1])])
        tokens = tf.gather(tf.constant(ids), tf.argmax(logs, axis=1))
        return tokens, tf.reduce_max(logs, axis=1), tf.nn.softmax(logs)

    def _ids(self) -> np.ndarray:
        """int32 `(choices, tokens of the longest)`, ends among them."""
        ended = [[*one, self.scores.decoder.end] for one in self.scores.choices]
        found = np.zeros((len(ended), max(map(len, ended))), np.int32)
        for row, one in zip(found, ended):
            row[: len(one)] = one
        return found

    def compute_output_spec(self, memory: keras.KerasTensor, *others: Any) -> Any:
        rows, length = memory.shape[0], self.scores.decoder.length
        return (
            keras.KerasTensor((rows, length), "int32"),
            keras.KerasTensor((rows,), "float32"),
            keras.KerasTensor((rows, len(self.scores.choices)), "float32"),
        )


def log_probabilities(decoder: Decoder, texts: np.ndarray, memory: Any, visible: Any) -> Any:
    """The log probability of each of some texts in each row, float32 `(batch, texts)`.

    One text after another, so that memory does not grow with their number.

    Args:
        decoder: `Decoder`.
        texts: int32 `(texts, length)`, token ids, the end, padding.
        memory, visible: as `Decoder.call`.
    """
    before = np.concatenate(
        [np.full((len(texts), 1), decoder.begin, np.int32), texts[:, :-1]], axis=1
    )
    rows = tf.shape(memory)[0]

    def of_text(both: Any) -> Any:
        given, text = (tf.tile(one[tf.newaxis], [rows, 1]) for one in both)
        logits = decoder(given, memory, visible, training=False)
        logs = tf.gather(tf.nn.log_softmax(logits), text, batch_dims=2)
        return tf.reduce_sum(tf.where(text != 0, logs, 0.0), axis=1)

    found: Any = tf.map_fn(
        of_text, (before, texts), fn_output_signature=tf.TensorSpec([None], tf.float32)
    )
    return tf.transpose(found)
