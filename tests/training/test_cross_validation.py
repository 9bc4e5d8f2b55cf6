"""Cross-validation: folds, out-of-fold predictions, metrics with intervals, comparisons."""

import json

import numpy as np
import pandas as pd
import pytest

from multimodal_tf.config import (
    CategoryInput,
    ClassificationHead,
    Config,
    EmbeddingHead,
    MultiLabelHead,
    NumberInput,
    OrdinalHead,
    RegressionHead,
    Split,
    Training,
)
from multimodal_tf.data import record_files
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.predictions import HeadPredictions, OutOfFold
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation import cv_metrics
from multimodal_tf.metrics.resampled_t import interval, paired_test
from multimodal_tf.schema import Classes, Schema
from multimodal_tf.training import cross_validation, out_of_fold
from multimodal_tf.training.cross_validation import assign_folds, cross_validate
from multimodal_tf.training.folds import make_folds
from multimodal_tf.training.run_dir import load_run

ROWS = 72
CONFIG = Config(
    inputs={"price": NumberInput(), "colour": CategoryInput()},
    heads={"label": ClassificationHead(), "age": RegressionHead()},
    fusion={"hidden": [4]},
    split=Split(group="shop", stratify="label"),
    training=Training(epochs=2, batch_size=16),
    seed=5,
)
TWO_FOLDS = {"folds": 2, "repeats": 1}


def frame():
    """24 shops of three rows each; two classes, 1 in 3; a unique colour per row; missing labels."""
    random = np.random.default_rng(0)
    rare = np.arange(ROWS) % 3 == 0
    table = pd.DataFrame(
        {
            "price": rare * 2 + random.normal(size=ROWS),
            "colour": [f"colour {row}" for row in range(ROWS)],
            "label": np.where(rare, "rare", "common"),
            "age": rare * 10 + random.normal(size=ROWS),
            "shop": [f"shop {row % 24}" for row in range(ROWS)],
        }
    )
    table.loc[[4, 40], "label"] = None
    return table


def fold_scores(predictions, head, metric):
    """A metric on each held-out fold, `(repeats, folds)`."""
    found = cv_metrics.cross_validation_metrics(predictions).heads[head].metrics[metric]
    return np.array(found.scores, dtype=float)


class Killed(BaseException):  # noqa: N818  nothing may catch it, as nothing can a kill
    pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cross_validation")


@pytest.fixture(scope="module")
def first(folder):
    """Two folds, killed while the second one was trained, and resumed."""
    with pytest.MonkeyPatch.context() as patch:
        trained, real = [], cross_validation.fit

        def dies(*arguments, **options):
            if trained:
                raise Killed
            trained.append(real(*arguments, **options))
            return trained[0]

        patch.setattr(cross_validation, "fit", dies)
        with pytest.raises(Killed):
            cross_validate(CONFIG, read_table(frame()), folder / "first", 2)
    before = (folder / "first" / "runs" / "0-0" / "run.json").read_text()
    found = cross_validate(CONFIG, read_table(frame()), folder / "first", 2)
    # the finished fold was not trained again
    assert (folder / "first" / "runs" / "0-0" / "run.json").read_text() == before
    return found


@pytest.fixture(scope="module")
def second(folder):
    """Another configuration and seed."""
    other = CONFIG.model_copy(update={"inputs": {"price": NumberInput()}, "seed": 9})
    return cross_validate(other, read_table(frame()), folder / "second", 2)


def rows_of(fold, split):
    found = [
        record_files.parse(CONFIG, each)[0].numpy()
        for each in record_files.read(Manifest.load(fold).shards(split), 100)
    ]
    return np.concatenate(found) if found else np.zeros(0, int)


def by_hand(fold, targets, predictions, known=None, head=None, classes=("cat", "dog")):
    """Out-of-fold predictions of one head `label`, the same in each repetition."""
    known = np.ones(len(targets), bool) if known is None else known
    predicted = HeadPredictions(
        head or ClassificationHead(), classes, np.array(targets), known, np.array(predictions)
    )
    return OutOfFold(np.arange(len(targets)), np.array(fold), {"label": (predicted,) * len(fold)})


class TestFolds:
    def test_every_row_of_the_table_is_held_out_once_in_each_repetition(self, first, folder):
        assert list(first.rows) == list(range(ROWS))
        assert first.fold.shape == (1, ROWS)
        for number, fold in enumerate(sorted((folder / "first" / "folds" / "0").glob("fold-*"))):
            parts = {split: set(rows_of(fold, split)) for split in ("train", "validation", "test")}
            assert parts["test"] == set(np.flatnonzero(first.fold[0] == number))
            assert set.union(*parts.values()) == set(range(ROWS))
            assert sum(map(len, parts.values())) == ROWS
            # the best epoch is chosen without the held-out rows
            assert parts["validation"]

    def test_no_group_is_in_two_folds_or_on_both_sides_of_a_training(self, first, folder):
        shops = frame()["shop"]
        assert pd.Series(first.fold[0]).groupby(shops).nunique().max() == 1
        for fold in (folder / "first" / "folds" / "0").glob("fold-*"):
            assert not set(shops[rows_of(fold, "train")]) & set(shops[rows_of(fold, "validation")])

    def test_classes_keep_their_proportions(self, first):
        rare = (frame()["label"] == "rare").to_numpy()
        assert [rare[first.fold[0] == number].mean() for number in range(2)] == pytest.approx(
            [1 / 3] * 2, abs=0.05
        )

    def test_both_configurations_have_the_same_folds(self, first, second):
        assert np.array_equal(first.rows, second.rows)
        assert np.array_equal(first.fold, second.fold)

    def test_they_are_assigned_before_any_training(self, first, folder):
        assigned = assign_folds(CONFIG, read_table(frame()), folder / "first", 2)
        assert (assigned.rows.tolist(), assigned.fold.tolist(), assigned.heads) == (
            first.rows.tolist(),
            first.fold.tolist(),
            {},
        )
        cv_metrics.check_same_folds(assigned, first)

    def test_a_schema_is_fitted_on_the_training_rows_of_its_fold_alone(self, first, folder):
        colours = frame()["colour"]
        for number in range(2):
            fold, run = (
                folder / "first" / "folds" / "0" / f"fold-{number}",
                folder / "first" / "runs" / f"0-{number}",
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


class TestPredictions:
    def test_they_belong_to_their_rows_and_come_from_the_fold_that_held_them_out(
        self, first, folder
    ):
        label, age = first.heads["label"][0], first.heads["age"][0]
        assert [
            label.classes[target] for target, known in zip(label.targets, label.known) if known
        ] == list(frame()["label"].dropna())
        assert age.targets == pytest.approx(frame()["age"], rel=1e-5)
        for number in range(2):
            run = load_run(folder / "first" / "runs" / f"0-{number}")
            fold = folder / "first" / "folds" / "0" / f"fold-{number}"
            inputs, _, _ = next(
                iter(load_split(run.config, run.schema, fold, "test", batch_size=ROWS))
            )
            again = run.model.predict(inputs, verbose=0)
            rows = rows_of(fold, "test")
            assert label.predictions[rows] == pytest.approx(again["label"], abs=1e-6)
            assert age.predictions[rows] == pytest.approx(again["age"], rel=1e-5)

    def test_a_row_without_a_label_is_predicted_and_does_not_count(self, first):
        label = first.heads["label"][0]
        assert list(np.flatnonzero(~label.known)) == [4, 40]
        assert np.isfinite(label.predictions).all()
        assert cv_metrics.cross_validation_metrics(first).heads["label"].n == ROWS - 2

    def test_the_file_has_a_line_for_each_row(self, first, folder):
        lines = pd.read_csv(folder / "first" / "predictions.csv")
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
        self, first, folder, monkeypatch
    ):
        trained = []

        def untrained(config, schema, fold, run, verbose):
            trained.append((config.seed, run.name))
            raise Killed

        monkeypatch.setattr(cross_validation, "fit", untrained)
        with pytest.raises(Killed):
            cross_validate(CONFIG, read_table(frame()), folder / "first", 2, repeats=2)
        # another seed for the weights, too
        assert trained == [(CONFIG.seed + 2, "1-0")]
        folds = [folder / "first" / "folds" / "1" / f"fold-{number}" for number in range(2)]
        held = [set(rows_of(fold, "test")) for fold in folds]
        assert set.union(*held) == set(range(ROWS))
        assert held[0] not in [set(np.flatnonzero(first.fold[0] == number)) for number in range(2)]

    def test_classes_that_a_fold_has_not_seen_have_probability_0(self):
        schemas = [
            Schema(rows=2, inputs={}, heads={"label": Classes(names=names, counts=[1, 1])})
            for names in (["a", "c"], ["b", "c"])
        ]
        held = [
            {
                "rows": np.array([3, 0]),
                "label/targets": np.array([0, 1]),
                "label/known": np.array([1, 1]) > 0,
            },
            {
                "rows": np.array([1, 2]),
                "label/targets": np.array([0, 0]),
                "label/known": np.array([1, 0]) > 0,
            },
        ]
        for one, predictions in zip(held, ([[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.3, 0.7]])):
            one["label/predictions"] = np.array(predictions)
        config = Config(inputs={"price": NumberInput()}, heads={"label": ClassificationHead()})
        found = out_of_fold.combine(config, schemas, held, 2)
        label = found.heads["label"][0]
        assert (list(found.rows), found.fold.tolist(), label.classes) == (
            [0, 1, 2, 3],
            [[0, 1, 1, 0]],
            ("a", "b", "c"),
        )
        assert label.predictions == pytest.approx(
            np.array([[0.2, 0, 0.8], [0, 0.6, 0.4], [0, 0.3, 0.7], [0.9, 0, 0.1]])
        )
        assert list(label.targets[label.known]) == [2, 1, 0]

    def test_ordinal_classes_keep_their_order(self):
        sizes = Classes(names=["S", "M", "L"], counts=[1, 1, 1])
        head = OrdinalHead(classes=["S", "M", "L"])
        assert out_of_fold._classes(head, [sizes]) == ("S", "M", "L")
        folds = [Classes(names=names, counts=[1, 1]) for names in (["2", "10"], ["9", "10"])]
        assert out_of_fold._classes(OrdinalHead(), folds) == ("2", "9", "10")


class TestMetrics:
    FOLD = ([0, 0, 1, 1, 2, 2], [0, 1, 2, 0, 1, 2])
    TARGETS = [0, 1, 0, 1, 0, 1]
    # rows 3 and 5 are misclassified
    RIGHT = np.array([1, 1, 1, 0, 1, 0], bool)

    def predictions(self, right=RIGHT):
        probability = np.where(right, 0.9, 0.1)
        of_first = np.where(np.array(self.TARGETS) == 0, probability, 1 - probability)
        return np.stack([of_first, 1 - of_first], axis=1)

    def test_scores_by_hand(self):
        found = fold_scores(
            by_hand(self.FOLD, self.TARGETS, self.predictions()), "label", "accuracy"
        )
        assert found.tolist() == [[1.0, 0.5, 0.5], [0.5, 1.0, 0.5]]

    def test_a_row_that_is_not_known_does_not_count(self):
        known = np.array([1, 1, 1, 0, 1, 1], bool)
        found = fold_scores(
            by_hand(self.FOLD, self.TARGETS, self.predictions(), known), "label", "accuracy"
        )
        assert found.tolist() == [[1.0, 1.0, 0.5], [1.0, 1.0, 0.5]]

    def test_the_interval_is_nadeau_and_bengios_of_the_scores(self, first):
        judged = cv_metrics.cross_validation_metrics(first)
        for head, metric in (("label", "accuracy"), ("age", "mae")):
            scores = fold_scores(first, head, metric)
            assert judged.heads[head].metrics[metric].mean == interval(scores)
            assert judged.heads[head].metrics[metric].scores == scores.tolist()
        by_rows = np.abs(first.heads["age"][0].predictions[:, 0] - first.heads["age"][0].targets)
        assert fold_scores(first, "age", "mae")[0] == pytest.approx(
            [by_rows[first.fold[0] == number].mean() for number in range(2)]
        )

    def test_an_undefined_metric_says_so(self):
        judged = cv_metrics.cross_validation_metrics(
            by_hand([[0, 0, 1, 1]], [0, 1, 0, 0], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
        )
        area = judged.heads["label"].metrics["auroc"]
        assert (area.mean.value, area.mean.reason, area.scores) == (
            None,
            "not defined in 1 of 2 folds",
            [[1.0, None]],
        )

    def test_every_type_of_head_has_its_metrics(self):
        rows = np.arange(4)
        tags = HeadPredictions(
            MultiLabelHead(), ("x", "y"), np.eye(2)[[0, 1, 0, 1]], rows >= 0, np.full((4, 2), 0.6)
        )
        sizes = HeadPredictions(
            OrdinalHead(classes=["S", "L"]), ("S", "L"), rows % 2, rows >= 0, np.full((4, 2), 0.5)
        )
        judged = cv_metrics.cross_validation_metrics(
            OutOfFold(rows, np.array([[0, 0, 1, 1]]), {"tags": (tags,), "size": (sizes,)})
        )
        assert judged.heads["tags"].metrics["accuracy"].mean.value == 0.5
        assert judged.heads["size"].metrics["rank_mae"].mean.value == 0.5
        assert cv_metrics.CrossValidated.model_validate_json(judged.model_dump_json()) == judged


class TestTwoConfigurations:
    def test_the_paired_test_is_on_the_scores_of_the_same_folds(self, first, second):
        found = {(one.head, one.metric): one for one in cv_metrics.compare(first, second)}
        one, other = (fold_scores(each, "age", "mae") for each in (first, second))
        assert found["age", "mae"].test == paired_test(one, other)
        assert found["age", "mae"].test.difference.value == pytest.approx(one.mean() - other.mean())
        assert found["label", "accuracy"].test.n == 2

    def test_unpaired_predictions_are_refused_in_one_sentence(self, first):
        fold, targets, predictions = [[0, 1, 0, 1]], [0, 1, 0, 1], [[0.9, 0.1]] * 4
        ours = by_hand(fold, targets, predictions)
        fewer = OutOfFold(np.array([0, 1, 2, 7]), ours.fold, ours.heads)
        ordered = by_hand(fold, targets, predictions, head=OrdinalHead(classes=["cat", "dog"]))
        wrong = [
            (
                fewer,
                "same rows of the table, received 4 and 4 rows, of which 2 are in one only, "
                "such as row 3",
            ),
            (by_hand([[1, 0, 0, 1]], targets, predictions), "the same folds"),
            (
                ordered,
                "'label' must be of one type in both configurations, received classification "
                "and ordinal",
            ),
            (
                OutOfFold(ours.rows, ours.fold, {"other": ours.heads["label"]}),
                "a head in common, received .'label'. and .'other'.",
            ),
        ]
        for other, message in wrong:
            with pytest.raises(ValueError, match=message):
                cv_metrics.compare(ours, other)


class TestRefused:
    def refused(self, tmp_path, message, config=CONFIG, table=None, **arguments):
        with pytest.raises(ValueError, match=message):
            cross_validate(
                config,
                read_table(frame() if table is None else table),
                out=tmp_path / "out",
                **TWO_FOLDS | arguments,
            )
        assert not (tmp_path / "out" / "runs").exists()

    def test_one_fold_or_no_repetition(self, tmp_path):
        self.refused(tmp_path, "folds must be at least 2, received 1", folds=1)
        self.refused(tmp_path, "repeats must be at least 1, received 0", repeats=0)
        assert not (tmp_path / "out").exists()

    def test_more_folds_than_groups_or_rows(self, tmp_path):
        self.refused(tmp_path, "at most the 24 groups of column 'shop', received 25", folds=25)
        config = CONFIG.model_copy(update={"split": Split()})
        with pytest.raises(
            ValueError, match="to the 72 rows that are for training and validation, received 73"
        ):
            cross_validate(config, read_table(frame()), tmp_path / "rows", 73)

    def test_one_class(self, tmp_path):
        self.refused(
            tmp_path,
            "'label'.* must have two classes or more in the training split, received only 'rare'",
            table=frame()[::3],
        )

    def test_a_model_without_labels(self, tmp_path):
        config = Config(inputs={"price": NumberInput()}, heads={"vector": EmbeddingHead()})
        self.refused(tmp_path, "needs a head with a label, received .'vector'.", config=config)

    def test_a_missing_group_column(self, tmp_path):
        self.refused(tmp_path, "no column 'street'", group="street")

    def test_a_directory_of_another_cross_validation(self, first, folder):
        changed = CONFIG.model_copy(update={"training": Training(epochs=1)})
        for config, folds, message in (
            (changed, 2, "differs in configuration"),
            (CONFIG, 3, r"differs in folds \(2, received 3\)"),
        ):
            with pytest.raises(ValueError, match=message):
                cross_validate(config, read_table(frame()), folder / "first", folds)

    def test_folds_that_leave_no_training_rows(self, tmp_path):
        table = frame()[:30].assign(
            side=["train"] * 15 + ["validation"] * 15, shop=["a"] * 15 + ["b"] * 15
        )
        config = CONFIG.model_copy(update={"split": Split(column="side")})
        self.refused(
            tmp_path,
            "must leave training rows to the others",
            config=config,
            table=table,
            group="shop",
        )


def test_the_command_line(first, second, folder, monkeypatch, capsys):
    """The runs exist already: nothing is trained."""
    from multimodal_tf import cli

    (folder / "first" / "against").symlink_to(folder / "second")
    frame().to_csv(folder / "table.csv", index=False)
    CONFIG.save(folder / "one.yaml")
    other = json.loads((folder / "second" / "cross_validation.json").read_text())["configuration"]
    Config.model_validate(other | {"split": CONFIG.split.model_dump()}).save(folder / "other.yaml")
    monkeypatch.setattr(cross_validation, "fit", None)
    words = [
        "cross-validate",
        folder / "one.yaml",
        folder / "table.csv",
        "--folds",
        2,
        "--out",
        folder / "first",
    ]
    monkeypatch.setattr(
        "sys.argv", ["multimodal-tf", *map(str, words), "--against", str(folder / "other.yaml")]
    )
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    message = capsys.readouterr().out
    assert "first less second" in message
    assert cv_metrics.CrossValidated.model_validate_json(
        (folder / "first" / "metrics.json").read_text()
    ) == cv_metrics.cross_validation_metrics(first)


class TestAgainst:
    """What cannot be compared is refused before the first training."""

    def refused(self, against, tmp_path, monkeypatch, capsys):
        from multimodal_tf import cli

        frame().to_csv(tmp_path / "table.csv", index=False)
        CONFIG.save(tmp_path / "one.yaml")
        against.save(tmp_path / "other.yaml")
        monkeypatch.setattr(cross_validation, "fit", None)
        words = [
            "cross-validate",
            "one.yaml",
            "table.csv",
            "--folds",
            "2",
            "--out",
            "out",
            "--against",
            "other.yaml",
        ]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", ["multimodal-tf", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code != 0
        assert not (tmp_path / "out" / "runs").exists()
        return " ".join(capsys.readouterr().err.split())

    def test_other_folds(self, tmp_path, monkeypatch, capsys):
        message = self.refused(
            CONFIG.model_copy(update={"split": Split(stratify="label")}),
            tmp_path,
            monkeypatch,
            capsys,
        )
        assert "must be cross-validated on the same folds" in message

    def test_no_head_in_common_or_one_of_another_type(self, tmp_path, monkeypatch, capsys):
        other = CONFIG.model_copy(update={"heads": {"years": RegressionHead(column="age")}})
        message = self.refused(other, tmp_path, monkeypatch, capsys)
        assert (
            "--against must have a head in common with CONFIG, ['age', 'label'], received ['years']"
            in message
        )
        message = self.refused(
            CONFIG.model_copy(update={"heads": {"label": MultiLabelHead()}}),
            tmp_path,
            monkeypatch,
            capsys,
        )
        assert (
            "--against: the head 'label' must be of type classification, received multi_label"
            in message
        )
        assert not (tmp_path / "out").exists()


def test_schemas_of_folds_are_those_of_ingest_on_the_same_rows(first, folder):
    fold = folder / "first" / "folds" / "0" / "fold-0"
    run = folder / "first" / "runs" / "0-0"
    assert schema_for(CONFIG, fold) == Schema.load(run / "schema.json")
