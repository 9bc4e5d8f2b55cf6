"""The best of several texts that a decoder goes on with at the same time."""

from typing import Any, NamedTuple

import tensorflow as tf

from multimodal_tf.models.decoders.decoder import Decoder, Generated, State


def beam_search(
    decoder: Decoder, memory: Any, visible: Any, beam: int, length_penalty: float
) -> Generated:
    """The text of the highest score among those that a beam search finds.

    A text's score is its log probability, divided by `((5 + n) / 6) ** length_penalty` for its `n`
    tokens with its end. At each step the `beam` texts of the highest scores are kept. One that has
    ended keeps its score, and its place while no other is better. What a row gets depends on no
    other row. A beam of 1 is greedy search.

    Args:
        decoder: `Decoder`.
        memory, visible: as `Decoder.call`.
        beam: int, how many texts are kept.
        length_penalty: float; 0: plain log probabilities are compared.

    Source: Wu et al. 2016, arXiv:1609.08144, section 7, without the coverage penalty.
    """
    rows, length = tf.shape(memory)[0], decoder.length
    logits, state = decoder.start(memory, visible)
    memory, visible, logits = (tf.repeat(one, beam, axis=0) for one in (memory, visible, logits))
    state = tuple(tf.repeat(one, beam, axis=0) for one in state)
    # the texts of a row are still the same one: the first goes on
    total = tf.fill([rows, beam - 1], -float("inf"))
    nothing = _Beam(
        tf.zeros([rows, beam, length], tf.int32),
        tf.concat([tf.zeros([rows, 1]), total], axis=1),
        tf.zeros([rows, beam]),
        tf.ones([rows, beam], tf.bool),
    )
    last, now, state = _advanced(decoder, tf.constant(0), logits, nothing, state, length_penalty)

    def step(index: Any, last: Any, now: _Beam, state: State) -> tuple[Any, ...]:
        logits, state = decoder.step(last, index, memory, visible, state)
        return index + 1, *_advanced(decoder, index, logits, now, state, length_penalty)

    two = tf.TensorShape([None, beam])
    found = tf.while_loop(
        lambda index, last, now, state: (
            (index < length) & _may_improve(now, length, length_penalty)
        ),
        step,
        (tf.constant(1), last, now, state),
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape([None]),
            _Beam(tf.TensorShape([None, beam, length]), two, two, two),
            tuple(tf.TensorShape([None, *one.shape[1:]]) for one in state),
        ),
        maximum_iterations=length,
    )[2]
    # they are in order
    return Generated(found.written[:, 0], found.total[:, 0])


class _Beam(NamedTuple):
    """Token ids `(rows, beam, length)`; their log probability, number, and which go on."""

    written: Any
    total: Any
    lengths: Any
    running: Any


def _advanced(
    decoder: Decoder, index: Any, logits: Any, now: _Beam, state: State, length_penalty: float
) -> tuple[Any, _Beam, State]:
    """The last tokens `(rows * beam,)`, the texts of the highest scores, and their states."""
    beam, size = now.total.shape[1], decoder.size
    logs = decoder.choices(tf.nn.log_softmax(logits))
    logs = tf.reshape(logs, [-1, beam, size])
    # a text that has ended goes on with padding alone, at no cost
    ended = tf.where(tf.range(size) == 0, 0.0, -float("inf"))
    totals = now.total[:, :, tf.newaxis] + tf.where(now.running[:, :, tf.newaxis], logs, ended)
    lengths = now.lengths + tf.cast(now.running, tf.float32)
    scores = totals / _penalty(lengths, length_penalty)[:, :, tf.newaxis]
    _, chosen = tf.math.top_k(tf.reshape(scores, [-1, beam * size]), beam)
    kept, tokens = chosen // size, chosen % size
    place = tf.one_hot(index, decoder.length, dtype=tf.int32)
    after = _Beam(
        tf.gather(now.written, kept, batch_dims=1) + place * tokens[:, :, tf.newaxis],
        tf.gather(tf.reshape(totals, [-1, beam * size]), chosen, batch_dims=1),
        tf.gather(lengths, kept, batch_dims=1),
        tf.gather(now.running, kept, batch_dims=1) & (tokens != decoder.end),
    )
    rows = tf.reshape(kept + beam * tf.range(tf.shape(kept)[0])[:, tf.newaxis], [-1])
    return tf.reshape(tokens, [-1]), after, decoder.states_of(state, rows)


def _may_improve(now: _Beam, length: int, length_penalty: float) -> Any:
    """Whether a text that goes on can still get a better score than the best that has ended."""
    never = tf.fill(tf.shape(now.total), -float("inf"))
    scores = now.total / _penalty(now.lengths, length_penalty)
    best = tf.reduce_max(tf.where(now.running, never, scores), axis=1, keepdims=True)
    most = now.total / _penalty(tf.constant(float(length)), length_penalty)
    return tf.reduce_any(tf.where(now.running, most, never) > best)


def _penalty(lengths: Any, length_penalty: float) -> Any:
    return ((5 + lengths) / 6) ** length_penalty
