"""Several models as one: mean predictions, disagreement, served, with a guard; what is refused."""

import random
import types

import keras
import numpy as np
import pytest
import scipy.stats
import small_model as small
import tensorflow as tf

from multimodal_tf.config import ConcatenationFusion, Config, EmbeddingHead, QuantileHead
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.evaluation.predictor import predictor_of
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Classes, Moments
from multimodal_tf.scoring.guard import Guard
from multimodal_tf.scoring.ood import Mahalanobis
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.ensemble import disagreements, ensemble
from multimodal_tf.serving.export import export_ensemble
from multimodal_tf.serving.skew import skew

QUANTILES = QuantileHead(quantiles=[0.1, 0.5, 0.9], column="age")
CONFIG = Config(
    inputs={name: small.CONFIG.inputs[name] for name in ("title", "price", "colour")},
    heads=small.CONFIG.heads | {"range": QUANTILES, "vector": EmbeddingHead()},
    fusion=ConcatenationFusion(hidden=[8]),
)
SCHEMA = small.SCHEMA.model_copy(
    update={"heads": small.SCHEMA.heads | {"range": small.SCHEMA.heads["age"]}}
)
LABELLED = ("label", "tags", "age", "range")


def member(number, config=CONFIG, schema=SCHEMA):
    """A model of random weights, and what it was built of."""
    random.seed(number)
    model = build_model(config, schema)
    generator = np.random.default_rng(number)
    for variable in model.trainable_variables:
        variable.assign_add(generator.normal(0, 0.3, variable.shape))
    return types.SimpleNamespace(model=model, config=config, schema=schema)


@pytest.fixture(scope="module")
def members():
    # another fusion
    wider = CONFIG.model_copy(update={"fusion": ConcatenationFusion(hidden=[12])})
    return [member(0), member(1), member(2, wider)]


@pytest.fixture(scope="module")
def inputs():
    raw = small.tensors(small.raw_rows(9, CONFIG))
    raw["title"] = tf.concat([raw["title"][:-1], [""]], 0)
    preprocessor = Preprocessor(CONFIG, SCHEMA)
    return preprocessor.model_inputs(preprocessor.features(raw)[0])


def outputs(model, inputs):
    return {name: one.numpy() for name, one in model(inputs, training=False).items()}


def test_predictions_are_the_mean_and_their_disagreement(members, inputs):
    model, config, _ = ensemble(members)
    every = [outputs(one.model, inputs) for one in members]
    found = outputs(model, inputs)
    apart = outputs(keras.Model(model.input, disagreements(model, config)), inputs)
    assert sorted(apart) == sorted(f"{name}_disagreement" for name in LABELLED)
    for name in LABELLED:
        stacked = np.stack([one[name] for one in every])
        mean = stacked.mean(axis=0)
        np.testing.assert_allclose(found[name], mean, rtol=1e-5)
        match name:
            case "label":
                wanted = scipy.stats.entropy(stacked, mean[None], axis=-1).mean(axis=0)
            case "tags":
                both, means = (np.stack([p, 1 - p], -1) for p in (stacked, mean))
                wanted = scipy.stats.entropy(both, means[None], axis=-1).mean(axis=(0, 2))
            case "age":
                wanted = stacked[:, :, 0].std(axis=0)
            case "range":
                wanted = stacked[:, :, 1].std(axis=0)
        np.testing.assert_allclose(apart[f"{name}_disagreement"], wanted, rtol=2e-3, atol=1e-5)
        assert (wanted > 1e-4).all()
    lengths = np.linalg.norm(found["vector"], axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)


def test_equal_models_agree(members, inputs):
    model, config, _ = ensemble([members[0], members[0]])
    apart = outputs(keras.Model(model.input, disagreements(model, config)), inputs)
    for one in apart.values():
        np.testing.assert_allclose(one, 0, atol=1e-5)


@pytest.fixture(scope="module")
def served(members, tmp_path_factory):
    path = tmp_path_factory.mktemp("ensemble") / "1"
    generator = np.random.default_rng(4)
    # the members' fused vectors side by side
    score = Mahalanobis(generator.normal(0, 2, (28, 28)), generator.normal(0, 1, (3, 28)))
    return export_ensemble(members, path, Guard(score, threshold=40.0), {"label": 2.0})


@pytest.mark.slow
def test_the_client_has_disagreements_and_the_guard(served, members, inputs):
    client = Client(served)
    raw = small.raw_rows(9, CONFIG)
    rows = [
        {
            "title": raw["title"][i].decode() if i < 8 else None,
            "price": raw["price"][i],
            "colour": raw["colour"][i].decode() or None,
        }
        for i in range(9)
    ]
    found = client.predict(rows)
    keys = [f"{name}_disagreement" for name in LABELLED]
    assert list(client.disagreement_keys) == keys
    assert (found[keys] > 0).all(axis=None)
    assert list(client.guard_keys) == ["ood_score", "review"]
    ages = np.mean([outputs(one.model, inputs)["age"][:, 0] for one in members], axis=0)
    np.testing.assert_allclose(found["age"], ages, rtol=1e-4)
    assert client.embed(rows)["fused"].shape == (9, 28)
    # no row, and a row without inputs
    assert client.predict([]).empty
    nothing = client.predict([{"title": None}])
    np.testing.assert_allclose(nothing[keys].to_numpy(float), 0, atol=1e-5)


@pytest.mark.slow
def test_evaluation_reads_it_as_any_exported_model(served, members, inputs):
    predictor = predictor_of(served)
    found = predictor.predict(small.raw_rows(9, CONFIG))
    assert found["tags"].shape == (9, 3)
    # weights are written once
    own = sum(w.numpy().nbytes for one in members for w in one.model.weights)
    written = sum(one.stat().st_size for one in (served / "variables").iterdir())
    assert written < 1.2 * own + 20_000


def test_equal_fixed_weights_are_shared():
    """Of frozen towers, which each run has loaded for itself."""

    def frozen(number):
        one = member(number)
        layer = next(each for each in one.model.layers if isinstance(each, keras.layers.Dense))
        layer.set_weights([np.ones(each.shape) for each in layer.get_weights()])
        layer.trainable = False
        return one, layer

    pairs = [frozen(0), frozen(1)]
    ensemble([one for one, _ in pairs])
    kernels = [layer.kernel.value for _, layer in pairs]
    assert kernels[0] is kernels[1]


def other(**changes):
    """A member with another configuration or schema."""
    schema = SCHEMA.model_copy(update=changes.pop("schema", {}))
    return member(1, CONFIG.model_copy(update=changes), schema)


REFUSED = {
    "heads": (lambda: other(heads={"label": CONFIG.heads["label"]}), "the same heads"),
    "inputs": (
        lambda: other(inputs={name: CONFIG.inputs[name] for name in ("title", "price")}),
        "the same inputs",
    ),
    "classes": (
        lambda: other(
            schema={
                "heads": SCHEMA.heads | {"label": Classes(names=["a", "b", "c"], counts=[1, 1, 1])}
            }
        ),
        "the same classes of label",
    ),
    "statistics": (
        lambda: other(schema={"inputs": SCHEMA.inputs | {"price": Moments(mean=1.0, std=2.0)}}),
        "the same learned statistics of price",
    ),
    "quantiles": (
        lambda: other(heads=CONFIG.heads | {"range": QuantileHead(quantiles=[0.1, 0.5, 0.8])}),
        "the same heads.range.quantiles",
    ),
}


@pytest.mark.parametrize(("second", "message"), REFUSED.values(), ids=REFUSED)
def test_members_that_do_not_fit_are_refused(members, second, message, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        export_ensemble([members[0], second()], tmp_path / "1")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "1").exists()


def test_one_model_is_no_ensemble(members, tmp_path):
    with pytest.raises(ValueError, match="two runs or more, received 1"):
        export_ensemble(members[:1], tmp_path / "1")


def test_heads_that_compare_inputs_are_refused(tmp_path):
    one = types.SimpleNamespace(
        model=small.build(small.MATCHING), config=small.MATCHING, schema=small.SCHEMA
    )
    with pytest.raises(ValueError, match="head 'match' of type matching"):
        export_ensemble([one, one], tmp_path / "1")


@pytest.mark.slow
def test_what_is_served_is_what_the_model_predicts(
    small_run, small_records, small_schema, tmp_path
):
    from multimodal_tf.training.run_dir import load_run

    runs = [load_run(small_run), load_run(small_run)]
    for weight in runs[1].model.trainable_weights:
        weight.assign(weight * 1.1)
    path = export_ensemble(runs, tmp_path / "1")
    found = ensemble(runs)
    differences = skew(*found, small_records, path)
    assert max(differences.values()) < 1e-5
