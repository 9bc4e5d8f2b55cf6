"""Explanations of a fusion, from the model and the exported one.

They are weights, attention and the prediction from each input alone.
"""

import contract
import fusion_case as case
import keras
import numpy as np
import pytest
import small_model
import tensorflow as tf

from multimodal_tf.config import ClassificationHead, HybridFusion, RegressionHead
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.models import build_model, embeddings, explanations
from multimodal_tf.serving.export import export_model

UNEXPLAINED = ["concatenation", "sum", "mean", "product", "bilinear", "low-rank tensor"]
WEIGHTS = ["weighted sum", "attention", "gated", "self-attention", "bottleneck"]


def explained(config):
    """`(model, explainer, explanations, flags)` on four rows with gaps."""
    model = contract.perturbed(build_model(config, contract.schema_of(config)))
    rows, flags = case.with_gaps(config)
    explainer = explanations(model)
    return (
        model,
        explainer,
        {name: output.numpy() for name, output in explainer(rows).items()},
        flags,
    )


@pytest.mark.parametrize("kind", UNEXPLAINED)
def test_fusions_without_explanations(kind):
    config = case.of(kind)
    assert explanations(build_model(config, contract.schema_of(config))) is None


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_are_of_the_present_inputs(kind):
    _, _, found, flags = explained(case.of(kind))
    assert found["weights"].shape == (4, 2)
    assert (found["weights"][flags] > 0).all()
    assert not found["weights"][~flags].any()
    if kind != "gated":
        np.testing.assert_allclose(found["weights"].sum(axis=1), [1, 1, 1, 0], atol=1e-5)


def test_the_weights_of_attention_make_the_fused_vector():
    config = case.configuration(case.FUSIONS["attention"].model_copy(update={"hidden": []}))
    model, _, found, _ = explained(config)
    rows, _ = case.with_gaps(config)
    x = keras.Model(model.input, model.get_layer("fused_present").output)(rows).numpy()
    np.testing.assert_allclose(
        embeddings(model)(rows)["fused"],
        np.einsum("bi,bid->bd", found["weights"], x),
        rtol=1e-5,
        atol=1e-6,
    )


def test_the_weights_of_gates_are_their_means():
    model, _, found, _ = explained(case.of("gated"))
    gates = keras.Model(model.input, model.get_layer("fused_gates").output)(
        case.with_gaps(case.of("gated"))[0]
    ).numpy()
    assert ((gates >= 0) & (gates < 1)).all()
    np.testing.assert_allclose(found["weights"], gates.mean(axis=2), rtol=1e-6)


def test_bottlenecks_explain_their_attention():
    config = case.of("bottleneck")
    rows, flags = contract.rows_of(config, 2), np.array([1, 1], "float32")
    # the last is padding
    rows = {
        name: np.where(np.arange(4) < 3, value, 0) if value.ndim == 2 else flags
        for name, value in rows.items()
    }
    model = contract.perturbed(build_model(config, contract.schema_of(config)))
    found = {name: output.numpy() for name, output in explanations(model)(rows).items()}
    assert set(found) == {"weights", "attention_title", "attention_note"}
    for name in ("title", "note"):
        assert found[f"attention_{name}"].shape == (2, 4)
        assert (found[f"attention_{name}"][:, :3] > 0).all()
        np.testing.assert_allclose(found[f"attention_{name}"][:, 3], 0, atol=1e-6)


def test_cross_modal_attention_is_explained_for_each_pair():
    _, _, found, flags = explained(case.of("cross-modal"))
    assert {name: x.shape for name, x in found.items()} == {
        "attention_title_from_note": (4, 4),
        "attention_note_from_title": (4, 4),
    }
    for x in found.values():
        assert x[0].all()
        assert x.sum(axis=1).max() <= 1 + 1e-5
        assert not x[1:].any(), "one of the two is missing"


def test_each_members_prediction_is_an_explanation():
    config = case.configuration(
        HybridFusion(dropout=0, combine="weights"),
        heads={"kind": ClassificationHead(), "cost": RegressionHead()},
    )
    model, _, found, flags = explained(config)
    members = {
        f"{head}_from_{name}" for head in ("kind", "cost") for name in ("price", "colour", "fused")
    }
    assert set(found) == members | {"kind_weights", "cost_weights"}
    rows, _ = case.with_gaps(config)
    parts = np.stack([found[f"kind_from_{name}"] for name in ("price", "colour", "fused")], axis=1)
    np.testing.assert_allclose(
        model(rows)["kind"][:3],
        np.einsum("bm,bmc->bc", found["kind_weights"], parts)[:3],
        rtol=1e-4,
    )
    np.testing.assert_allclose(parts.sum(axis=2), 1, rtol=1e-5)


def test_explanations_of_a_fusion_of_some_inputs_bear_its_name():
    heads = {"kind": ClassificationHead(), "zone": ClassificationHead(inputs=["price"])}
    _, _, found, _ = explained(case.configuration(case.FUSIONS["attention"], heads=heads))
    assert {name: x.shape for name, x in found.items()} == {
        "weights": (4, 2),
        "fused_of_zone_weights": (4, 1),
    }


@pytest.mark.parametrize("kind", ["self-attention", "bottleneck", "cross-modal", "hybrid"])
def test_a_saved_model_explains_the_same(kind, tmp_path):
    config = case.of(kind)
    model, explainer, found, _ = explained(config)
    model.save(tmp_path / "model.keras")
    again = explanations(keras.saving.load_model(tmp_path / "model.keras"))(
        case.with_gaps(config)[0]
    )
    contract.same(found, {name: x.numpy() for name, x in again.items()}, rtol=1e-5, atol=1e-6)
    assert len(explainer.weights) <= len(model.weights)


class TestEndpoint:
    CONFIG = small_model.CONFIG.model_copy(
        update={"fusion": HybridFusion(dropout=0, over=case.FUSIONS["gated"])}
    )

    @pytest.fixture(
        scope="class", params=["gated", pytest.param("attention", marks=pytest.mark.slow)]
    )
    def exported(self, request, tmp_path_factory):
        self.CONFIG.fusion = HybridFusion(dropout=0, over=case.FUSIONS[request.param])
        model = small_model.build(self.CONFIG)
        path = export_model(
            model,
            self.CONFIG,
            small_model.SCHEMA,
            tmp_path_factory.mktemp("x") / "model" / "1",
            explanations(model),
        )
        return model, path, tf.saved_model.load(str(path))

    def test_its_outputs_are_the_explanations_of_the_model(self, exported):
        model, _, loaded = exported
        raw = {name: tf.constant(cells) for name, cells in small_model.raw_rows(7).items()}
        found = loaded.signatures["explain"](**raw)
        preprocessor = Preprocessor(self.CONFIG, small_model.SCHEMA)
        features, _ = preprocessor.features(raw)
        expected = explanations(model)(preprocessor.model_inputs(features))
        assert {"weights", "label_from_photo", "tags_from_fused", "age_from_price"} <= set(expected)
        assert set(found) == {*expected, "error"}
        for name, output in expected.items():
            np.testing.assert_allclose(found[name], output, rtol=1e-4, atol=1e-5, err_msg=name)
        present = loaded.signatures["predict"](**raw)["present"].numpy()
        np.testing.assert_array_equal(found["weights"].numpy() > 0, present)

    def test_no_rows_and_no_input(self, exported):
        _, _, loaded = exported
        nothing = {name: np.nan if name == "price" else b"" for name in self.CONFIG.inputs}
        row = {
            name: tf.constant([value], tf.float32 if name == "price" else tf.string)
            for name, value in nothing.items()
        }
        found = loaded.signatures["explain"](**row)
        assert not found["weights"].numpy().any()
        assert all(np.isfinite(output).all() for name, output in found.items() if name != "error")
        assert b"no input is present" in found["error"].numpy()[0]
        assert loaded.signatures["explain"](**{name: cells[:0] for name, cells in row.items()})[
            "weights"
        ].shape == (0, 5)

    def test_weights_are_written_once_and_the_server_warms_it_up(self, exported):
        model, path, _ = exported
        shapes = tf.train.load_checkpoint(
            str(path / "variables" / "variables")
        ).get_variable_to_shape_map()
        assert (
            sum(
                int(np.prod(shape))
                for name, shape in shapes.items()
                if name.endswith("VARIABLE_VALUE")
            )
            == model.count_params()
        )
        requests = tf.data.TFRecordDataset(
            str(path / "assets.extra" / "tf_serving_warmup_requests")
        )
        assert sum(b"explain" in request for request in requests.as_numpy_iterator()) == 1

    def test_an_explainer_of_another_model_is_refused(self, exported, tmp_path):
        model, _, _ = exported
        other = explanations(small_model.build(self.CONFIG))
        with pytest.raises(
            ValueError,
            match=r"the explainer must be explanations\(model\) of the model itself, received "
            r"'explanations'",
        ):
            export_model(model, self.CONFIG, small_model.SCHEMA, tmp_path / "1", other)
