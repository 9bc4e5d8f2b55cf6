"""Which patches of a picture and spans of a sound are hidden, and what is to be predicted."""

import numpy as np
import pytest
import tensorflow as tf

from multimodal_tf.models.masking.patches import (
    QUIET,
    Grid,
    Spans,
    grid_of,
    mask_patches,
    mask_spans,
    spans_of,
)
from multimodal_tf.models.towers.audio_mask import clip_length


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, "float32")


@pytest.mark.parametrize("size", [(28, 28), (96, 64), (4, 4), (9, 10), (224, 224), (4, 500)])
def test_grids_have_patches_of_more_than_a_pixel(size):
    grid = grid_of(*size)
    assert grid.size >= 2
    assert grid.rows * grid.columns >= 4
    assert grid.rows * grid.size <= size[0] < (grid.rows + 1) * grid.size
    assert grid.columns * grid.size <= size[1] < (grid.columns + 1) * grid.size


def test_patches_by_hand():
    """A picture of 5 x 4 pixels in patches of 2: the last row belongs to none."""
    pixels = np.arange(20, dtype="float32").reshape(1, 5, 4, 1) / 100
    found = mask_patches(
        tf.constant(pixels), tf.constant([[0.9, 0.1, 0.2, 0.8]]), Grid(2, 2, 2), 0.5
    )
    assert found.places.numpy().tolist() == [[1, 2]]
    assert found.counted.numpy().all()
    cell = found.cell.numpy()[0, :, :, 0] * 100
    hidden = np.zeros((5, 4), bool)
    hidden[:2, 2:] = hidden[2:4, :2] = True
    # the mean of what is seen
    seen = np.arange(20).reshape(5, 4)[~hidden]
    np.testing.assert_allclose(cell[hidden], seen.mean(), rtol=1e-5)
    np.testing.assert_allclose(cell[~hidden], seen, rtol=1e-5)
    patch = np.array([2, 3, 6, 7]) / 100
    expected = (patch - patch.mean()) / np.sqrt(patch.var() + 1e-6)
    np.testing.assert_allclose(found.target[0, 0], expected, rtol=1e-4)


def test_colours_are_patched_together_and_flat_patches_have_no_pattern():
    pixels = np.ones((2, 4, 4, 3), "float32") * 0.5
    pixels[0, 0, 0] = [0, 0.5, 1]
    found = mask_patches(tf.constant(pixels), tf.constant(numbers(2, 4)), Grid(2, 2, 2), 0.9)
    assert found.target.shape == (2, 4, 12)
    assert not found.target[1].numpy().any()
    (first,) = np.nonzero(found.places[0].numpy() == 0)
    assert found.target[0, first[0], 0] == -found.target[0, first[0], 2] < -2


def test_every_patch_is_hidden_as_often_and_the_share_is_exact():
    found = mask_patches(
        tf.constant(numbers(2000, 6, 6, 1)), tf.constant(numbers(2000, 9)), Grid(2, 3, 3), 0.6
    )
    counts = np.bincount(found.places.numpy().ravel(), minlength=9)
    # round(0.6 * 9) of 9
    assert found.places.shape == (2000, 5)
    assert np.abs(counts / 2000 - 5 / 9).max() < 0.05
    assert all(len({*row}) == 5 for row in found.places.numpy()[:50])


def test_spans_by_hand():
    """Two clips, the first of 50 samples of 80; spans of 8 samples, two frames of 4 each."""
    clip = np.zeros((2, 80), "float32")
    clip[0, :50], clip[1] = 0.5, 0.3
    spectrogram = np.arange(2 * 20 * 3, dtype="float32").reshape(2, 20, 3) ** 1.5
    draws = np.tile(np.arange(10, dtype="float32")[::-1] / 10, (2, 1))
    found = mask_spans(*map(tf.constant, (clip, spectrogram, draws)), Spans(2, 4, 10), 0.5)
    # the first clip has 7 spans, the last of which begins at sample 48; half of them, rounded
    assert found.counted.numpy().tolist() == [[True] * 4 + [False], [True] * 5]
    assert found.places.numpy()[0, :4].tolist() == [6, 5, 4, 3]
    assert found.places.numpy()[1].tolist() == [9, 8, 7, 6, 5]
    expected = clip.copy()
    expected[0, 24:50] = expected[1, 40:] = QUIET
    np.testing.assert_array_equal(found.cell, expected)
    np.testing.assert_array_equal(clip_length(found.cell), [50, 80])
    frames = spectrogram[1, 18:20].ravel()
    np.testing.assert_allclose(
        found.target[1, 0], (frames - frames.mean()) / frames.std(), rtol=1e-3
    )


@pytest.mark.parametrize("samples", [2, 15, 300, 4000, 16_001])
@pytest.mark.parametrize("hop", [1, 40, 160])
def test_spans_lie_within_the_clip(samples, hop):
    spans = spans_of(samples, 16_000, hop)
    assert 1 <= spans.frames * hop <= max(1600, hop)
    assert (spans.number - 1) * spans.frames * hop < samples


def test_silence_has_one_span_that_counts():
    draws = tf.constant(numbers(1, 10))
    found = mask_spans(tf.zeros((1, 80)), tf.zeros((1, 20, 3)), draws, Spans(2, 4, 10), 0.5)
    assert found.counted.numpy().sum() == 1
    assert found.places[0, 0] == 0
    assert not found.cell.numpy().any()
    assert not found.target.numpy().any()
