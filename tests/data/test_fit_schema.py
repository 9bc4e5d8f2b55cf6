"""What the training split teaches."""

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shards import write_shards

from multimodal_tf.config import (
    BagTower,
    BytePairTokenizer,
    CategoryInput,
    CharacterTokenizer,
    ClassificationHead,
    Config,
    ImageInput,
    MultiLabelHead,
    NgramTokenizer,
    NumberInput,
    RegressionHead,
    SkipGram,
    TextInput,
    VectorFile,
    WordTokenizer,
)
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.record_files import LABEL_SEPARATOR
from multimodal_tf.schema import Classes, Moments, Vocabulary

CONFIG = Config(
    inputs={
        "title": TextInput(tokenizer=WordTokenizer(vocabulary_size=3)),
        "photo": ImageInput(),
        "price": NumberInput(),
        "kind": CategoryInput(),
    },
    heads={
        "label": ClassificationHead(column="Klasse"),
        "tags": MultiLabelHead(),
        "age": RegressionHead(),
    },
)
ROWS = [
    (
        {"title": b"The the cat", "photo": b"x", "price": 1.0, "kind": b"red"},
        {"label": "b", "tags": "x\x1fy", "age": 5.0},
    ),
    (
        {"title": "cat, dog, 猫!".encode(), "price": 2.0},
        {"label": "a", "tags": LABEL_SEPARATOR, "age": 5.0},
    ),
    ({"title": b"", "price": 6.0, "kind": b" red "}, {"label": "b", "tags": "x"}),
    ({"kind": b"blue"}, {"tags": "", "age": 5.0}),
]


def test_everything(tmp_path):
    schema = fit_schema(
        CONFIG,
        write_shards(
            tmp_path,
            rows_per_shard=3,
            train=ROWS,
            test=[({"title": b"zzz"}, {"label": "q", "age": 9.0})],
        ),
    )
    assert schema.rows == 4
    assert schema.inputs == {
        # ties in code point order; a word twice in a row is in one row
        "title": Vocabulary(words=["cat", "the", "dog"], rows=2, documents=[2, 1, 1]),
        "price": Moments(mean=3.0, std=math.sqrt(14 / 3), rows=3),
        "kind": Vocabulary(words=["red", "blue"]),
    }
    assert schema.heads == {
        "label": Classes(names=["a", "b"], counts=[1, 2], rows=3),
        "tags": Classes(names=["x", "y"], counts=[2, 1], rows=3),
        # all equal
        "age": Moments(mean=5.0, std=1.0, rows=3),
    }


def test_an_input_that_no_row_has(tmp_path):
    schema = fit_schema(CONFIG, write_shards(tmp_path, train=[({}, labels) for _, labels in ROWS]))
    assert schema.inputs == {
        "title": Vocabulary(words=[], rows=0),
        "price": Moments(mean=0.0, std=1.0, rows=0),
        "kind": Vocabulary(words=[]),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": ""}, r"head 'label' \(column 'Klasse'\) must have a label in some row"),
        ({"label": "b"}, "must have two classes or more in the training split, received only 'b'"),
        ({"tags": ""}, "head 'tags'.* must have a label"),
        ({"age": float("nan")}, "head 'age'.* must have a number"),
    ],
)
def test_a_head_that_learns_nothing(tmp_path, change, message):
    write_shards(tmp_path, train=[(inputs, labels | change) for inputs, labels in ROWS])
    with pytest.raises(ValueError, match=message):
        fit_schema(CONFIG, tmp_path)


def test_no_training_rows(tmp_path):
    with pytest.raises(ValueError, match="training split of pets.csv must have rows"):
        fit_schema(CONFIG, write_shards(tmp_path, train=[], test=ROWS))


def test_no_manifest(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"manifest\.json"):
        fit_schema(CONFIG, tmp_path)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=700))
def test_moments_of_many_chunks(values):
    config = Config(inputs={"price": NumberInput()}, heads={"age": RegressionHead()})
    with tempfile.TemporaryDirectory() as directory:
        schema = fit_schema(
            config,
            write_shards(
                Path(directory), train=[({"price": value}, {"age": value}) for value in values]
            ),
        )
    exact = np.array(values, np.float64)
    for moments in (schema.inputs["price"], schema.heads["age"]):
        np.testing.assert_allclose(moments.mean, exact.mean(), rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(moments.std, exact.std() or 1.0, rtol=1e-6, atol=1e-6)


TITLES = [("Cat and dog", "a"), ("กี่ cat", "b"), ("", "a"), ("dog", "b")]
TEXT_ROWS = [({"title": cell.encode()}, {"label": label}) for cell, label in TITLES]


def text_config(**fields):
    return Config(inputs={"title": TextInput(**fields)}, heads={"label": ClassificationHead()})


def test_characters_and_ngrams(tmp_path):
    write_shards(tmp_path, train=TEXT_ROWS)
    characters = text_config(tokenizer=CharacterTokenizer(vocabulary_size=4))
    assert fit_schema(characters, tmp_path).inputs == {
        "title": Vocabulary(
            words=[" ", "a", "d", "c"], tokenizer="characters", rows=3, documents=[2, 2, 2, 2]
        )
    }
    assert fit_schema(text_config(tokenizer=NgramTokenizer()), tmp_path).inputs == {}


def test_subwords(tmp_path):
    stats = fit_schema(
        text_config(tokenizer=BytePairTokenizer()), write_shards(tmp_path, train=TEXT_ROWS)
    ).inputs["title"]
    assert (stats.type, stats.tokenizer) == ("subwords", "byte_pair")
    write_shards(tmp_path, train=[({}, labels) for _, labels in TEXT_ROWS])
    with pytest.raises(
        ValueError,
        match=r"inputs\.title\.tokenizer: byte_pair must have texts in the training split",
    ):
        fit_schema(text_config(tokenizer=BytePairTokenizer()), tmp_path)


@pytest.mark.parametrize("tokenizer", [WordTokenizer(), CharacterTokenizer()])
def test_word_vectors(tmp_path, tokenizer):
    write_shards(tmp_path, train=TEXT_ROWS)
    tower = BagTower(embedding_dim=2)
    stats = fit_schema(
        text_config(tokenizer=tokenizer, tower=tower, vectors=SkipGram(epochs=1)), tmp_path
    ).inputs["title"]
    assert stats.vectors.array().shape == (len(stats.words), 2)
    file = tmp_path / "vectors.txt"
    file.write_text("cat 1 2\nc 3 4\n")
    stats = fit_schema(
        text_config(tokenizer=tokenizer, tower=tower, vectors=VectorFile(path=str(file))), tmp_path
    ).inputs["title"]
    found = dict(zip(stats.words, stats.vectors.array().tolist()))
    assert found["cat" if tokenizer.type == "words" else "c"] == (
        [1, 2] if tokenizer.type == "words" else [3, 4]
    )
    with pytest.raises(
        ValueError,
        match=r"inputs\.title\.vectors: .* must have tower\.embedding_dim = 128 numbers,"
        r" received 2",
    ):
        fit_schema(text_config(tokenizer=tokenizer, vectors=VectorFile(path=str(file))), tmp_path)
