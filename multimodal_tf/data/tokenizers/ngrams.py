"""Words and their character n-grams, hashed into buckets, without a vocabulary."""

import tensorflow as tf

from multimodal_tf.data.tokenizers import normalization


def ngrams(
    texts: tf.Tensor, shortest: int, longest: int, buckets: int, count: int
) -> tf.RaggedTensor:
    """The buckets of a text's words, then those of the n-grams of its words.

    A word is framed as `<word>`, so that n-grams at its ends differ from those inside. The ids are
    cut to `count`: n-grams first, and words only where there are more words than `count`.

    Args:
        texts: string `(batch,)`, UTF-8.
        shortest, longest: code points of an n-gram, with the frame.
        buckets: number of buckets. The hash is Google's FarmHash, the same on every machine.
        count: the most ids of a text.

    Returns:
        ragged int64 `(batch, None)`: 2 to `buckets` + 1.

    Example:
        >>> found = ngrams(["cat"], 3, 4, 100, 10)  # <cat>, <ca cat at> <cat cat>
        >>> found.shape[0], found.row_lengths().numpy()
        (1, array([6]))

    Source: Bojanowski et al. 2017, «Enriching Word Vectors with Subword Information»; the whole
    word, which they number, is hashed too.
    """
    words = normalization.words(texts)[:, :count]
    framed = tf.ragged.map_flat_values(lambda flat: tf.strings.join(["<", flat, ">"]), words)
    letters = tf.strings.unicode_split(framed, "UTF-8")
    runs = tf.strings.ngrams(letters, tuple(range(shortest, longest + 1)), separator="")
    # the whole word is among `framed`
    runs = tf.ragged.boolean_mask(runs, runs != tf.expand_dims(framed, 2))
    both = tf.concat([framed, runs.merge_dims(1, 2)], 1)[:, :count]
    return tf.ragged.map_flat_values(
        lambda flat: tf.strings.to_hash_bucket_fast(flat, buckets) + normalization.UNKNOWN + 1, both
    )
