"""The characters of a text, as readers see them: Unicode's, and syllables of Indic scripts."""

import unicodedata

import pytest
import regex
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_tf.data.tokenizers import normalization
from multimodal_tf.data.tokenizers.characters import characters


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
def split(texts):
    return characters(texts)


def clusters(one):
    return regex.findall(r"\X", unicodedata.normalize("NFKC", one).lower())


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        ("Né  x\t", ["n", "é", " ", "x"]),
        ("e\u0301\u0300x", ["é\u0300", "x"]),
        ("你好，世界", ["你", "好", ",", "世", "界"]),
        ("مَرْحَبًا", ["مَ", "رْ", "حَ", "بً", "ا"]),
        ("กี่ไหน", ["กี่", "ไ", "ห", "น"]),
        ("नमस्ते क्षत्रिय", ["न", "म", "स्ते", " ", "क्ष", "त्रि", "य"]),
        ("ক্ষমা", ["ক্ষ", "মা"]),
        ("ក្រុម", ["ក្រុ", "ម"]),
        ("한국 \u1112\u1161\u11ab", ["한", "국", " ", "한"]),
        ("👍🏽👍", ["👍🏽", "👍"]),
        ("👨‍👩‍👧❤️1️⃣", ["👨‍👩‍👧", "❤️", "1️⃣"]),
        ("🇫🇷🇩🇪🏴󠁧󠁢󠁥󠁮󠁧󠁿", ["🇫🇷", "🇩🇪", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]),
        ("🙂‍↔️", ["🙂‍↔️"]),
        ("\u200fשלום\u200e", ["ש", "ל", "ו", "ם"]),
        (" \u200b ", []),
    ],
)
def test_characters(one, expected):
    found = [[c.decode() for c in row] for row in split(tf.constant([one, "", one])).to_list()]
    assert found == [expected, [], expected]
    if not regex.search(r"[\s\u200b\u200e\u200f]", one):
        assert expected == clusters(one)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                *"aé ßＦไ한你ﷺ🙂.",
                "e\u0301",
                "กี่",
                "हि",
                "न्",
                "क्ष",
                "مَ",
                "👍🏽",
                "❤️",
                "👨‍👧",
                "🇫🇷",
                "1️⃣",
            ]
        ),
        max_size=8,
    )
)
def test_characters_are_unicodes(parts):
    read = normalization.plain(tf.constant(["".join(parts)]))
    assert [one.decode() for one in split(read).to_list()[0]] == regex.findall(
        r"\X", read.numpy()[0].decode()
    )
