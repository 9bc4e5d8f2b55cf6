"""`fit`: files, metrics, reproducibility, and what is refused before training begins."""

import csv
import hashlib
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import small_table as case

from multimodal_tf.config import Config, Training
from multimodal_tf.data import atomic
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.models.build import build_model, compile_arguments
from multimodal_tf.training import run_dir as runs
from multimodal_tf.training.fit import fit
from multimodal_tf.training.optimizer import make_optimizer
from multimodal_tf.training.run_dir import load_run


def changed(config=case.CONFIG, **fields):
    """The configuration with other fields, each a JSON-like dict."""
    return Config.model_validate(config.model_dump() | fields)


def training(**fields):
    return case.CONFIG.training.model_dump() | fields


# fewer inputs and heads than were ingested, for speed
SMALL = Config(
    inputs={name: case.CONFIG.inputs[name] for name in ("price", "colour")},
    heads={"label": case.CONFIG.heads["label"]},
    fusion={"hidden": [4]},
    split=case.CONFIG.split,
    training=Training(epochs=2, batch_size=16),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fit")


@pytest.fixture(scope="module")
def schema(folder):
    return case.ingested(folder / "records")


@pytest.fixture(scope="module")
def trained(folder, schema):
    return fit(case.CONFIG, schema, folder / "records", folder / "run", verbose=0)


@pytest.fixture(scope="module")
def without_validation(folder):
    """Records without validation rows."""
    table = case.frame(validation=0)
    return case.ingested(folder / "two splits", table=table), folder / "two splits"


def digest(model):
    return hashlib.sha256(b"".join(array.tobytes() for array in model.get_weights())).hexdigest()


def validation_loss(model, config, schema, records):
    """The total loss, computed from the predictions of all rows at once."""
    inputs, targets, weights = next(
        iter(load_split(config, schema, records, "validation", batch_size=1000))
    )
    answers = model.predict(inputs, verbose=0)
    arguments, total = compile_arguments(config, schema), 0.0
    for name, answer in answers.items():
        per_row = arguments["loss"][name].call(targets[name], answer).numpy()
        total += arguments["loss_weights"][name] * (per_row * weights[name].numpy()).mean()
    return total


# --- a run


def test_run_dir_has_its_files(trained, folder):
    names = {path.name for path in (folder / "run").iterdir()}
    assert names == {
        "model.keras",
        "config.yaml",
        "schema.json",
        "run.json",
        "history.csv",
        "logs",
        atomic.LOCK,
    }
    assert list((folder / "run" / "logs").rglob("events.*"))
    with open(folder / "run" / "history.csv", encoding="utf-8") as file:
        assert [float(line["val_loss"]) for line in csv.DictReader(file)] == trained.history[
            "val_loss"
        ]


def test_record_has_data_seed_versions_and_metrics(trained, folder):
    record = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
    manifest = json.loads((folder / "records" / "manifest.json").read_text(encoding="utf-8"))
    assert record["status"] == "finished"
    assert record["seed"] == case.CONFIG.seed
    assert Config.model_validate(record["config"]) == case.CONFIG
    assert (record["data"]["hash"], record["data"]["rows"]["validation"]) == (manifest["hash"], 11)
    assert record["versions"]["keras"] == keras.__version__
    assert record["started"] <= record["ended"]
    assert record["epochs"] == len(trained.history["loss"]) == 3
    assert record["machine"]["cores"] >= 1
    best = record["best_epoch"] - 1
    assert record["metrics"]["val_label_accuracy"] == trained.history["val_label_accuracy"][best]


def test_validation_loss_is_exact_on_a_ragged_last_batch(trained, schema, folder):
    """11 rows in batches of 8.

    The record leaves out the losses of single heads, in which Keras miscounts the last batch.
    """
    assert min(trained.history["val_loss"]) == pytest.approx(
        validation_loss(trained.model, case.CONFIG, schema, folder / "records"), rel=1e-5
    )
    assert trained.metrics["val_loss"] == min(trained.history["val_loss"])
    assert not {"val_label_loss", "tags_loss"} & set(trained.metrics)


def test_loaded_run_equals_the_trained_one(trained, schema, folder):
    loaded = load_run(folder / "run")
    assert (loaded.config, loaded.schema, loaded.metrics) == (
        trained.config,
        schema,
        trained.metrics,
    )
    assert loaded.history == trained.history
    assert digest(loaded.model) == digest(trained.model)
    inputs = next(iter(load_split(case.CONFIG, schema, folder / "records", "test")))[0]
    for name, answer in trained.model.predict(inputs, verbose=0).items():
        np.testing.assert_array_equal(loaded.model.predict(inputs, verbose=0)[name], answer)


def test_plain_keras_does_the_same(trained, schema, folder):
    """`compile` and `model.fit` on `load_split` give the same metrics in every epoch."""
    config = case.CONFIG
    keras.utils.set_random_seed(config.seed)
    model = build_model(config, schema)
    train = load_split(config, schema, folder / "records", "train", training=True)
    model.compile(
        make_optimizer(config.training, model, len(train)), **compile_arguments(config, schema)
    )
    validation = load_split(config, schema, folder / "records", "validation")
    history = model.fit(
        train, validation_data=validation, epochs=config.training.epochs, verbose=0
    ).history
    assert history == trained.history


def test_another_process_ends_with_the_same_bits(trained, folder):
    """This process has run other tests before; the other one has not."""
    script = (
        "import sys; sys.path[:0] = ['tests', 'tests/training']\n"
        "import small_table as case\n"
        "from test_fit import digest, fit\n"
        "from multimodal_tf.schema import Schema\n"
        "records, run = sys.argv[1:]\n"
        "schema = Schema.load(run + '/../run/schema.json')\n"
        "print(digest(fit(case.CONFIG, schema, records, run, verbose=0).model))\n"
    )
    command = [sys.executable, "-c", script, str(folder / "records"), str(folder / "run 2")]
    (folder / "run 2").mkdir()
    other = subprocess.run(command, capture_output=True, text=True, check=True, cwd=case.ROOT)
    assert other.stdout.strip() == digest(trained.model)


# --- early stopping


def test_stops_early_and_keeps_the_best_weights(schema, folder):
    """A learning rate that is far too high makes the validation loss worse at some epoch."""
    config = changed(
        SMALL,
        training=training(
            epochs=30, patience=2, learning_rate=1.0, schedule="constant", warmup_epochs=0
        ),
    )
    run = fit(config, schema, folder / "records", folder / "early", verbose=0)
    losses = run.history["val_loss"]
    assert run.record.epochs == len(losses) == run.record.best_epoch + 2 < 30
    assert losses[run.record.best_epoch - 1] == min(losses) < losses[-1]
    assert validation_loss(run.model, config, schema, folder / "records") == pytest.approx(
        min(losses), rel=1e-5
    )
    assert digest(load_run(folder / "early").model) == digest(run.model)


def test_without_patience_all_epochs_are_run_and_the_best_weights_kept(schema, folder):
    config = changed(
        SMALL,
        training=training(
            epochs=8, patience=None, learning_rate=1.0, schedule="constant", warmup_epochs=0
        ),
    )
    run = fit(config, schema, folder / "records", folder / "patient", verbose=0)
    assert run.record.epochs == 8
    assert validation_loss(run.model, config, schema, folder / "records") == pytest.approx(
        min(run.history["val_loss"]), rel=1e-5
    )


def test_without_validation_rows_it_warns(without_validation, folder):
    schema, records = without_validation
    with pytest.warns(
        UserWarning,
        match="without validation rows of known labels training does not stop early, and the "
        "last weights",
    ):
        run = fit(SMALL, schema, records, folder / "blind", verbose=0)
    assert (run.record.epochs, run.record.best_epoch) == (2, 2)
    assert "without validation rows" in load_run(folder / "blind").record.note
    assert "val_loss" not in run.history


def test_validation_rows_of_unknown_labels_do_not_choose_the_epoch(folder):
    table = case.frame()
    table.loc[table["split"] == "validation", ["label", "tags", "age"]] = ["zebra", "zebra", None]
    schema = case.ingested(folder / "unknown", table=table)
    with pytest.warns(UserWarning, match="without validation rows of known labels"):
        run = fit(SMALL, schema, folder / "unknown", folder / "unknown run", verbose=0)
    assert (run.record.epochs, run.record.best_epoch) == (2, 2)


class Recorder(keras.callbacks.Callback):
    """Records the epochs and, at the end, the weights."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(epoch)

    def on_train_end(self, logs=None):
        self.seen.append(digest(self.model))


def test_a_second_run_with_another_seed_in_the_same_folder(schema, folder):
    """The caller's callbacks see the best weights. Only files of the earlier run are replaced."""
    directory, recorder = folder / "again", Recorder()
    first = fit(SMALL, schema, folder / "records", directory, callbacks=[recorder], verbose=0)
    assert recorder.seen == [0, 1, digest(first.model)]
    (directory / "evaluation.json").write_text("{}", encoding="utf-8")
    (directory / "model.keras").write_bytes(b"old")
    second = fit(changed(SMALL, seed=5), schema, folder / "records", directory, verbose=0)
    assert digest(load_run(directory).model) == digest(second.model) != digest(first.model)
    assert load_run(directory).record.seed == 5
    assert (directory / "evaluation.json").exists()
    with open(directory / "history.csv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 2


# --- optimizer


def rates(**fields):
    """The learning rate at the steps of a training of 4 epochs of 5 steps."""
    setting = Training(**{"learning_rate": 0.8, "epochs": 4, **fields})
    schedule = make_optimizer(
        setting, keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), 5
    )._learning_rate
    return [float(schedule(step)) for step in range(21)]


def test_warm_up_then_cosine():
    steps = rates(warmup_epochs=2)
    assert steps[:10] == pytest.approx([0.08 + 0.072 * step for step in range(10)])
    assert steps[10:] == pytest.approx(
        [0.4 * (1 + np.cos(np.pi * step / 10)) for step in range(11)], abs=1e-6
    )


def test_constant_after_warm_up():
    assert rates(schedule="constant", warmup_epochs=1)[5:] == pytest.approx([0.8] * 16)


def test_no_warm_up_begins_with_the_full_rate():
    steps = rates(warmup_epochs=0)
    assert (steps[0], steps[10], steps[20]) == (
        pytest.approx(0.8),
        pytest.approx(0.4),
        pytest.approx(0, abs=1e-6),
    )


def test_warm_up_longer_than_the_training_rises_to_its_end():
    steps = rates(warmup_epochs=9)
    assert (steps[:20], steps[20]) == (sorted(steps[:20]), pytest.approx(0.8))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_weight_decay_is_for_matrices_only(name):
    """With gradients of 0, a step decays the kernel by weight_decay * learning rate.

    Biases and scales do not change.
    """
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(2, bias_initializer="ones"),
            keras.layers.BatchNormalization(),
        ]
    )
    before = {variable.path: variable.numpy() for variable in model.trainable_variables}
    setting = Training(optimizer=name, learning_rate=0.5, weight_decay=0.1, warmup_epochs=0)
    make_optimizer(setting, model, 10).apply(
        [keras.ops.zeros(variable.shape) for variable in model.trainable_variables],
        model.trainable_variables,
    )
    for variable in model.trainable_variables:
        factor = 0.95 if variable.name == "kernel" else 1.0
        np.testing.assert_allclose(variable.numpy(), factor * before[variable.path], rtol=1e-6)


def test_optimizers_are_keras_own():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    assert type(make_optimizer(Training(), model, 1)) is keras.optimizers.AdamW
    sgd = make_optimizer(Training(optimizer="sgd", momentum=0.7), model, 1)
    assert (type(sgd), sgd.momentum) == (keras.optimizers.SGD, 0.7)


# --- the run's folder


def test_an_interrupted_run_cannot_be_loaded_but_continued(schema, folder):
    class Killed(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(SMALL, schema, folder / "records", folder / "killed", callbacks=[Killed()], verbose=0)
    assert keras.models.load_model(folder / "killed" / runs.CHECKPOINT)
    with pytest.raises(ValueError, match="has not finished"):
        load_run(folder / "killed")
    # no error: the next training begins there anew
    runs.check_run_dir(folder / "killed")


def test_diverging_training_is_one_clear_error(schema, folder):
    config = changed(SMALL, training=training(optimizer="sgd", learning_rate=1e30, warmup_epochs=0))
    with pytest.raises(
        ValueError, match=r"the loss became NaN or infinite in epoch 1: .*lower, received 1e\+30"
    ):
        fit(config, schema, folder / "records", folder / "diverged", verbose=0)
    assert not (folder / "diverged" / "model.keras").exists()


@pytest.fixture
def no_training(monkeypatch):
    """Fails if data are decoded before the error."""

    def too_late(*_, **__):
        pytest.fail("data were read before the error")

    monkeypatch.setattr("multimodal_tf.training.batches.load_split", too_late)


REFUSED = {
    "an input that was not ingested": (
        {"inputs": {"photo": {"type": "image"}}},
        r"inputs\.photo: .* was ingested without it, with \['colour', 'price', 'title'\]: "
        r"ingest the table again",
    ),
    "a head that was not ingested": (
        {"heads": {"kind": {"type": "regression"}}},
        r"heads\.kind: .* was ingested without it",
    ),
    "an input ingested as another type": (
        {"inputs": {"price": {"type": "text"}}},
        r"inputs\.price: .*'number'.*received .*'text'",
    ),
    "another column": (
        {"inputs": {"price": {"type": "number", "column": "colour"}}},
        r"inputs\.price: .*received .*'colour'",
    ),
    "another split": ({"split": {"validation": 0.3}}, "split: .* was ingested with column='split'"),
}


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("mistake", REFUSED)
def test_other_settings_than_ingest_had_are_refused(mistake, schema, folder):
    fields, message = REFUSED[mistake]
    with pytest.raises(ValueError, match=message):
        fit(changed(**fields), schema, folder / "records", folder / "never", verbose=0)
    assert not (folder / "never").exists()


@pytest.mark.usefixtures("no_training")
def test_a_schema_of_another_table_is_refused(schema, folder):
    other = schema.model_copy(update={"inputs": {}})
    with pytest.raises(
        ValueError,
        match=r"inputs\.title: the schema must hold vocabulary for a text, received nothing",
    ):
        fit(case.CONFIG, other, folder / "records", folder / "never", verbose=0)


@pytest.mark.usefixtures("no_training")
def test_records_of_another_version_are_refused(schema, folder, monkeypatch):
    monkeypatch.setattr("multimodal_tf.data.ingest.record_settings._FORMAT", -1)
    with pytest.raises(
        ValueError, match="was ingested by another version of multimodal_tf: ingest the table again"
    ):
        fit(case.CONFIG, schema, folder / "records", folder / "never", verbose=0)


@pytest.mark.usefixtures("no_training")
def test_folders_that_cannot_hold_a_run(schema, folder):
    with pytest.raises(FileNotFoundError, match="ingest a table there first"):
        fit(case.CONFIG, schema, folder / "nowhere", folder / "never", verbose=0)
    with pytest.raises(
        ValueError,
        match="needs a new or empty directory, or one of an earlier run, received .* with "
        "'config.yaml' in it",
    ):
        fit(case.CONFIG, schema, folder / "records", folder / "records", verbose=0)
    (folder / "file").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match="file is a file"):
        fit(SMALL, schema, folder / "records", folder / "file", verbose=0)
    with (
        atomic.locked(folder / "busy"),
        pytest.raises(OSError, match="another process is writing into"),
    ):
        fit(SMALL, schema, folder / "records", folder / "busy", verbose=0)


# --- load_run


def test_a_folder_without_a_run_is_one_clear_error(trained, folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no run: it has no run.json"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"run\.json is not the record of a run"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_bytes((folder / "run" / "run.json").read_bytes())
    with pytest.raises(ValueError, match=r"model\.keras is missing or damaged"):
        load_run(tmp_path)
    whole = (folder / "run" / "model.keras").read_bytes()
    (tmp_path / "model.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"model\.keras is missing or damaged"):
        load_run(tmp_path)
    (tmp_path / "model.keras").write_bytes(whole)
    with pytest.raises(ValueError, match=r"history\.csv is missing or damaged"):
        load_run(tmp_path)
