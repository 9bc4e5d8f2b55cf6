"""Words of a text."""

import re
import unicodedata

import numpy as np

from multimodal_tf.data.codecs.scripts import UNSPACED
from multimodal_tf.evaluation.explanations.parts import Parts

# a text with more words is split into this many runs of words
MAX_WORDS = 96
_UNSPACED = re.compile(f"[{UNSPACED}]")


def words(cell: bytes) -> Parts:
    """Splits a text into words, each with the space that follows it.

    In scripts without spaces, such as Chinese and Thai, a word is one character with its combining
    marks. Without any word the text is empty, which is a missing cell.

    Args:
        cell: bytes of UTF-8. Invalid bytes become U+FFFD, as in the served graph.

    Example:
        >>> parts = words("红色的 shoe".encode())
        >>> parts.shape, parts.keep(np.array([False, True, True, True])).decode()
        ((4,), '色的 shoe')
    """
    text = cell.decode(errors="replace")
    starts = _starts(text) or [0]
    starts = starts[:: -(-len(starts) // MAX_WORDS)]
    edges = np.array([0, *starts[1:], len(text)])
    pieces = [text[start:end] for start, end in zip(edges, edges[1:])]

    def keep(mask: np.ndarray) -> bytes:
        kept = (piece for piece, is_kept in zip(pieces, mask) if is_kept)
        return "".join(kept).rstrip().encode()

    return Parts((edges,), keep)


def _starts(text: str) -> list[int]:
    """Indices where words begin: after a space, and around characters of scripts without spaces."""
    # the character before, without its combining marks
    starts, before = [], " "
    for index, letter in enumerate(text):
        if unicodedata.category(letter).startswith("M") and not before.isspace():
            continue
        if not letter.isspace() and (before.isspace() or _unspaced(letter) or _unspaced(before)):
            starts.append(index)
        before = letter
    return starts


def _unspaced(letter: str) -> bool:
    return _UNSPACED.match(letter) is not None
