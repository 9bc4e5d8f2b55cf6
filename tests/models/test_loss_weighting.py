"""Loss weights that are learned: by uncertainty and by GradNorm, against their formulas, saved,
loaded and trained again.
"""

import contract
import keras
import numpy as np
import pytest
import tensorflow as tf
from weighted_losses import HEADS, INPUTS, KINDS, configuration, ready

from multimodal_tf.config import (
    ClassificationHead,
    ConcatenationFusion,
    Config,
    DecisionFusion,
    EmbeddingHead,
    FixedWeights,
    GradNormWeights,
    MatchingHead,
    RegressionHead,
    UncertaintyWeights,
)
from multimodal_tf.models import build_model, compile_arguments, embeddings
from multimodal_tf.models.distributed_model import DistributedModel
from multimodal_tf.models.loss_weighting import GradNormWeighted, UncertaintyWeighted

# of what loss weights change; two replicas are in `test_new_process`
CHECKS = [
    contract.save_and_load,
    contract.exported,
    contract.training_lowers_the_loss,
    contract.every_weight_learns,
    contract.mixed_precision,
    contract.all_missing_is_finite,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_contract(kind, check, tmp_path):
    check(configuration(KINDS[kind]), tmp_path)


def test_missing_has_no_influence(tmp_path):
    """GradNorm also differentiates by the fused vector."""
    contract.missing_has_no_influence(configuration(KINDS["gradnorm"]), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_predicts_as_with_fixed_weights(kind):
    model, _, rows, _ = ready(KINDS[kind])
    contract.same(model(rows), ready(FixedWeights())[0](rows))


@pytest.mark.parametrize("kind", KINDS)
def test_a_clone_is_a_model_of_the_same_kind_and_weights(kind):
    model, _, rows, _ = ready(KINDS[kind])
    copy = keras.models.clone_model(model)
    assert type(copy) is type(model)
    assert copy._settings() == model._settings()
    assert copy.compiled == model.compiled
    copy.set_weights(model.get_weights())
    contract.same(model(rows), copy(rows))


@pytest.mark.parametrize("kind", KINDS)
def test_settings_are_needed_where_nothing_is_cloned(kind):
    model, _, _, _ = ready(KINDS[kind])
    outputs = {name: keras.layers.Identity(name=f"{name}_")(x) for name, x in model.output.items()}
    with pytest.raises(TypeError, match="a model with learned loss weights needs"):
        type(model)(model.input, outputs)


def test_fixed_weights_are_the_plain_functional_model():
    assert type(ready(FixedWeights())[0]) is DistributedModel


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_counts_with_the_fixed_weights(kind):
    """So that the validation loss is the same measure in every epoch, whatever the weights have
    become.
    """
    model, _, rows, targets = ready(KINDS[kind])
    for weight in model.weights:
        if "log_variance" in weight.name or "task_weights" in weight.name:
            weight.assign(weight + 0.7)
    fixed = ready(FixedWeights())[0]
    found, expected = (
        one.evaluate(rows, targets, batch_size=3, verbose=0, return_dict=True)
        for one in (model, fixed)
    )
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_saved_and_training_goes_on(kind, tmp_path):
    """A loaded model goes on as one that was never saved, and holds each weight once."""
    model, _, rows, targets = ready(KINDS[kind])
    for _ in range(3):
        model.train_on_batch(rows, targets)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    own = {weight.path: weight for weight in model.weights}
    assert len(own) == len(model.weights) == len(loaded.weights)
    assert any("log_variance" in path or "task_weights" in path for path in own)
    for one in (model, loaded):
        one.reset_metrics()
        one.train_on_batch(rows, targets)
    for one, other in zip(model.weights, loaded.weights):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7, err_msg=one.path)


@pytest.mark.parametrize("kind", KINDS)
def test_fit_has_the_metrics_of_every_head(kind):
    model, _, rows, targets = ready(KINDS[kind])
    known = {
        "zone": np.ones(8, "float32"),
        "cost": np.arange(8) % 2,
        "vector": np.zeros(8, "float32"),
    }
    history = model.fit(
        rows,
        targets,
        sample_weight=known,
        batch_size=3,
        epochs=2,
        validation_data=(rows, targets),
        verbose=0,
    ).history
    names = {"loss", "zone_loss", "cost_loss", "zone_accuracy", "cost_mae"}
    assert set(history) == names | {f"val_{name}" for name in names}
    assert np.isfinite(list(history.values())).all()


# --- uncertainty


def losses(model, config, rows, targets):
    arguments = compile_arguments(config, contract.schema_of(config))
    outputs = model(rows, training=True)
    return {
        name: float(loss(targets[name], outputs[name])) for name, loss in arguments["loss"].items()
    }


def test_uncertainty_is_its_formula():
    model, config, rows, targets = ready(UncertaintyWeights())
    model.log_variances["zone"].assign(0.4)
    model.log_variances["cost"].assign(-0.6)
    of = losses(model, config, rows, targets)
    # the cost's loss and the term that keeps its variance small both count by the head's weight,
    # 0.5
    expected = np.exp(-0.4) * of["zone"] + 0.4 / 2 + 0.5 * (np.exp(0.6) * of["cost"] / 2 - 0.6 / 2)
    np.testing.assert_allclose(
        model.compute_loss(y=targets, y_pred=model(rows, training=True)), expected, rtol=1e-5
    )


def test_a_variance_settles_at_twice_its_loss_or_at_a_squared_error_itself():
    model, config, rows, targets = ready(
        UncertaintyWeights(), keras.optimizers.Adam(0.1), run_eagerly=False
    )
    for layer in model.layers:
        layer.trainable = False
    for _ in range(200):
        model.train_on_batch(rows, targets)
    of = losses(model, config, rows, targets)
    assert float(np.exp(model.log_variances["zone"])) == pytest.approx(2 * of["zone"], rel=0.02)
    assert float(np.exp(model.log_variances["cost"])) == pytest.approx(of["cost"], rel=0.02)


# --- GradNorm


def lengths(model, config, rows, targets):
    """By head, how long the gradient of its weighted loss on the fused vector is."""
    arguments = compile_arguments(config, contract.schema_of(config))
    after = keras.Model(
        model.get_layer("fused").output, {name: model.output[name] for name in ("zone", "cost")}
    )
    fused = tf.Variable(embeddings(model)(rows)["fused"])
    found = {}
    for name, loss in arguments["loss"].items():
        with tf.GradientTape() as tape:
            value = arguments["loss_weights"][name] * loss(targets[name], after(fused)[name])
        found[name] = float(tf.norm(tape.gradient(value, fused))), float(value)
    return found


def plain_gradnorm(alpha=1.5, rate=0.1, run_eagerly=True):
    """Without presence flags, so that the heads can be run on the fused vector alone."""
    config = configuration(GradNormWeights(alpha=alpha, rate=rate))
    config = config.model_copy(
        update={"fusion": ConcatenationFusion(hidden=[6], dropout=0, presence=False)}
    )
    model = build_model(config, contract.schema_of(config))
    model.compile(
        "sgd", run_eagerly=run_eagerly, **compile_arguments(config, contract.schema_of(config))
    )
    return model, config, contract.rows_of(config, 8), contract.targets_of(config, 8)


def test_gradnorm_is_its_formula():
    model, config, rows, targets = plain_gradnorm()
    found = lengths(model, config, rows, targets)
    length, loss = (np.array([found[name][place] for name in model.heads]) for place in (0, 1))
    # one has fallen to a half, one to a quarter
    before, first = np.array([1.3, 0.7]), loss * [2.0, 4.0]
    model.task_weights.assign(before)
    model.first_losses.assign(first)
    model.train_on_batch(rows, targets)
    slowness = (loss / first) / np.mean(loss / first)
    pull = before * length
    step = 0.1 * np.sign(pull - pull.mean() * slowness**1.5) * length / pull.mean()
    expected = np.maximum(before - step, 1e-3)
    np.testing.assert_allclose(model.task_weights, expected * 2 / expected.sum(), rtol=1e-4)
    np.testing.assert_allclose(model.first_losses, first, rtol=1e-6)


def test_gradnorm_balances_the_pulls():
    """With alpha 0 and everything else held, the pulls become alike though one head's loss is
    counted half.
    """
    model, config, rows, targets = plain_gradnorm(alpha=0.0, rate=0.02, run_eagerly=False)
    for layer in model.layers:
        layer.trainable = False
    # something has to learn
    model.get_layer("zone").trainable = True
    model.optimizer.learning_rate = 0.0
    for _ in range(80):
        model.train_on_batch(rows, targets)
    pulls = [
        weight * lengths(model, config, rows, targets)[name][0]
        for name, weight in zip(model.heads, np.array(model.task_weights))
    ]
    assert pulls[0] == pytest.approx(pulls[1], rel=0.15)
    assert float(np.sum(model.task_weights)) == pytest.approx(2, rel=1e-5)


def test_a_head_without_a_label_in_the_batch_takes_no_step():
    model, _, rows, targets = plain_gradnorm()
    known = {
        "zone": np.ones(8, "float32"),
        "cost": np.zeros(8, "float32"),
        "vector": np.zeros(8, "float32"),
    }
    model.train_on_batch(rows, targets, sample_weight=known)
    assert np.isfinite(model.task_weights).all()
    assert np.array(model.first_losses)[model.heads.index("cost")] == 0, (
        "its first loss is still to come"
    )
    model.train_on_batch(rows, targets)
    assert (np.array(model.first_losses) > 0).all()


# --- bad input


@pytest.mark.parametrize(
    ("loss_weighting", "heads", "fusion", "message"),
    [
        (
            "uncertainty",
            {"zone": ClassificationHead(), "v": EmbeddingHead()},
            None,
            r"uncertainty weighs two heads or more .* \['zone'\]",
        ),
        ("gradnorm", {"zone": ClassificationHead()}, None, "gradnorm weighs two heads or more"),
        (
            "uncertainty",
            HEADS | {"age": RegressionHead(weight=0)},
            None,
            r"a weight above 0, received 0 for heads\.age\.weight",
        ),
        (
            "gradnorm",
            HEADS | {"age": RegressionHead(inputs=["price"])},
            None,
            "gradnorm needs heads that read the same inputs",
        ),
        (
            "gradnorm",
            HEADS | {"pair": MatchingHead(inputs=["price", "weight"])},
            None,
            "received 'pair', which compares two inputs",
        ),
        (
            "gradnorm",
            {"zone": HEADS["zone"], "cost": HEADS["cost"]},
            DecisionFusion(),
            "a vector that all heads share, .* received 'decision'",
        ),
    ],
)
def test_learned_weights_of_fewer_than_two_losses_are_refused(
    loss_weighting, heads, fusion, message
):
    with pytest.raises(ValueError, match=f"loss_weighting: .*{message}"):
        Config(
            inputs=INPUTS,
            heads=heads,
            loss_weighting=KINDS[loss_weighting],
            **({} if fusion is None else {"fusion": fusion}),
        )


@pytest.mark.parametrize("loss_weighting", KINDS)
@pytest.mark.parametrize(
    "loss", ["mse", {"zone": "mse", "cost": "mse"}, {"zone": keras.losses.MeanSquaredError()}]
)
def test_a_loss_by_hand_that_is_no_object_of_each_head_is_refused(loss_weighting, loss):
    config = configuration(KINDS[loss_weighting])
    model = build_model(config, contract.schema_of(config))
    model.compile("adam", loss=loss, run_eagerly=True)
    with pytest.raises(
        ValueError,
        match=r"^loss: learned weights need a `keras\.losses\.Loss` for each of \['zone', "
        r"'cost'\], by head, ",
    ):
        model.train_on_batch(contract.rows_of(config, 8), contract.targets_of(config, 8))


@pytest.mark.parametrize(
    "make",
    [
        lambda *ends: UncertaintyWeighted(*ends, weights={"none": 1}, gaussian=[]),
        lambda *ends: GradNormWeighted(*ends, heads=["none"], alpha=1, rate=0.1),
    ],
)
def test_weights_of_unknown_heads_are_refused(make):
    x = keras.Input((2,))
    with pytest.raises(
        ValueError,
        match=r"Weighted: heads must be outputs of the model, \['cost'\], received 'none'$",
    ):
        make({"price": x}, {"cost": keras.layers.Dense(1, name="fused")(x)})


def test_all_inputs_named_are_all_inputs():
    heads = HEADS | {"age": RegressionHead(inputs=list(INPUTS))}
    assert (
        Config(inputs=INPUTS, heads=heads, loss_weighting=KINDS["gradnorm"]).loss_weighting.type
        == "gradnorm"
    )
