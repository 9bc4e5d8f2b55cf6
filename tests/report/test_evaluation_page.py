"""The page of an evaluation: tiles, findings and sections of every head."""

import json

import numpy as np
import pytest

from multimodal_tf.evaluation.evaluate import Evaluation
from multimodal_tf.metrics.classification import classification
from multimodal_tf.metrics.multi_label import multi_label
from multimodal_tf.metrics.regression import regression
from multimodal_tf.report.evaluation_page import evaluation_page, save_evaluation_page
from multimodal_tf.report.page import HeatMap

NAMES = ["boot", "<b>hat</b>", "rare"]


def chances(predicted):
    return np.eye(3)[predicted] * 0.8 + 0.2 / 3


def evaluation(labels, predicted, **more):
    """Of a head of classes, one of labels and one of numbers."""
    random = np.random.default_rng(0)
    tags = random.random((len(labels), 3)) < 0.3
    noise = random.random(tags.shape)
    heads = {
        "label": classification(labels, chances(predicted), NAMES, resamples=20),
        "tags": multi_label(tags, 0.4 * tags + 0.3 * noise, NAMES, resamples=20),
        "price": regression(np.arange(len(labels)) * 1.0, np.ones(len(labels)), resamples=20),
    }
    return Evaluation(split="test", rows=len(labels) + 5, resamples=20, seed=0, heads=heads | more)


@pytest.fixture(scope="module")
def some():
    """A class that is often taken for another, and one of one row, which is wrong."""
    labels = [0] * 60 + [1] * 40 + [2]
    predicted = [0] * 60 + [1] * 20 + [0] * 20 + [0]
    found = evaluation(labels, predicted)
    found.heads["label"].missing = 3
    found.heads["label"].unseen = {"coat": 2}
    return found


def test_each_head_has_a_tile_that_leads_to_its_section(some):
    found = evaluation_page(some)
    assert [tile.name for tile in found.tiles] == [
        "accuracy of label",
        "average precision macro of tags",
        "mae of price",
    ]
    assert [section.title for section in found.sections] == ["label", "tags", "price"]
    assert found.tiles[0].value.value == pytest.approx(80 / 101)
    assert found.tiles[0].details == [
        f"majority class of these rows {60 / 101:.3f}",
        "worst class <b>hat</b>, recall 0.500",
        "5 rows left out",
    ]


def test_findings_are_ranked_and_none_is_of_a_class_of_one_row(some):
    first, second, *rest = evaluation_page(some).summary
    assert "is predicted as boot, in 20 of 21 errors" in first
    assert "of 40 rows of class <b>hat</b>, 50% are found" in second
    assert "never saw (coat)" in rest[0]
    assert not [each for each in (first, second, *rest) if "rare" in each]


def test_a_head_that_is_no_better_than_its_majority_comes_first():
    found = evaluation_page(evaluation([0] * 8 + [1] * 4, [0] * 12))
    assert found.summary[0].startswith("label: the model is no better than always predicting boot")


def test_the_page_is_written_with_its_data_and_escaped(some, tmp_path):
    save_evaluation_page(some, tmp_path / "page")
    html = (tmp_path / "page" / "index.html").read_text()
    assert "<b>hat</b>" not in html
    assert html.count('class="heat') == 1
    beside = json.loads((tmp_path / "page" / "report.json").read_text())
    assert len(beside["tiles"]) == 3
    maps = [each for each in evaluation_page(some).sections[0].blocks if isinstance(each, HeatMap)]
    assert maps[0].values[1] == [20, 20, 0]


def test_an_evaluation_without_heads_is_refused(tmp_path):
    empty = Evaluation(split="test", rows=3, resamples=0, seed=0, heads={})
    with pytest.raises(ValueError, match="must have a head with metrics, received none"):
        save_evaluation_page(empty, tmp_path / "page")
