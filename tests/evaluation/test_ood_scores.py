"""Scores that separate clean rows from others: their intervals, and the energy."""

import numpy as np
import pytest
from scipy import special

from multimodal_tf.evaluation import ood_scores
from multimodal_tf.scoring.ood import Energy


def test_intervals_draw_groups_as_a_whole():
    """Near-duplicates add no certainty: with each row six times, in a group, the interval is that
    of the rows alone.
    """
    random = np.random.default_rng(0)
    clean, other = random.normal(size=30), random.normal(0.5, size=30)
    alone, _ = ood_scores.paired_separation(clean, other, None, 200, 0)
    groups = np.arange(30).repeat(6)
    together, _ = ood_scores.paired_separation(clean.repeat(6), other.repeat(6), groups, 200, 0)
    apart, _ = ood_scores.paired_separation(clean.repeat(6), other.repeat(6), None, 200, 0)
    assert (together.value, together.low, together.high) == pytest.approx(
        (alone.value, alone.low, alone.high)
    )
    assert apart.high - apart.low < 0.6 * (together.high - together.low)


def test_an_interval_holds_its_figure_where_each_row_changed_a_little():
    """A resample compares a row with its own change more often than the rows do, so all of its
    AUROCs are above that of the rows.
    """
    clean = np.arange(300.0)
    metric, _ = ood_scores.paired_separation(clean, clean + 0.5, None, 200, 0)
    assert metric.low <= metric.value <= metric.high


def test_energy_uses_logits_with_a_mean_of_0():
    logits = np.random.default_rng(0).normal(size=(5, 3)) + np.arange(5)[:, None]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    centred = logits - logits.mean(axis=1, keepdims=True)
    assert Energy("label")(probabilities) == pytest.approx(-special.logsumexp(centred, axis=1))
