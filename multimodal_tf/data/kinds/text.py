"""Texts: UTF-8, "" where missing; token ids by any tokenizer."""

import collections
import pathlib
from typing import Any, assert_never

import tensorflow as tf

from multimodal_tf.config import (
    CharacterTokenizer,
    NgramTokenizer,
    NoTokenizer,
    SkipGram,
    TextInput,
    VectorFile,
    WordTokenizer,
)
from multimodal_tf.data.codecs.cell import Cell
from multimodal_tf.data.column_stats import CELLS, Learner, TrainingColumn, ValueCounts, distinct
from multimodal_tf.data.filesystem import Root
from multimodal_tf.data.kinds.cell import read_text
from multimodal_tf.data.kinds.kind import Kind, Reader
from multimodal_tf.data.tokenizers import normalization, train_subwords, word_vectors
from multimodal_tf.data.tokenizers.characters import characters
from multimodal_tf.data.tokenizers.graph_tokenizers import graph_tokenizer
from multimodal_tf.schema import Subwords, Vectors, Vocabulary

# None for tokenizers that learn nothing
TextStats = Vocabulary | Subwords | None


class TextKind(Kind[TextInput, TextStats]):
    """A string, bytes in UTF-8 or a number."""

    def read(self, value: Any, root: Root) -> bytes:
        """UTF-8."""
        return read_text(value).encode()

    def _problem(self, cell: Cell) -> str:
        return text_problem(cell)

    def reader(self, stats: TextStats) -> "StringReader | TextReader":
        """What it needs depends on the tokenizer."""
        if isinstance(self.config.tokenizer, NoTokenizer):
            return StringReader(self.config)
        return TextReader(self.config, stats)

    def example(self, stats: TextStats) -> tf.Tensor:
        """The three most frequent words, where the schema has words."""
        return tf.constant(" ".join(getattr(stats, "words", [])[:3]) or "none")

    def learner(self) -> Learner | None:
        """A vocabulary, with vectors where the configuration asks for them, or subwords."""
        match self.config.tokenizer:
            case NgramTokenizer() | NoTokenizer():
                return None
            case WordTokenizer() | CharacterTokenizer() as tokenizer:
                return _VocabularyLearner(self.config, tokenizer)
            case tokenizer:
                return _SubwordsLearner(tokenizer)

    def stats_settings(self, seed: int) -> list[Any]:
        """A tokenizer with the state of its preset's files, and vectors with that of their file."""
        tokenizer, vectors = self.config.tokenizer, self.config.vectors
        settings: list[Any] = [tokenizer, _files_state(getattr(tokenizer, "preset", None))]
        if vectors is not None:
            dim = getattr(self.config.tower, "embedding_dim", None)
            settings += [vectors, dim, seed, _files_state(getattr(vectors, "path", None))]
        return settings


class TextReader(Reader[TextInput]):
    """UTF-8 to the tokenizer's ids, framed by its start and end where it has them, then padded."""

    def __init__(self, config: TextInput, stats: TextStats) -> None:
        super().__init__(config)
        self._tokenize = graph_tokenizer(config.tokenizer, stats)
        self._padding = getattr(stats, "padding", normalization.PADDING)
        self._unknown = getattr(stats, "unknown", normalization.UNKNOWN)
        ends = (getattr(stats, "start", None), getattr(stats, "end", None))
        self._before, self._after = ([] if end is None else [end] for end in ends)

    def read(self, cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """int32 `(batch, max_tokens)`; padding where missing.

        A text that is present has at least one id that is not padding: the unknown token's.
        """
        texts, present, reason = readable(cells)
        room = self.config.max_tokens - len(self._before) - len(self._after)
        ids = tf.cast(self._tokenize(texts, room)[:, :room], tf.int32)
        start, end = (
            tf.tile(tf.constant([ids], tf.int32), [tf.shape(cells)[0], 1])
            for ids in (self._before, self._after)
        )
        tokens = tf.concat([start, ids, end], 1).to_tensor(
            self._padding, shape=[None, self.config.max_tokens]
        )
        tokens = tf.where(present[:, tf.newaxis], tokens, self._padding)
        return self._never_empty(tokens, present), present, reason

    def _never_empty(self, tokens: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """So that a mask over tokens is never empty where the text is present."""
        empty = present & tf.reduce_all(tokens == self._padding, 1)
        first = tf.where(empty, self._unknown, tokens[:, 0])
        return tf.concat([first[:, tf.newaxis], tokens[:, 1:]], 1)


class StringReader(Reader[TextInput]):
    """UTF-8 unchanged, for a model that tokenizes."""

    def read(self, cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """string `(batch,)`; "" where missing."""
        texts, present, reason = readable(cells)
        return normalization.cut(texts), present, reason


def readable(cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """`(texts, present, reason)` of UTF-8 cells; missing and broken texts are ""."""
    reason = normalization.problem(cells)
    present = ~normalization.blank(cells) & (reason == "")
    return tf.where(present, cells, ""), present, reason


def text_problem(cell: Cell) -> str:
    """Why a cell is not UTF-8; "" where it is."""
    return str(_problem(tf.constant(cell)).numpy().decode())


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _problem(data: tf.Tensor) -> tf.Tensor:
    return normalization.problem(data)


def _files_state(path: str | None) -> list[tuple[str, int, int]]:
    """Names, sizes and modification times of a file or of a folder's files.

    Empty for other strings, such as the handle of a preset.
    """
    if path is None:
        return []
    folder = pathlib.Path(path)
    files = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
    return [
        (str(file), file.stat().st_size, file.stat().st_mtime_ns)
        for file in files
        if file.is_file()
    ]


class _VocabularyLearner(ValueCounts):
    """Counts words or characters; learns their vectors in another pass."""

    def __init__(self, config: TextInput, tokenizer: WordTokenizer | CharacterTokenizer) -> None:
        by_words = isinstance(tokenizer, WordTokenizer)
        super().__init__(_count_words if by_words else _count_characters)
        self._split_texts = normalization.words if by_words else characters
        self._documents_of = _word_documents if by_words else _character_documents
        self._documents: collections.Counter[str] = collections.Counter()
        self._config, self._tokenizer = config, tokenizer

    def add(self, cells: tf.Tensor) -> None:
        """Counts a batch of cells, string `(batch,)`, and the rows of each word."""
        super().add(cells)
        words, rows = self._documents_of(cells)
        for word, count in zip(words.numpy(), rows.numpy()):
            self._documents[word.decode()] += int(count)

    def stats(self, column: TrainingColumn) -> Vocabulary:
        words = self.most_frequent(self._tokenizer.vocabulary_size)
        vectors = self._vectors(words, column)
        return Vocabulary(
            words=words,
            tokenizer=self._tokenizer.type,
            vectors=vectors,
            rows=self.rows,
            documents=[self._documents[word] for word in words],
        )

    def _vectors(self, words: list[str], column: TrainingColumn) -> Vectors | None:
        field, vectors = f"{column.field}.vectors", self._config.vectors
        dim = getattr(self._config.tower, "embedding_dim", 0)
        match vectors:
            case None:
                return None
            case VectorFile():
                return word_vectors.read_vectors(field, vectors.path, words, dim, column.seed)
            case SkipGram():
                texts = column.texts(self._split_texts)
                return word_vectors.skip_gram(field, vectors, words, texts, dim, column.seed)
            case _:
                assert_never(vectors)


class _SubwordsLearner:
    """Trains a subword tokenizer, or takes that of a preset, after the first pass."""

    def __init__(self, tokenizer: train_subwords.SubwordTokenizer) -> None:
        self._tokenizer = tokenizer

    def add(self, cells: tf.Tensor) -> None:
        pass

    def stats(self, column: TrainingColumn) -> Subwords:
        field = f"{column.field}.tokenizer"
        return train_subwords.fit_subwords(field, self._tokenizer, column.texts)


@tf.function(input_signature=[CELLS], autograph=False)
def _count_words(cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return distinct(normalization.words(cells).values)


@tf.function(input_signature=[CELLS], autograph=False)
def _count_characters(cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return distinct(characters(cells).values)


@tf.function(input_signature=[CELLS], autograph=False)
def _word_documents(cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return _documents(normalization.words(cells))


@tf.function(input_signature=[CELLS], autograph=False)
def _character_documents(cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return _documents(characters(cells))


def _documents(words: tf.RaggedTensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The distinct words of ragged string `(batch, None)`, and how many rows have each."""
    found = tf.unique(words.values, tf.int64)
    count = tf.maximum(tf.size(found.y, tf.int64), 1)
    pairs = tf.unique(words.value_rowids() * count + found.idx).y
    rows = tf.math.unsorted_segment_sum(tf.ones_like(pairs), pairs % count, tf.size(found.y))
    return found.y, rows
