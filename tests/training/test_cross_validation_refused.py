"""Cross-validation from the command line, and what is refused before the first training."""

import json
import shutil

import pytest
from cross_validated import CONFIG, frame

from multimodal_tf import cli
from multimodal_tf.config import (
    Config,
    EmbeddingHead,
    MultiLabelHead,
    NumberInput,
    RegressionHead,
    Split,
    Training,
)
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation import cv_metrics
from multimodal_tf.training import cross_validation
from multimodal_tf.training.cross_validation import cross_validate

TWO_FOLDS = {"folds": 2, "repeats": 1}


def test_the_command_line(first, cv_runs, tmp_path, monkeypatch, capsys):
    """The runs exist already: nothing is trained."""
    shutil.copytree(cv_runs / "first", tmp_path / "first")
    shutil.copytree(cv_runs / "second", tmp_path / "first" / "against")
    frame().to_csv(tmp_path / "table.csv", index=False)
    CONFIG.save(tmp_path / "one.yaml")
    other = json.loads((cv_runs / "second" / "cross_validation.json").read_text())
    Config.model_validate(other["configuration"] | {"split": CONFIG.split.model_dump()}).save(
        tmp_path / "other.yaml"
    )
    monkeypatch.setattr(cross_validation, "fit", None)
    monkeypatch.chdir(tmp_path)
    words = "cross-validate one.yaml table.csv --folds 2 --out first --against other.yaml"
    monkeypatch.setattr("sys.argv", ["multimodal-tf", *words.split()])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    message = capsys.readouterr().out
    assert "first less second" in message
    assert cv_metrics.CrossValidated.model_validate_json(
        (tmp_path / "first" / "metrics.json").read_text()
    ) == cv_metrics.cross_validation_metrics(first)


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
        self.refused(
            tmp_path,
            "needs a head that learns from labels or without, received .'vector'.",
            config=config,
        )

    def test_a_missing_group_column(self, tmp_path):
        self.refused(tmp_path, "no column 'street'", group="street")

    def test_a_directory_of_another_cross_validation(self, cv_runs):
        changed = CONFIG.model_copy(update={"training": Training(epochs=2)})
        for config, folds, message in (
            (changed, 2, "differs in configuration"),
            (CONFIG, 3, r"differs in folds \(2, received 3\)"),
        ):
            with pytest.raises(ValueError, match=message):
                cross_validate(config, read_table(frame()), cv_runs / "first", folds)

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


class TestAgainst:
    """What cannot be compared is refused before the first training."""

    def refused(self, against, tmp_path, monkeypatch, capsys):
        frame().to_csv(tmp_path / "table.csv", index=False)
        CONFIG.save(tmp_path / "one.yaml")
        against.save(tmp_path / "other.yaml")
        monkeypatch.setattr(cross_validation, "fit", None)
        words = "cross-validate one.yaml table.csv --folds 2 --out out --against other.yaml"
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", ["multimodal-tf", *words.split()])
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
