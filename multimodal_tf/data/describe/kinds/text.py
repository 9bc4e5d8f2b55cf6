"""Texts in `describe`."""

import itertools
import math

import tensorflow as tf

from multimodal_tf.config import (
    BagTower,
    LSTMTower,
    SentencePieceTokenizer,
    TextInput,
    TransformerTower,
    WordPieceTokenizer,
)
from multimodal_tf.data.describe.column_description import ColumnDescription, Spread
from multimodal_tf.data.describe.kinds.kind import Default, Kind, Measures, from_to, pays
from multimodal_tf.data.describe.sample import Cell
from multimodal_tf.data.tokenizers import normalization

# word order, per word of a median text: Google's Text Classification Guide, step 2.5
# (450,000 trainings)
ROWS_A_WORD = 1_500
# and at least this many (rule of thumb: the shorter the texts, the less their order matters)
ORDER_ROWS = 10_000
# self-attention in place of an LSTM (rule of thumb; on small corpora LSTMs lead: Ezen-Can 2020,
# arXiv:2009.05451)
ATTENTION_ROWS = 100_000

# words, such as Chinese characters, from one space to the next
_UNSPACED = 3
# subwords per word, at the vocabulary's default size (rule of thumb)
_SUBWORDS = 1.5
# characters of the texts whose words are counted together
_BATCH = 1_000_000


def _count_words(cells: list[Cell]) -> None:
    known = [cell for cell in cells if cell.value is not None]
    ends = itertools.accumulate(len(str(cell.value)) for cell in known)
    for _, group in itertools.groupby(zip(known, ends), lambda one: one[1] // _BATCH):
        batch = [cell for cell, _ in group]
        counts = _counts(tf.constant([str(cell.value) for cell in batch])).numpy()
        for cell, count in zip(batch, counts.tolist()):
            cell.words = count


def _text_measures(cells: list[Cell]) -> Measures:
    words = [cell.words for cell in cells if cell.words is not None]
    if not words:
        return {"words": None}
    spaced = sum(len(str(cell.value).split()) for cell in cells if cell.words is not None)
    return {"words": Spread.of(words), "unspaced": sum(words) > _UNSPACED * spaced}


# traced once, and called for many cells: a call takes as long as some thousand words
@tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
def _counts(texts: tf.Tensor) -> tf.Tensor:
    return normalization.words(texts).row_lengths()


def _text_values(column: ColumnDescription) -> str:
    return f"{from_to(column.words)} words" if column.words else ""


def _default_text(column: ColumnDescription, rows: int) -> Default:
    words = math.ceil(column.words.p95) if column.words else 32
    median = column.words.median if column.words else 0
    order = max(ORDER_ROWS, math.ceil(ROWS_A_WORD * median))
    if rows < order:
        return (
            TextInput(max_tokens=_tokens(words), tower=BagTower(wide=True)),
            f"bag of words: reading their order {pays(order, rows)}",
        )
    if rows < max(order, ATTENTION_ROWS):
        return (
            TextInput(max_tokens=_tokens(words), tower=LSTMTower()),
            f"LSTM: {rows:,} rows are enough to read order (from {order:,}), not for"
            f" self-attention (from {ATTENTION_ROWS:,})",
        )
    config = TextInput(
        max_tokens=_tokens(math.ceil(words * _SUBWORDS)),
        tower=TransformerTower(),
        tokenizer=SentencePieceTokenizer() if column.unspaced else WordPieceTokenizer(),
    )
    return config, f"transformer over subwords: it {pays(max(order, ATTENTION_ROWS), rows)}"


def _tokens(tokens: int) -> int:
    return min(256, max(8, tokens))


KIND = Kind(
    TextInput(),
    _default_text,
    measure_together=_count_words,
    summarize=_text_measures,
    render=_text_values,
    also_reads=("number", "date"),
    preset_kind="text",
)
