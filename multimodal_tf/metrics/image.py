"""Metrics of a head that predicts images."""

import numpy as np
from numpy.typing import ArrayLike

from multimodal_tf.metrics.known_rows import known_groups
from multimodal_tf.metrics.metric import HeadMetrics, estimate, mean_metrics

# of the drawn images, one number a row
OF_IMAGES = ("mse", "psnr", "ssim", "mean_image_mse")
NO_IMAGE = "no row has a target image"
NOT_DRAWN = "no images were predicted: give the model, not a function"


def image(
    scores: ArrayLike,
    images: ArrayLike | None = None,
    known: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> HeadMetrics:
    """How well images are predicted: means over the rows, with intervals.

    `mse` is the squared error of a channel of a pixel, 0 to 1, `psnr` the peak signal-to-noise
    ratio in dB, at most 100, `ssim` the structural similarity, 1 where the images are equal.
    `mean_image_mse` is the squared error of the training split's mean image, to compare with.
    `loss` is the loss that training lowers, `kl` the divergence of the latent vector in nats, both
    over the rows that have an input.

    Args:
        scores: float `(rows, 4)`, as `models.heads.output` gives them.
        images: float `(rows, 4)`, the numbers of `OF_IMAGES`; None: no images were predicted.
        known: `(rows,)`, 0 where there is no target. None: all have one.
        resamples, seed, groups: as in `classification`.

    Raises:
        ValueError: a shape differs, or a number is NaN.

    Example:
        >>> found = image([[0.5, 0.1, 0, 1]], [[0.1, 10.0, 0.5, 0.2]], resamples=0)
        >>> found.metrics["psnr"].value, found.metrics["loss"].value
        (10.0, 0.5)

    Source: Wang, Bovik, Sheikh and Simoncelli 2004, «Image Quality Assessment».
    """
    rows = _checked("predictions", scores)
    chosen = np.ones(len(rows), bool) if known is None else np.asarray(known) > 0
    n = int(chosen.sum())
    reason = NO_IMAGE if not n else NOT_DRAWN
    found = {name: estimate(None, n, reason=reason) for name in OF_IMAGES}
    if images is not None and n:
        drawn = _checked("images", images)[chosen]
        codes = known_groups(groups, chosen, len(rows))
        found = mean_metrics(dict(zip(OF_IMAGES, drawn.T)), resamples, seed, codes)
    counted = chosen & (rows[:, 3] > 0)
    learned = dict(zip(("loss", "kl"), rows[counted][:, (0, 2)].T))
    # without a latent vector there is no divergence
    if not learned["kl"].any():
        del learned["kl"]
    codes = known_groups(groups, counted, len(rows))
    found |= mean_metrics(learned, resamples, seed, codes)
    return HeadMetrics(type="image", n=n, metrics=found)


def _checked(name: str, numbers: ArrayLike) -> np.ndarray:
    rows = np.asarray(numbers, dtype=float)
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise ValueError(f"{name} must have the shape (rows, 4), received {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} must be finite numbers, received NaN or infinity")
    return rows
