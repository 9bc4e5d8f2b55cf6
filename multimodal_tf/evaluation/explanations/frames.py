"""Frames of a video."""

import numpy as np

from multimodal_tf.corruptions.image_files import on_pictures
from multimodal_tf.evaluation.explanations.parts import Parts

# frames that are left out one by one; of more, several in a row together
MOST = 32


def frames(cell: list[bytes]) -> Parts:
    """A video as frames. All left out, it is a missing one.

    Args:
        cell: image files, b"" for none, or one moving GIF, which comes out as PNG files, each as
            often as it is shown long.

    Raises:
        ValueError: the GIF cannot be decoded.

    Example:
        >>> frames([b"first", b"second", b""]).keep(np.array([False, True]))
        [b'second']
    """
    files = [file for file in cell if file]
    if len(files) == 1 and files[0].startswith(b"GIF8"):
        files = on_pictures(
            lambda picture, strength, random: picture, files, None, np.random.default_rng(0)
        )
    edges = np.linspace(0, len(files), min(len(files), MOST) + 1).round().astype(int)

    def keep(kept):
        there = np.repeat(kept, np.diff(edges))
        return [file for file, stays in zip(files, there) if stays]

    return Parts((edges,), keep)
