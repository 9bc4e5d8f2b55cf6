"""Word vectors as the first embeddings of a text tower."""

import zipfile

import keras
import numpy as np
import pytest
from one_input import built
from random_rows import WORDS

from multimodal_tf.config import (
    BagTower,
    KerasTower,
    LSTMTower,
    NgramTokenizer,
    TextInput,
    TransformerTower,
    VectorFile,
)
from multimodal_tf.schema import Vectors, Vocabulary

BAG = BagTower(embedding_dim=4, dropout=0)
LSTM = LSTMTower(embedding_dim=4, units=5)
ATTENTION = TransformerTower(units=4, depth=2, heads=2, mlp_units=8, block_dropout=0)


def text(tower, **fields):
    return TextInput(max_tokens=4, tower=tower, **fields)


class TestWordVectors:
    rows = np.arange(12, dtype="float32").reshape(3, 4) / 7
    stats = Vocabulary(words=WORDS, vectors=Vectors.of(rows))

    @pytest.mark.parametrize("trainable", [True, False])
    @pytest.mark.parametrize("tower", [BAG, LSTM, ATTENTION])
    def test_each_word_starts_from_its_own(self, tower, trainable):
        model = built(text(tower, vectors=VectorFile(path="v", trainable=trainable)), self.stats)
        layer = model.get_layer("probe_words")
        # Padding and unknown are zeros.
        np.testing.assert_array_equal(
            layer.embeddings, np.concatenate([np.zeros((2, 4)), self.rows])
        )
        assert len(layer.trainable_weights) == trainable

    def test_all_other_weights_follow_from_the_seed(self):
        one = built(text(LSTM, vectors=VectorFile(path="v")), self.stats)
        again = built(text(LSTM, vectors=VectorFile(path="v")), self.stats)
        without = built(text(LSTM))
        for weight, same, other in zip(one.weights, again.weights, without.weights, strict=True):
            np.testing.assert_array_equal(weight, same)
            assert "embeddings" in weight.path or np.array_equal(weight, other)

    @pytest.mark.parametrize("trainable", [True, False])
    def test_they_are_saved_once_as_weights_not_in_the_configuration(self, trainable, tmp_path):
        words = [f"w{number}" for number in range(500)]
        stats = Vocabulary(
            words=words, vectors=Vectors.of(np.random.default_rng(0).normal(size=(500, 4)))
        )
        model = built(
            text(BAG, vectors=VectorFile(path="v", trainable=trainable)),
            stats,
        )
        model.save(tmp_path / "model.keras")
        with zipfile.ZipFile(tmp_path / "model.keras") as file:
            assert len(file.read("config.json")) < 20_000
        loaded = keras.saving.load_model(tmp_path / "model.keras").get_layer("probe_words")
        np.testing.assert_array_equal(loaded.embeddings, model.get_layer("probe_words").embeddings)
        assert loaded.trainable is trainable

    def test_another_width_is_refused(self):
        with pytest.raises(
            ValueError,
            match=r"^inputs\.probe\.vectors: must be as wide as the tower's embeddings, 8,"
            r" received .* 4 num",
        ):
            built(
                text(BagTower(embedding_dim=8), vectors=VectorFile(path="v")),
                self.stats,
            )

    def test_missing_ones_are_refused(self):
        with pytest.raises(
            ValueError,
            match=r"^inputs\.probe\.vectors: the schema must hold word vectors, received none",
        ):
            built(
                text(BAG, vectors=VectorFile(path="v")),
                Vocabulary(words=["a"]),
            )

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            (
                {"tokenizer": NgramTokenizer()},
                "vectors need the tokenizer words or characters, received ngrams",
            ),
            (
                {"tower": KerasTower(path="x")},
                "vectors need a tower with embeddings .* received keras",
            ),
        ],
    )
    def test_towers_and_tokenizers_without_them_refuse_them(self, fields, message):
        with pytest.raises(ValueError, match=f"^TextInput: {message}$"):
            TextInput(vectors=VectorFile(path="v"), **fields)
