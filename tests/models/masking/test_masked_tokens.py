"""Which tokens of a text are hidden, and under what."""

import base64

import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from small_tokenizers import ids, stats_of

from multimodal_tf.config import TextInput
from multimodal_tf.models.masking.text import count_of, mask_tokens
from multimodal_tf.models.masking.words import TokenIds, token_ids, unpacked
from multimodal_tf.schema import Subwords, Vocabulary

# ids 3 and 4 begin a word, 5 and 6 do not
_EDGES = np.array([0, 0, 0, 1, 1, 0, 0], bool)
WORDS = TokenIds(7, 2, (0, 1, 2), base64.b64encode(np.packbits(_EDGES).tobytes()).decode())
# the same, told by the ends: 3 and 6 end a word
_ENDS = np.array([0, 0, 0, 1, 0, 0, 1], bool)
CLOSED = WORDS._replace(edges=base64.b64encode(np.packbits(_ENDS).tobytes()).decode(), closed=True)
PLAIN = TokenIds(1000, 1, (0, 1))


def draws(rows, length, seed=0):
    return tf.constant(np.random.default_rng(seed).random((rows, 3, length), "float32"))


def masked(tokens, ids=PLAIN, share=0.15, seed=0):
    tokens = tf.constant(tokens, tf.int32)
    return mask_tokens(tokens, tokens != 0, draws(*tokens.shape, seed), ids, share)


def hidden(found, length):
    """Which places are hidden, bool `(batch, length)`."""
    marks = np.zeros((len(found.places), length), bool)
    for row, place in zip(*np.nonzero(found.counted)):
        marks[row, found.places[row, place]] = True
    return marks


def test_80_10_10_of_15_percent():
    tokens = np.random.default_rng(1).integers(2, 1000, (4000, 20))
    found = masked(tokens)
    at = hidden(found, 20)
    # 3 of 20 in every row, every place as often as another
    assert (at.sum(axis=1) == 3).all()
    assert np.abs(at.mean(axis=0) - 0.15).max() < 0.025
    shown, true = found.cell.numpy()[at], tokens[at]
    assert np.mean(shown == 1) == pytest.approx(0.8, abs=0.01)
    assert np.mean(shown == true) == pytest.approx(0.1, abs=0.01)
    assert np.mean((shown != 1) & (shown != true)) == pytest.approx(0.1, abs=0.01)
    # another token is any of the vocabulary's, and none that is special
    other = shown[(shown != 1) & (shown != true)]
    assert other.min() >= 2
    assert other.max() < 1000
    assert 450 < other.mean() < 550
    assert (found.cell.numpy()[~at] == tokens[~at]).all()
    rows, places = np.nonzero(found.counted)
    assert (
        found.target.numpy()[rows, places] == tokens[rows, found.places.numpy()[rows, places]]
    ).all()


def test_padding_and_special_tokens_stay_and_one_is_hidden():
    tokens = np.zeros((200, 12), "int32")
    tokens[:, 0], tokens[:, 1:4], tokens[:, 4] = 1, 7, 1
    tokens[0] = 0
    tokens[1, 1:4] = 1
    at = hidden(masked(tokens), 12)
    assert not at[:, 4:].any()
    assert not at[:, 0].any()
    # a text without content has none
    assert at.sum(axis=1).tolist() == [0, 0, *[1] * 198]
    assert (masked(tokens).cell.numpy()[:2] == tokens[:2]).all()


@pytest.mark.parametrize("ids", [WORDS, CLOSED], ids=["beginnings", "ends"])
def test_words_are_hidden_as_a_whole(ids):
    # words of 1, 2, 3, 1 and 2 tokens
    text = [3, 4, 6, 4, 5, 6, 3, 4, 6, 0, 0, 0]
    word = np.array([0, 1, 1, 2, 2, 2, 3, 4, 4])
    at = hidden(masked([text] * 500, ids, share=0.3), 12)[:, :9]
    for number in range(5):
        of_word = at[:, word == number]
        assert (of_word.all(axis=1) == of_word.any(axis=1)).all()
        assert of_word.any()
    # 30 % of 9 are 3; the last word may add one, the tensor has room for 4
    assert at.sum(axis=1).min() >= 1
    assert at.sum(axis=1).max() <= 4
    assert at.sum(axis=1).mean() == pytest.approx(2.7, abs=0.7)


def test_a_word_longer_than_the_room_is_hidden_in_part():
    text = [4, 5, 5, 5, 5, 5, 0, 0, 0, 0]
    found = hidden(masked([text] * 5, WORDS, share=0.2), 10)
    assert found.tolist() == [[True] * 2 + [False] * 8] * 5
    # but rather another word
    found = hidden(masked([[4, 5, 5, 5, 5, 5, 3, 0, 0, 0]] * 50, WORDS, share=0.2), 10)
    assert (found.sum(axis=1) == 1).all()
    assert found[:, 6].all()


def test_a_row_does_not_depend_on_its_neighbours():
    tokens = np.random.default_rng(2).integers(0, 7, (6, 9))
    numbers = draws(6, 9)
    together = mask_tokens(tf.constant(tokens, tf.int32), tokens != 0, numbers, WORDS, 0.3)
    alone = mask_tokens(
        tf.constant(tokens[4:5], tf.int32), tokens[4:5] != 0, numbers[4:5], WORDS, 0.3
    )
    for one, other in zip(together, alone):
        np.testing.assert_array_equal(one[4:5], other)


@pytest.mark.parametrize("kind", ["word_piece", "sentence_piece", "byte_pair"])
def test_words_of_trained_tokenizers(kind):
    """Every text has as many words as spaces tell."""
    stats = stats_of(kind)
    found = token_ids(TextInput(), stats)
    assert (found.size, found.mask) == (stats.size, stats.unknown)
    assert {stats.padding, stats.unknown} <= {*found.special}
    begins = unpacked(found.edges, found.size)
    tokens = ids(kind, ["blackbird blacksings birdsees", "the birdsings"])
    # WordPiece, for one, has none of these words as a whole
    assert (tokens != 0).sum() > 5
    assert (begins[tokens] & (tokens != 0)).sum(axis=1).tolist() == [3, 2]


def test_ids_of_a_preset():
    """BERT's mask; its special tokens are never hidden."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s"]
    layer = keras_hub.models.BertTokenizer(vocabulary=words)
    found = token_ids(TextInput(), _stats(layer, start=2, end=3))
    assert (found.size, found.mask, found.special) == (8, 4, (0, 1, 2, 3, 4))
    assert unpacked(found.edges, 8).tolist() == [True] * 7 + [False]


def test_ids_of_clip():
    pieces = ["<|startoftext|>", "<|endoftext|>", "a", "a</w>", "b</w>", "ab</w>"]
    layer = keras_hub.models.CLIPTokenizer(
        vocabulary={piece: number for number, piece in enumerate(pieces)}, merges=["a b</w>"]
    )
    found = token_ids(TextInput(), _stats(layer, start=0, end=1, padding=1, unknown=1))
    assert found.closed
    assert found.special == (0, 1)
    assert unpacked(found.edges, 6).tolist() == [False, False, False, True, True, True]


def test_ids_of_words():
    found = token_ids(TextInput(), Vocabulary(words=["red", "green"]))
    assert found == TokenIds(4, 1, (0, 1))


def test_the_number_of_places_is_fixed_by_the_length():
    assert masked([[5] * 32] * 2).places.shape == (2, count_of(0.15, 32)) == (2, 5)


def _stats(layer, **ends):
    import pathlib
    import tempfile

    import keras

    with tempfile.TemporaryDirectory() as folder:
        layer.save_assets(folder)
        assets = {
            path.name: base64.b64encode(path.read_bytes()).decode()
            for path in pathlib.Path(folder).iterdir()
        }
    serialized = keras.saving.serialize_keras_object(layer)
    size = layer.vocabulary_size()
    return Subwords(
        tokenizer="preset", preset="p", layer=serialized, assets=assets, size=size, **ends
    )
