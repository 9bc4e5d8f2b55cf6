"""Columns that say which rows are for training, validation and test, in the words of any tool.

Rows that somebody set aside for the test must not be trained on: such a column is proposed as the
split, or ignored with a sentence, and becomes an input only with a word about its name.
"""

import re
from collections.abc import Iterable
from typing import Any

from multimodal_tf.config.split import SPLIT_WORDS, split_key
from multimodal_tf.data.describe.sample import Column
from multimodal_tf.data.split import SPLITS

# (type, why, the split of each value where the values are not the usual words)
Proposed = tuple[str, str, dict[str, str] | None]

# values that are kept of a column with such a name
MOST_VALUES = 1000
_NAME = re.compile(
    r"(data_?(set_?)?)?splits?(_?(name|id))?|subset|partition|(data_?)?set|usage|phase|"
    r"((cv|k|test|val|valid|validation)_?)?folds?(_?(id|no|nr|number|index))?"
)
# what nothing else is called
_CERTAIN = re.compile(r".*(split|fold).*")
_FLAG = re.compile(r"(is|in)_?(?P<split>[a-z]+?)(_?(set|row|item|image|sample|data|split))?")
# the field of a yes, and of a no
_BOOLEANS = (("true", "false"), ("1", "0"), ("yes", "no"), ("t", "f"), ("y", "n"))
# Kaggle's, and others' that are too rare to be taken without being written down
_WORDS = {key: SPLITS[index] for key, index in SPLIT_WORDS.items()} | {
    "publictest": "validation",
    "eval": "validation",
    "evaluation": "validation",
    "privatetest": "test",
    "holdout": "test",
    "heldout": "test",
}
# Ludwig's
_NUMBERS = {"0": "train", "1": "validation", "2": "test"}
# values that a sentence lists, and characters of one
_LISTED, _LONGEST = 12, 100


def may_be_split(name: str) -> bool:
    """Whether a column is named as a split, so that its values are looked at.

    Example:
        >>> [may_be_split(name) for name in ("Split", "is_valid", "Usage", "fold", "price")]
        [True, True, True, True, False]
    """
    plain = _plain(name)
    return bool(_NAME.fullmatch(plain)) or _flag(plain) is not None


def words_of(cells: Iterable[Any]) -> dict[str, str]:
    """The different values of cells by what they are compared by, at most `MOST_VALUES`.

    Example:
        >>> words_of(["Training", "training", 0.0, "0"])
        {'training': 'Training', '0': '0'}
    """
    words: dict[str, str] = {}
    for cell in cells:
        if len(words) == MOST_VALUES:
            break
        # of what is no text its type, which no split is called
        key = split_key(cell) or f"({type(cell).__name__})"
        word = str(cell).strip() if isinstance(cell, str) and not key.isdigit() else key
        words.setdefault(key[:_LONGEST], word[:_LONGEST])
    return words


def proposed_split(column: Column) -> Proposed | None:
    """What a column is by its name and values; None where it is no split.

    A column whose `words` are counted is looked at whatever its name.

    Returns:
        `(type, why, values)`: the type is "split" or "ignored".
    """
    words = column.words
    if words is None:
        if not may_be_split(column.name):
            return None
        words = words_of(column.texts())
    keys = {word: key for key, word in words.items()}
    name, flag = _plain(column.name), _flag(_plain(column.name))
    if flag is not None:
        return _of_flag(keys, flag)
    known = {value: _WORDS[key] for value, key in keys.items() if key in _WORDS}
    if len(known) == len(keys) and all(key in SPLIT_WORDS for key in keys.values()):
        return "split", "train, validation or test in every row", None
    numbered = {value: _NUMBERS[key] for value, key in keys.items() if key in _NUMBERS}
    if len(numbered) == len(keys) > 1 and "0" in keys.values() and "fold" not in name:
        return "split", f"numbers of splits, as Ludwig's: {_named(numbered)}", numbered
    if "train" in known.values():
        others = [value for value in keys if value not in known]
        why = "names of splits: " + _named(known)
        if others:
            why += f"; ingest needs a split in split.values for {_listed(others)}, too"
        return "split", why, known
    if _CERTAIN.fullmatch(name):
        return "ignored", _undecided(column.name, list(keys)), None
    return None


def about_name(column: Column) -> str:
    """What is to be said of an input that is named as a split; "" of others."""
    if not may_be_split(column.name):
        return ""
    return (
        "; named as a split, but its values name none: if it is one, give split.column and"
        " split.values, and leave out the input"
    )


def _of_flag(keys: dict[str, str], split: str) -> Proposed | None:
    """Of a column such as `is_valid`, which says yes or no."""
    for yes, no in _BOOLEANS:
        if set(keys.values()) == {yes, no}:
            other = "test" if split == "train" else "train"
            values = {value: split if key == yes else other for value, key in keys.items()}
            return "split", f"says which rows are {split}: {_named(values)}", values
        if set(keys.values()) in ({yes}, {no}):
            return "ignored", f"named as a split, but all rows say {next(iter(keys))}", None
    return None


def _undecided(column: str, values: list[str]) -> str:
    """Why folds and other splits are not used, and how they can be."""
    shown = sorted(values, key=lambda value: (len(value), value))[:_LISTED]
    example = dict.fromkeys(shown, "train") | {shown[-1]: "test"}
    if len(shown) > 2:
        example[shown[-2]] = "validation"
    more = ", ..." if len(values) > _LISTED else ""
    pairs = ", ".join(f"{value}: {split}" for value, split in example.items())
    return (
        f"named as a split, but {_listed(values)} do not say which rows are the test: to use it,"
        f" give split: {{column: {column}, values: {{{pairs}{more}}}}}"
    )


def _flag(plain: str) -> str | None:
    """The split that a name such as `is_valid` asks about."""
    found = _FLAG.fullmatch(plain)
    return None if found is None else _WORDS.get(found["split"])


def _plain(name: str) -> str:
    return re.sub(r"[\s.\-]+", "_", name.strip()).lower()


def _named(values: dict[str, str]) -> str:
    return ", ".join(f"{value} is {split}" for value, split in values.items())


def _listed(values: list[str]) -> str:
    more = f" and {len(values) - _LISTED} more" if len(values) > _LISTED else ""
    return ", ".join(values[:_LISTED]) + more
