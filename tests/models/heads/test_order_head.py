"""The head `order`: which texts are swapped, seeds, frames, learning, refused inputs."""

import contract
import keras
import numpy as np
import pytest
import tensorflow as tf

from multimodal_tf.config import Config, EmbeddingHead, OrderHead
from multimodal_tf.metrics.objective import objective
from multimodal_tf.models import build_model, compile_arguments, embeddings, input_layers
from multimodal_tf.models.heads.order import BinaryRowLosses, SwappedHalves
from multimodal_tf.models.reread import Reread

LSTM = {"type": "lstm", "units": 4, "embedding_dim": 4, "dropout": 0}


def config_of(tower=None, heads=None, **text):
    text = {"type": "text", "max_tokens": 8, "tower": tower or LSTM} | text
    heads = {"order": OrderHead(inputs=["title"])} | (heads or {})
    return Config(inputs={"title": text, "price": {"type": "number"}}, heads=heads)


def texts(rows=64, length=8, least=1):
    """Rising tokens from 3 on, padded with 0."""
    random = np.random.default_rng(0)
    tokens = np.sort(random.integers(3, 99, (rows, length)), axis=1)
    valid = np.arange(length) < random.integers(least, length + 1, rows)[:, None]
    return np.where(valid, tokens, 0).astype("int32")


def by_hand(row, starts=0, ends=0):
    """A text with its second half first."""
    own = row[row != 0]
    framed = own[starts : len(own) - ends]
    half = len(framed) // 2
    swapped = np.concatenate([own[:starts], framed[half:], framed[:half], own[len(own) - ends :]])
    return np.pad(swapped, (0, len(row) - len(own)))


@pytest.mark.parametrize("frame", [(0, 0), (1, 0), (1, 1)])
def test_halves_are_swapped_between_the_frame_and_the_padding(frame):
    starts, ends = frame
    tokens = texts(200, least=max(1, starts + ends))
    found, order = SwappedHalves(starts=starts, ends=ends, seed=3)(tokens)
    found, order = found.numpy(), order.numpy()
    expected = np.stack([by_hand(row, *frame) for row in tokens])
    np.testing.assert_array_equal(found[order == 1], expected[order == 1])
    np.testing.assert_array_equal(found[order == 0], tokens[order == 0])
    np.testing.assert_array_equal(order == -1, (expected == tokens).all(axis=1))
    assert 0.35 < order[order >= 0].mean() < 0.65
    lengths = (tokens != 0).sum(axis=1)
    assert (order[lengths < 2 + starts + ends] == -1).all()


def test_a_padding_that_also_ends_a_text_stays():
    # GPT-2 ends and pads with one token
    layer = SwappedHalves(padding=9, ends_with_padding=True, ends=1, seed=0)
    found, order = layer(tf.constant([[1, 2, 3, 9, 9, 9]] + [[4, 5, n, n, 9, 9] for n in range(8)]))
    swapped = found.numpy()[order.numpy() == 1].tolist()
    assert swapped
    expected = [[2, 3, 1, 9, 9, 9], *([n, n, 4, 5, 9, 9] for n in range(8))]
    assert all(row in expected for row in swapped)


def test_draws_depend_on_the_cell_and_the_step_alone():
    """Not on the rows beside it; in validation they are the same in every call."""
    tokens, layer = texts(40), SwappedHalves(seed=7)
    outside = [layer(tokens)[1].numpy() for _ in range(2)]
    np.testing.assert_array_equal(*outside)
    steps = [layer(tokens, training=True)[1].numpy() for _ in range(3)]
    assert layer.steps == 3
    for one, other in (steps[:2], steps[1:], (steps[0], outside[0])):
        assert (one != other).any()
    layer.steps.assign(1)
    chosen = [30, 2, 17]
    np.testing.assert_array_equal(layer(tokens[chosen], training=True)[1], steps[1][chosen])
    other = SwappedHalves(seed=8)(tokens)[1].numpy()
    assert (other != outside[0]).any()


def test_a_row_that_teaches_nothing_has_no_loss():
    logits, target = tf.constant([[2.0], [2.0], [2.0], [-1.0]]), tf.constant([1.0, 0.0, -1.0, 0.0])
    rows = BinaryRowLosses()(logits, target).numpy()
    np.testing.assert_allclose(rows[:, 0], np.log1p(np.exp([-2, 2, -np.inf, -1])), rtol=1e-6)
    assert rows[:, 1:].tolist() == [[1, 1], [0, 1], [0, 0], [1, 1]]


TOWERS = {
    "lstm": LSTM,
    "gru": {"type": "gru", "units": 4, "embedding_dim": 4},
    "transformer": {"type": "transformer", "units": 4, "heads": 2, "depth": 1, "mlp_units": 4},
}


@pytest.mark.parametrize("tower", TOWERS)
def test_a_model_runs_the_tower_again(tower, tmp_path):
    """Its layers are those of the tower; the embeddings are those of the text as it is."""
    config = config_of(TOWERS[tower])
    schema, rows = contract.schema_of(config), contract.rows_of(config, 6)
    model = contract.perturbed(build_model(config, schema))
    alone = build_model(
        config.model_copy(update={"heads": {"vector": EmbeddingHead(inputs=["title"])}}), schema
    )
    names = {weight.path for weight in model.weights if weight.path.startswith("title")}
    assert names == {weight.path for weight in alone.weights if weight.path.startswith("title")}
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    halves = model.get_layer("order_halves")
    swapped, order = halves(rows["title"], np.ones(6, "float32"))
    vectors = [embeddings(one) for one in (model, loaded)]
    title = [one(rows)["title"].numpy() for one in vectors]
    np.testing.assert_array_equal(*title)
    again = vectors[0](rows | {"title": swapped.numpy()})["title"]
    rows_of_losses = BinaryRowLosses()(model.get_layer("order_logit")(again), order)
    for one in (model, loaded):
        np.testing.assert_allclose(one(rows)["order"], rows_of_losses, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_missing_texts_teach_nothing_and_the_head_learns_the_order():
    config = config_of(max_tokens=6)
    schema, rows = contract.schema_of(config), contract.rows_of(config, 128)
    rows["title"] = np.sort(rows["title"], axis=1)
    missing = np.arange(128) % 4 == 0
    rows = contract.without(rows, "title", missing)
    model, targets = build_model(config, schema), {"order": np.ones((128, 1), "float32")}
    assert not model(rows)["order"].numpy()[missing].any()
    # eager, because tracing takes longer than the steps
    arguments = compile_arguments(config, schema)
    model.compile(keras.optimizers.Adam(0.05), run_eagerly=True, **arguments)
    for _ in range(30):
        model.train_on_batch(rows, targets)
    output = model(rows)["order"].numpy()
    found = objective("order", output, 0.5, resamples=20)
    assert found.metrics["accuracy"].number > 0.85
    assert found.metrics["accuracy"].low > found.metrics["chance"].number
    assert found.n == (output[:, 2] > 0).sum() < 97
    assert model.get_layer("order_halves").steps == 30
    none = objective("order", np.zeros((3, 3)), 0.5)
    assert none.metrics["accuracy"].reason == "no row has what the objective learns from"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inputs": ["price"]}, r"heads\.order\.inputs: 'price' must be a text, received number"),
        ({"inputs": []}, r"heads\.order\.inputs: .* at least 1 item"),
        ({"inputs": ["title", "price"]}, r"heads\.order\.inputs: .* at most 1 item"),
        ({"inputs": ["body"]}, r"heads\.order\.inputs: must name inputs .* received 'body'"),
        ({"column": "x"}, r"heads\.order\.column: Extra inputs are not permitted"),
    ],
)
def test_refused_heads(settings, message):
    head = {"type": "order", "inputs": ["title"]} | settings
    with pytest.raises(ValueError, match=message):
        Config(inputs=config_of().inputs, heads={"order": head})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"max_tokens": 1}, "'title' must have max_tokens of 2 or more, received 1"),
        ({"tower": {"type": "bag"}}, "'title' must have a tower that reads the order .* bag"),
        (
            {"tokenizer": {"type": "none"}, "tower": {"type": "saved_model", "path": "x"}},
            "'title' must be a text with tokens, received the tokenizer none",
        ),
    ],
)
def test_refused_texts(text, message):
    with pytest.raises(ValueError, match=rf"heads\.order\.inputs: {message}"):
        config_of(**text)


def test_several_columns_are_no_text():
    with pytest.raises(ValueError, match="'tabular' must be a text, received several columns"):
        Config(
            inputs={"price": {"type": "number"}, "weight": {"type": "number"}},
            tabular={"type": "mlp"},
            heads={"order": OrderHead(inputs=["tabular"])},
        )


def test_a_tower_of_which_nothing_is_trained_is_refused():
    config = config_of()
    encodings = input_layers.encode(config, contract.schema_of(config), with_tokens=False)
    keras.Model(encodings.inputs, encodings.by_name["title"].vector).trainable = False
    title = Reread.of(encodings, "title")
    with pytest.raises(ValueError, match=r"inputs\.title\.tower: must be trained where a head"):
        title.again(title.given.x, "again")
