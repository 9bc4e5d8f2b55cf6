"""Words of a text."""

import unicodedata

import numpy as np

from multimodal_tf.evaluation.explanations.parts import Parts

# words that are left out one by one; of a longer text, several in a row together
MOST = 96
# scripts without spaces, as the names of their characters begin
_UNSPACED = (
    *(
        "CJK UNIFIED",
        "CJK COMPATIBILITY IDEOGRAPH",
        "HIRAGANA",
        "KATAKANA",
        "HALFWIDTH KATAKANA",
        "BOPOMOFO",
    ),
    *("THAI", "LAO", "KHMER", "MYANMAR", "JAVANESE", "TAI THAM"),
)


def words(cell: bytes) -> Parts:
    """A text as words, each with the space that follows it. In scripts without spaces, such as
    Chinese and Thai, a word is one character with its marks. All left out, the text is empty, which
    is a missing one.

    Args:
        cell: bytes of UTF-8; others count as U+FFFD, as in the served graph.

    Example:
        >>> parts = words("红色的 shoe".encode())
        >>> parts.shape, parts.keep(np.array([False, True, True, True])).decode()
        ((4,), '色的 shoe')
    """
    text = cell.decode(errors="replace")
    starts = _starts(text) or [0]
    starts = starts[:: -(-len(starts) // MOST)]
    edges = np.array([0, *starts[1:], len(text)])
    pieces = [text[start:end] for start, end in zip(edges, edges[1:])]

    def keep(kept):
        return "".join(piece for piece, stays in zip(pieces, kept) if stays).rstrip().encode()

    return Parts((edges,), keep)


def _starts(text):
    """Where words begin: after a space, and before and after each character of a script without
    spaces and the marks on it.
    """
    # the character before, marks not counted
    starts, before = [], " "
    for place, letter in enumerate(text):
        if unicodedata.category(letter).startswith("M") and not before.isspace():
            continue
        if not letter.isspace() and (before.isspace() or _unspaced(letter) or _unspaced(before)):
            starts.append(place)
        before = letter
    return starts


def _unspaced(letter):
    return unicodedata.name(letter, "").startswith(_UNSPACED)
