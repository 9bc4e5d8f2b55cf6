"""Frames of a list of image files or of a GIF."""

import numpy as np

from multimodal_tf.corruptions.image_files import on_images
from multimodal_tf.evaluation.explanations.parts import Parts

# a cell with more frames is split into this many runs of frames
MAX_FRAMES = 32


def frames(cell: list[bytes]) -> Parts:
    """Splits a cell into frames. Without any frame it is a missing cell.

    Args:
        cell: image files with b"" for no frame, or one animated GIF. A GIF becomes PNG files, each
            repeated in proportion to its delay.

    Raises:
        ValueError: the GIF cannot be decoded.

    Example:
        >>> frames([b"first", b"second", b""]).keep(np.array([False, True]))
        [b'second']
    """
    files = [file for file in cell if file]
    if len(files) == 1 and files[0].startswith(b"GIF8"):
        # without a change, this only decodes the GIF's frames
        decoded = on_images(lambda pixels, *_: pixels, files, None, np.random.default_rng(0))
        files = list(decoded) if isinstance(decoded, list) else [decoded]
    edges = np.linspace(0, len(files), min(len(files), MAX_FRAMES) + 1).round().astype(int)

    def keep(mask: np.ndarray) -> list[bytes]:
        of_files = np.repeat(mask, np.diff(edges))
        return [file for file, is_kept in zip(files, of_files) if is_kept]

    return Parts((edges,), keep)
