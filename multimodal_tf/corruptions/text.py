"""Corruptions of texts by character or by word. A non-empty text never becomes empty.

Sources: Belinkov and Bisk 2018, arXiv:1711.02173 (keyboard neighbours, swapped letters); Wang et
al. 2021 (TextFlint), arXiv:2103.11441 (typos, case, dropped words); Boucher et al. 2022,
arXiv:2106.09898 (homoglyphs). They give no five severities, so the fractions are our choice. A
fraction is the probability of each character or word, so short texts match it on average.

A script has only the corruptions that apply to it: Chinese has no case, no keyboard neighbours and
no homoglyphs here. In scripts without spaces a word is one character, as for the tokenizer `words`.
"""

import functools
import math
import re
import string
from collections.abc import Callable
from typing import Any

import numpy as np

from multimodal_tf.corruptions import letters
from multimodal_tf.corruptions.corruption import Corruption
from multimodal_tf.data.codecs.scripts import UNSPACED

TextChange = Callable[[str, float, np.random.Generator], str]

# of random texts, which have at most this many letters
_LETTERS, _MAX_LETTERS = np.array([*(string.ascii_lowercase + " ")]), 10_000
_WORD = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")


def replace_by_letters(cell: bytes, strength: object, random: np.random.Generator) -> bytes:
    """Random letters in place of a text of about the same length."""
    length = min(max(len(cell.decode(errors="replace")), 3), _MAX_LETTERS)
    drawn = "".join(random.choice(_LETTERS, length))
    # the ends are letters: white space alone would be a missing cell
    return f"x{drawn[1:-1]}q".encode()


def _of_texts(
    name: str, unit: str, strengths: tuple[Any, Any, Any, Any, Any], change: TextChange
) -> Corruption:
    return Corruption(name, unit, strengths, functools.partial(_on_text, change))


def _on_text(
    change: TextChange, cell: bytes, strength: float, random: np.random.Generator
) -> bytes:
    try:
        text = cell.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"a text must be UTF-8, received {cell[:20]!r} ({error})") from None
    # a text of white space only counts as missing
    return change(text, strength, random).encode() if text.strip() else cell


def _typos(text: str, fraction: float, random: np.random.Generator) -> str:
    typed = list(text)
    for index in np.flatnonzero(random.random(len(typed)) < fraction):
        near = letters.neighbours(typed[index])
        if near:
            typed[index] = near[random.integers(len(near))]
    return "".join(typed)


def _deletion(text: str, fraction: float, random: np.random.Generator) -> str:
    visible = np.array([not letter.isspace() for letter in text])
    kept = _keep_one(random.random(len(text)) >= fraction, visible, random)
    return "".join(letter for letter, is_kept in zip(text, kept) if is_kept)


def _swap(text: str, fraction: float, random: np.random.Generator) -> str:
    typed, hit, index = list(text), random.random(len(text)) < fraction, 0
    while index < len(typed) - 1:
        if hit[index] and typed[index].isalnum() and typed[index + 1].isalnum():
            typed[index : index + 2] = typed[index + 1], typed[index]
            index += 1
        index += 1
    return "".join(typed)


def _word_dropout(text: str, fraction: float, random: np.random.Generator) -> str:
    starts = [word.start() for word in _WORD.finditer(text)]
    # each word with the spaces that follow it
    words = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)])]
    kept = _keep_one(random.random(len(words)) >= fraction, np.ones(len(words), bool), random)
    return "".join(word for word, is_kept in zip(words, kept) if is_kept).rstrip()


def _truncation(text: str, fraction: float, random: np.random.Generator) -> str:
    text = text.strip()
    return text[: math.ceil(fraction * len(text))]


def _case(text: str, fraction: float, random: np.random.Generator) -> str:
    hits = random.random(len(text)) < fraction
    return "".join(letter.swapcase() if hit else letter for letter, hit in zip(text, hits))


def _homoglyphs(text: str, fraction: float, random: np.random.Generator) -> str:
    hits = random.random(len(text)) < fraction
    return "".join(
        letters.HOMOGLYPHS.get(letter, letter) if hit else letter for letter, hit in zip(text, hits)
    )


def _keep_one(kept: np.ndarray, visible: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """`kept`, with one random visible element added if none is kept."""
    if not (kept & visible).any():
        kept[random.choice(np.flatnonzero(visible))] = True
    return kept


TYPOS = _of_texts(
    "typos", "fraction of characters with a typo", (0.02, 0.05, 0.1, 0.2, 0.3), _typos
)
DELETION = _of_texts(
    "deletion", "fraction of characters deleted", (0.02, 0.05, 0.1, 0.2, 0.3), _deletion
)
SWAP = _of_texts(
    "swap",
    "fraction of characters swapped with the next in their word",
    (0.02, 0.05, 0.1, 0.2, 0.3),
    _swap,
)
WORD_DROPOUT = _of_texts(
    "word_dropout", "fraction of words dropped", (0.1, 0.2, 0.3, 0.4, 0.6), _word_dropout
)
TRUNCATION = _of_texts(
    "truncation",
    "fraction of characters kept, from the beginning",
    (0.8, 0.65, 0.5, 0.35, 0.2),
    _truncation,
)
CASE = _of_texts(
    "case", "fraction of letters in the other case", (0.1, 0.25, 0.5, 0.75, 1.0), _case
)
HOMOGLYPHS = _of_texts(
    "homoglyphs",
    "fraction of letters replaced by their homoglyph, if they have one",
    (0.1, 0.2, 0.4, 0.7, 1.0),
    _homoglyphs,
)

ALL = (TYPOS, DELETION, SWAP, WORD_DROPOUT, TRUNCATION, CASE, HOMOGLYPHS)
