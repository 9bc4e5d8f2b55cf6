"""A split in which no label has both a row that bears it and one that does not."""

import types

import numpy as np
import pytest
from title_table import CONFIG

from multimodal_tf.config import MultiLabelHead
from multimodal_tf.evaluation import row_scores
from multimodal_tf.evaluation.baselines import mean_score
from multimodal_tf.evaluation.contributions import modality_contributions
from multimodal_tf.evaluation.robustness import CorruptionScores
from multimodal_tf.evaluation.row_scores import PRECISION
from multimodal_tf.metrics.metric import ONE_SIDED
from multimodal_tf.report.model.contributions import contributions_section
from multimodal_tf.report.model.robustness import robustness_section

ROWS = 4


class Predictor:
    """Predicts the same for every row, whatever is present."""

    def predict_features(self, features, without=()):
        rows = len(next(iter(features.values())))
        return {"tags": np.full((rows, 2), 0.5)}

    predict = predict_features


@pytest.fixture
def split():
    return types.SimpleNamespace(
        config=CONFIG.model_copy(update={"heads": {"tags": MultiLabelHead()}}),
        head="tags",
        labels=np.tile([1.0, 0.0], (ROWS, 1)),
        known=np.ones(ROWS, bool),
        groups=None,
        raw={"title": np.full(ROWS, b"a")},
        predictions={"tags": np.full((ROWS, 2), 0.5)},
    )


@pytest.fixture
def found(split):
    return modality_contributions(Predictor(), split, {"title": np.zeros(ROWS)}, 20, 0)


def test_no_contribution_has_a_value(found, split):
    metrics = [found.none, found.all, mean_score(Predictor(), split, 20, 0)]
    metrics += [one.metric for one in found.subsets]
    metrics += [metric for of in (found.shapley, found.share, found.drop) for metric in of.values()]
    assert {(one.value, one.low, one.n, one.reason) for one in metrics} == {
        (None, None, ROWS, ONE_SIDED)
    }
    assert found.all.unit == PRECISION
    # one row that lacks a label is enough
    split.labels[0, 0] = 0
    defined = modality_contributions(Predictor(), split, {"title": np.zeros(ROWS)}, 0, 0)
    assert defined.all.value == 0.75
    split.known[0] = False
    assert not row_scores.is_defined(split)


def test_average_precision_is_a_dash_and_not_0(found, split):
    nothing = row_scores.values(split, split.predictions)
    assert np.isnan(nothing).all()
    scores = CorruptionScores(PRECISION, nothing, {}, np.arange(ROWS), {})
    first = contributions_section(found, split, {})
    for section in (first, robustness_section(scores, split, 20, 0)):
        assert [ONE_SIDED in sentence for sentence in section.sentences] == [True]
        assert len(section.section.blocks) == 1
        assert section.findings == ()
    (tile,) = first.tiles
    assert (tile.name, tile.value) == ("average precision of tags", "–")
