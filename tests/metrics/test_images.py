"""How near predicted images are to their targets."""

import numpy as np
import pytest
import tensorflow as tf

from multimodal_tf.evaluation.predicted_images import compared, in_steps
from multimodal_tf.metrics.image import NO_IMAGE, NOT_DRAWN, image

SCORES = [[0.5, 0.1, 2.0, 1], [0.3, 0.1, 4.0, 1], [0.0, 0.0, 0.0, 0]]
IMAGES = [[0.1, 10.0, 0.5, 0.2], [0.3, 6.0, 0.1, 0.2], [0.2, 7.0, 0.3, 0.2]]


def test_metrics_of_images():
    found = image(SCORES, IMAGES, resamples=50)
    values = {name: metric.value for name, metric in found.metrics.items()}
    # a row without any input has an image, and no loss
    assert values == pytest.approx(
        {"mse": 0.2, "psnr": 23 / 3, "ssim": 0.3, "mean_image_mse": 0.2, "loss": 0.4, "kl": 3.0}
    )
    assert found.metrics["mse"].low <= 0.2 <= found.metrics["mse"].high
    assert found.metrics["loss"].n == 2
    one = image(SCORES, IMAGES, known=[1, 0, 0], resamples=0)
    assert one.n == 1
    assert one.metrics["psnr"].value == 10
    # without a latent vector nothing diverges
    assert "kl" not in image([[0.5, 0.1, 0, 1]], resamples=0).metrics
    assert image(SCORES, resamples=0).metrics["ssim"].reason == NOT_DRAWN
    assert image(SCORES, IMAGES, known=[0] * 3, resamples=0).metrics["ssim"].reason == NO_IMAGE
    for wrong, message in (([[1.0]], "shape"), ([[np.nan] * 4], "finite")):
        with pytest.raises(ValueError, match=message):
            image(wrong)


def test_images_are_compared_as_they_are_served():
    random = np.random.default_rng(0)
    right, drawn = random.integers(0, 256, (2, 2, 12, 12, 3), np.uint8)
    drawn[0] = right[0]
    squares, ratios, similar, of_mean = (
        compared(tf.constant(right), tf.constant(drawn), tf.zeros([12, 12, 3], tf.uint8)).numpy().T
    )
    assert squares[0] == 0
    assert ratios[0] == 100
    assert similar[0] == pytest.approx(1)
    square = ((right[1] / 255 - drawn[1] / 255) ** 2).mean()
    assert squares[1] == pytest.approx(square, rel=1e-4)
    assert ratios[1] == pytest.approx(-10 * np.log10(square), rel=1e-4)
    assert similar[1] < 0.2
    assert of_mean[1] == pytest.approx(((right[1] / 255) ** 2).mean(), rel=1e-4)
    # smaller than the window
    small = tf.zeros([1, 3, 2, 1], tf.uint8)
    assert compared(small, small, small[0]).numpy()[0, 2] == 1
    assert in_steps(tf.constant([0.0, 0.5, 1.0])).numpy().tolist() == [0, 128, 255]
