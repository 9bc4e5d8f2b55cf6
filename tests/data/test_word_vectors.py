"""Word vectors: trained, or read from a file."""

import gzip
import struct
import sys

import numpy as np
import pytest
from same_everywhere import word_vectors

from multimodal_tf.config import SkipGram
from multimodal_tf.data.tokenizers.word_vectors import read_vectors, skip_gram
from multimodal_tf.schema import Vectors

ROWS = {
    "cat": [1.0, 2.0, 3.0],
    "Dog": [0.5, -1.0, 0.0],
    "猫": [1e-3, 4.0, 5.0],
    "other": [9.0, 9.0, 9.0],
}
WORDS = ["cat", "dog", "猫", "unseen"]
FIELD = "inputs.t.vectors"


def lines(rows=ROWS):
    return "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in rows.items())


def binary(rows=ROWS, dim=3):
    entries = (
        word.encode() + b" " + struct.pack(f"<{dim}f", *row) + b"\n" for word, row in rows.items()
    )
    return f"{len(rows)} {dim}\n".encode() + b"".join(entries)


FILES = {
    "glove.txt": lines().encode(),
    "word2vec.txt": b"4 3\n" + lines().encode(),
    # as word2vec and fastText end their lines
    "word2vec.vec": b"4 3\n" + lines().replace("\n", " \n").encode(),
    "word2vec.bin": binary(),
    "google.bin": b"4 3\n" + binary()[4:].replace(b"\n", b""),
    "windows.txt": lines().replace("\n", "\r\n").encode(),
}


def read(path, words=WORDS, dim=3, seed=0):
    return read_vectors(FIELD, str(path), words, dim, seed)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_formats(tmp_path, name, zipped):
    path = tmp_path / (name + ".gz" if zipped else name)
    path.write_bytes(gzip.compress(FILES[name]) if zipped else FILES[name])
    found = read(path).array()
    np.testing.assert_array_equal(
        found[:3], np.array([ROWS["cat"], ROWS["Dog"], ROWS["猫"]], np.float32)
    )
    assert found.shape == (4, 3)
    assert np.isfinite(found).all()


def test_a_word_without_vector_is_drawn_like_the_others(tmp_path):
    (tmp_path / "v.txt").write_text("a 10 10\nb -10 -10\n")
    words = ["a", "b", *map(str, range(2000))]
    drawn = read(tmp_path / "v.txt", words, 2).array()[2:]
    np.testing.assert_allclose(drawn.std(), 10, rtol=0.1)
    assert read(tmp_path / "v.txt", words, 2) == read(tmp_path / "v.txt", words, 2)
    assert read(tmp_path / "v.txt", words, 2) != read(tmp_path / "v.txt", words, 2, seed=1)


def test_the_exact_word_goes_before_another_spelling(tmp_path):
    (tmp_path / "v.txt").write_text("Us 1 1\nus 2 2\nUS 3 3\n. . 4 4\n")
    assert read(tmp_path / "v.txt", ["us", ". ."], 2).array().tolist() == [[2, 2], [4, 4]]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "v.txt",
            b"cat 1 2\n",
            r"inputs\.t\.vectors: the vectors of .*v\.txt must have tower\.embedding_dim = 3"
            r" numbers, received 2",
        ),
        (
            "v.txt",
            b"1 5\ncat 1 2 3 4 5\n",
            r"must have tower\.embedding_dim = 3 numbers, received 5",
        ),
        (
            "v.bin",
            binary({"cat": [1, 2]}, 2),
            r"must have tower\.embedding_dim = 3 numbers, received 2",
        ),
        (
            "v.txt",
            b"a 1 2 3\ncat 1 2\n",
            r"inputs\.t\.vectors\.path: .*v\.txt, line 2: must be a word and 3 numbers,"
            r" received b'cat 1 2",
        ),
        (
            "v.txt",
            b"a 1 2 3\ncat 1 x 3\n",
            r"v\.txt, line 2: must be a word and 3 numbers, received b'1 x 3'",
        ),
        ("v.txt", b"cat 1 nan 3\n", r"v\.txt, line 1: the numbers must be finite, received nan"),
        (
            "v.txt",
            b"cat 1 3e38 3\n",
            r"v\.txt, line 1: the numbers must be at most 2\^64, received 3\.0*\d*e\+38",
        ),
        (
            "v.txt.gz",
            gzip.compress(FILES["glove.txt"], mtime=0)[:10] + b"\xff" * 20,
            r"v\.txt\.gz is damaged: Error -3 while decompressing data",
        ),
        (
            "v.txt",
            b"9 3\ncat 1 2 3\n",
            r"must have 9 vectors, as its first line says, received 1: it is truncated",
        ),
        (
            "v.bin",
            binary()[:-9],
            r"must have 4 vectors, as its first line says, received 3: it is truncated",
        ),
        (
            "v.bin",
            b"cat 1 2 3\n",
            r"v\.bin, line 1: must be the number of words and the width of a vector, received"
            r" b'cat 1 2 3",
        ),
        ("v.bin", b"", r"line 1: must be the number of words"),
        ("v.txt.gz", b"no gzip", r"v\.txt\.gz is damaged"),
        ("v.txt.gz", gzip.compress(lines().encode(), mtime=0)[:-12], r"v\.txt\.gz is damaged"),
        (
            "v.txt",
            b"zebra 1 2 3\n",
            r"has a vector for none of the 4 words of the training split, such as \['cat',"
            r" 'dog', '猫'\]",
        ),
        ("v.txt", b"", r"has a vector for none"),
        ("v.pkl", b"\x80\x04\x95\x0b\x00\x00\x00.", r"must have tower\.embedding_dim"),
    ],
)
def test_damaged_files(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / name)


def test_no_file(tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"inputs\.t\.vectors\.path: must be a file of word vectors, received '.*',"
        r" which does not exist",
    ):
        read(tmp_path / "nothing.txt")


def test_an_array_and_back():
    array = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    again = Vectors.model_validate_json(Vectors.of(array).model_dump_json())
    np.testing.assert_array_equal(again.array(), array)


def test_words_that_stand_together_lie_together():
    found = word_vectors().array()
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    near = unit @ unit.T
    assert near[:4, :4].mean() > near[:4, 4:].mean() + 0.2


@pytest.mark.slow
def test_the_same_vectors_in_every_process(other_process):
    found = word_vectors()
    assert found != word_vectors(1)
    assert other_process[1]["word_vectors"] == found.data


def test_only_the_vocabulary_is_trained_and_what_never_stands_anywhere_is_drawn():
    found = skip_gram(FIELD, SkipGram(epochs=1), ["a", "never"], [["a", "b"], [], ["b"]], 4, 0)
    assert found.array().shape == (2, 4)
    with pytest.raises(
        ValueError,
        match=r"inputs\.t\.vectors: skip_gram must have words in the training split to learn"
        r" from, received none",
    ):
        skip_gram(FIELD, SkipGram(), [], [], 4, 0)


def test_without_gensim(monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(
        ValueError,
        match=r"inputs\.t\.vectors: skip_gram needs gensim, .*: pip install"
        r" multimodal_tf\[word2vec\]",
    ):
        word_vectors()
