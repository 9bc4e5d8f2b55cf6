"""Average precision as one number per row: its mean, its spread, ties and labels of one kind."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from multimodal_tf.metrics.average_precision_rows import average_precision_rows


def drawn(rows=300, seed=0, ties=True):
    random = np.random.default_rng(seed)
    truth = random.random((rows, 3)) < [0.1, 0.3, 0.05]
    scores = 0.8 * truth + random.normal(size=truth.shape)
    return truth, np.round(scores, 1) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
def test_the_mean_is_the_macro_average_precision(ties):
    truth, scores = drawn(ties=ties)
    expected = average_precision_score(truth, scores, average="macro")
    assert average_precision_rows(truth, scores).mean() == pytest.approx(expected)


def test_a_row_counts_as_much_as_the_metric_changes_with_its_weight():
    # few of the last label bear it
    truth, scores = (each[:, :2] for each in drawn(rows=40, seed=1))
    found, step = average_precision_rows(truth, scores), 1e-6
    whole = average_precision_score(truth, scores, average="macro")
    for row in range(40):
        weights = np.ones(40)
        weights[row] += step
        changed = average_precision_score(truth, scores, average="macro", sample_weight=weights)
        assert found[row] == pytest.approx(whole + 40 * (changed - whole) / step, abs=1e-3)


def test_an_interval_of_the_mean_is_as_wide_as_one_of_the_metric():
    truth, scores = drawn(rows=400)
    rows, random = average_precision_rows(truth, scores), np.random.default_rng(0)
    draws = [random.integers(400, size=400) for _ in range(300)]
    means = [rows[draw].mean() for draw in draws]
    metrics = [average_precision_score(truth[draw], scores[draw]) for draw in draws]
    assert np.std(means) == pytest.approx(np.std(metrics), rel=0.15)


def test_equal_scores_give_the_share_of_the_label():
    truth = np.array([[1], [0], [0], [0]])
    assert average_precision_rows(truth, np.full((4, 1), 0.3)).tolist() == [1, 0, 0, 0]


def test_labels_of_one_kind_are_left_out_and_without_others_there_is_nothing():
    truth, scores = drawn()
    one_sided = np.zeros((300, 1))
    wider = average_precision_rows(
        np.hstack([truth, one_sided, one_sided + 1]), np.hstack([scores, one_sided, one_sided])
    )
    np.testing.assert_allclose(wider, average_precision_rows(truth, scores))
    assert not average_precision_rows(one_sided, one_sided).any()


@pytest.mark.parametrize(
    ("truth", "scores"), [([[1]], [[1, 2]]), ([1, 0], [1, 0]), ([[1], [0]], [[np.nan], [0]])]
)
def test_other_shapes_and_nan_are_refused(truth, scores):
    with pytest.raises(ValueError, match="truth and scores must have the same shape"):
        average_precision_rows(truth, scores)
