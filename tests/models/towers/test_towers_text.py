"""Text towers: order, padding, attention masks, word vectors, and impossible settings."""

import contract
import keras
import numpy as np
import one_input
import pytest
from scipy.special import erf

from multimodal_tf.config import (
    BagTower,
    BytePairTokenizer,
    CharacterTokenizer,
    Config,
    GRUTower,
    LSTMTower,
    NgramTokenizer,
    TextInput,
    TransformerTower,
    WordPieceTokenizer,
    WordTokenizer,
)
from multimodal_tf.models import build_model, build_towers, embeddings
from multimodal_tf.models.towers.text import padding, token_count
from multimodal_tf.models.towers.transformer import encoder
from multimodal_tf.schema import Subwords, Vocabulary

ATTENTION = {"units": 8, "depth": 2, "heads": 2, "mlp_units": 8, "block_dropout": 0}
TOWERS = {
    "bag": BagTower(embedding_dim=4, dropout=0),
    "lstm": LSTMTower(embedding_dim=4, units=5),
    "gru": GRUTower(embedding_dim=4, units=5),
    "both ways": LSTMTower(embedding_dim=4, units=5, bidirectional=True),
    "a GRU both ways": GRUTower(embedding_dim=4, units=5, bidirectional=True),
    "two LSTMs": LSTMTower(embedding_dim=4, units=5, depth=2),
    "two GRUs both ways, averaged": GRUTower(
        embedding_dim=4, units=5, depth=2, bidirectional=True, pooling="average"
    ),
    "transformer": TransformerTower(**ATTENTION),
    "causal": TransformerTower(**ATTENTION, causal=True),
}
SUBWORDS = Subwords(tokenizer="byte_pair", layer={}, assets={}, size=5, padding=2)


def text(tower, tokens=4, **fields):
    return TextInput(max_tokens=tokens, tower=tower, **fields)


def built(input_config, build=build_towers, stats=None):
    return one_input.built(input_config, stats, build)


def encoded(model, words, present=1):
    """Tokens, mask and vector of rows of words, as arrays."""
    rows = {"probe": np.array(words, "int32"), "other": np.zeros(len(words), "float32")}
    rows |= {
        "probe_present": np.full(len(words), present, "float32"),
        "other_present": np.ones(len(words), "float32"),
    }
    return {key: value.numpy() for key, value in model(rows)["probe"].items()}


def shortened(model, input_config, tokens):
    """The same weights, for shorter texts."""
    short = built(input_config.model_copy(update={"max_tokens": tokens}))
    short.set_weights(
        [
            weight[: other.shape[0]]
            for weight, other in zip(model.get_weights(), short.get_weights(), strict=True)
        ]
    )
    return short


@pytest.mark.parametrize("tower", TOWERS)
def test_padding_changes_nothing(tower):
    input_config = text(TOWERS[tower])
    long = built(input_config)
    padded, exact = (
        encoded(long, [[2, 3, 0, 0]]),
        encoded(shortened(long, input_config, 2), [[2, 3]]),
    )
    assert padded["mask"].tolist() == [[True, True, False, False]]
    np.testing.assert_allclose(padded["tokens"][:, :2], exact["tokens"], atol=1e-6)
    np.testing.assert_allclose(padded["vector"], exact["vector"], atol=1e-6)
    assert exact["vector"].any()


@pytest.mark.parametrize("tower", TOWERS)
def test_a_text_without_words_is_finite(tower):
    none = encoded(built(text(TOWERS[tower])), [[0, 0, 0, 0], [2, 0, 0, 0]])
    assert all(np.isfinite(tensor).all() for tensor in none.values())
    assert not none["mask"][0].any()
    assert TOWERS[tower].type == "transformer" or not none["vector"][0].any()


@pytest.mark.parametrize(
    ("tower", "same"),
    [("bag", True), ("lstm", False), ("gru", False), ("transformer", False), ("causal", False)],
)
def test_which_towers_depend_on_the_order(tower, same):
    one, other = encoded(built(text(TOWERS[tower])), [[2, 3, 4, 0], [4, 2, 3, 0]])["vector"]
    assert np.allclose(one, other, atol=1e-6) is same


def test_a_bag_is_the_mean_of_its_words():
    first, second, both, none = encoded(
        built(text(TOWERS["bag"])), [[2, 0, 0, 0], [3, 0, 0, 0], [3, 2, 0, 0], [0, 0, 0, 0]]
    )["vector"]
    np.testing.assert_allclose(both, (first + second) / 2, rtol=1e-5)
    assert not none.any()


@pytest.mark.parametrize("kind", [LSTMTower, GRUTower])
def test_a_recurrent_token_is_the_state_after_its_word(kind):
    model = built(text(kind(embedding_dim=4, units=5)))
    whole = encoded(model, [[2, 3, 4, 0]])
    for length in (1, 2, 3):
        begun = encoded(model, [[2, 3, 4, 0][:length] + [0] * (4 - length)])
        np.testing.assert_allclose(begun["vector"][0], whole["tokens"][0, length - 1], atol=1e-6)


@pytest.mark.parametrize("kind", [LSTMTower, GRUTower])
def test_bidirectional_is_one_layer_forward_and_one_over_the_reversed_words(kind):
    """The reference is two plain layers on the words without padding."""
    input_config = text(kind(embedding_dim=4, units=5, bidirectional=True))
    model = built(input_config)
    both = encoded(model, [[2, 3, 4, 0]])
    reader = next(layer for layer in model.layers if isinstance(layer, keras.layers.Bidirectional))
    words = model.get_layer("probe_words")(np.array([[2, 3, 4]]))
    plain = [type(reader.forward_layer)(5, return_sequences=True) for _ in range(2)]
    for layer, source in zip(plain, (reader.forward_layer, reader.backward_layer)):
        layer.build(words.shape)
        layer.set_weights(source.get_weights())
    forward, backward = plain[0](words).numpy(), plain[1](words[:, ::-1]).numpy()[:, ::-1]
    np.testing.assert_allclose(
        both["tokens"][:, :3], np.concatenate([forward, backward], -1), atol=1e-6
    )
    np.testing.assert_allclose(
        both["vector"], np.concatenate([forward[:, -1], backward[:, 0]], -1), atol=1e-6
    )


@pytest.mark.parametrize("pooling", ["last", "average", "max"])
@pytest.mark.parametrize("both", [False, True], ids=["forward", "both ways"])
@pytest.mark.parametrize("kind", [LSTMTower, GRUTower])
def test_stacked_layers_equal_a_stack_in_keras(kind, both, pooling):
    """The reference is that stack with the same weights, on each row's words without padding."""
    model = built(
        text(kind(embedding_dim=4, units=5, depth=2, bidirectional=both, pooling=pooling))
    )
    cell, name = (keras.layers.LSTM, "lstm") if kind is LSTMTower else (keras.layers.GRU, "gru")
    plain = [cell(5, return_sequences=True) for _ in range(2)]
    stack = keras.Sequential(
        [keras.layers.Embedding(5, 4), *(map(keras.layers.Bidirectional, plain) if both else plain)]
    )
    stack.build((None, None))
    ours = [model.get_layer(f"probe_{layer}") for layer in ("words", name, f"{name}_2")]
    stack.set_weights([weight for layer in ours for weight in layer.get_weights()])
    # The last row's text is missing.
    texts = [[2, 3, 4, 2], [3, 4], [2], [], [2, 3]]
    found = encoded(model, [words + [0] * (4 - len(words)) for words in texts], [1, 1, 1, 1, 0])
    for row, words in enumerate(texts[:3]):
        states = stack(np.array([words])).numpy()[0]
        ends = np.concatenate([states[-1, :5], states[0, 5:]])
        np.testing.assert_allclose(found["tokens"][row, : len(words)], states, atol=1e-6)
        expected = {"last": ends, "average": states.mean(0), "max": states.max(0)}[pooling]
        np.testing.assert_allclose(found["vector"][row], expected, atol=1e-6)
    assert not found["vector"][3:].any()
    assert not found["tokens"][4].any()


def test_without_tokens_a_recurrent_tower_is_keras_plain_layer():
    model = built(text(TOWERS["lstm"]), build_model)
    (layer,) = (layer for layer in model.layers if isinstance(layer, keras.layers.LSTM))
    assert layer.get_config() == keras.layers.LSTM(5, name=layer.name).get_config()


@pytest.mark.parametrize("causal", [True, False])
def test_a_causal_token_does_not_attend_to_later_ones(causal):
    model = built(text(TransformerTower(**ATTENTION, causal=causal)))
    one, other = encoded(model, [[2, 3, 4, 4], [2, 3, 2, 0]])["tokens"]
    assert np.array_equal(one[:2], other[:2]) is causal
    assert not np.allclose(one[2], other[2])


@pytest.mark.parametrize("pooling", ["average", "first", "last"])
def test_the_vector_of_a_transformer_is_pooled_from_its_tokens(pooling):
    found = encoded(built(text(TransformerTower(**ATTENTION, pooling=pooling))), [[2, 3, 4, 0]])
    words = found["tokens"][0, :3]
    expected = {"average": words.mean(0), "first": words[0], "last": words[2]}[pooling]
    np.testing.assert_allclose(found["vector"][0], expected, atol=1e-6)


def _normalised(x, gamma, beta):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * gamma + beta


def _attention(x, mask, query, key, value, output):
    (q, k, v) = (np.einsum("ld,dhk->lhk", x, kernel) + bias for kernel, bias in (query, key, value))
    scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(q.shape[-1]) + np.where(mask, 0, -1e9)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("hqk,khd,hdo->qo", weights, v, output[0]) + output[1]


@pytest.mark.parametrize("causal", [True, False])
def test_a_block_follows_the_formula(causal):
    random = np.random.default_rng(0)
    x, mask = random.normal(size=(1, 5, 8)), np.array([[True, True, True, True, False]])
    tokens, seen = keras.Input((5, 8)), keras.Input((5,), dtype="bool")
    model = keras.Model(
        [tokens, seen],
        encoder(TransformerTower(**ATTENTION | {"depth": 1}), tokens, seen, "probe", causal=causal),
    )
    weights = [random.normal(size=weight.shape) * 0.5 for weight in model.get_weights()]
    model.set_weights(weights)
    # kernel and bias, or scale and offset
    pairs = list(zip(weights[::2], weights[1::2], strict=True))
    names = [weight.path.split("/")[-2] for weight in model.weights[::2]]
    layer = dict(zip(names, pairs, strict=True))
    see = mask[0] & (np.tri(5, dtype=bool) if causal else np.ones((5, 5), bool))
    h = _normalised(x[0], *layer["self_attention_layer_norm"])
    h = x[0] + _attention(
        h, see, *(layer[name] for name in ("query", "key", "value", "attention_output"))
    )
    inner = (
        _normalised(h, *layer["feedforward_layer_norm"])
        @ layer["feedforward_intermediate_dense"][0]
    )
    inner += layer["feedforward_intermediate_dense"][1]
    # GELU
    inner = inner * (1 + erf(inner / np.sqrt(2))) / 2
    h = h + inner @ layer["feedforward_output_dense"][0] + layer["feedforward_output_dense"][1]
    np.testing.assert_allclose(
        model([x.astype("float32"), mask])[0], _normalised(h, *layer["probe_block_norm"]), atol=1e-4
    )


@pytest.mark.parametrize("tower", TOWERS)
def test_a_word_of_missing_rows_only_has_a_gradient_of_exactly_zero(tower):
    config = contract.with_input(text(TOWERS[tower]))
    model, rows = (
        contract.compiled(config),
        contract.rows_of(config, 2) | {"probe": np.array([[3, 3, 3, 0], [2, 4, 2, 4]], "int32")},
    )
    rows |= {"probe_present": np.array([1, 0], "float32")}
    (found,) = contract.gradients(model, config, rows, [model.get_layer("probe_words").embeddings])
    assert found.any(axis=1).tolist() == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("tokenizer", "stats", "count", "pad"),
    [
        (WordTokenizer(), Vocabulary(words=["a"]), 3, 0),
        (CharacterTokenizer(), Vocabulary(words=[], tokenizer="characters"), 2, 0),
        (NgramTokenizer(buckets=10), None, 12, 0),
        (BytePairTokenizer(), SUBWORDS, 5, 2),
    ],
)
def test_the_number_of_tokens_and_the_padding_token(tokenizer, stats, count, pad):
    input_config = text(TOWERS["bag"], tokenizer=tokenizer)
    assert (token_count(input_config, stats), padding(stats)) == (count, pad)
    assert built(input_config, build_model, stats).get_layer("probe_words").embeddings.shape == (
        count,
        4,
    )


@pytest.mark.parametrize("tower", TOWERS)
def test_padding_is_that_of_the_tokenizer(tower):
    model = built(text(TOWERS[tower], tokenizer=BytePairTokenizer()), stats=SUBWORDS)
    found = encoded(model, [[0, 3, 2, 2]])
    assert found["mask"].tolist() == [[True, True, False, False]]
    model.get_layer("probe_words").embeddings.assign(
        model.get_layer("probe_words").embeddings + np.eye(5)[:, 2:3] * 9
    )
    np.testing.assert_allclose(encoded(model, [[0, 3, 2, 2]])["vector"], found["vector"], atol=1e-6)


@pytest.mark.parametrize(
    ("tokenizer", "stats", "message"),
    [
        (
            WordPieceTokenizer(),
            Vocabulary(words=["a"]),
            r"^inputs\.probe: the schema must hold subwords for a text, received vocabulary",
        ),
        (
            WordTokenizer(),
            SUBWORDS,
            r"^inputs\.probe: the schema must hold vocabulary for a text, received subwords",
        ),
        (
            WordPieceTokenizer(),
            SUBWORDS,
            r"^inputs\.probe\.tokenizer: must be 'byte_pair', which .*, received 'word_piece'$",
        ),
        (
            CharacterTokenizer(),
            Vocabulary(words=["a"]),
            r"^inputs\.probe\.tokenizer: must be 'words', which .*, received 'characters'$",
        ),
    ],
)
def test_a_schema_of_another_tokenizer_is_refused(tokenizer, stats, message):
    with pytest.raises(ValueError, match=message) as error:
        built(text(TOWERS["bag"], tokenizer=tokenizer), build_model, stats)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("heads: 3", r"inputs\.probe\.tower: heads must divide units \(128\), received 3$"),
        (
            "causal: true, pooling: first",
            r"pooling must be 'last' or 'average' if causal, .* received 'first'$",
        ),
        ("depth: 0", r"inputs\.probe\.tower\.depth: .* received 0$"),
    ],
)
def test_an_impossible_transformer_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Config.from_yaml(
            f"{{inputs: {{probe: {{type: text, tower: {{type: transformer, {fields}}}}}}},"
            " heads: {label: {type: classification}}}"
        )


def test_heads_that_do_not_divide_the_width_of_tokens_are_refused():
    with pytest.raises(
        ValueError,
        match=r"^inputs\.clip: the heads of a transformer must divide the width of a token, 6,"
        r" received 4$",
    ):
        encoder(TransformerTower(), keras.Input((5, 6)), None, "clip")


def test_a_causal_transformer_is_pooled_at_its_last_token_by_default():
    tower = TransformerTower(causal=True)
    assert tower.pooling == TransformerTower.model_validate(tower.model_dump()).pooling == "last"
    tower.pooling = "average"
    assert TransformerTower(causal=True, pooling="average") == tower
    assert TransformerTower().pooling == "average"


@pytest.mark.parametrize("tower", TOWERS)
def test_embeddings_equal_the_vectors_of_the_towers(tower):
    """This also holds for short texts."""
    config = contract.with_input(text(TOWERS[tower]))
    rows = contract.rows_of(config, 2) | {"probe": np.array([[2, 3, 0, 0], [4, 0, 0, 0]], "int32")}
    vectors = embeddings(build_model(config, contract.schema_of(config)))(rows)
    np.testing.assert_array_equal(
        vectors["probe"], built(text(TOWERS[tower]))(rows)["probe"]["vector"]
    )
