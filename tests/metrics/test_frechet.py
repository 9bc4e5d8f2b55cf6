"""The Fréchet distance of two samples."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from multimodal_tf.metrics.frechet import frechet_distance


def test_of_numbers_by_hand():
    # means 1 and 4, standard deviations 1 and 2 (of n - 1)
    first, second = np.array([0.0, 1, 2]), np.array([2.0, 4, 6])
    assert frechet_distance(first[:, None], second[:, None]) == pytest.approx(9 + 1)
    assert frechet_distance(first[:, None], first[::-1, None]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("rows", [50, 4], ids=["many rows", "fewer rows than numbers"])
def test_against_the_root_of_the_product(rows):
    random = np.random.default_rng(0)
    first = random.normal(size=(rows, 6)) @ random.normal(size=(6, 6))
    second = random.normal(1, 2, size=(40, 6))
    ours, theirs = np.cov(first.T), np.cov(second.T)
    shift = first.mean(axis=0) - second.mean(axis=0)
    expected = shift @ shift + np.trace(ours + theirs - 2 * sqrtm(ours @ theirs).real)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-5)


def test_refused():
    with pytest.raises(ValueError, match=r"first must have the shape \(rows, dim\) with two rows"):
        frechet_distance([[1.0]], [[1.0], [2.0]])
    with pytest.raises(ValueError, match="second must be finite numbers"):
        frechet_distance([[1.0], [2.0]], [[1.0], [np.nan]])
    with pytest.raises(ValueError, match="second must have vectors of 1 numbers, as first"):
        frechet_distance([[1.0], [2.0]], np.ones((2, 3)))
