"""A search in one process: its trials, failed ones among them, and its best configuration."""

import json
import pickle
import shutil

import keras
import keras_tuner
import keras_tuner.src.utils
import numpy as np
import pandas as pd
import pytest
from tune_space import CONFIG, FUSIONS, over

from multimodal_tf.config import Config
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.training.fit import fit
from multimodal_tf.training.tune import Choice, Float, SearchModel, Space, model, trial, tune

pytestmark = pytest.mark.slow

# bytes that the search takes for available
MEMORY = 500_000_000
TRIALS = 10


def test_a_notebook_uses_it_as_plain_keras_tuner(tune_records, tmp_path):
    searched = SearchModel(over({"fusion": FUSIONS}), tune_records)
    tuner = keras_tuner.RandomSearch(
        searched, searched.objective("val_label_accuracy"), max_trials=2, directory=tmp_path, seed=1
    )
    tuner.search(epochs=2, verbose=0)
    best = tuner.oracle.get_best_trials()[0]
    assert best.status == "COMPLETED"
    assert isinstance(tuner.get_best_models()[0], keras.Model)
    assert (
        searched.config(best.hyperparameters).fusion.type == best.hyperparameters.values["fusion"]
    )
    with pytest.raises(keras_tuner.errors.FatalValueError, match="received data"):
        searched.fit(best.hyperparameters, None, np.zeros(3))


# one learning rate diverges, one fusion is invalid, and another one too large
SPACE = over(
    {
        "fusion": Choice(
            [
                {"type": "concatenation"},
                # heads must divide dim
                {"type": "self_attention", "dim": 8, "heads": 3},
                {"type": "concatenation", "hidden": [16_384, 16_384]},
            ]
        ),
        "training.learning_rate": Choice([0.01, 0.1, 1e30]),
        "training.optimizer": Choice(["sgd", "adamw"]),
    }
)


@pytest.fixture
def little_memory(monkeypatch):
    monkeypatch.setattr(model.pipeline, "available_memory", lambda: MEMORY)


@pytest.fixture(scope="module")
def found(once, tune_records):
    """What a search in `SPACE` found."""

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(model.pipeline, "available_memory", lambda: MEMORY)
            found = tune(
                SPACE, tune_records, folder / "out", trials=TRIALS, tuner="random", progress=False
            )
        (folder / "found.pickle").write_bytes(pickle.dumps(found))

    return pickle.loads((once("search", make) / "found.pickle").read_bytes())


@pytest.fixture
def copied(found, tmp_path):
    """A copy of the search's folder."""
    shutil.copytree(found.out, tmp_path / "out")
    return tmp_path / "out"


def test_failed_and_diverging_trials_are_recorded_and_the_search_continues(found):
    table = found.table
    assert len(table) == TRIALS
    kinds = table.groupby(["fusion", "training.learning_rate"])["status"].agg(set).to_dict()
    assert {
        status
        for (fusion, _), status in kinds.items()
        if fusion == "self_attention"
        for status in status
    } == {"failed"}
    assert {
        status
        for (fusion, _), status in kinds.items()
        if fusion == "concatenation-2"
        for status in status
    } == {"refused"}
    assert kinds.get(("concatenation", 0.01), {"completed"}) == {"completed"}
    assert kinds[("concatenation", 1e30)] == {"diverged"}
    reasons = table.groupby("status")["reason"].agg(list)
    assert "fusion.heads must divide fusion.dim (8), received 3" in reasons["failed"][0]
    assert "of memory to train, and only 0.5 GB are available" in reasons["refused"][0]
    assert "NaN or infinite" in reasons["diverged"][0]
    assert table.loc[table["status"] != "completed", "objective"].isna().all()


def test_the_best_is_the_best_completed_one(found):
    done = found.table[found.table["status"] == "completed"]
    assert found.score == done["objective"].min()
    best = done.loc[done["objective"].idxmin()]
    assert found.best.training.learning_rate == best["training.learning_rate"]
    assert Config.load(found.out / "best.yaml") == found.best


def test_the_best_trained_alone_has_the_same_metrics(found, tune_records, tmp_path):
    trained = fit(
        found.best, schema_for(found.best, tune_records), tune_records, tmp_path / "run", verbose=0
    )
    assert trained.metrics["val_loss"] == pytest.approx(found.score, rel=1e-6)


def test_trials_are_a_table_and_plots(found):
    table = pd.read_csv(found.out / "trials.csv")
    assert table["trial"].tolist() == list(range(TRIALS))
    assert table.columns.tolist()[-3:] == ["fusion", "training.optimizer", "training.learning_rate"]
    for name in ("objective.png", "fields.png"):
        assert (found.out / name).read_bytes().startswith(b"\x89PNG")
    assert not list((found.out / "runs").iterdir())
    # no weights of trials
    assert not [*found.out.rglob("*.h5"), *found.out.rglob("*.keras")]


@pytest.mark.usefixtures("little_memory")
def test_a_finished_search_is_read_again_and_continues_with_more_trials(
    found, copied, tune_records
):
    given = {"tuner": "random", "progress": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "fit_model", lambda *_, **__: pytest.fail("a trial was trained again"))
        again = tune(SPACE, tune_records, copied, trials=TRIALS, **given)
    pd.testing.assert_frame_equal(again.table, found.table)
    more = tune(SPACE, tune_records, copied, trials=TRIALS + 1, **given)
    pd.testing.assert_frame_equal(more.table[:TRIALS], found.table)
    assert len(more.table) == TRIALS + 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"objective": "val_label_accuracy"}, "differs in objective"),
        ({"tuner": "bayesian"}, "differs in tuner"),
        ({"space": over({"training.learning_rate": Choice([1e-3, 1e-2])})}, "differs in space"),
    ],
    ids=["objective", "tuner", "space"],
)
def test_another_search_is_refused_in_its_directory(found, tune_records, changed, message):
    given = {"space": SPACE, "records": tune_records, "out": found.out, "tuner": "random"}
    with pytest.raises(ValueError, match=message):
        tune(**given | changed, progress=False)


def test_mean_and_std_over_folds_are_recorded(tune_records, tmp_path):
    space = over({"training.learning_rate": Choice([0.01, 0.1])})
    found = tune(
        space,
        tune_records,
        tmp_path,
        "val_label_accuracy",
        trials=2,
        tuner="random",
        folds=2,
        progress=False,
    )
    fold = tmp_path / "folds" / "fold-1"
    alone = fit(
        found.best, schema_for(found.best, fold), fold, tmp_path / "alone", verbose=0
    ).metrics["val_accuracy"]
    outcomes = [json.loads(file.read_text()) for file in (tmp_path / "outcomes").iterdir()]
    metrics = [[fold["val_accuracy"] for fold in one["folds"]] for one in outcomes]
    best = max(metrics, key=np.mean)
    assert best[1] == pytest.approx(alone)
    assert found.score == pytest.approx(np.mean(best))
    assert found.std == pytest.approx(np.std(best, ddof=1))
    assert found.table["std"].notna().all()


def test_hyperband_continues_with_good_ones(tune_records, tmp_path):
    config = CONFIG.model_copy(deep=True)
    config.training.epochs = 3
    space = Space.from_config(config, {"training.learning_rate": Float(1e-3, 1e-1, sampling="log")})
    found = tune(space, tune_records, tmp_path, tuner="hyperband", progress=False)
    assert found.table["status"].tolist() == ["completed"] * 6
    # three for an epoch, the best of them for two more; two for all
    assert sorted(found.table["epochs"].tolist()) == [1, 1, 1, 2, 3, 3]


def test_keras_tuner_writes_atomically(copied):
    path = copied / "trials" / "oracle.json"
    before = path.read_text()
    with pytest.raises(TypeError):
        keras_tuner.src.utils.save_json(str(path), {"a": object()})
    assert path.read_text() == before
    keras_tuner.src.utils.save_json(str(path), json.loads(before))
    assert json.loads(path.read_text()) == json.loads(before)
