"""Trained, saved and fine-tuned models are the same in a new process."""

import json
import pathlib

import contract
import numpy as np
import pytest
from small_fusions import WHOLE

from multimodal_tf.models import build_model, compile_arguments
from multimodal_tf.training import peft

pytestmark = pytest.mark.slow

PROGRAM = pathlib.Path(__file__).with_name("new_process_program.py").read_text()
# rows of the batches in training; the last row has no label
ROWS, BATCH = 5, 2


@pytest.fixture(scope="module")
def rows():
    rows = contract.rows_of(WHOLE, ROWS)
    return contract.without(rows, "photo", np.array([True, False, False, True, False]))


@pytest.fixture(scope="module")
def targets():
    return contract.targets_of(WHOLE, ROWS)


@pytest.fixture(scope="module")
def trained(rows, targets):
    """`(model, history, metrics, predictions)` of inputs and targets in any order."""
    model = build_model(WHOLE, contract.schema_of(WHOLE))
    model.compile("sgd", **compile_arguments(WHOLE, contract.schema_of(WHOLE)))
    rows, targets = dict(reversed(rows.items())), dict(reversed(targets.items()))
    weights = {name: np.array([1, 1, 1, 1, 0], "float32") for name in targets}
    given = {"batch_size": BATCH, "verbose": 0}
    history = model.fit(
        rows, targets, sample_weight=weights, validation_data=(rows, targets, weights), **given
    ).history
    metrics = model.evaluate(rows, targets, sample_weight=weights, return_dict=True, **given)
    return model, history, metrics, model.predict(rows, **given)


def test_fit_evaluate_and_predict_go_by_name(trained, targets):
    _, history, metrics, predictions = trained
    assert {
        "loss",
        "kind_loss",
        "kind_accuracy",
        "tags_accuracy",
        "cost_mae",
        "val_loss",
        "val_cost_mae",
    } <= set(history)
    assert all(np.isfinite(values).all() for values in history.values())
    assert metrics["cost_mae"] == pytest.approx(
        np.abs(predictions["cost"] - targets["cost"])[:4].mean(), rel=1e-4
    )
    assert metrics["kind_accuracy"] == pytest.approx(
        (predictions["kind"].argmax(1) == targets["kind"])[:4].mean()
    )


@pytest.fixture(scope="module")
def fine_tuned(bert):
    return bert.fine_tuned()


@pytest.fixture(scope="module")
def found(trained, rows, fine_tuned, bert, new_process, tmp_path_factory):
    """`(findings, folder)` of `new_process_program`."""
    folder = tmp_path_factory.mktemp("files")
    trained[0].save(folder / "model.keras")
    np.savez(folder / "rows.npz", **rows)
    peft.save_peft(fine_tuned, folder / "peft.safetensors")
    return json.loads(new_process(PROGRAM, folder, bert.preset).splitlines()[-1]), folder


def test_a_saved_model_predicts_the_same_and_can_be_trained_further(trained, found):
    findings, folder = found
    predictions = np.load(folder / "loaded.npz")
    assert set(predictions) == set(WHOLE.heads)
    for name, expected in trained[-1].items():
        np.testing.assert_allclose(predictions[name], expected, rtol=1e-6, atol=1e-6)
    assert findings["loaded"] == {"class": "DistributedModel", "steps": 3, "variance": 100.0}


def test_a_fine_tuned_model_predicts_the_same_beside_another_head(bert, fine_tuned, found):
    """The names that Keras makes up have other numbers there."""
    found = np.load(found[1] / "peft.npy")
    np.testing.assert_allclose(found, bert.predicted(fine_tuned), rtol=1e-5)


@pytest.mark.parametrize("kind", ["uncertainty", "gradnorm"])
def test_learned_loss_weights_end_on_two_replicas_as_on_one_device(kind, found):
    assert found[0]["replicas"][kind] < 1e-6
