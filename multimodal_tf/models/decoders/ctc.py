"""Connectionist temporal classification: a text from a sequence of frames without an alignment."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import layers

from multimodal_tf.models.decoders.commonest import or_commonest
from multimodal_tf.models.decoders.decoder import NEVER, Generated
from multimodal_tf.models.decoders.with_scores import WithScores


class Frames(NamedTuple):
    """What each frame says, the visible frames of a row first.

    Attributes:
        logits: float32 `(batch, frames, classes)`: class c is the token id c + 1, the last class is
            the blank.
        lengths: int32 `(batch,)`, visible frames of each row.
    """

    logits: Any
    lengths: Any


@keras.saving.register_keras_serializable("multimodal_tf")
class CTCScores(layers.Layer):
    """How probable a row's target is, as the sum over its alignments to the frames.

    Each frame predicts a token or the blank, by its own token and the vector of the whole input.
    Equal tokens of successive frames are one token, the blank is none. A masked frame does not
    exist, so that padding has no influence.

    A target of n tokens, r of which equal the one before, needs n + r frames. One that needs more
    than the row has, or has more tokens than are learned, teaches nothing.

    Args:
        size: int, token ids: 0 for padding, 1 for an unknown one, those of the tokenizer, the end,
            the beginning.
        length: int, the most tokens of a text, its end included.
        commonest: ids of the text that a row without any input gets, without its end.
        share: float, share of the training rows that have this text.

    Call:
        `target` is int `(batch, length)`: tokens, the end, padding; all padding where there is no
        target. `tokens` are `(batch, frames, width)`, `visible` bool `(batch, frames)`, `vector`
        `(batch, dim)`. `any_present`, if given, float `(batch,)`, above 0.5 where the input is
        present. Returns float32 `(batch, 4)`: the loss, `-log p` divided by the number of the
        target's tokens, in nats; `log p`; how many of its tokens are right in the predicted text:
        their number less the edits, at least 0; their number. Zeros in a row that teaches nothing.

    Source: Graves et al. 2006, «Connectionist Temporal Classification»; a vector of the whole
    input as context: Han et al. 2020, arXiv:2005.03191.
    """

    def __init__(
        self, size: int, length: int, commonest: Sequence[int], share: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.size, self.length = size, length
        self.commonest, self.share = list(commonest), share
        # the kernel of the loss is one of TensorFlow's, not of XLA's
        self.supports_jit = False
        self.supports_masking = True

    @property
    def end(self) -> int:
        """The id of a text's end."""
        return self.size - 2

    def build(
        self,
        target_shape: Any,
        tokens_shape: Any,
        visible_shape: Any,
        vector_shape: Any,
        any_present_shape: Any = None,
    ) -> None:
        # one class for each token, and the blank in place of padding
        self.of_frame = layers.Dense(self.end, dtype="float32", name="of_frame")
        self.of_frame.build(tokens_shape)
        self.of_whole = layers.Dense(
            self.end, use_bias=False, kernel_initializer="zeros", dtype="float32", name="of_whole"
        )
        self.of_whole.build(vector_shape)

    def call(
        self, target: Any, tokens: Any, visible: Any, vector: Any, any_present: Any = None
    ) -> Any:
        frames = self.frames(tokens, visible, vector)
        counted = is_aligned(target, self.end, frames.lengths)
        if any_present is not None:
            counted &= any_present > 0.5
        labels = tf.where(counted[:, tf.newaxis] & (target != self.end), target, 0)
        log_probability = tf.where(counted, text_log_probability(frames, labels), 0.0)
        counts = tf.reduce_sum(tf.cast(labels != 0, tf.float32), axis=1)
        found = best_path(frames, self.length)
        hits = tf.maximum(counts - _edits(found, labels), 0.0)
        loss = -log_probability / tf.maximum(counts, 1.0)
        return tf.stack([loss, log_probability, hits, counts], axis=1)

    def frames(self, tokens: Any, visible: Any, vector: Any) -> Frames:
        """The classes of each frame, from `tokens`, `visible` and `vector` of `call`."""
        logits = self.of_frame(tf.cast(tokens, tf.float32))
        logits += self.of_whole(tf.cast(vector, tf.float32))[:, tf.newaxis]
        first = tf.argsort(tf.cast(~visible, tf.int32), axis=1, stable=True)
        lengths = tf.reduce_sum(tf.cast(visible, tf.int32), axis=1)
        return Frames(tf.gather(logits, first, batch_dims=1), lengths)

    def compute_output_spec(
        self, target: keras.KerasTensor, *others: Any, **others_by_name: Any
    ) -> keras.KerasTensor:
        return keras.KerasTensor((target.shape[0], 4), "float32")

    def get_config(self) -> dict[str, Any]:
        own = {"size": self.size, "length": self.length}
        return {**super().get_config(), **own, "commonest": self.commonest, "share": self.share}


class CTCSearch(WithScores[CTCScores]):
    """The text of the most probable class of each frame.

    What a row gets depends on no other row. A row without its input gets the training split's most
    frequent text, with the log of its share.

    Args:
        scores: the layer whose weights are used.

    Call:
        `tokens`, `visible`, `vector` and `any_present` as of `CTCScores`. Returns `(tokens,
        log_probability)`: int32 `(batch, length)`, the end among them, and float32 `(batch,)`, of
        the text, the sum over all its alignments.
    """

    def __init__(self, scores: CTCScores, **kwargs: Any) -> None:
        super().__init__(scores, **kwargs)
        self.supports_jit = False
        self.supports_masking = True

    def call(self, tokens: Any, visible: Any, vector: Any, any_present: Any = None) -> Any:
        scores = self.scores
        frames = scores.frames(tokens, visible, vector)
        labels = best_path(frames, scores.length)
        log_probability = text_log_probability(frames, labels)
        ids = tf.concat([labels, tf.zeros_like(labels[:, :1])], axis=1)
        place = tf.reduce_sum(tf.cast(labels != 0, tf.int32), axis=1)
        ends = tf.one_hot(place, scores.length + 1, dtype=tf.int32)
        found = Generated((ids + scores.end * ends)[:, : scores.length], log_probability)
        if any_present is None:
            return found
        return or_commonest(found, scores.commonest, scores.share, scores.end, any_present)

    def compute_output_spec(self, tokens: keras.KerasTensor, *others: Any) -> Any:
        rows = tokens.shape[0]
        return (
            keras.KerasTensor((rows, self.scores.length), "int32"),
            keras.KerasTensor((rows,), "float32"),
        )


def is_aligned(target: Any, end: int, lengths: Any) -> Any:
    """Whether a row has a whole target that its frames suffice for, bool `(batch,)`.

    Args:
        target: int `(batch, length)`, as of `CTCScores`.
        end: int, the id of a text's end; a target without it was cut.
        lengths: int `(batch,)`, frames of each row.

    Example:
        >>> is_aligned(tf.constant([[2, 2, 4], [2, 3, 4], [2, 2, 3], [0, 0, 0]]), 4, [2, 2, 9, 9])
        <tf.Tensor: shape=(4,), dtype=bool, numpy=array([False,  True, False, False])>
    """
    repeated = (target[:, 1:] == target[:, :-1]) & (target[:, 1:] != 0)
    tokens = tf.reduce_sum(tf.cast((target != 0) & (target != end), tf.int32), axis=1)
    needed = tokens + tf.reduce_sum(tf.cast(repeated, tf.int32), axis=1)
    return tf.reduce_any(target == end, axis=1) & (needed <= lengths)


def text_log_probability(frames: Frames, labels: Any) -> Any:
    """The log of a text's probability, the sum over its alignments, float32 `(batch,)`.

    Args:
        frames: `Frames`.
        labels: int `(batch, length)`, token ids and padding, for which the frames suffice.
    """
    of_nothing = -tf.nn.log_softmax(frames.logits)[..., -1]
    visible = tf.sequence_mask(frames.lengths, tf.shape(of_nothing)[1])
    of_nothing = tf.reduce_sum(tf.where(visible, of_nothing, 0.0), axis=1)
    # the kernel takes no empty batch, no row without frames and none without tokens
    rows = _a_row_or_more(labels)
    rows = tf.concat([tf.maximum(rows[:, :1], 1), rows[:, 1:]], axis=1)
    sparse = tf.sparse.from_dense(rows)
    losses = tf.compat.v1.nn.ctc_loss(
        labels=sparse.with_values(sparse.values - 1),
        inputs=_a_row_or_more(frames.logits),
        sequence_length=tf.maximum(_a_row_or_more(frames.lengths), 1),
        time_major=False,
        ignore_longer_outputs_than_inputs=True,
    )
    return -tf.where(labels[:, 0] == 0, of_nothing, losses[: tf.shape(labels)[0]])


def best_path(frames: Frames, length: int) -> Any:
    """The tokens of the most probable class of each frame: int32 `(batch, length)`, padding behind.

    Further ones are left out. The unknown token is not chosen: it has no characters to write.
    """
    logits = frames.logits
    classes, blank = logits.shape[-1], logits.shape[-1] - 1
    chosen = tf.argmax(logits + NEVER * tf.one_hot(0, classes), axis=-1, output_type=tf.int32)
    before = tf.pad(chosen[:, :-1], [[0, 0], [1, 0]], constant_values=blank)
    visible = tf.sequence_mask(frames.lengths, tf.shape(logits)[1])
    kept = visible & (chosen != blank) & (chosen != before)
    return tf.ragged.boolean_mask(chosen + 1, kept).to_tensor(0, shape=[None, length])


def _edits(found: Any, labels: Any) -> Any:
    """Tokens that are inserted, left out or replaced, float32 `(batch,)`."""
    both = [tf.sparse.from_dense(_a_row_or_more(one)) for one in (found, labels)]
    return tf.edit_distance(*both, normalize=False)[: tf.shape(labels)[0]]


def _a_row_or_more(x: Any) -> Any:
    """`x`, or a row of zeros where there is none: a replica may have no row of a batch."""
    more = tf.cast(tf.shape(x)[0] == 0, tf.int32)
    return tf.pad(x, [[0, more], *[[0, 0]] * (len(x.shape) - 1)])
