"""Byte pairs by hand, and as in the tokenizers of Hugging Face and of CLIP."""

import json

import pytest
import tensorflow as tf
import tokenizers
from small_tokenizers import TEXTS
from tokenizers import models, pre_tokenizers, trainers

from multimodal_tf.data.tokenizers.byte_pair import BytePairs

ODD = [
    "  two  spaces ",
    "it's we'll I'D don't",
    "a\u3000b\u00a0\u2003c",
    "\x00\x1fa",
    "",
    "bird" * 50,
]


@pytest.mark.parametrize("prefix", [True, False])
def test_byte_pairs_against_hugging_face(prefix):
    reference = tokenizers.Tokenizer(models.BPE())
    reference.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    trainer = trainers.BpeTrainer(
        vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    reference.train_from_iterator(TEXTS, trainer)
    model = json.loads(reference.to_str())["model"]
    ours = BytePairs(model["vocab"], [" ".join(pair) for pair in model["merges"]], 1, prefix)
    cells = [*TEXTS, *ODD, " lead", "tab\tand\n\n\nlines  \n", "६ १२ 1234 ½"]
    assert ours(tf.constant(cells), 10_000).to_list() == [
        reference.encode(cell).ids for cell in cells
    ]


def test_byte_pairs_by_hand():
    vocabulary = {
        "[PAD]": 0,
        "[UNK]": 1,
        "a": 2,
        "b": 3,
        "c": 4,
        "ab": 5,
        "abc": 6,
        "Ġ": 7,
        "bc": 8,
    }
    ours = BytePairs(vocabulary, ["a b", "b c", "ab c"], 1, prefix_space=False)
    # in "bcabc" the rule "a b" goes before "b c", which then has only the first left
    assert ours(tf.constant(["abc", "bcabc", "a xb", "", "aab"]), 9).to_list() == [
        [6],
        [8, 6],
        [2, 7, 1, 3],
        [],
        [2, 5],
    ]
    assert ours(tf.constant([], tf.string), 9).to_list() == []
    assert ours(tf.constant(["a b c"]), 2).to_list()[0][:2] == [2, 7]
    with pytest.raises(
        ValueError,
        match="a merge must be of two tokens and make one, all of the vocabulary, received 'a c'",
    ):
        BytePairs(vocabulary, ["a c"], 1, False)


def test_clips_byte_pairs_against_hugging_face():
    reference, ours = _clips()
    cells = [*TEXTS, *ODD, "1234 ½ ६", "E\u0301te\u0301 ﬁn… Ｆull", "!!?!? (a,b)"]
    assert ours(tf.constant(cells), 10_000).to_list() == [
        reference.encode(cell).ids for cell in cells
    ]
    assert ours(tf.constant([], tf.string), 9).to_list() == []


def _clips():
    """CLIP's tokenizer trained on TEXTS: KerasHub's for Hugging Face's library, and ours."""
    import keras_hub

    learner = tokenizers.Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    letters = pre_tokenizers.ByteLevel.alphabet()
    learner.train_from_iterator(
        [one.lower() for one in TEXTS],
        trainers.BpeTrainer(vocab_size=700, initial_alphabet=letters, end_of_word_suffix="</w>"),
    )
    model = json.loads(learner.to_str())["model"]
    merges = [" ".join(pair) for pair in model["merges"]]
    every = [
        *model["vocab"],
        *(letter + "</w>" for letter in sorted(letters)),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(every))}
    layer = keras_hub.models.CLIPTokenizer(vocabulary, merges)
    return layer._tokenizer, BytePairs(vocabulary, merges, 1, False, "</w>")


def test_a_long_word_is_merged_in_pieces():
    ours = BytePairs({"[PAD]": 0, "[UNK]": 1, "a": 2, "aa": 3}, ["a a"], 1, False)
    assert ours(tf.constant(["a" * 65_536]), 40_000).row_lengths().numpy() == [32_768]
