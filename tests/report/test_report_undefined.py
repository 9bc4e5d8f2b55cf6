"""A split in which no label has both a row that bears it and one that does not."""

import types

import numpy as np
from title_table import CONFIG

from multimodal_tf.config import MultiLabelHead
from multimodal_tf.evaluation.robustness import CorruptionScores
from multimodal_tf.evaluation.row_scores import PRECISION
from multimodal_tf.metrics.average_precision_rows import average_precision_rows
from multimodal_tf.metrics.metric import ONE_SIDED, Metric
from multimodal_tf.report.model.contributions import contributions_section
from multimodal_tf.report.model.robustness import robustness_section


def test_average_precision_is_a_dash_and_not_0():
    config = CONFIG.model_copy(update={"heads": {"tags": MultiLabelHead()}})
    split = types.SimpleNamespace(config=config, head="tags")
    zeros = average_precision_rows([[1, 0]] * 4, np.full((4, 2), 0.5))
    found = types.SimpleNamespace(all=Metric(float(zeros.mean()), 4, PRECISION))
    scores = CorruptionScores(PRECISION, zeros, {}, np.arange(4), {})
    first = contributions_section(found, split, {})
    for section in (first, robustness_section(scores, split, 20, 0)):
        assert [ONE_SIDED in sentence for sentence in section.sentences] == [True]
        assert len(section.section.blocks) == 1
        assert section.findings == ()
    (tile,) = first.tiles
    assert (tile.name, tile.value) == ("average precision of tags", "–")
