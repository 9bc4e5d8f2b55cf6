"""What is learned of the target images of a head."""

import numpy as np
import tensorflow as tf

from multimodal_tf.config import ImageHead
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.schema import Images

# images that are decoded at a time
_ROWS = 32


class TargetImages:
    """Learns the mean of a head's target images; memory holds one image and a few rows.

    Args:
        head: its configuration.
    """

    def __init__(self, head: ImageHead) -> None:
        self._reader = kind_of(head.cell_input).reader(None)
        self._sum, self._rows = np.zeros(head.target_shape), 0

    def add(self, cells: tf.Tensor) -> None:
        """Adds a batch of image files, string `(batch,)`, "" where missing."""
        for start in range(0, len(cells), _ROWS):
            pixels, present, _ = self._reader.read(cells[start : start + _ROWS])
            # those of a missing image are zeros
            self._sum += pixels.numpy().sum(axis=0, dtype=np.int64)
            self._rows += int(present.numpy().sum())

    def stats(self, title: str) -> Images:
        """The schema's entry.

        Args:
            title: names the head in an error.

        Raises:
            ValueError: there is no image.
        """
        if not self._rows:
            raise ValueError(
                f"{title} must have an image in some row of the training split, received none"
            )
        return Images.of(self._sum / self._rows, self._rows)
