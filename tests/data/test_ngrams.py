"""Words and runs of characters in them, as hashed ids."""

import tensorflow as tf

from multimodal_tf.data.tokenizers.ngrams import ngrams


def test_ngrams_are_the_words_then_the_runs_in_them():
    def bucket(*parts):
        return [int(n) + 2 for n in tf.strings.to_hash_bucket_fast(list(parts), 1000)]

    found = ngrams(tf.constant(["Cat, 你!", "", "ab"]), 3, 4, 1000, 100).to_list()
    assert found[0] == bucket("<cat>", "<你>", "<ca", "cat", "at>", "<cat", "cat>")
    assert found[1:] == [[], bucket("<ab>", "<ab", "ab>")]
    assert ngrams(tf.constant(["cat dog ape"]), 3, 4, 1000, 2).to_list() == [
        bucket("<cat>", "<dog>")
    ]
    assert ngrams(tf.constant([], tf.string), 3, 5, 1000, 2).shape[0] == 0


def test_the_hash_is_the_same_for_ever():
    assert ngrams(["cat"], 3, 3, 65_536, 9).to_list() == [[35545, 56598, 36570, 44006]]
