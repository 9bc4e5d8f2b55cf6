"""Trials begin as `fit` does: with heads solved as regressions."""

import frozen_table
import keras_tuner
import numpy as np
import pytest
from frozen_table import text

from multimodal_tf.config import Training
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.training.folds import make_folds
from multimodal_tf.training.run_dir import Run
from multimodal_tf.training.tune import Choice, SearchModel, Space, model, trial

pytestmark = pytest.mark.slow

# every epoch makes the start worse
TRAINING = Training(epochs=1, batch_size=8, learning_rate=3.0, optimizer="sgd")


@pytest.fixture(scope="module")
def config(pretrained):
    """A head that is all that is trained, so that no epoch follows its start."""
    one = frozen_table.config({"title": text(pretrained)}, training=TRAINING)
    return one.model_copy(update={"inputs": {"title": one.inputs["title"]}})


@pytest.fixture(scope="module")
def records(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune_linear_start") / "records"
    frozen_table.ingested(config, folder)
    return folder


def searched(config, records, **options):
    # another rate would make another trial, and is of no effect
    space = Space.from_config(config, {"training.learning_rate": Choice([2.0, 3.0])})
    return SearchModel(space, records, **options)


def test_a_trial_keeps_the_model_of_its_start(config, records, tmp_path):
    one = searched(config, records)
    tuner = keras_tuner.RandomSearch(one, "val_loss", max_trials=1, directory=tmp_path, seed=1)
    tuner.search(verbose=0)
    (best,) = tuner.oracle.get_best_trials()
    (kept,) = tuner.get_best_models()
    schema = model.schema_for(config, records)
    validation = load_split(config, schema, records, "validation")
    found = kept.evaluate(validation, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(best.score, abs=1e-5)
    # of random weights: log(3)
    assert found["loss"] < 0.9
    assert best.metrics.get_history("val_loss")[0].step == 0


def test_all_folds_have_it_and_a_model_that_was_trained_before_does_not(
    config, records, tmp_path, monkeypatch
):
    epochs: list[int] = []
    real = trial.fit_model

    def counted(*args, **options) -> Run:
        run = real(*args, **options)
        epochs.append(run.record.epochs)
        return run

    monkeypatch.setattr(trial, "fit_model", counted)
    folds = make_folds(records, tmp_path / "folds", 2)
    one = searched(config, records, folds=folds)
    hp = one.hyperparameters()
    metrics = one.fit(hp, one.build(hp))
    assert epochs == [0, 0]
    assert np.isfinite(metrics["val_loss"])
    # as Hyperband goes on with a trial
    alone = searched(config, records)
    alone.fit(hp, alone.build(hp), epochs=2, initial_epoch=1)
    assert epochs == [0, 0, 1]
