"""Small tables get small towers: on which side of which bound a column falls, and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimodal_tf.config import (
    BagTower,
    ConvTower,
    CRNNTower,
    FramesAverage,
    FramesLSTM,
    LSTMTower,
    MLPTower,
    ResNetTower,
    SentencePieceTokenizer,
    SpectrogramTower,
    TransformerTower,
    WordPieceTokenizer,
    WordTokenizer,
)
from multimodal_tf.data.describe.column_description import ColumnDescription, Spread
from multimodal_tf.data.describe.defaults import default_input, default_tabular


def column(kind, **sizes):
    return ColumnDescription(
        name="x", column="x", type=kind, why="given", missing=0, distinct=2, **sizes
    )


def spread(median, p95=None):
    return Spread(min=0, median=median, p95=median if p95 is None else p95, max=1000)


def text(median=5.0, p95=10.0, unspaced=False):
    return column("text", words=spread(median, p95), unspaced=unspaced)


@pytest.mark.parametrize(
    ("kind", "rows", "tower"),
    [
        ("image", 1, ConvTower(wide=True)),
        ("image", 9_999, ConvTower(wide=True)),
        ("image", 10_000, ResNetTower()),
        ("audio", 9_999, SpectrogramTower(wide=True)),
        ("audio", 10_000, CRNNTower()),
        ("text", 9_999, BagTower(wide=True)),
        ("text", 10_000, LSTMTower()),
        ("text", 100_000, TransformerTower()),
    ],
)
def test_each_side_of_each_bound(kind, rows, tower):
    assert default_input(column(kind), rows)[0].tower == tower


@pytest.mark.parametrize(
    ("kind", "rows", "why"),
    [
        ("image", 785, "plain CNN: a ResNet pays from 10,000 rows, here are 785"),
        ("image", 12_345, "ResNet 18: it pays from 10,000 rows, here are 12,345"),
        ("text", 785, "bag of words: reading their order pays from 10,000 rows, here are 785"),
        (
            "text",
            50_000,
            "LSTM: 50,000 rows are enough to read order (from 10,000), not for self-attention"
            " (from 100,000)",
        ),
        (
            "text",
            200_000,
            "transformer over subwords: it pays from 100,000 rows, here are 200,000",
        ),
        (
            "audio",
            767,
            "CNN on a spectrogram: a recurrent layer behind it pays from 10,000 rows, here are 767",
        ),
        (
            "audio",
            10_000,
            "CNN on a spectrogram, then a GRU: it pays from 10,000 rows, here are 10,000",
        ),
    ],
)
def test_the_reason_has_the_numbers(kind, rows, why):
    assert default_input(column(kind), rows)[1] == why


def test_long_texts_need_more_rows_for_their_order():
    """By Google's guide, 1,500 rows a word: 25,000 reviews of 174 words are a bag of words."""
    assert default_input(text(median=174), 25_000)[0].tower == BagTower(wide=True)
    assert default_input(text(median=20), 29_999)[0].tower == BagTower(wide=True)
    config, why = default_input(text(median=20), 30_000)
    assert (config.tower, config.tokenizer) == (LSTMTower(), WordTokenizer())
    assert "from 30,000" in why
    assert default_input(text(median=100), 149_999)[0].tower == BagTower(wide=True)
    # no room is left for an LSTM
    assert default_input(text(median=100), 150_000)[0].tower == TransformerTower()


def test_a_transformer_reads_subwords_and_so_more_tokens():
    english, chinese = (
        default_input(text(), 100_000)[0],
        default_input(text(unspaced=True), 100_000)[0],
    )
    assert (english.tokenizer, chinese.tokenizer) == (
        WordPieceTokenizer(),
        SentencePieceTokenizer(),
    )
    assert (english.max_tokens, default_input(text(), 1)[0].max_tokens) == (15, 10)


@pytest.mark.parametrize(
    ("columns", "rows", "tower"),
    [
        (0, 10**6, None),
        (1, 10**6, None),
        (3, 10**6, None),
        (40, 2_999, None),
        (4, 3_000, MLPTower(wide=True)),
    ],
)
def test_one_tower_over_all_columns(columns, rows, tower):
    found, why = default_tabular(columns, rows)
    assert found == tower
    assert f"here are {columns} and {rows:,}" in why


@pytest.mark.parametrize(
    ("rows", "frame", "over", "why"),
    [
        (
            12,
            ConvTower(),
            FramesAverage(),
            "CNN on each frame, averaged: an LSTM over them pays from 10,000 rows, here are 12",
        ),
        (
            10_000,
            ConvTower(),
            FramesLSTM(),
            "CNN on each frame, LSTM over them: it pays from 10,000 rows, here are 10,000",
        ),
    ],
)
def test_videos(rows, frame, over, why):
    video = ColumnDescription.model_construct(type="video", width=spread(320), height=spread(240))
    config, found = default_input(video, rows)
    assert (config.tower.frame, config.tower.over, found) == (frame, over, why)


def test_sizes_come_from_the_data():
    assert default_input(column("image", width=spread(28), height=spread(32)), 5)[0].height == 32
    assert default_input(column("image", width=spread(33), height=spread(8)), 5)[0].width == 96
    assert default_input(column("image", grey=True), 5)[0].channels == 1
    clip = default_input(column("audio", seconds=spread(0.2, 1.01), sample_rate=spread(8_000)), 5)[
        0
    ]
    # the highest rate is 1,000
    assert (clip.seconds, clip.sample_rate) == (1.5, 1_000)


@given(
    kind=st.sampled_from(["image", "audio", "text"]),
    few=st.integers(0, 10**6),
    more=st.integers(0, 10**6),
    words=st.integers(0, 10_000),
)
def test_more_rows_never_get_a_smaller_tower(kind, few, more, words):
    sizes = [
        ConvTower,
        SpectrogramTower,
        BagTower,
        LSTMTower,
        ResNetTower,
        CRNNTower,
        TransformerTower,
    ]
    described = text(median=words, p95=words) if kind == "text" else column(kind)
    small, large = (type(default_input(described, rows)[0].tower) for rows in sorted((few, more)))
    assert sizes.index(small) <= sizes.index(large)
