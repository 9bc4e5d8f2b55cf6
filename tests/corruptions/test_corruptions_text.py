"""Corruptions of texts: the configured number of edits, valid UTF-8 in any script, never empty."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_tf.config import TextInput
from multimodal_tf.corruptions import SEVERITIES, corrupted, text
from multimodal_tf.corruptions.letters import HOMOGLYPHS, neighbours
from multimodal_tf.data.kinds import kind_of

BY_NAME = pytest.mark.parametrize("corruption", text.ALL, ids=lambda corruption: corruption.name)
SENTENCE = "Small red shoes for children, made of soft leather, with a buckle and a Rubber Sole"


def edits(one, other):
    """Levenshtein distance."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, start=1):
        diagonal, row[0] = row[0], number
        for index, against in enumerate(other, start=1):
            diagonal, row[index] = (
                row[index],
                min(row[index] + 1, row[index - 1] + 1, diagonal + (letter != against)),
            )
    return row[-1]


def changed(corruption, severity, sentence=SENTENCE, rows=40):
    return [
        cell.decode()
        for cell in corrupted(
            [sentence.encode()] * rows, "title", corruption, severity, 0, range(rows)
        )
    ]


@BY_NAME
def test_the_edit_distance_grows_with_severity(corruption):
    found = [
        np.mean([edits(one, SENTENCE) for one in changed(corruption, severity, rows=12)])
        for severity in SEVERITIES
    ]
    assert found[0] > 0
    assert all(after > before for before, after in zip(found, found[1:])), found


@pytest.mark.parametrize("severity", SEVERITIES)
def test_fractions_are_as_configured(severity):
    word = "abcdefghij" * 10

    def fraction(corruption, sentence=word):
        return np.mean(
            [
                [a != b for a, b in zip(one, sentence)]
                for one in changed(corruption, severity, sentence)
            ]
        )

    def wanted(corruption):
        return corruption.strengths[severity - 1]

    assert fraction(text.TYPOS) == pytest.approx(wanted(text.TYPOS), abs=0.02)
    assert fraction(text.CASE) == pytest.approx(wanted(text.CASE), abs=0.02)
    assert fraction(text.HOMOGLYPHS, "aceo" * 25) == pytest.approx(
        wanted(text.HOMOGLYPHS), abs=0.02
    )
    assert np.mean([len(one) for one in changed(text.DELETION, severity, word)]) == pytest.approx(
        100 * (1 - wanted(text.DELETION)), abs=2
    )
    assert {len(one) for one in changed(text.TRUNCATION, severity, word)} == {
        round(100 * wanted(text.TRUNCATION))
    }
    left = [len(one.split()) for one in changed(text.WORD_DROPOUT, severity, "one two " * 50)]
    assert np.mean(left) == pytest.approx(100 * (1 - wanted(text.WORD_DROPOUT)), abs=3)
    # a swap skips the next position: s / (1 + s) of the positions start one
    p = wanted(text.SWAP)
    assert fraction(text.SWAP) == pytest.approx(2 * p / (1 + p), abs=0.02)


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=40), st.sampled_from(text.ALL), st.sampled_from(SEVERITIES), st.integers(0, 5)
)
def test_any_text_stays_utf_8_and_non_empty(sentence, corruption, severity, seed):
    (cell,) = corrupted([sentence.encode()], "title", corruption, severity, seed, [0])
    assert bool(cell.decode().strip()) == bool(sentence.strip())
    if not sentence.strip():
        assert cell == sentence.encode()


@BY_NAME
def test_unusual_texts(corruption):
    for sentence in (
        "",
        "a",
        "中",
        "中文句子没有空格",
        "ภาษาไทย",
        "👨‍👩‍👧 🇩🇪",
        "Ǆ ß İ",
        "e\u0301",
        "\u0301",
        "...",
        "word " * 20_000,
    ):
        (cell,) = corrupted([sentence.encode()], "title", corruption, 5, 0, [0])
        assert kind_of(TextInput()).problem(cell) == ""
        assert bool(cell) == bool(sentence)


def test_chinese_words_are_characters_and_latin_corruptions_do_not_apply():
    sentence = "中文句子没有空格" * 5
    for corruption in (text.TYPOS, text.CASE, text.HOMOGLYPHS):
        assert set(changed(corruption, 5, sentence)) == {sentence}
    left = np.mean([len(one) for one in changed(text.WORD_DROPOUT, 5, sentence)])
    assert left == pytest.approx(0.4 * len(sentence), rel=0.1)


def test_typos_hit_neighbours_of_the_same_case():
    for one in changed(text.TYPOS, 5, "Grüße"):
        assert len(one) == 5
        for typed, meant in zip(one, "Grüße"):
            assert typed == meant or typed in neighbours(meant)
    assert set(neighbours("f")) == set("drtgvc")
    assert set(neighbours("F")) == set("DRTGVC")
    assert set(neighbours("ü")) == set(neighbours("u"))
    assert set(neighbours("5")) == set("46")
    assert set(neighbours("й")) == set("цф")


def test_neighbourhood_is_mutual():
    for letter in "qwertyuiopasdfghjklzxcvbnmйцукенгшщзхъфывапролджэячсмитьбю1234567890":
        assert all(letter in neighbours(other) for other in neighbours(letter)), letter


def test_swaps_stay_within_words():
    for one in changed(text.SWAP, 5):
        assert [sorted(word) for word in one.split(" ")] == [
            sorted(word) for word in SENTENCE.split(" ")
        ]


def test_word_dropout_keeps_the_other_words():
    words = SENTENCE.split()
    for one in changed(text.WORD_DROPOUT, 3):
        indices = [words.index(word) if words.count(word) == 1 else None for word in one.split()]
        assert all(word in words for word in one.split())
        known = [index for index in indices if index is not None]
        assert known == sorted(known)


def test_homoglyphs_look_alike_and_lead_back():
    assert len(HOMOGLYPHS) == 2 * len("aceijopsxyhdqwABCEHIJKMOPSTXY")
    assert all(
        ord(letter) < 128 <= ord(like) or ord(like) < 128 <= ord(letter)
        for letter, like in HOMOGLYPHS.items()
    )
    assert all(HOMOGLYPHS[like] == letter for letter, like in HOMOGLYPHS.items())


def test_a_truncated_text_is_its_beginning():
    assert set(changed(text.TRUNCATION, 3, "  0123456789 ")) == {"01234"}
