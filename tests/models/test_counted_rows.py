"""Losses of heads without labels are means over the rows that teach them something."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from multimodal_tf.losses import (
    BatchwiseLoss,
    ContrastiveLoss,
    MatchingLoss,
    PairedDistance,
    RowLoss,
    TokenMatchingLoss,
    ViewsLoss,
)
from multimodal_tf.metrics.objective import objective
from multimodal_tf.models.counted_rows import per_counted_row
from multimodal_tf.models.distributed_model import DistributedModel

UNIT = [1.0, 0.0, 1.0, 0.0]
NONE = [0.0] * 4


@pytest.mark.parametrize(
    ("loss", "counts", "not_counted"),
    [
        (RowLoss(), [0.5, 1, 1], [0, 0, 0]),
        # hidden patches of one colour
        (RowLoss(), [0.5, 0, 0], [0, 0, 0]),
        (ContrastiveLoss(), [UNIT, UNIT, NONE], [UNIT, NONE, NONE]),
        (PairedDistance(), [UNIT, NONE, UNIT], [NONE, NONE, UNIT]),
        (ViewsLoss(), [UNIT, UNIT], [NONE, NONE]),
        (MatchingLoss(), [[1.0, 0.5], [1.0, 0.5]], [[0.0, 0.0], [0.0, 0.0]]),
        (TokenMatchingLoss(), [[0.0] * 3, [1.0, 0, 0]], [[0.0] * 3, [0.0, 0, 0]]),
    ],
    ids=lambda one: one.name if isinstance(one, keras.losses.Loss) else "",
)
def test_rows_that_count(loss, counts, not_counted):
    rows = np.array([counts, not_counted], "float32")
    assert loss.counted(rows).numpy().tolist() == [1, 0]
    # one that does not count has no loss
    cells = np.arange(2 * rows.shape[1]).reshape(2, -1)
    assert float(loss.call(cells, rows)[1]) == 0


def test_evaluation_counts_the_same_rows():
    """A picture of one colour has a loss, and nothing that could be explained."""
    outputs = [[0.5, 0, 0], [1.0, 0.5, 1], [0, 0, 0]]
    found = objective("masked", outputs, resamples=20, metric="score")
    assert found.n == RowLoss().counted(np.array(outputs)).numpy().sum() == 2
    assert found.metrics["loss"].value == 0.75
    assert found.metrics["score"].value == 0.5
    alone = objective("masked", outputs[:1], resamples=20, metric="score").metrics
    assert alone["loss"].value == 0.5
    assert alone["score"].value is None


def rows_of(losses):
    """Outputs of a head: the losses, and NaN where a row teaches nothing."""
    known = ~np.isnan(losses)
    hits = np.zeros_like(losses)
    return np.stack([np.nan_to_num(losses), hits, known], axis=1).astype("float32")


def test_weights_divide_by_the_share():
    outputs = {"order": rows_of(np.array([2.0, np.nan, 4.0, np.nan])), "label": np.ones((4, 1))}
    given = {"order": np.array([1.0, 1, 1, 0]), "label": np.array([1.0, 0, 1, 0])}
    losses = {"order": RowLoss(), "label": keras.losses.MeanSquaredError()}
    weights, shares = per_counted_row(losses, outputs, outputs, given)
    assert weights["label"] is given["label"]
    assert weights["order"].numpy().tolist() == [2, 2, 2, 0]
    assert {name: float(share) for name, share in shares.items()} == {"order": 0.5}
    without, _ = per_counted_row(losses, outputs, outputs, None)
    assert without["order"].numpy().tolist() == [2] * 4
    # nothing counts: no division by 0
    nothing = outputs | {"order": np.zeros((4, 3), "float32")}
    weights, shares = per_counted_row(losses, nothing, nothing, given)
    assert np.isfinite(weights["order"]).all()
    assert float(shares["order"]) == 0
    assert per_counted_row({"label": losses["label"]}, outputs, outputs, given) == (given, {})
    assert not isinstance(RowLoss(), BatchwiseLoss)


class Head(keras.layers.Layer):
    """Losses that stand in the input, times a weight of 1."""

    def build(self, shape):
        self.weight = self.add_weight(shape=(), initializer="ones")

    def call(self, x):
        return keras.ops.concatenate([x[:, :1] * self.weight, x[:, 1:]], axis=1)


@pytest.mark.parametrize("several", [False, True])
def test_fit_shows_and_learns_the_mean_over_the_rows_that_count(several):
    """In batches of three rows, in which 2, 1 and 0 rows count, and of one."""
    losses = np.array([1.0, 3.0, np.nan, 8.0, np.nan, np.nan, np.nan, np.nan, np.nan, 2.0])
    x = keras.Input((3,), name="x")
    heads = {"order": Head(name="order")(x)}
    if several:
        heads["other"] = Head(name="other")(x)
    model = DistributedModel({"x": x}, heads)
    model.compile(keras.optimizers.SGD(1.0), {name: RowLoss() for name in heads})
    rows = {"x": rows_of(losses)}
    targets = {name: np.ones((10, 1), "float32") for name in heads}
    data = tf.data.Dataset.from_tensor_slices((rows, targets)).batch(3)
    found = model.evaluate(data, verbose=0, return_dict=True)
    expected = np.nanmean(losses)
    if several:
        assert found["order_loss"] == pytest.approx(expected)
        assert found["other_loss"] == pytest.approx(expected)
    else:
        assert found["loss"] == pytest.approx(expected)
    model.fit(data.take(1), verbose=0)
    # the gradient of the first batch is the mean of its two losses
    for name in heads:
        assert float(model.get_layer(name).weight) == pytest.approx(1 - 2)
