"""The endpoint `explain` of an exported model gives the explanations of the model itself."""

import numpy as np
import pytest
import small_fusions
import small_model
import tensorflow as tf

from multimodal_tf.config import BagTower, HybridFusion, TextInput
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.models import explanations
from multimodal_tf.serving.export import export_model


def some_of(inputs, heads, over):
    """`small_model` of some inputs and heads, with a hybrid over the fusion `over`."""
    fields = {
        "inputs": {name: INPUTS[name] for name in inputs},
        "heads": {name: small_model.CONFIG.heads[name] for name in heads},
        "fusion": HybridFusion(dropout=0, over=small_fusions.FUSIONS[over]),
    }
    return small_model.CONFIG.model_copy(update=fields)


INPUTS = small_model.CONFIG.inputs | {
    "title": TextInput(max_tokens=6, tower=BagTower(embedding_dim=4, dim=6))
}
CONFIGS = {
    "gated": some_of(["title", "price"], ["label", "tags"], "gated"),
    "attention": some_of(["price", "colour"], ["age"], "attention"),
}


def raw_rows(config, count):
    cells = small_model.raw_rows(count)
    return {name: tf.constant(cells[name]) for name in config.inputs}


@pytest.fixture(scope="module", params=CONFIGS)
def exported(request, tmp_path_factory):
    """`(config, model, path, signatures)` of a model that was exported with its explainer."""
    config = CONFIGS[request.param]
    model = small_model.build(config)
    path = tmp_path_factory.mktemp(request.param) / "model" / "1"
    export_model(model, config, small_model.SCHEMA, path, explanations(model))
    return config, model, path, tf.saved_model.load(str(path)).signatures


def test_its_outputs_are_the_explanations_of_the_model(exported):
    config, model, _, signatures = exported
    raw = raw_rows(config, 7)
    found = signatures["explain"](**raw)
    preprocessor = Preprocessor(config, small_model.SCHEMA)
    features, _ = preprocessor.features(raw)
    expected = explanations(model)(preprocessor.model_inputs(features))
    members = {f"{head}_from_{name}" for head in config.heads for name in (*config.inputs, "fused")}
    assert {"weights", *members} <= set(expected)
    assert set(found) == {*expected, "error"}
    for name, output in expected.items():
        np.testing.assert_allclose(found[name], output, rtol=1e-4, atol=1e-5, err_msg=name)
    present = signatures["predict"](**raw)["present"].numpy()
    np.testing.assert_array_equal(found["weights"].numpy() > 0, present)


def test_no_rows_and_no_input(exported):
    config, _, _, signatures = exported
    row = {
        name: tf.constant([np.nan if name == "price" else b""], cells.dtype)
        for name, cells in raw_rows(config, 1).items()
    }
    found = signatures["explain"](**row)
    assert not found["weights"].numpy().any()
    assert all(np.isfinite(output).all() for name, output in found.items() if name != "error")
    assert b"no input is present" in found["error"].numpy()[0]
    nothing = signatures["explain"](**{name: cells[:0] for name, cells in row.items()})
    assert nothing["weights"].shape == (0, len(config.inputs))


def test_weights_are_written_once_and_the_server_warms_it_up(exported):
    _, model, path, _ = exported
    variables = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    sizes = [
        int(np.prod(shape))
        for name, shape in variables.get_variable_to_shape_map().items()
        if name.endswith("VARIABLE_VALUE")
    ]
    assert sum(sizes) == model.count_params()
    requests = tf.data.TFRecordDataset(str(path / "assets.extra" / "tf_serving_warmup_requests"))
    # and of strings
    assert sum(b"explain" in request for request in requests.as_numpy_iterator()) == 2


def test_an_explainer_of_another_model_is_refused(tmp_path):
    config = CONFIGS["attention"]
    model, other = small_model.build(config), explanations(small_model.build(config))
    with pytest.raises(
        ValueError,
        match=r"the explainer must be explanations\(model\) of the model itself, received "
        r"'explanations'",
    ):
        export_model(model, config, small_model.SCHEMA, tmp_path / "1", other)
