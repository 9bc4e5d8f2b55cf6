"""What a table of `benchmarks.tables` is made of, and its splits."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable

import numpy as np
import pandas

from multimodal_tf.config import ClassificationHead, Config, NumberInput, Split
from multimodal_tf.data.split import SPLITS, assign_splits
from multimodal_tf.data.table import read_table

LABEL, GROUP, PART = "label", "group", "part"


@dataclasses.dataclass(frozen=True)
class Source:
    """A table that a script makes.

    Attributes:
        name: str.
        what: str. What a row is, and what is to be predicted.
        metric: accuracy, balanced_accuracy, average_precision (macro, of several labels) or r2.
        kinds: by column of an input, its kind: image, text, audio, number or category.
        make: takes a folder to write to, returns the rows. Their columns are the inputs, `label`
            (a list of labels for average_precision), `group` if rows of one value must be in one
            split, and `part`, where rows that say test always are the test split.
        root: folder that paths in cells start from.
    """

    name: str
    what: str
    metric: str
    kinds: dict[str, str]
    make: Callable[[pathlib.Path], pandas.DataFrame]
    root: str = "/"


def split_rows(frame, metric, seed):
    """The split of each row, as words: groups in one split, classes in proportion.

    70 % of the rows train, 10 % validate and 20 % test; where the test rows are given, an eighth of
    the others validates.
    """
    stratified = metric in ("accuracy", "balanced_accuracy")
    given = frame[PART] == "test" if PART in frame else pandas.Series(False, frame.index)
    rows = frame.loc[~given].reset_index(drop=True)
    split = Split(
        group=GROUP if GROUP in rows else None,
        stratify=LABEL if stratified else None,
        validation=0.125 if given.any() else 0.1,
        test=0.0 if given.any() else 0.2,
    )
    # Only its split and its seed are read.
    config = Config(
        inputs={"x": NumberInput()}, heads={"y": ClassificationHead()}, split=split, seed=seed
    )
    words = np.full(len(frame), "test", dtype=object)
    words[~given.to_numpy()] = np.array(SPLITS)[assign_splits(read_table(rows), config)]
    return words


def sampled(frame, rows, seed=0):
    """At most `rows` rows, drawn from a fixed seed, in their order."""
    if len(frame) <= rows:
        return frame.reset_index(drop=True)
    return frame.sample(rows, random_state=seed).sort_index().reset_index(drop=True)


def fingerprint(frame):
    """A digest of all cells; of a file, its path."""
    digest = hashlib.sha256()
    for row in frame.astype(object).itertuples(index=False):
        digest.update(repr(tuple(row)).encode())
    return digest.hexdigest()[:16]


def needed(path, package):
    """The path, if it is there.

    Raises:
        FileNotFoundError: it is not; the message names Debian's package.
    """
    if not pathlib.Path(path).exists():
        raise FileNotFoundError(f"there is no {path}: run `apt install {package}`")
    return pathlib.Path(path)
