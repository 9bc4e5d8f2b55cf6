"""A search before its first trial: hyperparameters, objectives, what is refused, and importance."""

import keras_tuner
import numpy as np
import pandas as pd
import pytest
import small_table
from small_table import ingested
from tune_space import CONFIG, FUSIONS, over

from multimodal_tf.config import ClassificationHead, EmbeddingHead, Split
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.models.build import build_model
from multimodal_tf.training.fit import fit
from multimodal_tf.training.folds import make_folds
from multimodal_tf.training.run_dir import load_record
from multimodal_tf.training.tune import (
    Choice,
    Float,
    Int,
    SearchModel,
    Space,
    model,
    outcome,
    report,
    tune,
)


def test_the_space_is_keras_tuners_with_conditions(tune_records):
    learning = Float(1e-4, 1e-2, sampling="log")
    space = over(
        {"fusion": FUSIONS, "training.learning_rate": learning, "training.epochs": Int(1, 9, 2)}
    )
    hp = SearchModel(space, tune_records).hyperparameters()
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


def test_a_trial_has_the_same_key_when_it_came_over_the_network(tune_records):
    fusions = Choice(
        [
            {"type": "concatenation", "hidden": Choice([[], [8]])},
            {"type": "sum", "dim": Choice([4, 8])},
        ]
    )
    hp = SearchModel(over({"fusion": fusions}), tune_records).hyperparameters()
    hp.values = {"fusion": "sum", "fusion.sum.dim": 8}
    received = keras_tuner.HyperParameters.from_proto(hp.to_proto())
    # the fault that `trial_key` works around
    assert received.values != hp.values
    assert outcome.trial_key(received) == outcome.trial_key(hp)


def test_plain_keras_tuner_builds_one_model_before_it_begins(tune_records, tmp_path, monkeypatch):
    built = []
    monkeypatch.setattr(
        model, "build_model", lambda *given: built.append(given) or build_model(*given)
    )
    searched = SearchModel(over({"fusion": FUSIONS}), tune_records)
    keras_tuner.RandomSearch(
        searched, searched.objective("val_loss"), max_trials=2, directory=tmp_path
    )
    assert len(built) == 1


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
            {"space": {"fusion.hidden": Choice([[16_384] * 60, [8]])}},
            "first options must make a model that can be trained: .* of memory",
        ),
        ({"workers": 2, "listen": "127.0.0.1:x"}, "an address must be HOST:PORT"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_in_one_sentence(tune_records, tmp_path, arguments, message):
    space = over(arguments.pop("space", {"fusion": FUSIONS}))
    with pytest.raises(ValueError, match=message) as refused:
        tune(space, tune_records, tmp_path / "search", **arguments)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "search" / "trials").exists()


def test_without_validation_rows_folds_are_needed(tmp_path):
    config = CONFIG.model_copy(update={"split": Split(validation=0)})
    ingested(tmp_path / "records", config)
    space = learning_rates(config)
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
    ],
    ids=["one head", "and one without a label"],
)
def test_an_objective_is_a_metric_of_fit(tmp_path, tune_records, heads, name, logged, direction):
    config = CONFIG.model_copy(update={"heads": heads})
    objective = SearchModel(learning_rates(config), tune_records).objective(name)
    assert (objective.name, objective.direction) == (logged, direction)
    schema = schema_for(config, tune_records)
    run = fit(config, schema, tune_records, tmp_path / "run", verbose=0)
    assert objective.name in run.metrics


def test_an_objective_of_one_of_several_heads_is_a_metric_of_fit(small_run, small_records):
    objective = SearchModel(learning_rates(small_table.CONFIG), small_records).objective(
        "val_age_mae"
    )
    assert (objective.name, objective.direction) == ("val_age_mae", "min")
    assert objective.name in load_record(small_run / "run.json").metrics


def learning_rates(config):
    return Space.from_config(config, {"training.learning_rate": Choice([0.01, 0.1])})


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


def test_a_search_that_could_not_begin_leaves_its_folder_to_another(tune_records, tmp_path):
    space = over({"training.learning_rate": Choice([0.01, 0.1])})
    with pytest.raises(ValueError, match="pass the table that was ingested"):
        tune(space, tune_records, tmp_path / "search", folds=2, group="shop")
    assert not (tmp_path / "search" / "search.json").exists()
