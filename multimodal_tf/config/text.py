"""How a text becomes numbers, and where the numbers' first embeddings come from."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field, PositiveInt

from multimodal_tf.config.names import Strict


class WordTokenizer(Strict):
    """Words (`data.tokenizers.normalization` says what one is): the `vocabulary_size` most frequent
    of the training split.
    """

    type: Literal["words"] = "words"
    vocabulary_size: PositiveInt = 10_000


class CharacterTokenizer(Strict):
    """Characters as a reader sees them (grapheme clusters): the `vocabulary_size` most frequent of
    the training split.
    """

    type: Literal["characters"] = "characters"
    vocabulary_size: PositiveInt = 2_000


class NgramTokenizer(Strict):
    """Words, and the runs of `shortest` to `longest` characters in them, hashed into `buckets`
    (Bojanowski et al. 2017, fastText).

    Nothing is learned, and an unseen word shares its parts with seen ones. `max_tokens` counts
    words and runs together.
    """

    type: Literal["ngrams"] = "ngrams"
    buckets: PositiveInt = 16_384
    shortest: PositiveInt = 3
    longest: PositiveInt = 5

    @pydantic.model_validator(mode="after")
    def _in_order(self):
        if self.shortest > self.longest:
            raise ValueError(
                f"shortest must be at most longest ({self.longest}), received {self.shortest}"
            )
        return self


class WordPieceTokenizer(Strict):
    """WordPiece (Schuster and Nakajima 2012), trained on the training split."""

    type: Literal["word_piece"] = "word_piece"
    vocabulary_size: Annotated[int, Field(ge=300)] = 8_000


class BytePairTokenizer(Strict):
    """Byte pair encoding (Sennrich et al. 2016) over bytes, trained on the training split."""

    type: Literal["byte_pair"] = "byte_pair"
    vocabulary_size: Annotated[int, Field(ge=300)] = 8_000


class SentencePieceTokenizer(Strict):
    """SentencePiece, unigram (Kudo 2018), trained on the training split."""

    type: Literal["sentence_piece"] = "sentence_piece"
    vocabulary_size: Annotated[int, Field(ge=300)] = 8_000


class PresetTokenizer(Strict):
    """The tokenizer of a KerasHub preset: a folder, or a handle such as `hf://...`."""

    type: Literal["preset"] = "preset"
    preset: str


class NoTokenizer(Strict):
    """The text as it is, for a SavedModel that takes strings; `max_tokens` does not count."""

    type: Literal["none"] = "none"


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
    """Word2Vec skip-gram vectors (Mikolov et al. 2013), trained on the training split's own texts;
    needs the extra `word2vec`.
    """

    type: Literal["skip_gram"] = "skip_gram"
    window: PositiveInt = 5
    epochs: PositiveInt = 20
    trainable: bool = True


class VectorFile(Strict):
    """Vectors from a file: word2vec's text or binary format (the latter ends in `.bin`), or
    GloVe's.
    """

    type: Literal["file"] = "file"
    path: str
    trainable: bool = True


WordVectors = Annotated[SkipGram | VectorFile, Field(discriminator="type")]
