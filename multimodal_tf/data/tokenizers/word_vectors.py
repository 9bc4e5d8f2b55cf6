"""Word vectors of a vocabulary: trained on a table's own texts, or read from a file."""

import functools
import gzip
import pathlib
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, TextIO, cast

import numpy as np
import numpy.typing as npt

from multimodal_tf.config import SkipGram
from multimodal_tf.data.codecs.cell import LARGEST_NUMBER
from multimodal_tf.schema import Vectors

Vector = npt.NDArray[np.float32]
# words, each with a function that returns its vector
Entries = Iterator[tuple[str, Callable[[], Vector]]]
# between the words of a line; normalized texts do not contain it
_SEPARATOR = "\x1f"
# the most bytes of a line or a word: a file without line breaks is of another format
_LINE = 1 << 20
# the most words of a line that gensim takes
_WORDS = 10_000


def skip_gram(
    field: str,
    settings: SkipGram,
    words: list[str],
    texts: Iterable[list[str]],
    dim: int,
    seed: int,
) -> Vectors:
    """Trains vectors with Word2Vec's skip-gram on the words' contexts.

    Args:
        field: its name in the configuration, for errors: `inputs.title.vectors`.
        settings: `config.SkipGram`.
        words: the vocabulary. Other words of the texts are left out.
        texts: the words of each text. They are written to a temporary file; memory holds the
            vocabulary.
        dim: width of a vector.
        seed: the same seed and texts give the same vectors, in one thread.

    Returns:
        `schema.Vectors` of `words`.

    Raises:
        ValueError: gensim is not installed, or the vocabulary is empty.

    Source: Mikolov et al. 2013, arXiv:1310.4546 (skip-gram, 5 negative samples).
    """
    try:
        # an extra
        from gensim.models import Word2Vec
    except ImportError as error:
        raise ValueError(
            f"{field}: skip_gram needs gensim, which is not installed: pip install"
            " multimodal_tf[word2vec]"
        ) from error
    if not words:
        raise ValueError(
            f"{field}: skip_gram must have words in the training split to learn from, received none"
        )
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as file:
        known = set(words)
        file.writelines(
            _SEPARATOR.join(word for word in one if word in known) + "\n" for one in texts
        )
        model = Word2Vec(
            _Lines(file),
            vector_size=dim,
            window=settings.window,
            epochs=settings.epochs,
            seed=seed,
            sg=1,
            min_count=1,
            workers=1,
        )
    return _vectors(words, {word: model.wv[word] for word in words if word in model.wv}, dim, seed)


class _Lines:
    """The texts of a file, read again in each iteration; long texts are split."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def __iter__(self) -> Iterator[list[str]]:
        self._file.seek(0)
        for line in self._file:
            words = line.rstrip("\n").split(_SEPARATOR)
            yield from (words[start : start + _WORDS] for start in range(0, len(words), _WORDS))


def read_vectors(field: str, path: str, words: list[str], dim: int, seed: int) -> Vectors:
    """Reads the vectors of a vocabulary from a file.

    The formats are word2vec's text (the first line holds the number of words and the width),
    word2vec's binary (the name ends in `.bin`) and GloVe's (no first line), each also compressed as
    `.gz`. The file is read as a stream, and only the vocabulary's vectors are kept. A word that the
    file has only with capitals takes that vector.

    Args:
        field: its name in the configuration, for errors: `inputs.title.vectors`.
        path: of the file.
        words: the vocabulary.
        dim: width of the tower's embedding.
        seed: vectors that the file lacks are drawn from a normal distribution with the standard
            deviation of the others.

    Returns:
        `schema.Vectors` of `words`.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is damaged (the message gives the line), its vectors have another width, or
            it has none of the words.
    """
    file = pathlib.Path(path)
    if not file.is_file():
        raise FileNotFoundError(
            f"{field}.path: must be a file of word vectors, received {path!r}, which does not exist"
        )
    found: dict[str, Vector] = {}
    in_capitals: dict[str, Vector] = {}
    wanted = set(words)
    with _opened(file) as stream:
        entries = _binary if file.name.removesuffix(".gz").endswith(".bin") else _text
        try:
            for word, numbers in entries(stream, f"{field}.path: {path}", field, dim):
                if word in wanted:
                    found.setdefault(word, numbers())
                elif word.lower() in wanted:
                    in_capitals.setdefault(word.lower(), numbers())
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{field}.path: {path} is damaged: {error}") from error
    if not in_capitals | found:
        raise ValueError(
            f"{field}.path: {path} has a vector for none of the {len(words)} words of the training"
            f" split, such as {words[:3]}"
        )
    return _vectors(words, in_capitals | found, dim, seed)


def _opened(file: pathlib.Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(file) if file.suffix == ".gz" else file.open("rb"))


def _vectors(words: list[str], found: dict[str, Vector], dim: int, seed: int) -> Vectors:
    """The vectors in the vocabulary's order; missing ones are drawn."""
    spread = np.std(list(found.values()), dtype=np.float64) if found else 1.0
    drawn = np.random.default_rng(seed).normal(0.0, spread, (len(words), dim))
    return Vectors.of(
        np.array([found.get(word, row) for word, row in zip(words, drawn)], np.float32).reshape(
            -1, dim
        )
    )


def _text(stream: BinaryIO, where: str, field: str, dim: int) -> Entries:
    """Yields `(word, function that returns its vector)`."""
    expected = None
    for number, line in enumerate(iter(lambda: stream.readline(_LINE), b""), 1):
        fields = line.rstrip(b" \r\n").split(b" ")
        if number == 1 and len(fields) == 2:
            expected, width = _header(line, where)
            _check_width(field, where, width, dim)
            continue
        if number == 1:
            _check_width(field, where, len(fields) - 1, dim)
        if len(fields) <= dim:
            raise ValueError(
                f"{where}, line {number}: must be a word and {dim} numbers, received {line[:60]!r}"
            )
        yield (
            b" ".join(fields[:-dim]).decode(errors="replace"),
            functools.partial(_numbers, fields[-dim:], f"{where}, line {number}"),
        )
    if expected is not None and number - 1 < expected:
        raise ValueError(
            f"{where} must have {expected} vectors, as its first line says, received {number - 1}:"
            " it is truncated"
        )


def _numbers(fields: list[bytes], where: str) -> Vector:
    try:
        numbers = np.array(fields, np.float32)
    except ValueError as error:
        raise ValueError(
            f"{where}: must be a word and {len(fields)} numbers, received"
            f" {b' '.join(fields)[:60]!r}"
        ) from error
    return _finite(numbers, where)


def _finite(numbers: Vector, where: str) -> Vector:
    large = numbers[~(np.abs(numbers) <= LARGEST_NUMBER)]
    if large.size:
        rule = "at most 2^64" if np.isfinite(large[0]) else "finite"
        raise ValueError(f"{where}: the numbers must be {rule}, received {large[0]}")
    return numbers


def _binary(stream: BinaryIO, where: str, field: str, dim: int) -> Entries:
    """Yields as `_text`; errors give the number of the word."""
    expected, width = _header(stream.readline(_LINE), where)
    _check_width(field, where, width, dim)
    for number in range(1, expected + 1):
        word = bytearray()
        while (letter := stream.read(1)) not in (b" ", b""):
            word += letter
            if len(word) > _LINE:
                raise ValueError(
                    f"{where}, word {number}: must end in a space, received {bytes(word[:60])!r}"
                )
        data = stream.read(4 * dim)
        if len(data) < 4 * dim:
            raise ValueError(
                f"{where} must have {expected} vectors, as its first line says, received"
                f" {number - 1}: it is truncated"
            )
        numbers = np.frombuffer(data, "<f4")
        yield (
            word.lstrip(b"\n").decode(errors="replace"),
            functools.partial(_finite, numbers, f"{where}, word {number}"),
        )


def _header(line: bytes, where: str) -> tuple[int, int]:
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        raise ValueError(
            f"{where}, line 1: must be the number of words and the width of a vector, received"
            f" {line[:60]!r}"
        )
    return int(fields[0]), int(fields[1])


def _check_width(field: str, where: str, width: int, dim: int) -> None:
    if width != dim:
        file = where.removeprefix(f"{field}.path: ")
        raise ValueError(
            f"{field}: the vectors of {file} must have tower.embedding_dim = {dim} numbers,"
            f" received {width}"
        )
