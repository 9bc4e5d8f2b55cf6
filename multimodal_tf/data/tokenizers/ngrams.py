"""Words and the runs of characters in them, hashed into buckets: no vocabulary, and a word never
seen shares its parts with seen ones.
"""

import tensorflow as tf

from multimodal_tf.data.tokenizers import normalization


def ngrams(texts, shortest, longest, buckets, count):
    """The buckets of a text's words, then those of the runs in its words.

    A word is framed as `<word>`, so that a run at an end of it differs from one inside, and runs
    are counted in code points. Where `count` cuts, the last runs are lost first, and a word only
    where there are more words than `count`.

    Args:
        texts: string `(batch,)`, UTF-8.
        shortest, longest: int. Code points of a run; the frame counts.
        buckets: int. The hash is Google's FarmHash, which is the same on every machine.
        count: int. Ids a text at most.

    Returns:
        ragged int64 `(batch, None)`: 2 to `buckets` + 1.

    Example:
        >>> ngrams(["cat"], 3, 4, 100, 10).shape[0], ngrams(["cat"], 3, 4, 100, 10).row_lengths().numpy()  # <cat>, <ca cat at> <cat cat>
        (1, array([6]))

    Source: Bojanowski et al. 2017, «Enriching Word Vectors with Subword Information»; the whole
    word, which they number, is hashed too.
    """
    words = normalization.words(texts)[:, :count]
    framed = tf.ragged.map_flat_values(lambda flat: tf.strings.join(["<", flat, ">"]), words)
    letters = tf.strings.unicode_split(framed, "UTF-8")
    runs = tf.strings.ngrams(letters, tuple(range(shortest, longest + 1)), separator="")
    # the whole word is there already
    runs = tf.ragged.boolean_mask(runs, runs != tf.expand_dims(framed, 2))
    both = tf.concat([framed, runs.merge_dims(1, 2)], 1)[:, :count]
    return tf.ragged.map_flat_values(
        lambda flat: tf.strings.to_hash_bucket_fast(flat, buckets) + normalization.UNKNOWN + 1, both
    )
