"""The count head: refused cells, loss, rate, fusions of predictions, metrics."""

import contract
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from scipy import stats
from sklearn import metrics as sklearn_metrics

from multimodal_tf.config import (
    PRESENT,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    CountHead,
    DecisionFusion,
    DenseTower,
    HybridFusion,
    NumberInput,
    UncertaintyWeights,
)
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.kinds.label import read_label
from multimodal_tf.data.predictions import HeadPredictions, OutOfFold
from multimodal_tf.evaluation.cv_metrics import cross_validation_metrics
from multimodal_tf.evaluation.paired import compare_head
from multimodal_tf.losses import PoissonLoss
from multimodal_tf.metrics.count import count
from multimodal_tf.metrics.metric import NO_ROWS
from multimodal_tf.models import build_model, compile_arguments, heads
from multimodal_tf.models.heads.count import PoissonRate
from multimodal_tf.schema import Moments, Schema

NUMBER = NumberInput(tower=DenseTower(dim=4))
INPUTS = {"price": NUMBER, "weight": NUMBER}
CONFIG = Config(
    inputs=INPUTS,
    heads={"visits": CountHead()},
    fusion=ConcatenationFusion(dropout=0, hidden=[6]),
)


# --- cells


@pytest.mark.parametrize(("cell", "expected"), [(0, 0.0), ("12", 12.0), (3.0, 3.0), ("1e3", 1e3)])
def test_whole_numbers_are_read(cell, expected):
    assert read_label(cell, CountHead()) == expected


@pytest.mark.parametrize("cell", ["", None, float("nan")])
def test_an_empty_cell_is_missing(cell):
    assert read_label(cell, CountHead()) is None


@pytest.mark.parametrize(
    ("cell", "received"), [(-1, "-1.0"), ("2.5", "2.5"), (1234567.5, "1234567.5")]
)
def test_other_numbers_are_refused_in_one_sentence(cell, received):
    with pytest.raises(CellError) as refused:
        read_label(cell, CountHead())
    assert str(refused.value) == f"a count must be a whole number from 0, received {received}"


# --- loss


def column(*values):
    return np.array(values, "float32")[:, None]


def test_the_loss_by_hand():
    """2 log(2 / 1) - (2 - 1), the rate where the count is 0, and 0 where both are equal."""
    loss = PoissonLoss(1.0).call(column(2, 0, 5), column(1, 3, 5))
    np.testing.assert_allclose(loss, [2 * np.log(2) - 1, 3, 0], rtol=1e-6, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 200), st.floats(0.01, 300), st.floats(0.1, 50))
def test_the_loss_is_the_likelihood_of_scipy(label, rate, dispersion):
    """Less that of a perfect prediction, which is 0 for a count of 0."""
    best = stats.poisson.logpmf(label, label) if label else 0.0
    expected = (best - stats.poisson.logpmf(label, rate)) / dispersion
    found = PoissonLoss(dispersion).call(column(label), column(rate)).numpy()
    np.testing.assert_allclose(found, [expected], rtol=1e-3, atol=1e-3)
    assert found >= -1e-4


def test_the_gradient_is_that_of_keras():
    labels, rates = column(0, 1, 2, 9), tf.Variable(column(0.5, 1, 7, 3))
    found = []
    for loss in (PoissonLoss(1.0), keras.losses.Poisson()):
        with tf.GradientTape() as tape:
            value = loss(labels, rates)
        found.append(tape.gradient(value, rates))
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("mean", "std"), [(0.5, 0.7), (4.0, 2.0), (1000.0, 250.0)])
def test_a_constant_prediction_of_the_mean_has_a_loss_of_about_one_half(mean, std):
    """So a head of large counts does not outweigh the others."""
    random = np.random.default_rng(0)
    labels = random.poisson(random.gamma(mean**2 / std**2, std**2 / mean, 4000)).astype("float32")
    moments = Moments(mean=labels.mean(), std=labels.std())
    loss = heads.loss(CountHead(), moments)
    found = float(loss(labels[:, None], np.full((4000, 1), labels.mean(), "float32")))
    assert found == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("dispersion", [0.0, -1.0, float("nan"), float("inf")])
def test_an_invalid_dispersion_is_refused(dispersion):
    with pytest.raises(
        ValueError, match=f"^`dispersion` must be a positive finite number, received {dispersion}$"
    ):
        PoissonLoss(dispersion)


# --- rate


def test_a_rate_by_hand():
    spread = np.sqrt(np.log(1 + 0.25))
    found = PoissonRate(4.0, 2.0)(column(0, 1, -2))
    np.testing.assert_allclose(found[:, 0], 4 * np.exp([0, spread, -2 * spread]), rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.floats(-(2.0**99), 2.0**99, width=32), st.floats(1e-6, 1e9))
def test_a_rate_is_above_0_and_finite(x, mean):
    rate = PoissonRate(mean, mean**0.5)(column(x)).numpy()
    assert 0 < rate < np.inf
    assert np.isfinite(PoissonLoss(1.0).call(column(mean), rate))


def test_an_untrained_model_gives_about_the_training_mean():
    model, rows = build_model(CONFIG, contract.schema_of(CONFIG)), contract.rows_of(CONFIG, 50)
    rate = model(rows)["visits"].numpy()
    assert rate.mean() == pytest.approx(100, rel=0.15)
    assert 50 < rate.min() < rate.max() < 200


def test_a_row_without_inputs_gets_the_training_mean():
    model = contract.perturbed(build_model(CONFIG, contract.schema_of(CONFIG)))
    rows = contract.rows_of(CONFIG, 3)
    for name in INPUTS:
        rows = contract.without(rows, name, np.array([False, True, False]))
    found = model(rows)["visits"].numpy()[:, 0]
    assert found[1] == 100.0
    assert found[0] != 100.0
    assert heads.prior(CountHead(), Moments(mean=100.0, std=10.0)) == [100.0]


def test_counts_that_are_all_0_have_a_prior_above_0():
    moments = Moments(mean=0.0, std=1.0, rows=20)
    assert heads.prior(CountHead(), moments) == [0.025]
    assert float(heads.loss(CountHead(), moments)(column(0), column(0.025))) < 1


def test_a_model_learns_the_rate():
    random = np.random.default_rng(0)
    price = random.uniform(-1, 1, 4000)
    rate = np.exp(1 + price)
    visits = random.poisson(rate).astype("float32")
    config = Config(
        inputs={"price": NumberInput(tower=DenseTower(dim=8))},
        heads={"visits": CountHead()},
        fusion=ConcatenationFusion(hidden=[16], dropout=0),
    )
    schema = Schema(
        rows=4000,
        inputs={"price": Moments(mean=0.0, std=1.0)},
        heads={"visits": Moments(mean=visits.mean(), std=visits.std())},
    )
    model = build_model(config, schema)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.02, 320)),
        **compile_arguments(config, schema),
    )
    rows = {"price": price.astype("float32"), "price" + PRESENT: np.ones(4000, "float32")}
    model.fit(rows, {"visits": visits[:, None]}, batch_size=50, epochs=4, verbose=0)
    found = model.predict(rows, verbose=0)["visits"][:, 0]
    assert np.abs(np.log(found / rate)).mean() < 0.1


# --- among other parts of a model


PLAIN = ConcatenationFusion(dropout=0, hidden=[6])
DECISIONS = [
    fusion(combine=combine, dropout=0, **settings)
    for fusion, settings in ((DecisionFusion, {}), (HybridFusion, {"over": PLAIN}))
    for combine in ("mean", "weights", "stacking")
]


@pytest.mark.parametrize("fusion", DECISIONS, ids=lambda one: f"{one.type} {one.combine}")
def test_every_fusion_of_predictions_gives_rates_and_learns(fusion):
    config = CONFIG.model_copy(update={"fusion": fusion})
    model = contract.perturbed(build_model(config, contract.schema_of(config)))
    rows = contract.rows_of(config, 4)
    for name, missing in (("price", [0, 1, 0, 1]), ("weight", [0, 0, 1, 1])):
        rows = contract.without(rows, name, np.array(missing, bool))
    rates = model(rows)["visits"].numpy()[:, 0]
    assert (rates > 0).all()
    assert rates[3] == pytest.approx(100)
    contract.training_lowers_the_loss(config, None)


@pytest.mark.parametrize("combine", ["product", "maximum"])
@pytest.mark.parametrize("fusion", [DecisionFusion, HybridFusion])
def test_fusions_of_probabilities_are_refused(fusion, combine):
    with pytest.raises(
        ValueError,
        match="fusion.combine must be mean, weights or stacking, since heads.visits is a count",
    ):
        Config(inputs=INPUTS, heads={"visits": CountHead()}, fusion=fusion(combine=combine))


def test_learned_loss_weights_stay_bounded():
    """A loss below 0 would be multiplied by an ever larger factor."""
    config = Config(
        inputs=INPUTS,
        heads={"visits": CountHead(), "label": ClassificationHead()},
        loss_weighting=UncertaintyWeights(),
    )
    schema = contract.schema_of(config)
    model = build_model(config, schema)
    model.compile(keras.optimizers.Adam(0.1), **compile_arguments(config, schema))
    rows, targets = contract.rows_of(config, 8), contract.targets_of(config, 8)
    model.fit(tf.data.Dataset.from_tensors((rows, targets)).repeat(60), shuffle=False, verbose=0)
    assert float(model.log_variances["visits"]) > -3


def test_unknown_labels_do_not_count():
    model = contract.compiled(CONFIG)
    rows, known = contract.rows_of(CONFIG, 4), np.array([1, 0, 1, 0], "float32")
    rates = model(rows)["visits"].numpy()
    found = model.evaluate(
        rows,
        {"visits": column(90, 0, 120, 0)},
        sample_weight={"visits": known},
        verbose=0,
        return_dict=True,
    )
    errors = np.abs(rates - column(90, 0, 120, 0))[[0, 2], 0]
    assert found["mae"] == pytest.approx(errors.mean(), rel=1e-5)
    each = PoissonLoss(1.0).call(column(90, 120), rates[[0, 2]])
    assert found["loss"] == pytest.approx(float(ops.sum(each)) / 4, rel=1e-4)


# --- metrics


def counts(rows=60):
    random = np.random.default_rng(0)
    rates = random.gamma(2, 2, rows)
    return random.poisson(rates).astype(float), rates


def test_metrics_against_scikit_learn():
    truth, rates = counts()
    found = count(truth[:, None], rates[:, None], resamples=50)
    assert (found.type, found.n) == ("count", 60)
    assert {name: metric.value for name, metric in found.metrics.items()} == pytest.approx(
        {
            "mae": sklearn_metrics.mean_absolute_error(truth, rates),
            "rmse": sklearn_metrics.root_mean_squared_error(truth, rates),
            "r2": sklearn_metrics.r2_score(truth, rates),
            "poisson_deviance": sklearn_metrics.mean_poisson_deviance(truth, rates),
        }
    )
    assert all(metric.low < metric.value < metric.high for metric in found.metrics.values())


def test_metrics_by_hand():
    """Twice the loss with dispersion 1: 2 * (2 log 2 - 1), and 2 * 3 for a count of 0."""
    found = count([2, 0], [1, 3], resamples=0).metrics["poisson_deviance"].value
    assert found == pytest.approx((2 * (2 * np.log(2) - 1) + 6) / 2)


def test_metrics_leave_out_unknown_rows():
    found = count([1, np.nan, 3], [2, 9, 3], known=[1, 0, 1], resamples=0)
    assert (found.n, found.metrics["mae"].value) == (2, 0.5)
    none = count([np.nan], [1.0], known=[0])
    assert {metric.reason for metric in none.metrics.values()} == {NO_ROWS}


@pytest.mark.parametrize(
    ("labels", "rates", "message"),
    [
        ([-1.0, 2.0], [1.0, 1.0], "^labels must be counts from 0, received -1$"),
        ([1.0, 2.0], [0.0, 1.0], "^predictions must be rates above 0, received 0$"),
        ([1.0, 2.0], [np.nan, 1.0], "^predictions must be finite numbers"),
    ],
)
def test_invalid_labels_and_rates_are_refused(labels, rates, message):
    with pytest.raises(ValueError, match=message):
        count(labels, rates)


def predictions(truth, rates):
    return HeadPredictions(CountHead(), (), truth, np.ones(len(truth), bool), rates[:, None])


def test_models_are_compared_on_the_same_rows():
    truth, rates = counts()
    one, other = predictions(truth, rates), predictions(truth, rates * 3)
    found = compare_head({"one": one, "other": other}, resamples=50)
    assert set(found.metrics) == {"mae", "rmse", "r2", "poisson_deviance"}
    difference = found.metrics["poisson_deviance"].differences["other"]
    assert 0 < difference.low < difference.value < difference.high
    assert found.classes == {}


def test_metrics_over_folds():
    truth, rates = counts()
    fold = np.arange(60)[None] % 3
    found = cross_validation_metrics(
        OutOfFold(np.arange(60), fold, {"visits": (predictions(truth, rates),)})
    )
    scores = found.heads["visits"].metrics["poisson_deviance"].scores[0]
    assert scores == pytest.approx(
        [
            sklearn_metrics.mean_poisson_deviance(truth[fold[0] == k], rates[fold[0] == k])
            for k in range(3)
        ]
    )
