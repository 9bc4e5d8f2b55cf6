"""The loop that writes a text token by token."""

from collections.abc import Callable
from typing import Any, TypeAlias

import tensorflow as tf

from multimodal_tf.models.decoders.decoder import Decoder, Generated, State

# log probabilities `(batch, size)` and the step, int scalar, to token ids int32 `(batch,)`
Choose: TypeAlias = Callable[[Any, Any], Any]


def written(decoder: Decoder, memory: Any, visible: Any, choose: Choose) -> Generated:
    """Goes on with the tokens that are chosen until every row has ended.

    Args:
        decoder: `Decoder`.
        memory, visible: as `Decoder.call`.
        choose: takes the log probabilities of each row's next token, float32 `(batch, size)`, far
            below 0 where it cannot be written, and the step, from 0; gives the tokens.
    """
    rows = tf.shape(memory)[0]
    logits, state = decoder.start(memory, visible)
    going = tf.zeros([rows]), tf.ones([rows], tf.bool)
    tokens, total, running = _chosen(logits, decoder, choose, tf.constant(0), *going)
    texts = tf.concat([tokens[:, tf.newaxis], tf.zeros([rows, decoder.length - 1], tf.int32)], 1)

    def step(
        index: Any, texts: Any, last: Any, total: Any, running: Any, state: State
    ) -> tuple[Any, ...]:
        logits, state = decoder.step(last, index, memory, visible, state)
        last, total, running = _chosen(logits, decoder, choose, index, total, running)
        place = tf.one_hot(index, decoder.length, dtype=tf.int32)
        texts += place * last[:, tf.newaxis]
        return index + 1, texts, last, total, running, state

    found = tf.while_loop(
        lambda index, texts, last, total, running, state: (
            (index < decoder.length) & tf.reduce_any(running)
        ),
        step,
        (tf.constant(1), texts, tokens, total, running, tuple(state)),
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape([None, decoder.length]),
            *[tf.TensorShape([None])] * 3,
            tuple(tf.TensorShape([None, *one.shape[1:]]) for one in state),
        ),
        maximum_iterations=decoder.length,
    )
    return Generated(found[1], found[3])


def _chosen(
    logits: Any, decoder: Decoder, choose: Choose, index: Any, total: Any, running: Any
) -> tuple[Any, Any, Any]:
    """The next token of each row, 0 in one that has ended; the sums; which rows go on."""
    logs = decoder.choices(tf.nn.log_softmax(logits))
    tokens = choose(logs, index)
    total += tf.where(running, tf.gather(logs, tokens, batch_dims=1), 0.0)
    tokens = tf.where(running, tokens, 0)
    return tokens, total, running & (tokens != decoder.end)
