"""Cross-validation: folds, and predictions of every row by a model that did not see it."""

import shutil

import numpy as np
import pandas as pd
import pytest
from cross_validated import CONFIG, ROWS, frame

from multimodal_tf.config import Split
from multimodal_tf.data import record_files
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation import cv_metrics
from multimodal_tf.schema import Schema
from multimodal_tf.training import cross_validation
from multimodal_tf.training.cross_validation import assign_folds, cross_validate
from multimodal_tf.training.folds import make_folds
from multimodal_tf.training.run_dir import load_record, load_run


def rows_of(fold, split):
    found = [
        record_files.parse(CONFIG, each)[0].numpy()
        for each in record_files.read(Manifest.load(fold).shards(split), 100)
    ]
    return np.concatenate(found) if found else np.zeros(0, int)


@pytest.mark.slow
class TestFolds:
    def test_every_row_of_the_table_is_held_out_once_in_each_repetition(self, first, cv_runs):
        assert list(first.rows) == list(range(ROWS))
        assert first.fold.shape == (1, ROWS)
        for number, fold in enumerate(sorted((cv_runs / "first" / "folds" / "0").glob("fold-*"))):
            parts = {split: set(rows_of(fold, split)) for split in ("train", "validation", "test")}
            assert parts["test"] == set(np.flatnonzero(first.fold[0] == number))
            assert set.union(*parts.values()) == set(range(ROWS))
            assert sum(map(len, parts.values())) == ROWS
            # the best epoch is chosen without the held-out rows
            assert parts["validation"]

    def test_no_group_is_in_two_folds_or_on_both_sides_of_a_training(self, first, cv_runs):
        shops = frame()["shop"]
        assert pd.Series(first.fold[0]).groupby(shops).nunique().max() == 1
        for fold in (cv_runs / "first" / "folds" / "0").glob("fold-*"):
            assert not set(shops[rows_of(fold, "train")]) & set(shops[rows_of(fold, "validation")])

    def test_classes_keep_their_proportions(self, first):
        rare = (frame()["label"] == "rare").to_numpy()
        assert [rare[first.fold[0] == number].mean() for number in range(2)] == pytest.approx(
            [1 / 3] * 2, abs=0.05
        )

    def test_both_configurations_have_the_same_folds(self, first, second):
        assert np.array_equal(first.rows, second.rows)
        assert np.array_equal(first.fold, second.fold)

    def test_they_are_assigned_before_any_training(self, first, tmp_path):
        assigned = assign_folds(CONFIG, read_table(frame()), tmp_path, 2)
        assert (assigned.rows.tolist(), assigned.fold.tolist(), assigned.heads) == (
            first.rows.tolist(),
            first.fold.tolist(),
            {},
        )
        cv_metrics.check_same_folds(assigned, first)

    def test_a_schema_is_fitted_on_the_training_rows_of_its_fold_alone(self, first, cv_runs):
        colours = frame()["colour"]
        for number in range(2):
            fold, run = (
                cv_runs / "first" / "folds" / "0" / f"fold-{number}",
                cv_runs / "first" / "runs" / f"0-{number}",
            )
            stats = Schema.load(run / "schema.json")
            assert set(stats.inputs["colour"].words) == set(colours[rows_of(fold, "train")])
            assert stats.inputs["price"].mean == pytest.approx(
                frame()["price"][rows_of(fold, "train")].mean(), rel=1e-5
            )

    def test_test_rows_that_a_column_names_stay_unseen(self, tmp_path):
        table = frame().assign(side=["train", "train", "validation", "test"] * (ROWS // 4))
        config = CONFIG.model_copy(update={"split": Split(column="side")})
        ingest(read_table(table), config, tmp_path / "records", processes=1)
        folds = make_folds(
            tmp_path / "records",
            tmp_path / "folds",
            3,
            read_table(table),
            group="shop",
            held_out_as="test",
        )
        held = [set(rows_of(fold, "test")) for fold in folds]
        assert set.union(*held) == set(np.flatnonzero(table["side"] != "test"))
        assert sum(map(len, held)) == (table["side"] != "test").sum()
        shops = [set(table["shop"][list(rows)]) for rows in held]
        assert not any(shops[one] & shops[other] for one in range(3) for other in range(one))


@pytest.mark.slow
class TestPredictions:
    def test_they_belong_to_their_rows_and_come_from_the_fold_that_held_them_out(
        self, first, cv_runs
    ):
        label, age = first.heads["label"][0], first.heads["age"][0]
        assert [
            label.classes[target] for target, known in zip(label.targets, label.known) if known
        ] == list(frame()["label"].dropna())
        assert age.targets == pytest.approx(frame()["age"], rel=1e-5)
        for number in range(2):
            run = load_run(cv_runs / "first" / "runs" / f"0-{number}")
            fold = cv_runs / "first" / "folds" / "0" / f"fold-{number}"
            inputs, _, _ = next(
                iter(load_split(run.config, run.schema, fold, "test", batch_size=ROWS))
            )
            again = run.model(inputs)
            rows = rows_of(fold, "test")
            assert label.predictions[rows] == pytest.approx(again["label"], abs=1e-6)
            assert age.predictions[rows] == pytest.approx(again["age"], rel=1e-5)

    def test_a_row_without_a_label_is_predicted_and_does_not_count(self, first):
        label = first.heads["label"][0]
        assert list(np.flatnonzero(~label.known)) == [4, 40]
        assert np.isfinite(label.predictions).all()
        assert cv_metrics.cross_validation_metrics(first).heads["label"].n == ROWS - 2

    def test_the_file_has_a_line_for_each_row(self, first, cv_runs):
        lines = pd.read_csv(cv_runs / "first" / "predictions.csv")
        assert list(lines["row"]) == list(range(ROWS))
        assert lines["true_label"].isna().sum() == 2
        assert lines["label=rare"].to_numpy() == pytest.approx(
            first.heads["label"][0].predictions[:, 1]
        )
        assert list(lines["label"]) == [
            ["common", "rare"][index]
            for index in first.heads["label"][0].predictions.argmax(axis=1)
        ]

    def test_another_repetition_has_new_folds_and_trains_only_these(
        self, first, cv_runs, monkeypatch, tmp_path
    ):
        out = tmp_path / "first"
        shutil.copytree(cv_runs / "first", out)
        trained = []

        def untrained(config, schema, fold, run, verbose, cache, overwrite):
            # of frozen towers, which all repetitions share
            trained.append((config.seed, run.name, cache))
            raise KeyboardInterrupt

        monkeypatch.setattr(cross_validation, "fit", untrained)
        with pytest.raises(KeyboardInterrupt):
            cross_validate(CONFIG, read_table(frame()), out, 2, repeats=2)
        # another seed for the weights, too
        assert trained == [(CONFIG.seed + 2, "1-0", out / "cache")]
        folds = [out / "folds" / "1" / f"fold-{number}" for number in range(2)]
        held = [set(rows_of(fold, "test")) for fold in folds]
        assert set.union(*held) == set(range(ROWS))
        assert held[0] not in [set(np.flatnonzero(first.fold[0] == number)) for number in range(2)]


@pytest.mark.slow
def test_a_killed_cross_validation_goes_on_with_the_fold_that_was_killed(cv_runs):
    runs = cv_runs / "first" / "runs"
    # the finished fold was not trained again
    assert (runs / "0-0" / "run.json").read_text() == (cv_runs / "before.json").read_text()
    assert load_record(runs / "0-1" / "run.json").status == "finished"


@pytest.mark.slow
def test_schemas_of_folds_are_those_of_ingest_on_the_same_rows(first, cv_runs):
    fold = cv_runs / "first" / "folds" / "0" / "fold-0"
    run = cv_runs / "first" / "runs" / "0-0"
    assert schema_for(CONFIG, fold) == Schema.load(run / "schema.json")
