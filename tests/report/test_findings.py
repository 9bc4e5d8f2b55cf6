"""Findings at the top of the report: ranked, few, and never of a class of one row."""

import numpy as np
import pytest
from hand_made_split import blocks, eval_split

from multimodal_tf.config import MultiLabelHead
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.metrics.shapley import coalitions, contributions
from multimodal_tf.report.findings import Finding, ranked
from multimodal_tf.report.model.contribution_findings import poor_classes
from multimodal_tf.report.model.contributions import contributions_section
from multimodal_tf.report.model.errors import errors_section
from multimodal_tf.report.model.explanations import explanations_section
from multimodal_tf.report.page import Examples


def found(values, empty, names=("photo", "title")):
    """Contributions of inputs whose subsets have these scores in every one of 50 rows."""
    of = coalitions(list(names))
    return contributions(of, np.tile(values, (50, 1)), np.full(50, empty), resamples=0)


def texts(contributions_, split=None):
    split = split or eval_split(wrong=0)
    return [each.text for each in contributions_section(contributions_, split, {}).findings]


def test_the_most_important_come_first_and_no_more_than_five():
    many = [Finding(f"finding {number}", number / 100) for number in range(9)]
    assert ranked(many) == [f"finding {number}" for number in (8, 7, 6, 5, 4)]
    assert ranked([Finding("nothing to change", 0.0)]) == []


def test_a_model_that_is_no_better_than_the_most_frequent_class_comes_first():
    section = contributions_section(found([0.2, 0.3, 0.3], 0.3), eval_split(), {})
    first = ranked(section.findings)[0]
    assert first.startswith("The model is no better than always predicting the most frequent class")
    assert "0.300" in first


def test_an_input_that_alone_is_better_than_all_is_told():
    (first,) = [each for each in texts(found([0.2, 0.8, 0.7], 0.1)) if "alone" in each]
    assert first == "title alone is better than all inputs together: accuracy 0.800 against 0.700."
    assert not [each for each in texts(found([0.5, 0.6, 0.9], 0.1)) if "alone" in each]


def test_there_is_something_to_say_where_nothing_is_wrong():
    assert texts(found([0.5, 0.6, 0.9], 0.1)) == [
        "title contributes most, 56% of the gain of all inputs, photo 44%."
    ]


def test_a_class_of_one_row_is_no_finding():
    accuracies = {
        "rare": Metric(0.0, 1, low=0.0, high=0.975),
        "poor": Metric(0.5, 60, low=0.37, high=0.63),
        "good": Metric(0.95, 60, low=0.86, high=0.99),
    }
    assert poor_classes(accuracies, Metric(0.8, 121)) == ["poor"]


def test_a_card_says_which_label_has_which_probability():
    split = eval_split(head=MultiLabelHead())
    (worst,) = blocks(errors_section(split, resamples=0, seed=0), Examples)
    example = worst.examples[0]
    row = int(np.flatnonzero(split.rows == int(example.name.split()[1]))[0])
    shown = example.facts["probability of labels"]
    for name, chance in zip(("bird", "<b>cat</b>", "dog"), split.predictions["label"][row]):
        assert f"{name} {chance:.2f}" in shown
    # sorted by the whole loss: a row whose labels are all wrong comes before one that has some
    assert {int(each.name.split()[1]) for each in worst.examples[:6]} == set(range(100, 106))


@pytest.mark.parametrize("head", [None, MultiLabelHead()])
def test_an_explained_card_says_what_is_explained(head):
    section = explanations_section(eval_split(rows=9, wrong=3, head=head), resamples=0, seed=0)
    for example in (each for of in blocks(section, Examples) for each in of.examples):
        assert example.facts["explained"].startswith("probability of ")
        assert example.facts["explained"].split(", ")[0].removeprefix("probability of ") in (
            "bird",
            "<b>cat</b>",
            "dog",
        )
