"""A search in one process: its trials, failed ones among them, and its best configuration."""

import json
import pathlib

import contract
import keras
import keras_tuner
import numpy as np
import pandas as pd
import pretrained_case
import pytest
from small_table import frame, ingested

from multimodal_tf.config import (
    CategoryInput,
    ClassificationHead,
    Config,
    DenseTower,
    EmbeddingHead,
    KerasTower,
    NumberInput,
    PresetTower,
    RegressionHead,
    Split,
    Training,
)
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Schema
from multimodal_tf.training.fit import fit
from multimodal_tf.training.folds import make_folds
from multimodal_tf.training.tune import (
    Choice,
    Float,
    Int,
    SearchModel,
    Space,
    memory,
    model,
    outcome,
    report,
    trial,
    tune,
)

CONFIG = Config(
    inputs={"price": NumberInput(), "colour": CategoryInput()},
    heads={"label": ClassificationHead()},
    split=Split(column="split"),
    training=Training(epochs=1, batch_size=20, learning_rate=0.01),
    seed=5,
)
FUSIONS = Choice([{"type": "concatenation"}, {"type": "gated", "dim": Choice([4, 8])}])
# bytes that searches take for available
MEMORY = 500_000_000


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tune") / "records"
    ingested(directory, CONFIG)
    return directory


def over(fields):
    return Space.from_config(CONFIG, fields)


def test_the_space_is_keras_tuners_with_conditions(records):
    learning = Float(1e-4, 1e-2, sampling="log")
    space = over(
        {"fusion": FUSIONS, "training.learning_rate": learning, "training.epochs": Int(1, 9, 2)}
    )
    hp = SearchModel(space, records).hyperparameters()
    kinds = {one.name: type(one).__name__ for one in hp.space}
    assert kinds == {
        "fusion": "Choice",
        "fusion.gated.dim": "Choice",
        "training.learning_rate": "Float",
        "training.epochs": "Int",
    }
    # gated.dim is inactive
    assert hp.values == {
        "fusion": "concatenation",
        "training.learning_rate": 1e-4,
        "training.epochs": 1,
    }
    hp.values["fusion"] = "gated"
    hp.ensure_active_values()
    assert hp.values["fusion.gated.dim"] in (4, 8)


def test_a_trial_has_the_same_key_when_it_came_over_the_network(records):
    fusions = Choice(
        [
            {"type": "concatenation", "hidden": Choice([[], [8]])},
            {"type": "sum", "dim": Choice([4, 8])},
        ]
    )
    hp = SearchModel(over({"fusion": fusions}), records).hyperparameters()
    hp.values = {"fusion": "sum", "fusion.sum.dim": 8}
    received = keras_tuner.HyperParameters.from_proto(hp.to_proto())
    # the fault that `trial_key` works around
    assert received.values != hp.values
    assert outcome.trial_key(received) == outcome.trial_key(hp)


def test_plain_keras_tuner_builds_one_model_before_it_begins(records, tmp_path, monkeypatch):
    built = []
    monkeypatch.setattr(
        model, "build_model", lambda *given: built.append(given) or build_model(*given)
    )
    searched = SearchModel(over({"fusion": FUSIONS}), records)
    keras_tuner.RandomSearch(
        searched, searched.objective("val_loss"), max_trials=2, directory=tmp_path
    )
    assert len(built) == 1


@pytest.mark.slow
def test_a_notebook_uses_it_as_plain_keras_tuner(records, tmp_path):
    searched = SearchModel(over({"fusion": FUSIONS}), records)
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


@pytest.fixture(scope="module")
def search(records, tmp_path_factory):
    """One learning rate diverges, one fusion is invalid, and another one too large."""
    fusion = Choice(
        [
            {"type": "concatenation"},
            # heads must divide dim
            {"type": "self_attention", "dim": 8, "heads": 3},
            {"type": "concatenation", "hidden": [5_000_000]},
        ]
    )
    space = over(
        {
            "fusion": fusion,
            "training.learning_rate": Choice([0.01, 0.1, 1e30]),
            "training.optimizer": Choice(["sgd", "adamw"]),
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model.pipeline, "available_memory", lambda: MEMORY)
        return space, tune(
            space,
            records,
            tmp_path_factory.mktemp("search"),
            trials=14,
            tuner="random",
            progress=False,
        )


@pytest.mark.slow
def test_failed_and_diverging_trials_are_recorded_and_the_search_continues(search):
    table = search[1].table
    assert len(table) == 14
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


@pytest.mark.slow
def test_the_best_is_the_best_completed_one(search):
    _, found = search
    done = found.table[found.table["status"] == "completed"]
    assert found.score == done["objective"].min()
    best = done.loc[done["objective"].idxmin()]
    assert found.best.training.learning_rate == best["training.learning_rate"]
    assert Config.load(found.out / "best.yaml") == found.best


@pytest.mark.slow
def test_the_best_trained_alone_has_the_same_metrics(search, records, tmp_path):
    _, found = search
    trained = fit(found.best, schema_for(found.best, records), records, tmp_path / "run", verbose=0)
    assert trained.metrics["val_loss"] == pytest.approx(found.score, rel=1e-6)


@pytest.mark.slow
def test_trials_are_a_table_and_plots(search):
    _, found = search
    table = pd.read_csv(found.out / "trials.csv")
    assert table["trial"].tolist() == list(range(14))
    assert table.columns.tolist()[-3:] == ["fusion", "training.optimizer", "training.learning_rate"]
    for name in ("objective.png", "fields.png"):
        assert (found.out / name).read_bytes().startswith(b"\x89PNG")
    assert not list((found.out / "runs").iterdir())


@pytest.mark.slow
def test_a_finished_search_is_read_again_and_continues_with_more_trials(
    search, records, monkeypatch
):
    space, found = search
    # otherwise the next trial may have the model that is too large
    monkeypatch.setattr(model.pipeline, "available_memory", lambda: MEMORY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "fit", lambda *_: pytest.fail("a trial was trained again"))
        again = tune(space, records, found.out, trials=14, tuner="random", progress=False)
    pd.testing.assert_frame_equal(again.table, found.table)
    more = tune(space, records, found.out, trials=15, tuner="random", progress=False)
    pd.testing.assert_frame_equal(more.table[:14], found.table)
    assert len(more.table) == 15


@pytest.mark.slow
def test_another_search_is_refused_in_its_directory(search, records):
    space, found = search
    for arguments, message in [
        ({"objective": "val_label_accuracy"}, "differs in objective"),
        ({"tuner": "bayesian"}, "differs in tuner"),
        ({"space": over({"training.learning_rate": Choice([1e-3, 1e-2])})}, "differs in space"),
    ]:
        with pytest.raises(ValueError, match=message):
            tune(
                **(
                    {
                        "space": space,
                        "records": records,
                        "out": found.out,
                        "tuner": "random",
                        "progress": False,
                    }
                    | arguments
                )
            )


@pytest.mark.slow
def test_mean_and_std_over_folds_are_recorded(records, tmp_path):
    space = over({"training.learning_rate": Choice([0.01, 0.1])})
    found = tune(
        space,
        records,
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


@pytest.mark.slow
def test_hyperband_continues_with_good_ones(records, tmp_path):
    config = CONFIG.model_copy(deep=True)
    config.training.epochs = 3
    space = Space.from_config(config, {"training.learning_rate": Float(1e-3, 1e-1, sampling="log")})
    found = tune(space, records, tmp_path, tuner="hyperband", progress=False)
    assert found.table["status"].tolist() == ["completed"] * 6
    # three for an epoch, the best of them for two more; two for all
    assert sorted(found.table["epochs"].tolist()) == [1, 1, 1, 2, 3, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"objective": "val_lable_accuracy"},
            "the objective must be one of val_loss, val_label_accuracy, received "
            "'val_lable_accuracy'",
        ),
        ({"trials": 0}, "trials must be at least 1, received 0"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"tuner": "grid"}, "tuner must be random, bayesian or hyperband, received 'grid'"),
        ({"tuner": "hyperband", "trials": 9}, "trials must be left to hyperband"),
        ({"tuner": "hyperband", "folds": 3}, "folds need the tuner random or bayesian"),
        (
            {"space": {"inputs.price.column": Choice(["price", "age"])}},
            "inputs.price: .* was ingested with .* ingest the table again",
        ),
        (
            {"space": {"split": Choice([{"column": "split"}, {"test": 0.3}])}},
            "split: .* was ingested with",
        ),
        (
            {"space": {"training.batch_size": Choice([10**9, 8])}},
            "first options must make a model that can be trained: .* of memory",
        ),
        ({"workers": 2, "listen": "127.0.0.1:x"}, "an address must be HOST:PORT"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_in_one_sentence(records, tmp_path, arguments, message):
    space = over(arguments.pop("space", {"fusion": FUSIONS}))
    with pytest.raises(ValueError, match=message) as refused:
        tune(space, records, tmp_path / "search", **arguments)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "search" / "trials").exists()


def test_without_validation_rows_folds_are_needed(tmp_path):
    config = CONFIG.model_copy(update={"split": Split(validation=0)})
    ingest(read_table(frame()), config, tmp_path / "records", processes=1)
    space = Space.from_config(config, {"training.learning_rate": Choice([0.01, 0.1])})
    with pytest.raises(ValueError, match="needs validation rows or folds"):
        SearchModel(space, tmp_path / "records")
    folds = make_folds(tmp_path / "records", tmp_path / "folds", 2)
    assert (
        SearchModel(space, tmp_path / "records", folds=folds).objective("val_loss").direction
        == "min"
    )


@pytest.mark.parametrize(
    ("heads", "name", "logged", "direction"),
    [
        ({"label": ClassificationHead()}, "val_label_accuracy", "val_accuracy", "max"),
        (
            {"label": ClassificationHead(), "vector": EmbeddingHead()},
            "val_label_accuracy",
            "val_label_accuracy",
            "max",
        ),
        (
            {"label": ClassificationHead(), "age": RegressionHead()},
            "val_age_mae",
            "val_age_mae",
            "min",
        ),
    ],
)
def test_an_objective_is_a_metric_of_fit(tmp_path, heads, name, logged, direction):
    config = CONFIG.model_copy(update={"heads": heads})
    schema = ingested(tmp_path / "records", config)
    objective = SearchModel(
        Space.from_config(config, {"training.learning_rate": Choice([0.01, 0.1])}),
        tmp_path / "records",
    ).objective(name)
    assert (objective.name, objective.direction) == (logged, direction)
    assert (
        objective.name
        in fit(config, schema, tmp_path / "records", tmp_path / "run", verbose=0).metrics
    )


def test_memory_is_weights_gradients_optimizer_and_outputs():
    tower = DenseTower(dim=4)
    config = Config(
        inputs={"price": NumberInput(tower=tower)},
        heads={"age": RegressionHead()},
        fusion={"presence": False, "dropout": 0},
    )
    schema = Schema.model_validate(
        {
            "rows": 9,
            "inputs": {"price": {"type": "moments", "mean": 0, "std": 1}},
            "heads": {"age": {"type": "moments", "mean": 0, "std": 1}},
        }
    )
    small, large = (
        memory.training_bytes(with_batch(config, batch), schema) for batch in (100, 200)
    )
    built = model.build_model(config, schema)
    weights = sum(int(np.prod(one.shape)) for one in built.trainable_variables)
    fixed = built.count_params() - weights
    # what does not grow with the batch: value, gradient and Adam's two of each
    assert 2 * small - large == 4 * (4 * weights + fixed)
    config.training.optimizer = "sgd"
    assert memory.training_bytes(with_batch(config, 100), schema) == small - 4 * weights


def with_batch(config, size):
    config.training.batch_size = size
    return config


def test_the_memory_of_a_large_model_is_estimated_without_making_it(records):
    config = CONFIG.model_copy(deep=True)
    config.fusion.hidden = [1_000_000, 1_000_000]
    assert memory.training_bytes(config, schema_for(config, records)) > 4 * 4 * 10**12
    # at its end Keras initialises variables that have no values
    with keras.StatelessScope():
        pass


@pytest.mark.parametrize(
    "part",
    [
        lambda: pretrained_case.image(KerasTower(path=pretrained_case.keras_model())),
        lambda: pretrained_case.image(
            PresetTower(preset=pretrained_case.image_preset()), size=32, channels=3
        ),
    ],
    ids=["keras", "preset"],
)
def test_estimating_a_pretrained_tower_does_not_change_its_weights(part):
    config = contract.with_input(part())
    schema = contract.schema_of(config)
    before = build_model(config, schema).get_weights()
    assert memory.training_bytes(config, schema) > 4 * sum(map(np.size, before))
    for one, other in zip(before, build_model(config, schema).get_weights()):
        np.testing.assert_array_equal(one, other)


def test_the_decisive_field_is_the_most_important():
    space = over(
        {
            "fusion": FUSIONS,
            "training.learning_rate": Float(1e-3, 1e-1),
            "training.weight_decay": Float(0, 1),
        }
    )
    random = np.random.default_rng(0)
    rate = random.uniform(1e-3, 1e-1, 30)
    table = pd.DataFrame(
        {
            "status": ["completed"] * 30,
            "objective": rate + random.normal(0, 1e-3, 30),
            "fusion": random.choice(["concatenation", "gated"], 30),
            "training.learning_rate": rate,
            "training.weight_decay": random.uniform(size=30),
        }
    )
    table["fusion.gated.dim"] = [8 if fusion == "gated" else None for fusion in table["fusion"]]
    found = report.field_importance(table, space)
    assert found.index[0] == "training.learning_rate"
    assert found["mean"].iloc[0] > 10 * found["mean"].iloc[1:].max()
    assert report.field_importance(table[:7], space) is None


@pytest.mark.slow
def test_keras_tuner_writes_atomically(search, monkeypatch):
    import keras_tuner.src.utils

    path = pathlib.Path(search[1].out, "trials", "oracle.json")
    before = path.read_text()
    with pytest.raises(TypeError):
        keras_tuner.src.utils.save_json(str(path), {"a": object()})
    assert path.read_text() == before
    keras_tuner.src.utils.save_json(str(path), json.loads(before))
    assert json.loads(path.read_text()) == json.loads(before)


def test_a_search_that_could_not_begin_leaves_its_folder_to_another(records, tmp_path):
    space = over({"training.learning_rate": Choice([0.01, 0.1])})
    with pytest.raises(ValueError, match="pass the table that was ingested"):
        tune(space, records, tmp_path / "search", folds=2, group="shop")
    assert not (tmp_path / "search" / "search.json").exists()
