"""NFKC, NFC and lower case, compared with Python's on every character and on random text."""

import random
import sys
import unicodedata

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_tf.data.tokenizers.normal_forms import nfc_lower, nfkc_lower


def reference(text, form="NFKC"):
    return unicodedata.normalize(form, text).lower().replace("ς", "σ")


def ours(texts, form="NFKC"):
    lower = {"NFKC": nfkc_lower, "NFC": nfc_lower}[form]
    return [
        text.decode()
        for text in lower(tf.constant([text.encode() for text in texts], tf.string)).numpy()
    ]


@pytest.mark.parametrize("form", ["NFKC", "NFC"])
def test_every_character(form):
    characters = [
        chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point <= 0xDFFF
    ]
    assert ours(characters, form) == [reference(character, form) for character in characters]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("ＦＵＬＬ①ﬁ㎏", "full1fikg"),
        ("e\u0301", "é"),
        ("e\u0327\u0301", "ȩ\u0301"),
        # marks are sorted first
        ("e\u0301\u0327", "ȩ\u0301"),
        ("e\u0302\u0301", "ế"),
        # the second is blocked by nothing, yet composes with nothing
        ("e\u0301\u0301", "é\u0301"),
        # a mark without a letter before it
        ("\u0301e", "\u0301e"),
        ("\u1112\u1161\u11ab", "한"),
        # a syllable and its last letter
        ("\ud558\u11ab", "한"),
        ("\ud55c\u11ab", "한\u11ab"),
        # excluded from composition
        ("\u0958", "\u0915\u093c"),
        # two letters of class 0 compose
        ("\u09c7\u09be", "\u09cb"),
        ("ΟΔΟΣ", "οδοσ"),
        ("İ", "i̇"),
        ("a\0B", "a\0b"),
        ("", ""),
    ],
)
def test_hard_cases(text, normal):
    assert ours([text]) == [normal] == [reference(text)]


def test_rows_do_not_mix():
    texts = ["e", "\u0301", "", "\u1112", "\u1161", "\u11ab"]
    assert ours(texts) == [reference(text) for text in texts]


def test_no_rows():
    assert ours([]) == []


def test_long_runs_of_marks():
    texts = ["a" + "\u0301\u0327" * 5000, "\ufdfa" * 2000, "\u1100\u1161\u11a8" * 2000]
    assert ours(texts) == [reference(text) for text in texts]


MARKS = [chr(point) for point in range(0x300, 0x370)]
LETTERS = [
    chr(point)
    for point in [
        *range(0x41, 0x250),
        *range(0x391, 0x3CA),
        *range(0x410, 0x450),
        *range(0x1E00, 0x2000),
    ]
]
INDIC = [chr(point) for point in range(0x900, 0xE00)]
HANGUL = [chr(point) for point in [*range(0x1100, 0x1200), *range(0xAC00, 0xAC80), 0xD7A3]]


@pytest.mark.parametrize("form", ["NFKC", "NFC"])
def test_random_mixes_of_what_composes(form):
    draw = random.Random(0)
    pools = [LETTERS + MARKS * 8, INDIC, HANGUL, LETTERS + MARKS + INDIC + HANGUL]
    texts = [
        "".join(draw.choices(pool, k=draw.randint(1, 12))) for pool in pools for _ in range(2000)
    ]
    assert ours(texts, form) == [reference(text, form) for text in texts]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(), max_size=5))
def test_random_text(texts):
    assert ours(texts) == [reference(text) for text in texts]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40))
def test_invalid_bytes_are_replaced_as_in_python(data):
    assert nfkc_lower(tf.constant([data])).numpy()[0].decode() == reference(
        data.decode("utf-8", "replace")
    )
