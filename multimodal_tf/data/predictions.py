"""A model's predictions beside the labels: arrays that training writes and evaluation reads."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from multimodal_tf.config.heads import LabelledHead, LossHead


@dataclasses.dataclass(frozen=True, eq=False)
class HeadPredictions:
    """The predictions of one head that has labels.

    Args:
        head: the head of the configuration.
        classes: the classes' names in the order of `predictions`; empty where the label is a
            number.
        targets: int `(rows,)`, a class's index in `classes`; of a multi-label head 0 or 1, `(rows,
            classes)`; a number `(rows,)` in the label's own unit. Not read where not `known`.
        known: bool `(rows,)`: the row has a label that training saw.
        predictions: float `(rows, width)`, as `models.heads.output`.
        thresholds: of a multi-label head with `threshold: fitted`, those that `schema.thresholds`
            gives, float `(classes,)` or, where rows come from several models, `(rows, classes)`;
            None: the head's own number.

    Raises:
        ValueError: the head has no labels, the shapes disagree, or a known target is no index of
            `classes`.

    Example:
        >>> from multimodal_tf.config import ClassificationHead
        >>> probabilities = [[0.9, 0.1], [0.8, 0.2]]
        >>> rows = HeadPredictions(
        ...     ClassificationHead(), ("cat", "dog"), [0, 1], [True, True], probabilities
        ... )
        >>> rows.only([1]).targets
        array([1])
    """

    head: LabelledHead
    classes: tuple[str, ...]
    targets: np.ndarray
    known: np.ndarray
    predictions: np.ndarray
    thresholds: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.head.target_type is None:
            raise ValueError(
                f"predictions are evaluated by their labels, received a head of type "
                f"{self.head.type}, which has none"
            )
        targets = np.asarray(self.targets)
        predictions = np.asarray(self.predictions, dtype=np.float64)
        if self.head.target_type == "number" and targets.ndim == 2 and targets.shape[1] == 1:
            targets = targets[:, 0]
        rows, width = len(predictions), self.width
        wide = (rows, width) if self.head.target_type == "classes" else (rows,)
        for name, shape, wanted in (
            ("predictions", predictions.shape, (rows, width)),
            ("targets", targets.shape, wide),
            ("known", np.shape(self.known), (rows,)),
        ):
            if shape != wanted:
                raise ValueError(
                    f"{name} of a {self.head.type} head must have the shape {wanted}, "
                    f"received {shape}"
                )
        known = np.asarray(self.known, dtype=bool)
        if self.head.target_type == "class":
            targets = np.where(known, targets, 0).astype(int)
            if rows and not 0 <= targets.min() <= targets.max() < width:
                raise ValueError(
                    f"a known target must be from 0 to {width - 1}, "
                    f"received {targets.min()} to {targets.max()}"
                )
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "known", known)
        object.__setattr__(self, "predictions", predictions)
        object.__setattr__(self, "thresholds", self._checked_thresholds())

    def _checked_thresholds(self) -> np.ndarray | None:
        """Those that were given, or the head's number for each label; None: neither."""
        given: Any = self.thresholds
        if given is None:
            given = getattr(self.head, "threshold", None)
        if self.head.target_type != "classes" or given is None or isinstance(given, str):
            return None
        thresholds = np.asarray(given, dtype=np.float64)
        if thresholds.ndim == 0:
            thresholds = np.full(self.width, thresholds)
        if thresholds.shape not in ((self.width,), self.predictions.shape):
            raise ValueError(
                f"thresholds must have the shape {(self.width,)} or {self.predictions.shape}, "
                f"received {thresholds.shape}"
            )
        return thresholds

    @property
    def width(self) -> int:
        """Numbers in one prediction."""
        return math.prod(self.head.output_shape(len(self.classes)))

    @property
    def predicted_labels(self) -> np.ndarray:
        """The labels that a multi-label head predicts, bool `(rows, classes)`.

        Raises:
            ValueError: its thresholds are fitted, and were not given.
        """
        if self.thresholds is None:
            raise ValueError(
                f"thresholds of the classes {list(self.classes)} must be given where a head's "
                "threshold is fitted: schema.thresholds has them"
            )
        return np.asarray(self.predictions >= self.thresholds)

    def only(self, rows: ArrayLike) -> "HeadPredictions":
        """Some of the rows, by int or bool `(rows,)`."""
        index, thresholds = np.asarray(rows), self.thresholds
        # of several models
        if thresholds is not None and thresholds.ndim == 2:
            thresholds = thresholds[index]
        return dataclasses.replace(
            self,
            targets=self.targets[index],
            known=self.known[index],
            predictions=self.predictions[index],
            thresholds=thresholds,
        )


@dataclasses.dataclass(frozen=True, eq=False)
class ObjectivePredictions:
    """The outputs of one head that learns without labels, on rows that training did not see.

    Args:
        head: the head of the configuration.
        targets: as `data.targets.Targets`: of a head that compares cells int `(rows, cells)`, equal
            numbers for equal cells.
        predictions: float `(rows, ...)`, as `models.heads.output`.
    """

    head: LossHead
    targets: np.ndarray
    predictions: np.ndarray

    def only(self, rows: ArrayLike) -> "ObjectivePredictions":
        """Some of the rows, by int or bool `(rows,)`."""
        index = np.asarray(rows)
        return ObjectivePredictions(self.head, self.targets[index], self.predictions[index])


@dataclasses.dataclass(frozen=True, eq=False)
class Predicted:
    """A model's predictions for rows of a table.

    Args:
        rows: int `(rows,)`: each row's number in the table.
        heads: by head a `HeadPredictions`, its rows in the order of `rows`.

    Raises:
        ValueError: there is no head, or one has another number of rows.

    Example:
        >>> from multimodal_tf.config import RegressionHead
        >>> price = HeadPredictions(
        ...     RegressionHead(), (), [3.0, 4.0], [True, True], [[3.1], [3.9]]
        ... )
        >>> Predicted([0, 1], {"price": price}).rows
        array([0, 1])
    """

    rows: np.ndarray
    heads: Mapping[str, HeadPredictions]

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", np.asarray(self.rows))
        if not self.heads:
            raise ValueError("predictions must have a head with a label, received none")
        for name, predicted in self.heads.items():
            if self.rows.shape != predicted.known.shape:
                raise ValueError(
                    f"the head {name!r} must have as many rows as `rows`, {self.rows.shape}, "
                    f"received {predicted.known.shape}"
                )


@dataclasses.dataclass(frozen=True, eq=False)
class OutOfFold:
    """Out-of-fold predictions of a repeated cross-validation, by models that did not see the row.

    Args:
        rows: int `(rows,)`, rising: each row's number in the table.
        fold: int `(repeats, rows)`: the fold that a row is held out in.
        heads: by head with labels one `HeadPredictions` a repetition, its rows in the order of
            `rows`.
        objectives: the same of heads that learn without labels. Their outputs are those of other
            models in each fold, and are evaluated fold by fold.
    """

    rows: np.ndarray
    fold: np.ndarray
    heads: Mapping[str, tuple[HeadPredictions, ...]]
    objectives: Mapping[str, tuple[ObjectivePredictions, ...]] = dataclasses.field(
        default_factory=dict
    )

    @property
    def folds(self) -> int:
        """Folds of each repetition."""
        return int(self.fold.max()) + 1
