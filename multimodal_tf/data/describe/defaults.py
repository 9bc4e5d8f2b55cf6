"""Which tower and sizes a column gets by default, and why: a small table gets a small tower.

A tower with more to learn than the table has to teach takes longer and is no better. Where the next
larger one begins to pay depends on the task; the bounds below, in rows with a value, are where
published comparisons put it, or rules of thumb where none fits. Towers that from
scratch need more rows than nearly any table has, or are no better for it, are never chosen:
transformers over patches of images and sounds (Dosovitskiy et al. 2021, arXiv:2010.11929; Gong et
al. 2021, arXiv:2104.01778) and over columns (Zabergja et al. 2024, arXiv:2402.03970).
"""

import math

from multimodal_tf import config as configuration

# reading order, for each word of a median text: Google's Text Classification Guide, step 2.5
# (450,000 trainings)
ROWS_A_WORD = 1_500
# and so many at least (rule of thumb: the shorter the texts, the less their order says)
ORDER_ROWS = 10_000
# self-attention in place of an LSTM (rule of thumb; on small corpora LSTMs lead: Ezen-Can 2020,
# arXiv:2009.05451)
ATTENTION_ROWS = 100_000
# residual blocks (rule of thumb; with few rows plain CNNs are level: Brigato, Iocchi 2020,
# arXiv:2003.12843)
RESIDUAL_ROWS = 10_000
# a recurrent layer over sounds or frames (rule of thumb)
RECURRENT_ROWS = 10_000
# an MLP: the least in the comparison of Grinsztajn et al. 2022, arXiv:2207.08815
TABULAR_ROWS, TABULAR_COLUMNS = 3_000, 4

# pixels
_SMALL = 32
# of a word, at the vocabulary's default size (rule of thumb)
_SUBWORDS = 1.5


def input_of(column, rows):
    """The configuration of a column's input, and why it has this tower.

    Args:
        column: `infer.ColumnDescription` of an input, with its measured sizes.
        rows: int. Rows of the table with a value in this column.

    Returns:
        `(input, why)`: `config.Input`, without a `column`, and a phrase that begins with the
        tower's name.

    Example:
        >>> from multimodal_tf.data.describe.table_description import ColumnDescription
        >>> clip = ColumnDescription(name="clip", column="clip", type="audio", why="given", missing=0, distinct=924)
        >>> input_of(clip, rows=924)[1]
        'CNN on a spectrogram: a recurrent layer behind it pays from 10,000 rows, here are 924'
    """
    return _ADVICE[column.type](column, rows)


def tabular_of(columns, rows):
    """The tower over all numbers, categories, dates and booleans of a table, and why.

    Args:
        columns: int. How many there are.
        rows: int. Rows of the table.

    Returns:
        `(tower, why)`: `config.TabularTower`, or None where each column has a Dense layer of its
        own.

    Example:
        >>> tabular_of(columns=2, rows=785)
        (None, 'a Dense layer: an MLP over all such columns pays from 4 columns and 3,000 rows, here
        are 2 and 785')
    """
    bounds = (
        f"from {TABULAR_COLUMNS} columns and {TABULAR_ROWS:,} rows, here are {columns} and {rows:,}"
    )
    if columns >= TABULAR_COLUMNS and rows >= TABULAR_ROWS:
        return configuration.MLPTower(), f"MLP over all such columns: it pays {bounds}"
    return None, f"a Dense layer: an MLP over all such columns pays {bounds}"


def _image(column, rows):
    height, width = _size(column)
    tower = configuration.ConvTower() if rows < RESIDUAL_ROWS else configuration.ResNetTower()
    why = "plain CNN: a ResNet" if rows < RESIDUAL_ROWS else "ResNet 18: it"
    part = configuration.ImageInput(
        height=height, width=width, channels=1 if column.grey else 3, tower=tower
    )
    return part, f"{why} {_pays(RESIDUAL_ROWS, rows)}"


def _size(column):
    small = (
        column.width is not None
        and column.height is not None
        and max(column.width.median, column.height.median) <= _SMALL
    )
    return (_SMALL, _SMALL) if small else (96, 96)


def _video(column, rows):
    height, width = _size(column)
    over = configuration.FramesAverage() if rows < RECURRENT_ROWS else configuration.FramesLSTM()
    why = (
        "CNN on each frame, averaged: an LSTM over them"
        if rows < RECURRENT_ROWS
        else "CNN on each frame, LSTM over them: it"
    )
    part = configuration.VideoInput(
        height=height, width=width, tower=configuration.FramesTower(over=over)
    )
    return part, f"{why} {_pays(RECURRENT_ROWS, rows)}"


def _audio(column, rows):
    seconds = min(10.0, math.ceil(column.seconds.p95 * 2) / 2) if column.seconds else 2.0
    rate = min(16_000, int(column.sample_rate.max)) if column.sample_rate else 16_000
    tower = configuration.SpectrogramTower() if rows < RECURRENT_ROWS else configuration.CRNNTower()
    why = (
        "CNN on a spectrogram: a recurrent layer behind it"
        if rows < RECURRENT_ROWS
        else "CNN on a spectrogram, then a GRU: it"
    )
    part = configuration.AudioInput(
        seconds=max(0.5, seconds), sample_rate=max(1000, rate), tower=tower
    )
    return part, f"{why} {_pays(RECURRENT_ROWS, rows)}"


def _text(column, rows):
    words = math.ceil(column.words.p95) if column.words else 32
    order = (
        max(ORDER_ROWS, math.ceil(ROWS_A_WORD * column.words.median))
        if column.words
        else ORDER_ROWS
    )
    if rows < order:
        return _text_input(words), f"bag of words: reading their order {_pays(order, rows)}"
    if rows < max(order, ATTENTION_ROWS):
        part = _text_input(words, tower=configuration.LSTMTower())
        return (
            part,
            f"LSTM: {rows:,} rows are enough to read order (from {order:,}), not for self-attention (from {ATTENTION_ROWS:,})",
        )
    tokenizer = (
        configuration.SentencePieceTokenizer()
        if column.unspaced
        else configuration.WordPieceTokenizer()
    )
    part = _text_input(
        math.ceil(words * _SUBWORDS), tower=configuration.TransformerTower(), tokenizer=tokenizer
    )
    return part, f"transformer over parts of words: it {_pays(max(order, ATTENTION_ROWS), rows)}"


def _text_input(tokens, **fields):
    return configuration.TextInput(max_tokens=min(256, max(8, tokens)), **fields)


def _pays(bound, rows):
    return f"pays from {bound:,} rows, here are {rows:,}"


_ADVICE = {
    "image": _image,
    "video": _video,
    "audio": _audio,
    "text": _text,
    # `tabular_of` says why, for all of them
    "number": lambda column, rows: (configuration.NumberInput(), ""),
    "category": lambda column, rows: (configuration.CategoryInput(), ""),
    "boolean": lambda column, rows: (configuration.BooleanInput(), ""),
    "date": lambda column, rows: (configuration.DateInput(), ""),
}
