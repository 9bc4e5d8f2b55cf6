"""What a model says of rows, beside what is so: arrays that training leaves and evaluation judges."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from multimodal_tf.config.heads import Head


@dataclasses.dataclass(frozen=True, eq=False)
class HeadPredictions:
    """The rows of one head that has a label.

    Args:
        head: the head of the configuration.
        classes: the classes' names in the order of `answers`; empty where the label is a number.
        targets: int `(rows,)`, a class's place in `classes`; of a multi-label head 0 or 1, `(rows,
            classes)`; a number `(rows,)` in the label's own unit. Of rows that are not `known` it
            means nothing.
        known: bool `(rows,)`: the row has a label, and training saw it.
        answers: float `(rows, width)`, as `models.heads.output` says.

    Raises:
        ValueError: the head has no label, the shapes disagree, or a known target is no place in
        `classes`.

    Example:
        >>> from multimodal_tf.config import ClassificationHead
        >>> rows = HeadPredictions(ClassificationHead(), ("cat", "dog"), [0, 1], [True, True], [[0.9, 0.1], [0.8, 0.2]])
        >>> rows.only([1]).targets
        array([1])
    """

    head: Head
    classes: tuple[str, ...]
    targets: np.ndarray
    known: np.ndarray
    answers: np.ndarray

    def __post_init__(self):
        if self.head.target_type is None:
            raise ValueError(
                f"a head must have a label to be judged by it, received one of type {self.head.type}"
            )
        targets, answers = np.asarray(self.targets), np.asarray(self.answers, dtype=np.float64)
        if self.head.target_type == "number" and targets.ndim == 2 and targets.shape[1] == 1:
            targets = targets[:, 0]
        rows, width = len(answers), self.width
        wide = (rows, width) if self.head.target_type == "classes" else (rows,)
        for name, shape, wanted in (
            ("answers", answers.shape, (rows, width)),
            ("targets", targets.shape, wide),
            ("known", np.shape(self.known), (rows,)),
        ):
            if shape != wanted:
                raise ValueError(
                    f"{name} of a {self.head.type} head must have the shape {wanted}, received {shape}"
                )
        known = np.asarray(self.known, dtype=bool)
        if self.head.target_type == "class":
            targets = np.where(known, targets, 0).astype(int)
            if rows and not 0 <= targets.min() <= targets.max() < width:
                raise ValueError(
                    f"a known target must be from 0 to {width - 1}, received {targets.min()} to {targets.max()}"
                )
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "known", known)
        object.__setattr__(self, "answers", answers)

    @property
    def width(self) -> int:
        """Numbers in one answer."""
        return math.prod(self.head.output_shape(len(self.classes)) or ())

    def only(self, rows) -> "HeadPredictions":
        """Some of the rows, by int or bool `(rows,)`."""
        return dataclasses.replace(
            self, targets=self.targets[rows], known=self.known[rows], answers=self.answers[rows]
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Predicted:
    """What a model says of the rows of a table.

    Args:
        rows: int `(rows,)`: each row's number in the table.
        heads: by head an `HeadPredictions`, its rows in the order of `rows`.

    Raises:
        ValueError: there is no head, or one has another number of rows.

    Example:
        >>> from multimodal_tf.config import RegressionHead
        >>> price = HeadPredictions(RegressionHead(), (), [3.0, 4.0], [True, True], [[3.1], [3.9]])
        >>> Predicted([0, 1], {"price": price}).rows
        array([0, 1])
    """

    rows: np.ndarray
    heads: Mapping[str, HeadPredictions]

    def __post_init__(self):
        object.__setattr__(self, "rows", np.asarray(self.rows))
        if not self.heads:
            raise ValueError("predictions must have a head with a label, received none")
        for name, predicted in self.heads.items():
            if self.rows.shape != predicted.known.shape:
                raise ValueError(
                    f"the head {name!r} must have as many rows as `rows`, {self.rows.shape}, received {predicted.known.shape}"
                )


@dataclasses.dataclass(frozen=True, eq=False)
class OutOfFold:
    """What a repeated cross-validation says of every row: the answers of models that did not see
    it.

    Args:
        rows: int `(rows,)`, rising: each row's number in the table.
        fold: int `(repeats, rows)`: the fold that a row is held out in.
        heads: by head one `HeadPredictions` a repetition, its rows in the order of `rows`.
    """

    rows: np.ndarray
    fold: np.ndarray
    heads: Mapping[str, tuple[HeadPredictions, ...]]

    @property
    def folds(self) -> int:
        """How many there are in each repetition."""
        return int(self.fold.max()) + 1
