"""The section on OOD detection, for a hand-made model with known predictions."""

import dataclasses

import numpy as np
import pytest
from aligned_split import NAMES, cells, configured, eval_split, notes

from multimodal_tf.config import RegressionHead
from multimodal_tf.evaluation import ood_scores
from multimodal_tf.report.model.ood import ood_section
from multimodal_tf.report.page import HeatMap


@pytest.fixture(scope="module")
def whole():
    return eval_split()


@pytest.fixture(scope="module")
def ood(whole):
    return ood_section(whole, resamples=50, seed=0)


def test_other_data_is_detected_and_its_source_identified(whole, ood):
    found = cells(ood, "by score")
    for kind in ("other data in all inputs", *(f"other data as {name}" for name in NAMES)):
        assert found[kind, ood_scores.MAHALANOBIS]["AUROC"].value > 0.95
    # of the rows that have that input
    for index, name in enumerate(NAMES):
        assert (
            found[f"other data as {name}", ood_scores.MAHALANOBIS]["AUROC"].n
            == whole.present[:, index].sum()
        )
    assert (
        found["other data in all inputs", ood_scores.MAHALANOBIS]["above the threshold"].value
        > 0.95
    )
    heat = next(block for block in ood.section.blocks if isinstance(block, HeatMap))
    values = np.array(heat.values)
    assert list(heat.rows) == list(heat.columns) == list(NAMES)
    assert np.diag(values).sum() == values.sum() > 300


def test_each_kind_of_ood_row_has_every_score(ood):
    found = cells(ood, "by score")
    assert {score for _, score in found} == {
        ood_scores.MAHALANOBIS,
        ood_scores.NEAREST,
        ood_scores.ENERGY,
        ood_scores.SOFTMAX,
    }
    # damaged, three inputs, all, broken
    assert len({kind for kind, _ in found}) == 6
    for metrics in found.values():
        assert metrics["AUROC"].low <= metrics["AUROC"].value <= metrics["AUROC"].high


def test_clean_rows_are_rarely_false_positives(ood):
    for metrics in cells(ood, "on clean rows").values():
        assert metrics["false positive rate"].value < 0.15


def test_a_row_without_any_input_is_scored(ood):
    assert "A row without any input has a" in notes(ood)
    assert "always marks it for review" in notes(ood)
    assert "AUROC" in ood.sentences[0]


def test_rows_of_another_data_set(whole):
    raw = {name: np.array([b"of another world"] * 7 + [b""], object) for name in NAMES}
    other = dataclasses.replace(
        eval_split(8), raw=raw, present=np.array([[True] * 3] * 7 + [[False] * 3])
    )
    metrics = cells(ood_section(whole, 20, 0, other), "by score")[
        "rows of another data set", ood_scores.MAHALANOBIS
    ]
    assert metrics["AUROC"].value == 1
    assert metrics["AUROC"].n == 7


def test_the_same_seed_gives_the_same_metrics(whole, ood):
    assert cells(ood_section(whole, 50, 0), "by score") == cells(ood, "by score")


def test_without_training_rows_no_distance_is_fitted(whole):
    section = ood_section(dataclasses.replace(whole, train=None), 0, 0)
    assert {score for _, score in cells(section, "by score")} == {
        ood_scores.ENERGY,
        ood_scores.SOFTMAX,
    }
    assert "no distance can be fitted" in notes(section)
    section = ood_section(
        dataclasses.replace(
            whole, embeddings={}, train=dataclasses.replace(whole.train, embeddings={})
        ),
        0,
        0,
    )
    assert {score for _, score in cells(section, "by score")} == {
        ood_scores.ENERGY,
        ood_scores.SOFTMAX,
    }


def test_a_head_of_numbers_has_distances_only():
    of_numbers = eval_split(config=configured((), RegressionHead()))
    section = ood_section(of_numbers, 0, 0)
    assert {score for _, score in cells(section, "by score")} == {
        ood_scores.MAHALANOBIS,
        ood_scores.NEAREST,
    }
    assert "does not choose one class" in notes(section)
    assert "there is no score" in notes(
        ood_section(dataclasses.replace(of_numbers, train=None), 0, 0)
    )


def test_without_validation_rows_there_is_no_threshold(whole):
    section = ood_section(dataclasses.replace(whole, validation=None), 0, 0)
    assert all(
        "no validation split" in metrics["above the threshold"].reason
        for metrics in cells(section, "by score").values()
    )


def test_a_split_of_one_row_and_one_without_inputs(whole):
    one = dataclasses.replace(eval_split(1), train=whole.train, validation=whole.validation)
    assert (
        cells(ood_section(one, 10, 0), "by score")[
            "other data in all inputs", ood_scores.MAHALANOBIS
        ]["AUROC"].n
        == 1
    )
    nothing = dataclasses.replace(whole, present=np.zeros((120, 3), bool))
    assert "No row of this split has an input" in notes(ood_section(nothing, 0, 0))
