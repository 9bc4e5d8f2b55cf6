"""The images that a model predicts for the rows of a split, compared with the targets."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from multimodal_tf.config import Config, ImageHead
from multimodal_tf.config.heads import cell_tensors
from multimodal_tf.config.names import TARGET
from multimodal_tf.schema import Images, Schema

# of a peak signal-to-noise ratio in dB: that of equal images is infinite
_MOST = 100.0
# width of the window of a structural similarity, where the images are as large
_WINDOW = 11


def image_scores(
    model: keras.Model | None, config: Config, schema: Schema, batches: tf.data.Dataset
) -> dict[str, np.ndarray]:
    """How near the predicted image of each row is to its target, by head.

    Args:
        model: of `build_model`; None: there are none.
        config, schema: of the model.
        batches: of `load_split`.

    Returns:
        By image head float32 `(rows, 4)`, the numbers of `metrics.image.OF_IMAGES`: squared error,
        peak signal-to-noise ratio, structural similarity, and the squared error of the mean image
        of the training split; empty without a model or without such heads. Pixels are compared as
        they are served, in 256 steps.
    """
    heads = {name: head for name, head in config.heads.items() if isinstance(head, ImageHead)}
    made: Any = model
    if made is None or not heads or not hasattr(made, "generating"):
        return {}
    whole = made.generating()
    generator = keras.Model(whole.input, {name: whole.output[name] for name in heads})
    means = {
        name: stats.array() for name, stats in schema.heads.items() if isinstance(stats, Images)
    }

    def compare(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        cells = cell_tensors(inputs, config.heads)
        outputs = made.outputs_of(cells, training=False, model=generator)
        return {
            name: compared(inputs[name + TARGET], in_steps(outputs[name]), tf.constant(means[name]))
            for name in heads
        }

    compare_batch = tf.function(compare, reduce_retracing=True, autograph=False)
    found: dict[str, list[np.ndarray]] = {name: [] for name in heads}
    for inputs, _, _ in batches:
        for name, scores in compare_batch(inputs).items():
            found[name].append(scores.numpy())
    return {name: np.concatenate(rows) for name, rows in found.items()}


def in_steps(pixels: tf.Tensor) -> tf.Tensor:
    """Pixels of 0 to 1 as uint8."""
    return tf.cast(tf.round(tf.cast(pixels, tf.float32) * 255), tf.uint8)


def compared(target: tf.Tensor, drawn: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
    """The scores of `image_scores`, float32 `(batch, 4)`, of uint8 images.

    Args:
        target, drawn: `(batch, height, width, channels)`.
        mean: `(height, width, channels)`.
    """
    height, width, _ = target.shape[1:]
    window = min(_WINDOW, height, width)
    right, other, common = (tf.cast(one, tf.float32) / 255 for one in (target, drawn, mean))
    squares = tf.reduce_mean((right - other) ** 2, axis=(1, 2, 3))
    ratios = tf.minimum(tf.image.psnr(target, drawn, 255), _MOST)
    similar = tf.image.ssim(target, drawn, 255, filter_size=window)
    return tf.stack(
        [squares, ratios, similar, tf.reduce_mean((right - common) ** 2, axis=(1, 2, 3))], axis=1
    )
