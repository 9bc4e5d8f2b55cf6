"""The section on alignment, for a hand-made model with known predictions."""

import dataclasses

import numpy as np
import pytest
from aligned_split import NAMES, cells, configured, eval_split, notes

from multimodal_tf.config import ClassificationHead, Config, TextInput
from multimodal_tf.evaluation import ood_scores
from multimodal_tf.evaluation.mismatches import AGREEMENT, EMBEDDING_DISTANCE
from multimodal_tf.report.model.alignment import alignment_section
from multimodal_tf.report.page import Bars


@pytest.fixture(scope="module")
def whole():
    return eval_split()


@pytest.fixture(scope="module")
def alignment(whole):
    return alignment_section(whole, resamples=50, seed=0)


def test_exchanged_inputs_are_detected_and_identified(alignment):
    for name in NAMES:
        metrics = cells(alignment, "by score")[name, AGREEMENT]
        assert metrics["AUROC"].value == 1
        assert metrics["FPR at 95 % TPR"].value == 0
        rates = cells(alignment, "At a false positive rate")[(name,)]
        assert rates["detected"].value == 1
        assert rates["false positive rate"].value < 0.15
        assert rates["odd one out found"].value == 1
        # rows with three inputs, rows with two
        assert 60 < rates["odd one out found"].n < metrics["AUROC"].n <= 120


def test_baselines_are_shown_too(alignment):
    found = cells(alignment, "by score")
    assert {score for _, score in found} == {
        AGREEMENT,
        EMBEDDING_DISTANCE,
        ood_scores.SOFTMAX,
        ood_scores.MAHALANOBIS,
    }
    assert all(
        metrics["AUROC"].low <= metrics["AUROC"].value <= metrics["AUROC"].high
        for metrics in found.values()
    )


def test_a_sentence_summarises_the_result(alignment):
    assert "AUROC of 1.000" in alignment.sentences[0]
    assert next(
        block for block in alignment.section.blocks if isinstance(block, Bars)
    ).bars.keys() == set(NAMES)


def test_a_mismatch_is_of_another_class_and_another_group(whole):
    """Another row of the same class would be no mismatch; nor would a near-duplicate."""
    met = []

    def spy(raw):
        met.append(raw)
        return whole.predict(raw)

    # classes 0 and 1 are one group
    groups = np.where(whole.labels < 2, 0, np.arange(120))
    alignment_section(dataclasses.replace(whole, predict=spy, groups=groups), 0, 0)
    assert len(met) == 3
    for name, raw in zip(NAMES, met):
        for changed, beside in zip(raw[name], raw[NAMES[NAMES.index(name) - 1]]):
            if beside:
                assert changed[6:7] != beside[6:7]
                assert {changed[6:7], beside[6:7]} != {b"0", b"1"}


def test_without_a_matching_head_there_are_baselines_only(whole):
    section = alignment_section(eval_split(config=configured(())), 0, 0)
    assert "No head of this model aligns inputs" in notes(section)
    assert {score for _, score in cells(section, "by score")} == {
        EMBEDDING_DISTANCE,
        ood_scores.SOFTMAX,
        ood_scores.MAHALANOBIS,
    }
    assert not any(
        "At a false positive rate" in getattr(block, "title", "")
        for block in section.section.blocks
    )


def test_a_served_model_with_probabilities_only():
    section = alignment_section(eval_split(probabilities_only=True), 0, 0)
    assert cells(section, "by score")["title", AGREEMENT]["AUROC"].value > 0.95


def test_too_few_validation_rows_for_a_threshold(whole):
    section = alignment_section(
        dataclasses.replace(whole, validation=eval_split(8, "validation")), 0, 0
    )
    assert (
        "needs 19 rows or more"
        in cells(section, "At a false positive rate")[("title",)]["detected"].reason
    )
    section = alignment_section(dataclasses.replace(whole, validation=None), 0, 0)
    assert (
        "no validation split"
        in cells(section, "At a false positive rate")[("title",)]["detected"].reason
    )


def test_without_rows_to_exchange_there_is_a_note(whole):
    one = Config(inputs={"title": TextInput()}, heads={"label": ClassificationHead()})
    assert "one input, title" in notes(
        alignment_section(dataclasses.replace(whole, config=one), 0, 0)
    )
    # then any other row's cell will do
    same = dataclasses.replace(whole, labels=np.zeros(120, int))
    assert cells(alignment_section(same, 0, 0), "by score")["title", AGREEMENT]["AUROC"].value > 0.7
    assert "A mismatch needs two rows" in notes(alignment_section(eval_split(1), 0, 0))
