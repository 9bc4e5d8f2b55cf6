"""Masked tokens of a text: BERT's 80/10/10 of 15 %, whole words where the tokenizer knows them."""

from typing import Any, NamedTuple

import tensorflow as tf

from multimodal_tf.models.masking.words import TokenIds, unpacked

# of masked tokens: those that become the mask, and those and the ones that become another token
_MASK, _OTHER = 0.8, 0.9


class Masked(NamedTuple):
    """A cell with hidden places, and what was there.

    Attributes:
        cell: as the tower reads it, of the input's shape.
        places: int32 `(batch, places)`, the hidden tokens, patches or spans.
        counted: bool `(batch, places)`, False where a row has fewer places than that.
        target: int32 `(batch, places)`, the token; or float32 `(batch, places, dim)`, the values.
    """

    cell: Any
    places: Any
    counted: Any
    target: Any


def count_of(share: float, length: int) -> int:
    """Number of hidden places of `length`: the share, rounded, at least one.

    Example:
        >>> count_of(0.15, 32), count_of(0.15, 2)
        (5, 1)
    """
    return max(1, round(share * length))


def mask_tokens(tokens: Any, valid: Any, draws: Any, ids: TokenIds, share: float) -> Masked:
    """Hides a share of the tokens of each text.

    Of the hidden tokens 80 % become the mask, 10 % another token, 10 % stay as they are. Words are
    hidden in random order until the share is reached, at least one; a word as a whole, unless
    it has more tokens than are hidden of the longest text. A text without any content has no place.

    Args:
        tokens: int32 `(batch, length)`.
        valid: bool `(batch, length)`, False for padding.
        draws: float32 `(batch, 3, length)`, uniform from 0 to 1 (exclusive): the order of words,
            what becomes of a token, the other token.
        ids: of the tokenizer.
        share: float, 0 to 1, of a text's tokens without special ones.

    Source: Devlin et al. 2019, arXiv:1810.04805, section 3.1; whole words: their later release.
    """
    content = valid & ~_is_one_of(tokens, ids.special)
    places, counted = _choose(content, _begins(tokens, content, ids), draws[:, 0], share)
    target = tf.gather(tokens, places, batch_dims=1)
    kind, other = (tf.gather(draws[:, index], places, batch_dims=1) for index in (1, 2))
    other = tf.minimum(tf.cast(other * ids.size, tokens.dtype), ids.size - 1)
    other = tf.where((kind < _MASK) | _is_one_of(other, ids.special), ids.mask, other)
    shown = tf.where(counted & (kind < _OTHER), other, target)
    rows = tf.broadcast_to(tf.range(tf.shape(places)[0])[:, tf.newaxis], tf.shape(places))
    cell = tf.tensor_scatter_nd_update(tokens, tf.stack([rows, places], axis=-1), shown)
    return Masked(cell, places, counted, target)


def _is_one_of(tokens: Any, some: tuple[int, ...]) -> Any:
    return tf.reduce_any([tf.equal(tokens, one) for one in some], axis=0)


def _begins(tokens: Any, content: Any, ids: TokenIds) -> Any:
    """Whether a word begins with a token, bool `(batch, length)`."""
    before = tf.pad(content[:, :-1], [[0, 0], [1, 0]])
    if ids.edges is None:
        return tf.ones_like(content)
    edges = tf.gather(tf.constant(unpacked(ids.edges, ids.size)), tokens)
    if ids.closed:
        edges = tf.pad(edges[:, :-1], [[0, 0], [1, 0]], constant_values=True)
    # the first token of a text is no piece within a word
    return edges | ~before


def _choose(content: Any, begins: Any, draws: Any, share: float) -> tuple[Any, Any]:
    """Places of hidden tokens and which of them count, `(batch, places)`.

    Args:
        content: bool `(batch, length)`, tokens that may be hidden.
        begins: bool `(batch, length)`.
        draws: float32 `(batch, length)`, of which word number n of a row takes the n-th.
        share: of the tokens in `content`.
    """
    length = content.shape[1]
    words = tf.maximum(tf.cumsum(tf.cast(begins & content, "int32"), axis=1) - 1, 0)
    extents, most = _extents(words, content), count_of(share, length)
    # words that are too long come last
    key = tf.gather(draws, words, batch_dims=1) + tf.cast(extents[1] > most, draws.dtype)
    # equal keys, those of a word, come in the order of their places
    _, places = tf.math.top_k(-tf.where(content, key, 2.0), most)
    rank = tf.range(most)
    first, size = (tf.gather(one, places, batch_dims=1) for one in extents)
    before = rank - (places - first)
    total = tf.reduce_sum(tf.cast(content, "int32"), axis=1, keepdims=True)
    wanted = tf.maximum(tf.cast(tf.round(share * tf.cast(total, "float32")), "int32"), 1)
    whole = (before + size <= most) | (before == 0)
    counted = tf.gather(content, places, batch_dims=1) & (before < wanted) & whole
    return places, counted


def _extents(words: Any, content: Any) -> tuple[Any, Any]:
    """For each token the first place of its word, and how many tokens the word has."""
    batch, length = tf.shape(words)[0], words.shape[1]
    segments = words + tf.range(batch)[:, tf.newaxis] * length
    places = tf.broadcast_to(tf.range(length), tf.shape(words))
    # tokens that are no content count nowhere
    inside = tf.where(content, segments, batch * length)
    first = tf.math.unsorted_segment_min(places, inside, batch * length + 1)
    size = tf.math.unsorted_segment_sum(tf.ones_like(words), inside, batch * length + 1)
    return tf.gather(first, segments), tf.gather(size, segments)
