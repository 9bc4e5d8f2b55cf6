"""How a text becomes token ids, and where the first embeddings of its tokens come from."""

from typing import Annotated, ClassVar, Literal

import pydantic
from pydantic import Field

from multimodal_tf.config.names import (
    Repeats,
    Span,
    StatsType,
    Strict,
    SubwordCount,
    VocabularySize,
)


class WordTokenizer(Strict):
    """Words: the `vocabulary_size` most frequent of the training split.

    `data.tokenizers.normalization` defines what a word is.
    """

    type: Literal["words"] = "words"
    stats_type: ClassVar[StatsType] = "vocabulary"
    vocabulary_size: VocabularySize = 10_000


class CharacterTokenizer(Strict):
    """Grapheme clusters: the `vocabulary_size` most frequent of the training split."""

    type: Literal["characters"] = "characters"
    stats_type: ClassVar[StatsType] = "vocabulary"
    vocabulary_size: VocabularySize = 2_000


class NgramTokenizer(Strict):
    """Words and their character n-grams of `shortest` to `longest`, hashed into `buckets`.

    Nothing is learned from the training split, and an unseen word shares n-grams with seen ones.
    `max_tokens` counts words and n-grams together.

    Source: Bojanowski et al. 2017, fastText.
    """

    type: Literal["ngrams"] = "ngrams"
    stats_type: ClassVar[None] = None
    buckets: VocabularySize = 16_384
    shortest: Span = 3
    longest: Span = 5

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> "NgramTokenizer":
        if self.shortest > self.longest:
            raise ValueError(
                f"shortest must be at most longest ({self.longest}), received {self.shortest}"
            )
        return self


class WordPieceTokenizer(Strict):
    """WordPiece (Schuster and Nakajima 2012), trained on the training split."""

    type: Literal["word_piece"] = "word_piece"
    stats_type: ClassVar[StatsType] = "subwords"
    vocabulary_size: SubwordCount = 8_000


class BytePairTokenizer(Strict):
    """Byte pair encoding (Sennrich et al. 2016) over bytes, trained on the training split."""

    type: Literal["byte_pair"] = "byte_pair"
    stats_type: ClassVar[StatsType] = "subwords"
    vocabulary_size: SubwordCount = 8_000


class SentencePieceTokenizer(Strict):
    """SentencePiece, unigram (Kudo 2018), trained on the training split."""

    type: Literal["sentence_piece"] = "sentence_piece"
    stats_type: ClassVar[StatsType] = "subwords"
    vocabulary_size: SubwordCount = 8_000


class PresetTokenizer(Strict):
    """The tokenizer of a KerasHub preset: a folder, or a handle such as `hf://...`."""

    type: Literal["preset"] = "preset"
    stats_type: ClassVar[StatsType] = "subwords"
    preset: str


class NoTokenizer(Strict):
    """The text itself, for a SavedModel that takes strings; `max_tokens` has no effect."""

    type: Literal["none"] = "none"
    stats_type: ClassVar[None] = None


Tokenizer = Annotated[
    WordTokenizer
    | CharacterTokenizer
    | NgramTokenizer
    | WordPieceTokenizer
    | BytePairTokenizer
    | SentencePieceTokenizer
    | PresetTokenizer
    | NoTokenizer,
    Field(discriminator="type"),
]


class SkipGram(Strict):
    """Word2Vec skip-gram vectors, trained on the texts of the training split.

    Needs the extra `word2vec`.

    Source: Mikolov et al. 2013.
    """

    type: Literal["skip_gram"] = "skip_gram"
    window: Span = 5
    epochs: Repeats = 20
    trainable: bool = True


class VectorFile(Strict):
    """Vectors from a file in word2vec's text or binary format, or in GloVe's.

    The name of a binary file ends in `.bin`.
    """

    type: Literal["file"] = "file"
    path: str
    trainable: bool = True


WordVectors = Annotated[SkipGram | VectorFile, Field(discriminator="type")]
