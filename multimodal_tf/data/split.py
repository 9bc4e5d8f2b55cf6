"""Assigns rows to training, validation and test: by a column, or at random from the seed."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from multimodal_tf.config import Config, Split
from multimodal_tf.config.split import SPLIT_WORDS, split_key
from multimodal_tf.data.kinds.cell import cell_key
from multimodal_tf.data.table import Table

# a row's split is an index into this tuple
SPLITS = ("train", "validation", "test")

# a class of fewer rows cannot be in all three splits
_RARE = 3
# grouped fractions are whole numbers of folds
_MOST_FOLDS = 50

Integers = NDArray[np.integer[Any]]


def assign_splits(table: Table, config: Config) -> NDArray[np.int8]:
    """The split of every row, the same for the same table and configuration.

    By `config.split`:

    - `column`: the column's words: train or training; validation, valid, val or dev; test or
      testing; in any case. Or the values that `values` names.
    - none of these fields: random, `round(fraction * rows)` rows for validation and test, at least
      one of each while training keeps one.
    - `stratify`: the same numbers of rows, with every class in proportion to within about a row.
      Classes of one or two rows go to training while it has room. Missing is a class of its own.
    - `group`: no group is in two splits. A row without a group is a group of its own. Groups of
      several rows are distributed greedily over folds, balanced in rows and (with `stratify`)
      classes, and splits are made of folds; groups of one row fill the splits up. Fractions are
      approximate, because a group is never divided, and a rare class goes where its group goes.

    Where rows or groups are too few for every split, training comes first, then the split with the
    larger fraction. Memory holds some numbers per row, and the distinct values of `group` and
    `stratify`.

    Returns:
        int8 `(rows,)`: index into `SPLITS`.

    Raises:
        ValueError: a column does not exist, a cell of `column` is none of these words or values
            (the message names the row), or no row is left for training.

    Source: stratification is systematic sampling with a random start in each class: Cochran 1977,
    Sampling Techniques, chapter 8.
    """
    split = config.split
    if split.column is not None:
        return _given(table, split.column, split.values)
    generator = np.random.default_rng(config.seed)
    classes = column_codes(table, split.stratify, missing_alone=False)
    rare = np.bincount(classes)[classes] < (_RARE if split.stratify is not None else 0)
    if split.group is None:
        return _draw(classes, rare, _sizes(len(classes), split.validation, split.test), generator)
    groups = column_codes(table, split.group, missing_alone=True)
    splits = _draw_groups(groups, classes, rare, split, generator)
    if not np.any(splits == 0):
        raise ValueError(
            f"{table.name}: no group of column {split.group!r} is left to train on:"
            " lower split.validation or split.test"
        )
    return splits


def _given(table: Table, column: str, values: Mapping[str, str] | None) -> NDArray[np.int8]:
    words = SPLIT_WORDS
    if values is not None:
        words = {split_key(value) or "": SPLITS.index(split) for value, split in values.items()}
    parts = []
    for chunk in table.chunks(columns=[column]):
        parts.append(np.empty(len(chunk), np.int8))
        for index, (row, cell) in enumerate(chunk[column].items()):
            split = words.get(split_key(cell) or "")
            if split is None:
                raise ValueError(
                    f"{table.name}, row {row}: column {column!r} must say"
                    f" {', '.join(SPLITS if values is None else values)}, received {cell!r:.80}:"
                    " split.values names the split of each value, as in"
                    f" {{{'0' if cell is None else cell!s:.20}: train}}"
                )
            parts[-1][index] = split
    splits = np.concatenate(parts)
    if not np.any(splits == 0):
        raise ValueError(
            f"{table.name}: no row of column {column!r} says train, so there is nothing to train on"
        )
    return splits


def column_codes(table: Table, column: str | None, missing_alone: bool) -> NDArray[np.int64]:
    """A small integer for every distinct value of a column, in order of appearance.

    Args:
        column: None: all codes are 0.
        missing_alone: whether each missing cell has a code of its own; otherwise they share one.

    Returns:
        int64 `(rows,)`.
    """
    codes: dict[Any, int] = {}
    parts = []
    alone = 0
    for chunk in table.chunks(columns=[] if column is None else [column]):
        part = np.zeros(len(chunk), np.int64)
        for index, cell in enumerate([] if column is None else chunk[column]):
            if cell is None and missing_alone:
                alone += 1
                part[index] = -alone
            else:
                part[index] = codes.setdefault(cell_key(cell), len(codes))
        parts.append(part)
    return np.concatenate(parts)


def _sizes(count: int, validation: float, test: float) -> list[int]:
    """How many of `count` rows or folds each split gets, in the order of `SPLITS`."""
    sizes = [count, 0, 0]
    fractions = [(1, validation), (2, test)]
    for split, fraction in sorted(fractions, key=lambda split_fraction: -split_fraction[1]):
        if fraction > 0:
            sizes[split] = min(max(1, round(fraction * count)), sizes[0] - 1)
            sizes[0] -= sizes[split]
    return sizes


def _draw(
    classes: Integers,
    rare: NDArray[np.bool_],
    sizes: Sequence[int],
    generator: np.random.Generator,
) -> NDArray[np.int8]:
    """Spaces the rows of each class evenly from 0 to 1 from a random start, and cuts this line.

    scikit-learn's StratifiedShuffleSplit refuses classes of one row and splits of fewer rows than
    classes.
    """
    _, classes, counts = np.unique(classes, return_inverse=True, return_counts=True)
    order = generator.permutation(len(classes))
    # by class, random within
    order = order[np.argsort(classes[order], kind="stable")]
    by_row = classes[order]
    rank = np.arange(len(order)) - (np.cumsum(counts) - counts)[by_row]
    position = (rank + generator.random(len(counts))[by_row]) / counts[by_row]
    # behind all others: training
    position[rare[order]] = 1
    order = order[np.lexsort((generator.random(len(order)), position))]
    _, validation, test = sizes
    splits = np.zeros(len(classes), np.int8)
    splits[order[:test]] = 2
    splits[order[test : test + validation]] = 1
    return splits


def _draw_groups(
    groups: Integers,
    classes: Integers,
    rare: NDArray[np.bool_],
    split: Split,
    generator: np.random.Generator,
) -> NDArray[np.int8]:
    _, groups, counts = np.unique(groups, return_inverse=True, return_counts=True)
    several = counts[groups] > 1
    splits = np.zeros(len(groups), np.int8)
    splits[several] = _draw_folds(groups[several], classes[several], split, generator)
    single = ~several
    taken = np.bincount(splits[several], minlength=3)
    wanted = np.array(_sizes(len(groups), split.validation, split.test)) - taken
    sizes = _reduced(np.maximum(wanted, 0).tolist(), int(single.sum()))
    splits[single] = _draw(classes[single], rare[single], sizes, generator)
    return splits


def _reduced(sizes: Sequence[int], count: int) -> tuple[int, int, int]:
    """The sizes, reduced in proportion for validation and test if there are only `count` rows."""
    _, validation, test = sizes
    if validation + test > count:
        validation = round(count * validation / (validation + test))
        test = count - validation
    return count - validation - test, validation, test


def _draw_folds(
    groups: Integers, classes: Integers, split: Split, generator: np.random.Generator
) -> NDArray[np.int8]:
    """Whole groups to splits, by way of folds."""
    splits = np.zeros(len(groups), np.int8)
    folds = _fold_count(len(np.unique(groups)), split.validation, split.test)
    if folds < 2:
        return splits
    parts = stratified_folds(classes, groups, folds, int(generator.integers(2**31)))
    wanting = np.array(_sizes(folds, split.validation, split.test)) / folds * len(groups)
    # a fold goes where most rows are wanting: the largest to training
    for part in sorted(parts, key=len, reverse=True):
        target = int(np.argmax(wanting))
        splits[part] = target
        wanting[target] -= len(part)
    return splits


def stratified_folds(
    classes: Integers, groups: Integers | None, folds: int, seed: int
) -> list[Integers]:
    """The rows of each fold: classes in proportion, as greedily as possible; no group divided.

    Args:
        classes: int `(rows,)`, 0 or more.
        groups: int `(rows,)`, at least `folds` different ones; None: every row is a group of its
            own.
        folds: at least 2.
    """
    common = np.bincount(classes)[classes] >= folds
    # scikit-learn requires a class of at least `folds` rows: pool the rare ones
    classes = np.where(common, classes, classes.max() + 1)
    splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():
        # about the pool, which may still have fewer rows
        warnings.simplefilter("ignore", UserWarning)
        dealt = splitter(folds, shuffle=True, random_state=seed).split(classes, classes, groups)
        return [rows for _, rows in dealt]


def _fold_count(groups: int, validation: float, test: float) -> int:
    """The number of folds, at most one per group, that comes nearest to the fractions."""
    if groups < 2:
        return 1

    def error(folds: int) -> float:
        _, valid, tested = _sizes(folds, validation, test)
        return round(abs(valid / folds - validation) + abs(tested / folds - test), 6)

    return min(range(2, min(groups, _MOST_FOLDS) + 1), key=lambda folds: (error(folds), folds))
