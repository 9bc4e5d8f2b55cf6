"""The head `token_matching`: drawn rows, logits, loss and metrics by hand, refusals."""

import contract
import numpy as np
import pytest
import tensorflow as tf

from multimodal_tf.config import CategoryInput, Config, NumberInput, TokenMatchingHead
from multimodal_tf.losses import TokenMatchingLoss
from multimodal_tf.metrics.matching import matching, token_matching
from multimodal_tf.models import build_model
from multimodal_tf.models.heads.token_matching import (
    MismatchedRows,
    PairLogits,
    TokenMatchingAccuracy,
    WithMismatched,
)
from multimodal_tf.serving.endpoints import predictions

HEAD = TokenMatchingHead(inputs=["title", "colour"], dim=8, heads=2)


def config_of(**head):
    return Config(
        inputs={
            "title": {
                "type": "text",
                "max_tokens": 3,
                "tower": {"type": "gru", "units": 6, "embedding_dim": 6},
            },
            "colour": CategoryInput(),
            "price": NumberInput(),
        },
        heads={"tokens": HEAD.model_copy(update=head)},
    )


def test_mismatched_rows_have_other_cells_and_are_alike():
    first = tf.constant([[1, 2], [1, 2], [3, 0], [4, 0], [5, 5], [6, 6]])
    second = tf.constant([[1.0], [2.0], [2.0], [7.0], [8.0], [9.0]])
    there = [tf.constant([1.0] * 6), tf.constant([1.0] * 4 + [0.0, 1.0])]
    # of the second inputs, rows 0, 3 and 5 are alike
    vectors = [tf.eye(6), tf.constant([[1.0, 0], [0, 1], [0, 1], [1, 0.1], [1, 0], [1, 0.1]])]
    layer, drawn = MismatchedRows(seed=0), []
    for _ in range(60):
        rows, counts = layer([first, second], vectors, there, training=True)
        drawn.append(rows.numpy())
    drawn = np.array(drawn)
    assert counts.numpy().tolist() == [[1, 1, 1]] * 4 + [[0, 0, 0]] + [[1, 1, 1]]
    # not itself, not row 1 with an equal first cell, not row 4 without the second input
    assert {*drawn[:, 0, 0]} <= {2, 3, 5}
    assert {*drawn[:, 0, 1]} == {2, 3, 4, 5}
    # not row 2 with an equal second cell
    assert {*drawn[:, 1, 0]} <= {3, 5}
    assert (drawn[:, 0, 0] == 2).mean() < 0.1
    # a row that is alone, or with an equal one, has none
    rows, counts = layer([first[:2], second[:2]], [one[:2] for one in vectors])
    assert counts.numpy().tolist() == [[1, 0, 0], [1, 0, 0]]
    again = [layer([first, second], vectors, there)[0].numpy() for _ in range(2)]
    np.testing.assert_array_equal(*again)


def test_pairs_of_a_batch_and_their_logits():
    x, rows = tf.constant([[1.0], [2.0], [3.0]]), tf.constant([[1, 2], [2, 0], [0, 1]])
    first, second = (WithMismatched(side)(x, rows).numpy()[:, 0].tolist() for side in (0, 1))
    assert first == [1, 2, 3, 1, 2, 3, 3, 1, 2]
    assert second == [1, 2, 3, 2, 3, 1, 1, 2, 3]
    counts = tf.constant([[1.0, 1, 0], [1, 1, 1], [0, 0, 0]])
    found = PairLogits()(tf.range(9, dtype=tf.float32)[:, None] + 1, counts).numpy()
    assert found[:, 0].tolist() == [[1, 4, 0], [2, 5, 8], [0, 0, 0]]
    np.testing.assert_array_equal(found[:, 1], counts)


def test_loss_and_metrics_by_hand():
    rows = np.array(
        [[[2, -1, 0.5], [1, 1, 1]], [[-1, -3, 0], [1, 1, 0]], [[0, 0, 0], [0, 0, 0]]], "float32"
    )
    expected = [
        (np.log1p(np.exp(-2)) + (np.log1p(np.exp(-1)) + np.log1p(np.exp(0.5))) / 2) / 2,
        (np.log1p(np.exp(1)) + np.log1p(np.exp(-3))) / 2,
        0,
    ]
    np.testing.assert_allclose(TokenMatchingLoss().call(None, rows), expected, rtol=1e-6)
    metric = TokenMatchingAccuracy()
    metric.update_state(np.ones((3, 1)), rows, np.ones(3))
    np.testing.assert_allclose(metric.result(), (0.75 + 0.5) / 2)
    # one mismatched pair twice is one mismatched pair
    vectors = np.array([[[2.0, 0], [1, 0]], [[0, 2], [-1, 1]], [[1, 1], [1, -3]]])
    own = (vectors[:, 0] * vectors[:, 1]).sum(axis=1)
    other = (vectors[:, 0] * np.roll(vectors[:, 1], -1, axis=0)).sum(axis=1)
    as_tokens = np.stack([np.stack([own, other, other], 1), np.ones((3, 3))], 1)
    one, two = matching(vectors, resamples=0), token_matching(as_tokens, resamples=0)
    assert {k: m.value for k, m in one.metrics.items()} == pytest.approx(
        {k: m.value for k, m in two.metrics.items()}
    )
    assert token_matching(rows, resamples=0).metrics["accuracy"].value is None


def test_the_probability_of_a_row_is_its_own():
    """Not that of the rows beside it; 0.5 where an input is missing."""
    config = config_of()
    schema, rows = contract.schema_of(config), contract.rows_of(config, 8)
    model = contract.perturbed(build_model(config, schema))
    missing = np.arange(8) % 4 == 1
    rows = contract.without(rows, "colour", missing, value=0)
    whole = model(rows)["tokens"]
    alone = [model({k: v[[i]] for k, v in rows.items()})["tokens"][0, 0, 0] for i in range(8)]
    np.testing.assert_allclose(whole[:, 0, 0], alone, rtol=1e-5, atol=1e-6)
    served = predictions("tokens", config.heads["tokens"], whole, schema)["tokens"].numpy()
    assert (served[missing] == 0.5).all()
    assert not np.isclose(served[~missing], 0.5).any()
    assert not whole.numpy()[missing].any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inputs": ["title"]}, r"heads\.tokens\.inputs: .* at least 2 items"),
        ({"inputs": ["title", "title"]}, "must name each input once"),
        ({"heads": 3}, r"heads\.tokens: heads must divide dim \(8\), received 3"),
        ({"inputs": ["title", "tabular"]}, r"'tabular' must be an input with a tower of its own"),
    ],
)
def test_refused(fields, message):
    plain = config_of().inputs
    head = {"type": "token_matching", "inputs": ["title", "price"], "dim": 8}
    with pytest.raises(ValueError, match=message):
        Config(inputs=plain, tabular={"type": "mlp"}, heads={"tokens": head | fields})
