"""Unicode's normal forms NFKC and NFC and lower case in core TensorFlow ops, exactly as Python's
`unicodedata` and `str.lower` have them.

TensorFlow has no op for them, and its `tf.strings.lower(encoding="utf-8")` will not do: it follows
the locale of the process (under a Turkish one "I" becomes a dotless i, so a server could differ
from training) and stops at a NUL. So both work on code points, with tables made from Python's own:
the graph carries them as constants (some 140 KB), whatever Python later serves it.

Source: Unicode Standard Annex 15 and chapter 3.12 of the Unicode Standard (Hangul).
"""

import functools
import sys
import unicodedata
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# first of: syllables, their first, middle and (one before) last letters
_HANGUL, _LEAD, _VOWEL, _TAIL = 0xAC00, 0x1100, 0x1161, 0x11A7
_LEADS, _VOWELS, _TAILS = 19, 21, 28
_SYLLABLES = _LEADS * _VOWELS * _TAILS
# above every code point
_PLANE = 1 << 21


class _Expansion(NamedTuple):
    """Code points that turn into one or several others: those of `keys[i]` are
    `values[starts[i]:starts[i + 1]]`.
    """

    keys: np.ndarray
    starts: np.ndarray
    values: np.ndarray


class _Tables(NamedTuple):
    decomposition: _Expansion
    lower: _Expansion
    # code points with a canonical combining class other than 0, and that class
    marks: np.ndarray
    classes: np.ndarray
    # first * _PLANE + second, and what the two compose to
    pairs: np.ndarray
    composites: np.ndarray
    # code points without any of which a text is in its normal form already
    unsettled: np.ndarray


def _expansion(mapping):
    starts = np.cumsum([0, *map(len, mapping.values())])
    return _Expansion(
        np.array(list(mapping), np.int32),
        starts.astype(np.int32),
        np.array([ord(c) for text in mapping.values() for c in text], np.int32),
    )


@functools.cache
def _tables(form):
    # the form that decomposes
    apart = form.replace("C", "D")
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
            if (text := unicodedata.normalize(apart, character)) != character:
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
    # A character that only decomposes to compose again is settled, unless a mark follows, which is
    # itself unsettled.
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


def _find(keys, values):
    """Where each value stands in the sorted keys, and whether it is there at all."""
    place = tf.minimum(tf.searchsorted(keys, values), keys.shape[0] - 1)
    return place, tf.gather(keys, place) == values


def _expand(points, rows, table):
    place, found = _find(table.keys, points)
    first = tf.gather(table.starts, place)
    lengths = tf.where(found, tf.gather(table.starts, place + 1) - first, 1)
    source = tf.repeat(tf.range(tf.size(points)), lengths)
    within = tf.range(tf.size(source)) - tf.gather(tf.cumsum(lengths, exclusive=True), source)
    entry = tf.minimum(tf.gather(first, source) + within, table.values.shape[0] - 1)
    expanded = tf.where(
        tf.gather(found, source), tf.gather(table.values, entry), tf.gather(points, source)
    )
    return expanded, tf.gather(rows, source)


def _reorder(points, rows, classes):
    """Sorts each run of marks by combining class, marks of one class in the order in which they
    came.
    """
    begins = tf.concat([[True], rows[1:] != rows[:-1]], 0)[: tf.size(rows)]
    run = tf.cumsum(tf.cast(begins | (classes == 0), tf.int64))
    order = tf.argsort(run * 256 + tf.cast(classes, tf.int64), stable=True)
    # rows stay as they are: no run leaves its row
    return tf.gather(points, order), tf.gather(classes, order)


def _pair(first, second, tables):
    place, found = _find(
        tables.pairs, tf.cast(first, tf.int64) * _PLANE + tf.cast(second, tf.int64)
    )
    composite = tf.where(found, tf.gather(tables.composites, place), 0)
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


def _compose_once(points, rows, classes, tables):
    """Lets each starter (a character of class 0) take the first later character that it composes
    with, all starters at once.

    Repeated until nothing changes, this is the standard's left-to-right composition: a mark that
    its starter refused is not taken by a composite either, as that composite's own normal form
    would then be another. A starter that is being taken waits with its own marks.
    """
    count = tf.size(points)
    starters = tf.cast(tf.where(classes == 0)[:, 0], tf.int32)
    before = tf.cumsum(tf.cast(classes == 0, tf.int32), exclusive=True)
    owner = tf.gather(tf.concat([[0], starters], 0), before)
    has_owner = (before > 0) & (tf.gather(rows, owner) == rows)
    previous = tf.concat([[0], classes], 0)[:count]
    # no mark of the same class stands between
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


def _normal_form(points, rows, tables):
    points, rows = _expand(points, rows, tables.decomposition)
    place, found = _find(tables.marks, points)
    classes = tf.where(found, tf.gather(tables.classes, place), 0)
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


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def nfkc_lower(texts):
    """NFKC, then lower case: `unicodedata.normalize("NFKC", text).lower()` with every final sigma
    an ordinary one.

    Args:
        texts: string `(batch,)`, UTF-8; each invalid byte sequence becomes U+FFFD, as
            `bytes.decode("utf-8", "replace")` has it.

    Returns:
        string `(batch,)`.

    Example:
        >>> nfkc_lower(["ＡＢ①", "e\\u0301"]).numpy().tolist() == ["ab1".encode(), "\\u00e9".encode()]
        True
    """
    return _lower(texts, "NFKC")


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def nfc_lower(texts):
    """NFC, then lower case: as `nfkc_lower`, but characters that only look alike stay apart.

    Example:
        >>> nfc_lower(["Ａ①", "E\\u0301"]).numpy().tolist() == ["ａ①".encode(), "\\u00e9".encode()]
        True
    """
    return _lower(texts, "NFC")


def _lower(texts, form):
    # once, or every use would carry a copy
    tables = tf.nest.map_structure(tf.constant, _tables(form))
    decoded = tf.strings.unicode_decode(texts, "UTF-8")
    points, rows = decoded.values, decoded.value_rowids()
    _, unsettled = _find(tables.unsettled, points)
    points, rows = tf.cond(
        tf.reduce_any(unsettled), lambda: _normal_form(points, rows, tables), lambda: (points, rows)
    )
    points, rows = _expand(points, rows, tables.lower)
    return tf.strings.unicode_encode(
        tf.RaggedTensor.from_value_rowids(points, rows, decoded.nrows(), validate=False), "UTF-8"
    )
