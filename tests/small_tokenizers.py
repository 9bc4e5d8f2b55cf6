"""Every tokenizer with what the schema holds for it, learned from a few texts of many scripts."""

import functools

import tensorflow as tf

from multimodal_tf.config import (
    BytePairTokenizer,
    CharacterTokenizer,
    ClassificationHead,
    Config,
    NgramTokenizer,
    SentencePieceTokenizer,
    TextInput,
    WordPieceTokenizer,
    WordTokenizer,
)
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.data.tokenizers.train_subwords import fit_subwords
from multimodal_tf.schema import Classes, Schema, Vocabulary

TEXTS = [
    "The blackbird sings.",
    "A black bird, don't you see?",
    "你好世界",
    "مرحبا بالعالم",
    "ภาษาไทย กี่ไหน",
    "नमस्ते दुनिया",
    "Hi 🙂👍🏽 👨‍👩‍👧🇫🇷",
] * 3
CELLS = [
    *TEXTS[:7],
    "unseen wörds ößé",
    "",
    " \t",
    "\u200b",
    "...",
    "x" * 400,
    "(｡◕‿◕｡) ६ ६१\n\n  end ",
]
TOKENIZERS = {
    "words": WordTokenizer(),
    "characters": CharacterTokenizer(),
    "ngrams": NgramTokenizer(buckets=1000),
    "word_piece": WordPieceTokenizer(vocabulary_size=300),
    "byte_pair": BytePairTokenizer(vocabulary_size=400),
    "sentence_piece": SentencePieceTokenizer(vocabulary_size=300),
}
HEADS = {"y": ClassificationHead()}
CLASSES = {"y": Classes(names=["a", "b"], counts=[1, 1])}


def learn(tokenizer, texts=TEXTS):
    """What the schema holds for a tokenizer of subwords that is trained on texts."""
    return fit_subwords(
        "inputs.t.tokenizer",
        tokenizer,
        lambda prepare: [one.decode() for one in prepare(tf.constant(texts)).numpy() if one],
    )


@functools.cache
def stats_of(kind):
    """What the schema holds for a tokenizer; None: nothing."""
    if kind == "words":
        return Vocabulary(words=["the", "bird", "你", "🙂"])
    if kind == "characters":
        return Vocabulary(words=["e", " ", "ไ", "👍🏽"], tokenizer="characters")
    return None if kind == "ngrams" else learn(TOKENIZERS[kind])


def text_preprocessor(tokenizer, stats, max_tokens=10):
    """A preprocessor of one text, `t`."""
    config = Config(
        inputs={"t": TextInput(tokenizer=tokenizer, max_tokens=max_tokens)}, heads=HEADS
    )
    return Preprocessor(config, Schema(rows=1, inputs={"t": stats} if stats else {}, heads=CLASSES))


@functools.cache
def preprocessor(kind):
    return text_preprocessor(TOKENIZERS[kind], stats_of(kind))


def ids(kind, cells):
    """The ids of texts, int32 `(texts, 10)`."""
    return preprocessor(kind).features({"t": tf.constant(cells)})[0]["t"].numpy()
