"""Text to words and tokens."""

import string

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_tf.data.tokenizers import normalization

# traced once for all tests
words_of = tf.function(normalization.words, input_signature=[tf.TensorSpec([None], tf.string)])


def split(*texts):
    return [
        [word.decode() for word in row]
        for row in words_of(tf.constant([t.encode() for t in texts], tf.string)).to_list()
    ]


@pytest.mark.parametrize(
    ("given_text", "words"),
    [
        ("It's 5 o'clock, 'NOW'!", ["it's", "5", "o'clock", "now"]),
        ("don’t", ["don't"]),
        ("well-known e.g. x_y", ["well", "known", "e", "g", "x", "y"]),
        ("3.14", ["3", "14"]),
        ("CAFÉ cafe\u0301", ["café", "café"]),
        ("你好，世界", ["你", "好", "世", "界"]),
        ("ﾆﾎﾝ コーヒー", ["ニ", "ホ", "ン", "コ", "ー", "ヒ", "ー"]),
        # a character goes with its marks
        ("กี่ไหน", ["กี่", "ไ", "ห", "น"]),
        ("한국어 말", ["한국어", "말"]),
        ("مرحبا، بالعالم", ["مرحبا", "بالعالم"]),
        # direction marks
        ("\u200fשלום\u200e עולם", ["שלום", "עולם"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("hi🙂🙂", ["hi", "🙂", "🙂"]),
        ("❤️❤", ["❤", "❤"]),
        ("👍🏽🇫🇷🇩🇪", ["👍🏽", "🇫🇷", "🇩🇪"]),
        ("👨\u200d👩\u200d👧 👨👩", ["👨👩👧", "👨", "👩"]),
        ("$5 20°C", ["$", "5", "20", "°", "c"]),
        ("a\0b\x07c\u0085d", ["a", "b", "c", "d"]),
        ("soft\u00adhyphen", ["softhyphen"]),
        ("a\u00a0b\u3000c\u2028d", ["a", "b", "c", "d"]),
        ("", []),
        (" \t ' '' ... ", []),
    ],
)
def test_words(given_text, words):
    assert split(given_text) == [words]


def test_words_by_row_and_no_rows():
    assert split("a b", "", "é") == [["a", "b"], [], ["é"]]
    assert split() == []


def test_normalize():
    texts = tf.constant(["A\tB\0", "Ｘ\n你好", "", "\u200fné\u00ad \u3000 हिन्दी👨\u200d👧!"])
    assert [t.decode() for t in normalization.normalize(texts)[:3].numpy()] == [
        "a b ",
        "x 你好",
        "",
    ]
    assert [t.decode() for t in normalization.plain(texts).numpy()] == [
        "a b",
        "x 你好",
        "",
        "né हिन्दी👨\u200d👧!",
    ]
    assert [t.decode() for t in normalization.spaced(texts).numpy()] == [
        "a b",
        "x 你 好",
        "",
        "né हिन्दी 👨👧 !",
    ]


def test_what_a_preset_was_trained_to_read():
    assert normalization.lower(["A É"]).numpy()[0].decode() == "a É"
    assert normalization.bare([" It's [A]\t\n(b)! é… "]).numpy()[0].decode() == "its a b é…"
    assert not normalization.bare([string.punctuation]).numpy()[0]


def test_only_the_beginning_of_a_long_text_is_read_to_a_whole_character():
    for unit in ("a", "é", "你", "🙂"):
        normal = (
            normalization.normalize(
                tf.constant([(unit * (10_000_000 // len(unit.encode()))).encode()])
            )
            .numpy()[0]
            .decode()
        )
        units = normal.replace(" ", "")
        assert set(units) == {unit}
        assert normalization.LIMIT - 8 <= len(units.encode()) <= normalization.LIMIT
    exact = "é" * (normalization.LIMIT // 2)
    assert normalization.normalize(tf.constant([exact.encode()])).numpy()[0].decode() == exact
    assert (
        normalization.normalize(tf.constant([b"\x80" * (normalization.LIMIT + 1)])).numpy()[0]
        == b""
    )


def test_problem():
    cells = ["né".encode(), b"n\xe9", b"", b"\xed\xa0\x80", b"a\0", "\ufeffa\ufffd\uffff".encode()]
    reasons = [reason.decode() for reason in normalization.problem(tf.constant(cells)).numpy()]
    assert reasons == ["", "invalid UTF-8", "", "invalid UTF-8", "", ""]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=12))
def test_problem_agrees_with_python(data):
    try:
        data.decode()
        invalid = False
    except UnicodeDecodeError:
        invalid = True
    assert (normalization.problem(tf.constant([data])).numpy()[0] != b"") == invalid


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=4),
        st.text(
            alphabet=" \t\n\x0b\x1c\x1f\x85\xa0\u1680\u2003\u2028\u2029\u3000a\u200b\0", max_size=4
        ),
    )
)
def test_blank_agrees_with_python(cell):
    assert bool(normalization.blank(tf.constant([cell.encode()])).numpy()[0]) == (not cell.strip())


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.one_of(st.binary(max_size=30), st.text(max_size=30).map(str.encode)), max_size=5)
)
def test_any_bytes_give_clean_words_row_by_row(cells):
    together = words_of(tf.constant(cells, tf.string)).to_list()
    assert together == [words_of(tf.constant([cell])).to_list()[0] for cell in cells]
    for word in (word.decode() for row in together for word in row):
        assert word
        assert not any(character.isspace() or character in ".,!?\0" for character in word)
        assert not word.startswith("'")


def test_the_same_in_a_dataset_and_in_a_small_saved_model(tmp_path):
    texts = tf.constant(["Ａ cafe\u0301!", "你好", "plain", "\0\x01", ""])
    module = tf.Module()
    module.words = words_of
    tf.saved_model.save(module, str(tmp_path))
    eager = normalization.words(texts).to_list()
    assert eager == [[b"a", "café".encode()], ["你".encode(), "好".encode()], [b"plain"], [], []]
    assert (
        next(iter(tf.data.Dataset.from_tensors(texts).map(normalization.words))).to_list() == eager
    )
    assert tf.saved_model.load(str(tmp_path)).words(texts).to_list() == eager
    # the tables of Unicode are some 140,000 of them
    assert (tmp_path / "saved_model.pb").stat().st_size < 300_000
