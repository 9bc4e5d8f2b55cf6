"""Which row is for training, which for validation, which for the test: given by a column, or drawn
from the seed.
"""

import warnings

import numpy
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

# a row's split is the place in this tuple
SPLITS = ("train", "validation", "test")

SPLIT_WORDS = {
    "train": 0,
    "training": 0,
    "validation": 1,
    "valid": 1,
    "val": 1,
    "dev": 1,
    "test": 2,
    "testing": 2,
}
# a class of fewer rows cannot stand on all three sides
_RARE = 3
# grouped fractions are whole numbers of folds
_MOST_FOLDS = 50


def assign_splits(table, config) -> numpy.ndarray:
    """The split of every row, the same for the same table and configuration, however the table is
    chunked.

    By `config.split`:

    - `column`: what that column says: train or training; validation, valid, val or dev; test or
      testing; in any case.
    - neither: random, `round(fraction * rows)` rows for validation and test, at least one of each
      while training keeps one.
    - `stratify`: the same numbers of rows, and every class has its proportion on each side, to
      within about a row. Classes of one or two rows go to training as long as it has room. Missing
      is a class of its own.
    - `group`: no group on two sides. A row without a group is a group of its own. Groups of several
      rows are dealt into folds, as even in rows and (with `stratify`) in classes as greedy dealing
      gets them, and sides are made of folds; groups of one row then fill the sides up. Fractions
      are near, but a group is never cut for them, and a rare class goes where its group goes.

    Where rows or groups are too few for every side, training comes first, then the side with the
    larger fraction. Memory holds some numbers a row, and the distinct values of `group` and
    `stratify`.

    Args:
        table: `Table`.
        config: `Config`.

    Returns:
        int8 `(rows,)`: place in `SPLITS`.

    Raises:
        ValueError: a column is not there; a cell of `column` is none of these words (the sentence
        names the row); no row for training.

    Source: stratifying is systematic sampling with a random start in each class: Cochran 1977,
    Sampling Techniques, chapter 8.
    """
    split = config.split
    if split.column is not None:
        return _given(table, split.column)
    generator = numpy.random.default_rng(config.seed)
    strata = column_codes(table, split.stratify, missing_alone=False)
    rare = numpy.bincount(strata)[strata] < (_RARE if split.stratify is not None else 0)
    if split.group is None:
        return _drawn(strata, rare, _sizes(len(strata), split.validation, split.test), generator)
    sides = _grouped(
        column_codes(table, split.group, missing_alone=True), strata, rare, split, generator
    )
    if not numpy.any(sides == 0):
        raise ValueError(
            f"{table.name}: no group of column {split.group!r} is left to train on: lower split.validation or split.test"
        )
    return sides


def _given(table, column):
    parts = []
    for chunk in table.chunks(columns=[column]):
        parts.append(numpy.empty(len(chunk), numpy.int8))
        for place, (row, cell) in enumerate(chunk[column].items()):
            side = SPLIT_WORDS.get(cell.strip().lower()) if isinstance(cell, str) else None
            if side is None:
                raise ValueError(
                    f"{table.name}, row {row}: column {column!r} must say {', '.join(SPLITS)}, received {cell!r:.80}"
                )
            parts[-1][place] = side
    sides = numpy.concatenate(parts)
    if not numpy.any(sides == 0):
        raise ValueError(
            f"{table.name}: no row of column {column!r} says train, so there is nothing to train on"
        )
    return sides


def column_codes(table, column, missing_alone):
    """A small integer for every distinct value of a column, in the order of their coming; all 0
    without a column.

    int64 `(rows,)`. Missing cells share one code, or have one each.
    """
    codes: dict = {}
    parts = []
    alone = 0
    for chunk in table.chunks(columns=[] if column is None else [column]):
        part = numpy.zeros(len(chunk), numpy.int64)
        for place, cell in enumerate([] if column is None else chunk[column]):
            if cell is None and missing_alone:
                alone += 1
                part[place] = -alone
            else:
                part[place] = codes.setdefault(_key(cell), len(codes))
        parts.append(part)
    return numpy.concatenate(parts)


def _key(cell):
    if isinstance(cell, str):
        return cell.strip()
    # a list of labels
    return cell if cell.__hash__ is not None else repr(cell)


def _sizes(count, validation, test):
    """How many of `count` rows or folds each side gets, in the order of `SPLITS`."""
    sizes = [count, 0, 0]
    for side, fraction in sorted(
        ((1, validation), (2, test)), key=lambda side_fraction: -side_fraction[1]
    ):
        if fraction > 0:
            sizes[side] = min(max(1, round(fraction * count)), sizes[0] - 1)
            sizes[0] -= sizes[side]
    return sizes


def _drawn(strata, rare, sizes, generator):
    """Lays the rows of each class out evenly from 0 to 1, in random order from a random start, and
    cuts that line into the sides.

    scikit-learn's StratifiedShuffleSplit refuses classes of one row and sides of fewer rows than
    classes.
    """
    _, strata, counts = numpy.unique(strata, return_inverse=True, return_counts=True)
    order = generator.permutation(len(strata))
    # by class, random within
    order = order[numpy.argsort(strata[order], kind="stable")]
    rank = numpy.arange(len(order)) - (numpy.cumsum(counts) - counts)[strata[order]]
    place = (rank + generator.random(len(counts))[strata[order]]) / counts[strata[order]]
    # behind all others: training
    place[rare[order]] = 1
    order = order[numpy.lexsort((generator.random(len(order)), place))]
    _, valid, tested = sizes
    sides = numpy.zeros(len(strata), numpy.int8)
    sides[order[:tested]] = 2
    sides[order[tested : tested + valid]] = 1
    return sides


def _grouped(groups, strata, rare, split, generator):
    _, groups, counts = numpy.unique(groups, return_inverse=True, return_counts=True)
    several = counts[groups] > 1
    sides = numpy.zeros(len(groups), numpy.int8)
    sides[several] = _dealt(groups[several], strata[several], split, generator)
    single = ~several
    taken = numpy.bincount(sides[several], minlength=3)
    wanted = numpy.maximum(
        numpy.array(_sizes(len(groups), split.validation, split.test)) - taken, 0
    )
    sides[single] = _drawn(
        strata[single], rare[single], _fitting(wanted.tolist(), int(single.sum())), generator
    )
    return sides


def _fitting(sizes, count):
    """The sizes for validation and test, made smaller in proportion where there are only `count`
    rows.
    """
    _, valid, tested = sizes
    if valid + tested > count:
        valid = round(count * valid / (valid + tested))
        tested = count - valid
    return count - valid - tested, valid, tested


def _dealt(groups, strata, split, generator):
    """Whole groups to sides, by way of folds."""
    sides = numpy.zeros(len(groups), numpy.int8)
    folds = _fold_count(len(numpy.unique(groups)), split.validation, split.test)
    if folds < 2:
        return sides
    parts = stratified_folds(strata, groups, folds, int(generator.integers(2**31)))
    wanting = numpy.array(_sizes(folds, split.validation, split.test)) / folds * len(groups)
    # a fold goes where most rows are still wanting: the largest to training
    for part in sorted(parts, key=len, reverse=True):
        side = int(numpy.argmax(wanting))
        sides[part] = side
        wanting[side] -= len(part)
    return sides


def stratified_folds(strata, groups, folds, seed):
    """The rows of each fold, a list of int arrays: classes in proportion, as well as greedy dealing
    allows, and no group in two folds.

    Args:
        strata: int `(rows,)`, 0 or more: each row's class.
        groups: int `(rows,)`, at least `folds` different ones; None: every row is a group of its
        own.
        folds: int, at least 2.
        seed: int.
    """
    common = numpy.bincount(strata)[strata] >= folds
    # scikit-learn wants a fold's worth of some class: pool the rare ones
    strata = numpy.where(common, strata, strata.max() + 1)
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():
        # that the pool may still be smaller than a fold
        warnings.simplefilter("ignore", UserWarning)
        return [
            rows
            for _, rows in kind(folds, shuffle=True, random_state=seed).split(
                strata, strata, groups
            )
        ]


def _fold_count(groups, validation, test):
    """The number of folds, at most one a group, that comes nearest to the fractions."""
    if groups < 2:
        return 1

    def error(folds):
        _, valid, tested = _sizes(folds, validation, test)
        return round(abs(valid / folds - validation) + abs(tested / folds - test), 6)

    return min(range(2, min(groups, _MOST_FOLDS) + 1), key=lambda folds: (error(folds), folds))
