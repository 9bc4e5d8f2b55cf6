import keras
import numpy as np
import pytest

from multimodal_tf.losses import ScaledMeanSquaredError

TRUE, GIVEN = np.array([[1.0], [3.0], [5.0]], "float32"), np.array([[3.0], [3.0], [1.0]], "float32")


def test_by_hand():
    loss = ScaledMeanSquaredError(4.0, reduction=None)
    np.testing.assert_allclose(loss(TRUE, GIVEN), [1.0, 0.0, 4.0])


def test_one_value_a_row_which_keras_reduces():
    assert ScaledMeanSquaredError(4.0).call(TRUE, GIVEN).shape == (3,)
    np.testing.assert_allclose(ScaledMeanSquaredError(4.0)(TRUE, GIVEN), 5 / 3, rtol=1e-6)
    np.testing.assert_allclose(ScaledMeanSquaredError(4.0)(TRUE, GIVEN, sample_weight=np.array([1.0, 0.5, 0.0])), 1 / 3, rtol=1e-6)


def test_the_mean_has_loss_one_and_variance_one_is_that_of_keras():
    labels = np.random.default_rng(0).normal(7, 3, (50, 1))
    np.testing.assert_allclose(ScaledMeanSquaredError(labels.var())(labels, np.full_like(labels, labels.mean())), 1, rtol=1e-5)
    np.testing.assert_allclose(ScaledMeanSquaredError(1.0)(TRUE, GIVEN), keras.losses.MeanSquaredError()(TRUE, GIVEN))


def test_round_trip():
    copy = keras.losses.deserialize(keras.losses.serialize(ScaledMeanSquaredError(4.0, name="cost", reduction="sum")))
    assert (copy.variance, copy.name, copy.reduction) == (4.0, "cost", "sum")


@pytest.mark.parametrize("variance", [0.0, -1.0, float("nan"), float("inf")])
def test_a_variance_that_cannot_be_is_refused(variance):
    with pytest.raises(ValueError, match=f"^`variance` must be a positive finite number, received {variance}$"):
        ScaledMeanSquaredError(variance)
