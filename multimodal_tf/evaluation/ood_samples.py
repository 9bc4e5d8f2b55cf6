"""Cells that do not belong: of another kind of data, or broken; changes of a cell as the
corruptions are, drawn in the same way.
"""

import io
import string

import numpy as np
from PIL import Image

from multimodal_tf.corruptions import Corruption, columns, corruptions_for, wav

_LETTERS = np.array([*(string.ascii_lowercase + " ")])
# times a standard deviation that severity 5 of noise doubles: ten of them
_FAR = 5
# letters of a made-up text
_MOST = 10_000
# deviation of made-up noise, full scale 1
_LOUD = 0.1


def damaged(part, stats) -> Corruption:
    """One of all corruptions of an input but `missing`, drawn for each cell.

    Args:
        part: the input's configuration.
        learned: `schema.inputs[name]`, where there is something.
    """
    kinds = [kind for kind in corruptions_for(part, stats) if kind is not columns.MISSING]

    def change(cell, severity, random):
        return kinds[random.integers(len(kinds))](cell, severity, random)

    return Corruption("damaged", "severity", (1, 2, 3, 4, 5), change)


def other_data(part, stats) -> Corruption:
    """White noise in place of a picture or a sound, random letters in place of a text or a
    category, numbers and dates some ten standard deviations away; a boolean is drawn anew. The
    severity changes nothing.

    Args:
        part, learned: as in `damaged`.

    Example:
        >>> from multimodal_tf.config import TextInput
        >>> len(other_data(TextInput(), None)(b"a red shoe", 5, np.random.default_rng(0)))
        10
    """

    def change(cell, _, random):
        match part.type:
            case "image":
                return _noise(part, random)
            case "video":
                return [_noise(part, random) if frame else b"" for frame in cell]
            case "audio":
                return wav.encode(
                    random.normal(0, _LOUD, (max(round(part.seconds * part.sample_rate), 1), 1)),
                    part.sample_rate,
                )
            case "text" | "category":
                # the ends are letters: white space alone would be a missing cell
                drawn = "".join(
                    random.choice(_LETTERS, min(max(len(cell.decode(errors="replace")), 3), _MOST))
                )
                return f"x{drawn[1:-1]}q".encode()
            case "number":
                return columns.number_noise(_FAR * stats.std)(cell, 5, random)
            case "date":
                return columns.date_noise(_FAR * stats.std)(cell, 5, random)
        return columns.BOOLEAN_NOISE(cell, 5, random)

    return Corruption("other data", "nothing", (1, 1, 1, 1, 1), change)


def broken(part) -> Corruption:
    """Bytes that cannot be read, or an infinite number. The severity changes nothing.

    Args:
        part: the input's configuration.
    """

    def change(cell, _, random):
        if part.type in ("number", "boolean"):
            return float("inf")
        return (
            [b"\xff\xfe" if frame else b"" for frame in cell]
            if part.type == "video"
            else b"\xff\xfe"
        )

    return Corruption("broken", "nothing", (1, 1, 1, 1, 1), change)


def _noise(part, random):
    pixels = random.integers(0, 256, (part.height, part.width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
