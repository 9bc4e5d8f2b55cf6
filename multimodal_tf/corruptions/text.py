"""Damage to texts, character by character or word by word; a text that is there never becomes a
missing one.

Kinds of damage: Belinkov and Bisk 2018, arXiv:1711.02173 (neighbours on the keyboard, letters
swapped); Wang et al. 2021 (TextFlint), arXiv:2103.11441 (typos, case, words left out); Boucher et
al. 2022, arXiv:2106.09898 (homoglyphs). They give no five severities: the shares are ours. A share
is the probability of each character or word for itself, so that it holds for short texts on
average.

What a script does not know does not happen: Chinese has no case, no neighbours on a keyboard and no
homoglyphs here. Its words, like those of the other scripts without spaces, are single characters,
as the tokenizer `words` reads them.
"""

import functools
import math
import re

import numpy as np

from multimodal_tf.corruptions import letters
from multimodal_tf.corruptions.corruption import Corruption

# Thai and Lao, Burmese, Khmer, kana and bopomofo, Chinese characters
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")


def _of_texts(name, unit, strengths, change):
    return Corruption(name, ("text",), unit, strengths, functools.partial(_on_text, change))


def _on_text(change, cell, strength, random):
    try:
        text = cell.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"a text must be UTF-8, received {cell[:20]!r} ({error})") from None
    # white space alone is missing
    return change(text, strength, random).encode() if text.strip() else cell


def _typos(text, share, random):
    typed = list(text)
    for place in np.flatnonzero(random.random(len(typed)) < share):
        near = letters.neighbours(typed[place])
        if near:
            typed[place] = near[random.integers(len(near))]
    return "".join(typed)


def _deletion(text, share, random):
    visible = np.array([not letter.isspace() for letter in text])
    kept = _never_none(random.random(len(text)) >= share, visible, random)
    return "".join(letter for letter, stays in zip(text, kept) if stays)


def _swap(text, share, random):
    typed, hit, place = list(text), random.random(len(text)) < share, 0
    while place < len(typed) - 1:
        if hit[place] and typed[place].isalnum() and typed[place + 1].isalnum():
            typed[place : place + 2] = typed[place + 1], typed[place]
            place += 1
        place += 1
    return "".join(typed)


def _word_dropout(text, share, random):
    starts = [word.start() for word in _WORD.finditer(text)]
    # each with what follows it
    words = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)])]
    kept = _never_none(random.random(len(words)) >= share, np.ones(len(words), bool), random)
    return "".join(word for word, stays in zip(words, kept) if stays).rstrip()


def _truncation(text, share, random):
    text = text.strip()
    return text[: math.ceil(share * len(text))]


def _case(text, share, random):
    return "".join(
        letter.swapcase() if hit else letter
        for letter, hit in zip(text, random.random(len(text)) < share)
    )


def _homoglyphs(text, share, random):
    hits = random.random(len(text)) < share
    return "".join(
        letters.HOMOGLYPHS.get(letter, letter) if hit else letter for letter, hit in zip(text, hits)
    )


def _never_none(kept, visible, random):
    """`kept`, and where nothing visible is, one visible place that is drawn."""
    if not (kept & visible).any():
        kept[random.choice(np.flatnonzero(visible))] = True
    return kept


TYPOS = _of_texts(
    "typos", "share of characters hit beside their key", (0.02, 0.05, 0.1, 0.2, 0.3), _typos
)
DELETION = _of_texts(
    "deletion", "share of characters deleted", (0.02, 0.05, 0.1, 0.2, 0.3), _deletion
)
SWAP = _of_texts(
    "swap",
    "share of characters exchanged with the next of their word",
    (0.02, 0.05, 0.1, 0.2, 0.3),
    _swap,
)
WORD_DROPOUT = _of_texts(
    "word_dropout", "share of words left out", (0.1, 0.2, 0.3, 0.4, 0.6), _word_dropout
)
TRUNCATION = _of_texts(
    "truncation",
    "share of the characters, from the beginning, that is left",
    (0.8, 0.65, 0.5, 0.35, 0.2),
    _truncation,
)
CASE = _of_texts("case", "share of letters in the other case", (0.1, 0.25, 0.5, 0.75, 1.0), _case)
HOMOGLYPHS = _of_texts(
    "homoglyphs",
    "share of letters that have one replaced by their like",
    (0.1, 0.2, 0.4, 0.7, 1.0),
    _homoglyphs,
)

ALL = (TYPOS, DELETION, SWAP, WORD_DROPOUT, TRUNCATION, CASE, HOMOGLYPHS)
