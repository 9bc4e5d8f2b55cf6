"""Smaller forms of an exported model: the same answers, from LiteRT, ONNX Runtime and float16."""

import json
import sys

import numpy as np
import pytest
import small_model as small
from typer.testing import CliRunner

from multimodal_tf.cli import app
from multimodal_tf.config import BagTower, Config, ConvTower, ImageHead, ImageInput
from multimodal_tf.evaluation.evaluate import evaluate
from multimodal_tf.evaluation.forms import check_exact, compare_form
from multimodal_tf.serving import export_checks
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.export import export_model
from multimodal_tf.serving.float16_weights import Float16Weights
from multimodal_tf.training.run_dir import load_run

FORMS = [("litert", "float32"), ("onnx", "float32"), ("litert", "float16"), ("litert", "int8")]
# largest difference of a probability
BOUNDS = {"float32": 1e-5, "float16": 2e-3, "int8": 2e-2}
# LiteRT has no loop of an LSTM
CONFIG = small.CONFIG.model_copy(
    update={
        "inputs": small.CONFIG.inputs
        | {"title": small.CONFIG.inputs["title"].model_copy(update={"tower": BagTower()})}
    }
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model of images, texts, sounds and columns in every form, by form and weights."""
    model, out = small.build(CONFIG), tmp_path_factory.mktemp("forms")
    return {
        (form, weights): export_model(
            model,
            CONFIG,
            small.SCHEMA,
            out / form / weights / "1",
            temperature={"label": 2.0},
            form=form,
            weights=weights,
        )
        for form, weights in [("saved_model", "float32"), *FORMS]
    }


@pytest.fixture(scope="module")
def clients(folders):
    return {key: Client(folder) for key, folder in folders.items()}


def of_json(folder, **content):
    (folder / "assets.extra" / "form.json").write_text(json.dumps(content))


@pytest.mark.slow
def test_every_form_answers_as_the_saved_model(folders, clients):
    rows = small.raw_rows(9, CONFIG)
    for row in (3, 5):
        for name, cells in rows.items():
            cells[row] = float("nan") if name == "price" else b""
    rows["photo"][3] = b"no image"
    expected = clients["saved_model", "float32"]._model.signatures
    for form, weights in FORMS:
        received = clients[form, weights]._model.signatures
        for name in ("predict", "embed"):
            own, others = (small.served(one[name], rows) for one in (expected, received))
            assert own.keys() == others.keys()
            for key, values in own.items():
                if key in ("valid", "error", "present"):
                    assert (others[key] == values).all()
                elif key.endswith("_probabilities"):
                    np.testing.assert_allclose(others[key], values, rtol=0, atol=BOUNDS[weights])
                elif values.dtype.kind == "f" and weights == "float32":
                    np.testing.assert_allclose(others[key], values, rtol=1e-5, atol=1e-5)
                elif values.dtype == object and weights != "int8":
                    assert (others[key] == values).all()
    files = {key: next(folder.glob("core.*")) for key, folder in folders.items() if key in FORMS}
    assert files["litert", "int8"].stat().st_size < files["litert", "float32"].stat().st_size


@pytest.mark.slow
def test_a_client_opens_every_form(clients):
    rows = [{"title": "a red bird", "price": 3.5}, {"photo": b"no image"}, {}]
    own = clients["saved_model", "float32"]
    for key in FORMS[:2]:
        found, expected = clients[key].predict(rows), own.predict(rows)
        assert found.columns.equals(expected.columns)
        for column in ("valid", "error", "present"):
            assert (found[column] == expected[column]).all()
        assert len(clients[key].predict([])) == 0
        vectors = clients[key].embed(rows)
        assert {name: one.shape for name, one in vectors.items()} == {
            name: one.shape for name, one in own.embed(rows).items()
        }


@pytest.mark.slow
def test_a_damaged_folder_is_named(folders, tmp_path):
    folder = folders["litert", "float32"]
    copy = tmp_path / "1"
    copy.mkdir()
    for one in folder.iterdir():
        (copy / one.name).symlink_to(one)
    with pytest.raises(ValueError, match="a link"):
        Client(copy)
    file, content = folder / "core.tflite", (folder / "core.tflite").read_bytes()
    form = (folder / "assets.extra" / "form.json").read_text()
    try:
        file.write_bytes(b"no network")
        with pytest.raises(ValueError, match=r"core\.tflite is damaged, export it again"):
            Client(folder)
        of_json(folder, form="onnx")
        with pytest.raises(ValueError, match=r"it has no file core\.onnx"):
            Client(folder)
        of_json(folder, form="coreml")
        with pytest.raises(ValueError, match="one of litert, onnx, received 'coreml'"):
            Client(folder)
    finally:
        file.write_bytes(content)
        (folder / "assets.extra" / "form.json").write_text(form)


@pytest.mark.slow
def test_a_run_is_exported_judged_and_evaluated(small_run, small_records, tmp_path):
    def export(*options):
        out = tmp_path / "models" / str(len(list((tmp_path / "models").glob("*"))) + 1)
        return out, CliRunner().invoke(app, ["export", str(small_run), str(out), *options])

    (tmp_path / "models").mkdir()
    out, done = export("--form", "litert", "--weights", "int8", "--no-calibrate")
    assert done.exit_code == 0, done.output
    assert "On validation rows: accuracy of label" in " ".join(done.output.split())
    run = load_run(small_run)
    found = compare_form(run, out, small_records)
    assert set(found.metrics) == set(run.config.heads)
    assert set(found.milliseconds) == {1, 64}
    assert found.metrics["label"][0] == "accuracy"
    assert 0 <= found.agreement["label"] <= 1
    found.check(1.0)
    own = evaluate(run, records=small_records, resamples=0).heads["label"].metrics["accuracy"]
    of_form = evaluate(out, records=small_records, resamples=0).heads["label"].metrics["accuracy"]
    assert of_form.n == own.n
    assert abs(of_form.value - own.value) <= 0.2
    with pytest.raises(ValueError, match="which begins in the vector of"):
        check_exact(run, out, found, small_records)
    # nothing is as good as that
    out, done = export("--form", "litert", "--weights", "int8", "--tolerance", "-2")
    assert done.exit_code
    assert "the tolerance is -2" in str(done.exception)
    assert not out.exists()
    assert not list(out.parent.glob(f".{out.name}*"))
    out, done = export("--weights", "float16", "--tolerance", "-2", "--force")
    assert done.exit_code == 0
    assert (out / "saved_model.pb").is_file()


@pytest.mark.slow
def test_loops_are_refused_before_the_conversion(tmp_path):
    with pytest.raises(ValueError, match="cannot hold a loop over time steps, as '.*title"):
        export_model(small.build(), small.CONFIG, small.SCHEMA, tmp_path / "1", form="litert")
    assert not list(tmp_path.iterdir())


def test_matrices_are_kept_in_float16():
    model, kept = small.build(CONFIG), {}
    half = Float16Weights(model, kept)
    assert kept
    assert all(one.dtype == "float16" and len(one.shape) > 1 for one in kept.values())
    tensors = {name: np.zeros([2, *one.shape[1:]], one.dtype) for name, one in model.input.items()}
    found, expected = half(tensors), model(tensors, training=False)
    for name, one in expected.items():
        np.testing.assert_allclose(found[name], one, rtol=1e-2, atol=1e-3)


def test_a_number_beyond_float16_stays():
    model, kept = small.build(CONFIG), {}
    large = next(one for one in model.weights if len(one.shape) > 1)
    large.assign(np.full(large.shape, 1e6, np.float32))
    Float16Weights(model, kept)
    assert id(large) not in kept
    assert kept


@pytest.mark.parametrize(
    ("form", "weights", "said"),
    [
        ("coreml", "float32", "form must be one of saved_model, litert, onnx, received 'coreml'"),
        ("saved_model", "int8", "weights of the form saved_model must be one of float32, float16"),
        ("onnx", "float16", "weights of the form onnx must be one of float32, received 'float16'"),
    ],
)
def test_what_a_form_does_not_hold(form, weights, said):
    with pytest.raises(ValueError, match=said):
        export_checks.check_weights(form, weights)


def test_heads_that_write_or_draw_stay_in_tensorflow():
    config = Config(
        inputs={"photo": ImageInput(height=8, width=8, tower=ConvTower(filters=[2]))},
        heads={"again": ImageHead(column="photo", height=8, width=8, filters=[2])},
    )
    with pytest.raises(ValueError, match=r"received heads\.again of type image"):
        export_checks.check_form("onnx", "float32", config)


@pytest.mark.parametrize(
    ("form", "module"), [("litert", "ai_edge_litert"), ("onnx", "onnxruntime")]
)
def test_a_form_without_its_extra(form, module, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=rf"pip install multimodal_tf\[{form}\]"):
        export_model(small.build(CONFIG), CONFIG, small.SCHEMA, tmp_path / "1", form=form)
    assert not list(tmp_path.iterdir())
