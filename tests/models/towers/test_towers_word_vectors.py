"""Word vectors as the first embeddings of a text tower."""

import zipfile

import keras
import numpy as np
import pytest
from random_rows import WORDS
from test_towers_text import ATTENTION, TOWERS, built, text

from multimodal_tf.config import (
    BagTower,
    KerasTower,
    NgramTokenizer,
    TextInput,
    TransformerTower,
    VectorFile,
)
from multimodal_tf.models import build_model
from multimodal_tf.schema import Vectors, Vocabulary


class TestWordVectors:
    rows = np.arange(12, dtype="float32").reshape(3, 4) / 7
    stats = Vocabulary(words=WORDS, vectors=Vectors.of(rows))

    @pytest.mark.parametrize("trainable", [True, False])
    @pytest.mark.parametrize(
        "tower", [TOWERS["bag"], TOWERS["lstm"], TransformerTower(**ATTENTION | {"units": 4})]
    )
    def test_each_word_starts_from_its_own(self, tower, trainable):
        model = built(
            text(tower, vectors=VectorFile(path="v", trainable=trainable)), build_model, self.stats
        )
        layer = model.get_layer("probe_words")
        # Padding and unknown are zeros.
        np.testing.assert_array_equal(
            layer.embeddings, np.concatenate([np.zeros((2, 4)), self.rows])
        )
        assert len(layer.trainable_weights) == trainable

    def test_all_other_weights_follow_from_the_seed(self):
        one = built(text(TOWERS["lstm"], vectors=VectorFile(path="v")), build_model, self.stats)
        again = built(text(TOWERS["lstm"], vectors=VectorFile(path="v")), build_model, self.stats)
        without = built(text(TOWERS["lstm"]), build_model)
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
            text(TOWERS["bag"], vectors=VectorFile(path="v", trainable=trainable)),
            build_model,
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
                build_model,
                self.stats,
            )

    def test_missing_ones_are_refused(self):
        with pytest.raises(
            ValueError,
            match=r"^inputs\.probe\.vectors: the schema must hold word vectors, received none",
        ):
            built(
                text(TOWERS["bag"], vectors=VectorFile(path="v")),
                build_model,
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
