"""`fit`: the files and the record of a run, its metrics, the epoch that is kept, plain Keras."""

import csv
import hashlib
import json
import shutil

import keras
import numpy as np
import pytest
import small_table
from small_table import with_parts

from multimodal_tf.config import Config, Training
from multimodal_tf.data import atomic
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.models.build import build_model, compile_arguments
from multimodal_tf.training.fit import fit
from multimodal_tf.training.optimizer import make_optimizer
from multimodal_tf.training.run_dir import load_run


def config(inputs=("price",), heads=("age",), **training):
    """A learning rate far too high, which makes the validation loss worse at some epoch."""
    chosen = {
        "epochs": 6,
        "batch_size": 8,
        "patience": None,
        "learning_rate": 1.0,
        "schedule": "constant",
        "warmup_epochs": 0,
    }
    return with_parts(
        inputs,
        heads,
        fusion={"hidden": [4], "dropout": 0.1},
        training=Training(**chosen | training),
    )


CONFIG = config()
# without validation: all epochs, and the last weights
BLIND = {"epochs": 2, "batch_size": 16, "patience": 10, "optimizer": "sgd", "learning_rate": 0.01}


class Recorder(keras.callbacks.Callback):
    """Records the epochs and, at the end, the weights."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(epoch)

    def on_train_end(self, logs=None):
        self.seen.append(digest(self.model))


@pytest.fixture(scope="module")
def folder(once, small_schema, small_records):
    """A run without early stopping, and `returned.json`: what `fit` returned."""

    def make(folder):
        recorder = Recorder()
        run = fit(
            CONFIG, small_schema, small_records, folder / "run", callbacks=[recorder], verbose=0
        )
        returned = {
            "history": run.history,
            "metrics": run.metrics,
            "weights": digest(run.model),
            "outputs": outputs(run.model, small_schema, small_records)["age"].tolist(),
            "seen": recorder.seen,
        }
        (folder / "returned.json").write_text(json.dumps(returned))

    return once("fit", make)


@pytest.fixture(scope="module")
def trained(folder):
    return load_run(folder / "run")


@pytest.fixture(scope="module")
def returned(folder):
    return json.loads((folder / "returned.json").read_text())


def digest(model):
    return hashlib.sha256(b"".join(array.tobytes() for array in model.get_weights())).hexdigest()


def outputs(model, schema, records):
    inputs = next(iter(load_split(CONFIG, schema, records, "test")))[0]
    return {name: one.numpy() for name, one in model(inputs).items()}


def validation_loss(run, records):
    """The total loss, computed from the predictions of all rows at once."""
    inputs, targets, weights = next(
        iter(load_split(run.config, run.schema, records, "validation", batch_size=1000))
    )
    arguments, total = compile_arguments(run.config, run.schema), 0.0
    for name, predictions in run.model(inputs).items():
        per_row = arguments["loss"][name].call(targets[name], predictions).numpy()
        total += arguments["loss_weights"][name] * (per_row * weights[name].numpy()).mean()
    return total


# --- a run


def test_run_dir_has_its_files(folder, returned):
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
        losses = [float(line["val_loss"]) for line in csv.DictReader(file)]
    assert losses == returned["history"]["val_loss"]


def test_record_has_data_seed_versions_and_metrics(folder, returned, small_records):
    record = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
    manifest = json.loads((small_records / "manifest.json").read_text(encoding="utf-8"))
    assert record["status"] == "finished"
    assert record["seed"] == CONFIG.seed
    assert Config.model_validate(record["config"]) == CONFIG
    assert (record["data"]["hash"], record["data"]["rows"]["validation"]) == (manifest["hash"], 11)
    assert record["versions"]["keras"] == keras.__version__
    assert record["started"] <= record["ended"]
    assert record["epochs"] == len(returned["history"]["loss"]) == 6
    assert record["machine"]["cores"] >= 1
    best = record["best_epoch"] - 1
    assert record["metrics"]["val_mae"] == returned["history"]["val_mae"][best]


def test_validation_loss_is_exact_on_a_ragged_last_batch(small_run, small_records):
    """Three heads, and 11 rows in batches of 8.

    The record leaves out the losses of single heads, in which Keras miscounts the last batch.
    """
    run = load_run(small_run)
    assert min(run.history["val_loss"]) == pytest.approx(
        validation_loss(run, small_records), rel=1e-5
    )
    assert run.metrics["val_loss"] == min(run.history["val_loss"])
    assert not {"val_label_loss", "tags_loss"} & set(run.metrics)


def test_loaded_run_equals_the_trained_one(trained, returned, small_schema, small_records):
    assert (trained.config, trained.schema) == (CONFIG, small_schema)
    assert (trained.metrics, trained.history) == (returned["metrics"], returned["history"])
    assert digest(trained.model) == returned["weights"]
    loaded = outputs(trained.model, small_schema, small_records)["age"]
    np.testing.assert_array_equal(loaded, np.float32(returned["outputs"]))


def test_plain_keras_does_the_same(trained, small_schema, small_records):
    """`compile` and `model.fit` on `load_split` give the same metrics in every epoch."""
    keras.utils.set_random_seed(CONFIG.seed)
    model = build_model(CONFIG, small_schema)
    train = load_split(CONFIG, small_schema, small_records, "train", training=True)
    model.compile(
        make_optimizer(CONFIG.training, model, len(train)),
        **compile_arguments(CONFIG, small_schema),
    )
    validation = load_split(CONFIG, small_schema, small_records, "validation")
    history = model.fit(
        train, validation_data=validation, epochs=CONFIG.training.epochs, verbose=0
    ).history
    assert history == trained.history


# --- the epoch that is kept


def test_without_patience_all_epochs_are_run_and_the_best_weights_kept(
    trained, returned, small_records
):
    """The caller's callbacks see the best weights."""
    losses = trained.history["val_loss"]
    assert trained.record.epochs == len(losses) == 6
    assert min(losses) < losses[-1]
    assert validation_loss(trained, small_records) == pytest.approx(min(losses), rel=1e-5)
    assert returned["seen"] == [*range(6), returned["weights"]]


def test_stops_early_with_another_seed_in_the_folder_of_an_earlier_run(
    folder, small_schema, small_records, tmp_path
):
    """The best weights are kept. Only files of the earlier run are replaced."""
    directory = tmp_path / "again"
    shutil.copytree(folder / "run", directory)
    first = load_run(directory)
    (directory / "evaluation.json").write_text("{}", encoding="utf-8")
    (directory / "model.keras").write_bytes(b"old")
    other = config(epochs=30, patience=2).model_copy(update={"seed": 5})
    run = fit(other, small_schema, small_records, directory, verbose=0, overwrite=True)
    losses = run.history["val_loss"]
    assert run.record.epochs == len(losses) == run.record.best_epoch + 2 < 30
    assert losses[run.record.best_epoch - 1] == min(losses) < losses[-1]
    assert validation_loss(run, small_records) == pytest.approx(min(losses), rel=1e-5)

    loaded = load_run(directory)
    assert digest(loaded.model) == digest(run.model) != digest(first.model)
    assert loaded.record.seed == 5
    assert (directory / "evaluation.json").exists()
    with open(directory / "history.csv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(losses)


def test_without_validation_rows_it_warns(tmp_path):
    settings = config(**BLIND)
    schema = small_table.ingested(
        tmp_path / "records", settings, small_table.frame(validation=0, test=4)
    )
    with pytest.warns(
        UserWarning,
        match="without validation rows of known labels training does not stop early, and the "
        "last weights",
    ):
        run = fit(settings, schema, tmp_path / "records", tmp_path / "run", verbose=0)
    assert (run.record.epochs, run.record.best_epoch) == (2, 2)
    assert "without validation rows" in load_run(tmp_path / "run").record.note
    assert "val_loss" not in run.history


def test_validation_rows_of_unknown_labels_do_not_choose_the_epoch(tmp_path):
    settings = config(heads=["label"], **BLIND)
    table = small_table.frame(test=4)
    table.loc[table["split"] == "validation", "label"] = "zebra"
    schema = small_table.ingested(tmp_path / "records", settings, table)
    with pytest.warns(UserWarning, match="without validation rows of known labels"):
        run = fit(settings, schema, tmp_path / "records", tmp_path / "run", verbose=0)
    assert (run.record.epochs, run.record.best_epoch) == (2, 2)


def test_diverging_training_is_one_clear_error(small_schema, small_records, tmp_path):
    with pytest.raises(
        ValueError, match=r"the loss became NaN or infinite in epoch 1: .*lower, received 1e\+30"
    ):
        fit(
            config(optimizer="sgd", learning_rate=1e30),
            small_schema,
            small_records,
            tmp_path / "run",
            verbose=0,
        )
    assert not (tmp_path / "run" / "model.keras").exists()


# --- load_run


def test_a_folder_without_a_run_is_one_clear_error(folder, tmp_path):
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
