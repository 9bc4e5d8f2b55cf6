"""Unicode's normal forms NFKC and NFC and lower case in core TensorFlow ops.

The results are those of Python's `unicodedata.normalize` and `str.lower`. TensorFlow has no op for
normal forms, and `tf.strings.lower(encoding="utf-8")` depends on the locale of the process (in a
Turkish one "I" becomes a dotless i, so a server could differ from training) and stops at a NUL. So
both are computed on code points here, with tables from Python's Unicode data, which the graph holds
as constants (some 140 KB).

Source: Unicode Standard Annex 15 and chapter 3.12 of the Unicode Standard (Hangul).
"""

import functools
import sys
import unicodedata
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

# first of: syllables, their first, middle and (one before) last letters
_HANGUL, _LEAD, _VOWEL, _TAIL = 0xAC00, 0x1100, 0x1161, 0x11A7
_LEADS, _VOWELS, _TAILS = 19, 21, 28
_SYLLABLES = _LEADS * _VOWELS * _TAILS
_Form = Literal["NFKC", "NFC"]
_DECOMPOSED: dict[_Form, Literal["NFKD", "NFD"]] = {"NFKC": "NFKD", "NFC": "NFD"}
# above every code point
_PLANE = 1 << 21


class _Expansion(NamedTuple):
    """Code points that expand: `keys[i]` to `values[starts[i]:starts[i + 1]]`."""

    keys: npt.NDArray[Any]
    starts: npt.NDArray[Any]
    values: npt.NDArray[Any]


class _Tables(NamedTuple):
    decomposition: _Expansion
    lower: _Expansion
    # code points with a canonical combining class other than 0, and that class
    marks: npt.NDArray[Any]
    classes: npt.NDArray[Any]
    # first * _PLANE + second, and what the two compose to
    pairs: npt.NDArray[Any]
    composites: npt.NDArray[Any]
    # a text without any of these code points is in its normal form
    unsettled: npt.NDArray[Any]


def _expansion(mapping: dict[int, str]) -> _Expansion:
    starts = np.cumsum([0, *map(len, mapping.values())])
    return _Expansion(
        np.array(list(mapping), np.int32),
        starts.astype(np.int32),
        np.array([ord(c) for text in mapping.values() for c in text], np.int32),
    )


@functools.cache
def _tables(form: _Form) -> _Tables:
    decomposed = _DECOMPOSED[form]
    decomposition, lower, marks, pairs, second = {}, {}, {}, {}, set()
    for point in range(sys.maxunicode + 1):
        character = chr(point)
        if (small := character.lower().replace("ς", "σ")) != character:
            lower[point] = small
        if kind := unicodedata.combining(character):
            marks[point] = kind
        if not _HANGUL <= point < _HANGUL + _SYLLABLES and (
            parts := unicodedata.decomposition(character)
        ):
            if (text := unicodedata.normalize(decomposed, character)) != character:
                decomposition[point] = text
            if (
                "<" not in parts
                and " " in parts
                and unicodedata.normalize("NFC", character) == character
            ):
                pair = [int(part, 16) for part in parts.split()]
                pairs[pair[0] * _PLANE + pair[1]] = point
                second.add(pair[1])
    second.update(range(_VOWEL, _VOWEL + _VOWELS), range(_TAIL + 1, _TAIL + _TAILS))
    # a character that decomposes and composes again is settled; a mark that follows is unsettled
    changed = {
        point for point in decomposition if unicodedata.normalize(form, chr(point)) != chr(point)
    }
    ordered = dict(sorted(pairs.items()))
    return _Tables(
        _expansion(decomposition),
        _expansion(lower),
        np.array(list(marks), np.int32),
        np.array(list(marks.values()), np.int32),
        np.array(list(ordered), np.int64),
        np.array(list(ordered.values()), np.int32),
        np.array(sorted(changed | set(marks) | second), np.int32),
    )


def _find(keys: tf.Tensor, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The index of each value in the sorted keys, and whether the keys contain it."""
    index = tf.minimum(tf.searchsorted(keys, values), keys.shape[0] - 1)
    return index, tf.gather(keys, index) == values


def _expand(points: tf.Tensor, rows: tf.Tensor, table: _Expansion) -> tuple[tf.Tensor, tf.Tensor]:
    index, found = _find(table.keys, points)
    first = tf.gather(table.starts, index)
    lengths = tf.where(found, tf.gather(table.starts, index + 1) - first, 1)
    source = tf.repeat(tf.range(tf.size(points)), lengths)
    within = tf.range(tf.size(source)) - tf.gather(tf.cumsum(lengths, exclusive=True), source)
    entry = tf.minimum(tf.gather(first, source) + within, table.values.shape[0] - 1)
    expanded = tf.where(
        tf.gather(found, source), tf.gather(table.values, entry), tf.gather(points, source)
    )
    return expanded, tf.gather(rows, source)


def _reorder(points: tf.Tensor, rows: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sorts each run of marks by combining class; the order within a class is kept."""
    begins = tf.concat([[True], rows[1:] != rows[:-1]], 0)[: tf.size(rows)]
    run = tf.cumsum(tf.cast(begins | (classes == 0), tf.int64))
    order = tf.argsort(run * 256 + tf.cast(classes, tf.int64), stable=True)
    # `rows` does not change, because runs end with their rows
    return tf.gather(points, order), tf.gather(classes, order)


def _pair(first: tf.Tensor, second: tf.Tensor, tables: _Tables) -> tf.Tensor:
    index, found = _find(
        tables.pairs, tf.cast(first, tf.int64) * _PLANE + tf.cast(second, tf.int64)
    )
    composite = tf.where(found, tf.gather(tables.composites, index), 0)
    lead, vowel, tail, syllable = first - _LEAD, second - _VOWEL, second - _TAIL, first - _HANGUL
    two = (lead >= 0) & (lead < _LEADS) & (vowel >= 0) & (vowel < _VOWELS)
    composite = tf.where(two, _HANGUL + (lead * _VOWELS + vowel) * _TAILS, composite)
    three = (
        (syllable >= 0)
        & (syllable < _SYLLABLES)
        & (syllable % _TAILS == 0)
        & (tail > 0)
        & (tail < _TAILS)
    )
    return tf.where(three, first + tail, composite)


def _compose_once(
    points: tf.Tensor, rows: tf.Tensor, classes: tf.Tensor, tables: _Tables
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Composes each starter (a character of class 0) with its first later character that allows it.

    Repeated until nothing changes, this is the standard's left-to-right composition: a mark that
    does not compose with a starter does not compose with its composite either, or the composite
    would have another normal form. A starter that is itself composed keeps its marks until the next
    step.
    """
    count = tf.size(points)
    starters = tf.cast(tf.where(classes == 0)[:, 0], tf.int32)
    before = tf.cumsum(tf.cast(classes == 0, tf.int32), exclusive=True)
    owner = tf.gather(tf.concat([[0], starters], 0), before)
    has_owner = (before > 0) & (tf.gather(rows, owner) == rows)
    previous = tf.concat([[0], classes], 0)[:count]
    # no mark of the same class is between them
    free = (owner == tf.range(count) - 1) | (previous < classes)
    composite = _pair(tf.gather(points, owner), points, tables)
    candidate = has_owner & free & (composite > 0)
    candidate &= ~(tf.gather(candidate, owner) & has_owner)
    taken = tf.where(candidate)[:, 0]
    owners = tf.gather(owner, taken)
    first = tf.concat([[True], owners[1:] != owners[:-1]], 0)[: tf.size(taken)]
    taken, owners = tf.boolean_mask(taken, first), tf.boolean_mask(owners, first)
    points = tf.tensor_scatter_nd_update(points, owners[:, tf.newaxis], tf.gather(composite, taken))
    stays = tf.tensor_scatter_nd_update(
        tf.fill([count], True), taken[:, tf.newaxis], tf.fill(tf.shape(taken), False)
    )
    return (
        tf.boolean_mask(points, stays),
        tf.boolean_mask(rows, stays),
        tf.boolean_mask(classes, stays),
        tf.size(taken) > 0,
    )


def _normal_form(
    points: tf.Tensor, rows: tf.Tensor, tables: _Tables
) -> tuple[tf.Tensor, tf.Tensor]:
    points, rows = _expand(points, rows, tables.decomposition)
    index, found = _find(tables.marks, points)
    classes = tf.where(found, tf.gather(tables.classes, index), 0)
    points, classes = _reorder(points, rows, classes)
    points, rows, _, _ = tf.while_loop(
        lambda points, rows, classes, again: again,
        lambda points, rows, classes, again: _compose_once(points, rows, classes, tables),
        (points, rows, classes, tf.constant(True)),
        shape_invariants=(
            tf.TensorShape([None]),
            tf.TensorShape([None]),
            tf.TensorShape([None]),
            tf.TensorShape([]),
        ),
    )
    return points, rows


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
def nfkc_lower(texts: tf.Tensor) -> tf.Tensor:
    """NFKC, then lower case, as Python has them, but with ordinary sigmas at the ends of words.

    Args:
        texts: string `(batch,)`, UTF-8; each invalid byte sequence becomes U+FFFD, as in
            `bytes.decode("utf-8", "replace")`.

    Returns:
        string `(batch,)`.

    Example:
        >>> [text.decode() for text in nfkc_lower(["ＡＢ①", "e\\u0301"]).numpy()]
        ['ab1', 'é']
    """
    return _lower(texts, "NFKC")


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
def nfc_lower(texts: tf.Tensor) -> tf.Tensor:
    """NFC, then lower case: as `nfkc_lower`, but compatibility characters stay different.

    Example:
        >>> [text.decode() for text in nfc_lower(["Ａ①", "E\\u0301"]).numpy()]
        ['ａ①', 'é']
    """
    return _lower(texts, "NFC")


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
def nfc(texts: tf.Tensor) -> tf.Tensor:
    """NFC alone: as `nfc_lower`, but capital letters stay.

    Example:
        >>> [text.decode() for text in nfc(["Ａ①", "E\\u0301"]).numpy()]
        ['Ａ①', 'É']
    """
    return _changed(texts, "NFC", in_lower_case=False)


def _lower(texts: tf.Tensor, form: _Form) -> tf.Tensor:
    return _changed(texts, form, in_lower_case=True)


def _changed(texts: tf.Tensor, form: _Form, in_lower_case: bool) -> tf.Tensor:
    # shared, or every use would hold a copy
    tables = tf.nest.map_structure(tf.constant, _tables(form))
    decoded = tf.strings.unicode_decode(texts, "UTF-8")
    points, rows = decoded.values, decoded.value_rowids()
    _, unsettled = _find(tables.unsettled, points)
    points, rows = tf.cond(
        tf.reduce_any(unsettled), lambda: _normal_form(points, rows, tables), lambda: (points, rows)
    )
    if in_lower_case:
        points, rows = _expand(points, rows, tables.lower)
    return tf.strings.unicode_encode(
        tf.RaggedTensor.from_value_rowids(points, rows, decoded.nrows(), validate=False), "UTF-8"
    )
