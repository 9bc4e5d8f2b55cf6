"""Target texts become tokens and come back, in their own case; the rest is refused."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from multimodal_tf.config import (
    BytePairTokenizer,
    CharacterTokenizer,
    Config,
    NumberInput,
    SentencePieceTokenizer,
    TextHead,
)
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.ingest.checks import check_arguments
from multimodal_tf.data.kinds.label import read_label
from multimodal_tf.data.table import read_table
from multimodal_tf.data.target_stats import TargetStats
from multimodal_tf.data.tokenizers.target_texts import TargetTokens, texts_of

TEXTS = [
    "A Red Café, isn't it?",
    "नमस्ते दुनिया",
    "ภาษาไทย สวย",
    "日本語のテキスト",
    "👍🏽 family 👨‍👩‍👧 🇫🇷",
    "“Quotes” — dash… 1,000 €",
    "x" * 40,
    "a  b\t\nc",
]
TOKENIZERS = [
    CharacterTokenizer(),
    CharacterTokenizer(vocabulary_size=3),
    BytePairTokenizer(vocabulary_size=300),
    SentencePieceTokenizer(vocabulary_size=300),
]


def learned(head, texts):
    learner = TargetStats("heads.caption", head)
    learner.add(tf.constant([read_label(text, head) or "" for text in texts]))
    return learner.stats("the head 'caption'")


@pytest.mark.parametrize("number", range(len(TOKENIZERS)))
def test_texts_come_back(number):
    head = TextHead(tokenizer=TOKENIZERS[number], max_tokens=200)
    stats = learned(head, [*TEXTS, TEXTS[3], ""])
    texts = [read_label(text, head) for text in TEXTS]
    ids = TargetTokens(stats)(tf.constant([*texts, ""]), head.max_tokens).numpy()
    assert ids.shape == (len(TEXTS) + 1, head.max_tokens + 1)
    assert not ids[-1].any()
    assert (ids < stats.size - 1).all()
    again = [one.decode() for one in texts_of(tf.constant(ids), stats).numpy()]
    assert again.pop() == ""
    unknown = (ids == 1).any(axis=1)
    assert [one for one, lost in zip(again, unknown) if not lost] == [
        one for one, lost in zip(texts, unknown) if not lost
    ]
    assert unknown.any() == (number == 1)
    if number != 1:
        assert (stats.commonest, stats.rows, stats.share) == (texts[3], 9, 2 / 9)
        assert stats.commonest_ids == ids[3, : len(stats.commonest_ids)].tolist()


def test_a_long_text_has_no_end_and_a_short_one_is_padded():
    stats = learned(TextHead(max_tokens=3), ["ab", "abcd"])
    ids = TargetTokens(stats)(tf.constant(["ab", "abc", "abcd"]), 3).numpy()
    a, b, c, d = (stats.tokens.words.index(letter) + 2 for letter in "abcd")
    end = stats.end
    assert ids.tolist() == [[a, b, end, 0], [a, b, c, end], [a, b, c, d]]
    # what stands behind the end is not read
    assert texts_of(tf.constant([[a, end, b, b]]), stats).numpy().tolist() == [b"a"]


def test_broken_bytes_are_no_utf8():
    """Byte pairs may give half a character."""
    stats = learned(TextHead(tokenizer=BytePairTokenizer(vocabulary_size=300)), ["é", "e"])
    ids = TargetTokens(stats)(tf.constant(["é"]), 8).numpy()
    written = texts_of(tf.constant(ids), stats).numpy()[0]
    assert written.decode() == "é"
    half = np.where(np.arange(ids.shape[1]) == ids[0].tolist().index(stats.end) - 1, 0, ids)
    assert texts_of(tf.constant(half), stats).numpy()[0].decode() in ("\ufffd", "")


def test_targets_are_canonical():
    head = TextHead()
    assert read_label("  Cafe\u0301 \n au  lait ", head) == "Café au lait"
    assert read_label(3.0, head) == "3"
    assert read_label("   ", head) is None
    with pytest.raises(CellError, match="not UTF-8"):
        read_label(b"\x89PNG\xff", head)


def test_what_no_target_can_be_is_refused():
    with pytest.raises(ValueError, match="must have a text in some row"):
        learned(TextHead(), ["", ""])
    with pytest.raises(
        ValueError, match=r"heads.caption.max_tokens: must be as long .* received 2"
    ):
        learned(TextHead(max_tokens=2), ["abc", "abcd"])
    for kind in ("words", "word_piece", "ngrams", "none"):
        with pytest.raises(ValueError, match=f"give the text back, characters.*received {kind}"):
            TextHead(tokenizer={"type": kind})
    with pytest.raises(ValueError, match="dim must be a multiple of the 4 heads, received 6"):
        TextHead(dim=6)
    config = Config(inputs={"size": NumberInput()}, heads={"caption": TextHead()})
    for cells, what in (
        (["a.png", "b.JPG", "c.wav"], "names of files, such as a.png"),
        (["data:image/png;base64,AAAA"] * 3, "names of files"),
        ([b"\x89PNG\xff\xfe"] * 3, "3 broken labels"),
    ):
        table = read_table(pd.DataFrame({"size": [1.0] * 3, "caption": cells}))
        with pytest.raises(ValueError, match=rf"heads.caption: the column 'caption' must.*{what}"):
            check_arguments(table, config, None, 10)


def test_a_head_and_an_input_have_no_name_in_common():
    with pytest.raises(ValueError, match="two input keys would be called 'caption_target'"):
        Config(inputs={"caption_target": NumberInput()}, heads={"caption": TextHead()})
    heads = {"caption": TextHead(), "caption_log_probability": TextHead()}
    with pytest.raises(ValueError, match="two head keys would be called"):
        Config(inputs={"size": NumberInput()}, heads=heads)
