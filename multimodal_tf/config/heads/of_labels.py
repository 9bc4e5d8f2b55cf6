"""Heads that learn from a column of labels: one prediction target each."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import Field

from multimodal_tf.config.heads.bases import CLASS_SCORES, ClassName, ClassWeights, LabelColumn
from multimodal_tf.config.names import (
    HIGH,
    LOW,
    PROBABILITIES,
    PROBABILITY,
    QUANTILES,
    Fraction,
    NonNegative,
)
from multimodal_tf.config.number_format import NumberFormat


class NumberHead(LabelColumn):
    """A head whose labels are numbers; `format` says how texts write them."""

    target_type = "number"
    monitors = ("mae",)
    cell_settings = ("format",)

    format: NumberFormat = NumberFormat()


class ClassificationHead(LabelColumn):
    """One class out of several: softmax with cross-entropy or focal loss.

    `gamma` is the exponent of the focal loss; with 0 it is the cross-entropy; null: 2.
    `class_weight` "balanced": rows / (classes * the class's rows).
    """

    target_type = "class"
    monitors = CLASS_SCORES
    min_classes = 2
    endings = (PROBABILITY, PROBABILITIES)

    type: Literal["classification"] = "classification"
    loss: Literal["crossentropy", "focal"] = "crossentropy"
    gamma: NonNegative | None = None
    class_weight: Literal["balanced"] | ClassWeights | None = None
    # share of the target that is spread evenly over all classes
    label_smoothing: Fraction = 0.1

    @pydantic.model_validator(mode="after")
    def _gamma_of_the_focal_loss(self) -> Self:
        if self.gamma is not None and self.loss != "focal":
            raise ValueError(
                f"gamma needs the loss focal, received {self.gamma} with the loss {self.loss}"
            )
        return self


class OrdinalHead(LabelColumn):
    """One class out of several in an order, such as small, medium, large.

    A mistake by two steps costs more than one by a step. `classes` gives the order, lowest first,
    and must name every class of the column; null: the classes are numbers.
    """

    target_type = "class"
    monitors = (*CLASS_SCORES, "rank_mae")
    min_classes = 2
    ordered = True
    endings = (PROBABILITY, PROBABILITIES)

    type: Literal["ordinal"] = "ordinal"
    classes: Annotated[list[ClassName], Field(min_length=2)] | None = None

    @property
    def declared_classes(self) -> list[str] | None:
        """`classes`."""
        return self.classes

    def class_order(self, names: Iterable[str]) -> list[str]:
        """`classes`, or `names` by their numbers."""
        return sorted(names, key=float) if self.classes is None else list(self.classes)

    @pydantic.field_validator("classes")
    @classmethod
    def _each_once(cls, classes: list[str] | None) -> list[str] | None:
        twice = sorted({name for name in classes or [] if (classes or []).count(name) > 1})
        if twice:
            raise ValueError(f"classes must name each class once, received {twice[0]!r} twice")
        return classes


class MultiLabelHead(LabelColumn):
    """Any number of labels a row: sigmoids and binary cross-entropy.

    A cell is a list, its text as JSON or pandas write it, or labels joined by `separator`. An empty
    list says that no label applies; `empty` says it of missing cells.

    `class_weight` "balanced" weighs each label as a decision of its own: rows / (2 * rows that bear
    it) where a row bears it, rows / (2 * rows that do not) where it does not. A dict gives the
    weight of the rows that bear a label; the others keep 1.

    Source: `sklearn.utils.class_weight.compute_class_weight` of each label; a dict is `pos_weight`
    of PyTorch's `BCEWithLogitsLoss`.
    """

    target_type = "classes"
    monitors = CLASS_SCORES
    min_classes = 1
    endings = (PROBABILITIES,)
    cell_settings = ("separator", "empty")

    type: Literal["multi_label"] = "multi_label"
    separator: str = Field(";", min_length=1)
    empty: Literal["unknown", "none"] = Field(
        "unknown",
        description="what a missing cell says: nothing is known (the row does not teach this head),"
        " or none of the labels applies",
    )
    class_weight: Literal["balanced"] | ClassWeights | None = None
    threshold: Literal["fitted"] | Annotated[float, Field(gt=0, lt=1)] = Field(
        0.5,
        description="the probability from which on a label is predicted; fitted: one for each "
        "label, with the best F1 on validation rows",
    )

    @pydantic.field_validator("threshold", mode="before")
    @classmethod
    def _fitted_or_between_0_and_1(cls, threshold: Any) -> Any:
        is_number = isinstance(threshold, int | float) and 0 < threshold < 1
        if threshold != "fitted" and not is_number:
            raise ValueError(
                f"must be fitted, or a number between 0 and 1, received {threshold!r:.80}"
            )
        return threshold


class RegressionHead(NumberHead):
    """A number, in its own unit; the squared error is divided by the training split's variance."""

    squared_error = True

    type: Literal["regression"] = "regression"

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """One number."""
        return (1,)


class CountHead(NumberHead):
    """A whole number from 0, such as visits or defects: the rate of a Poisson distribution.

    The rate is the expected count. The loss is the Poisson deviance, divided by how much more the
    training split's counts vary than a Poisson distribution.
    """

    type: Literal["count"] = "count"

    def number_problem(self, number: float) -> str:
        """A count is a whole number from 0."""
        if number >= 0 and number.is_integer():
            return ""
        return f"a count must be a whole number from 0, received {number!r}"

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """One number."""
        return (1,)


class QuantileHead(NumberHead):
    """A number with its uncertainty: its quantiles at the probabilities `quantiles`, in its unit.

    The lowest and the highest bound an interval; the one nearest to 0.5 is the point prediction.
    Quantiles never cross.
    """

    endings = (LOW, HIGH, QUANTILES)

    type: Literal["quantile"] = "quantile"
    quantiles: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        [0.05, 0.5, 0.95], min_length=2, max_length=1000
    )

    @pydantic.field_validator("quantiles")
    @classmethod
    def _rising(cls, quantiles: list[float]) -> list[float]:
        if any(lower >= higher for lower, higher in zip(quantiles, quantiles[1:])):
            raise ValueError(f"quantiles must rise, received {quantiles}")
        return quantiles

    @property
    def point_index(self) -> int:
        """Index of the quantile that is nearest to the median."""
        return nearest_to_median(self.quantiles)

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """A number for each quantile."""
        return (len(self.quantiles),)

    def output_columns(self, name: str, classes: Sequence[str]) -> list[str]:
        """A column for each quantile."""
        return [f"{name}@{level}" for level in self.quantiles]


def nearest_to_median(quantiles: Sequence[float]) -> int:
    """Index of the quantile that is nearest to the median; of two equally near ones the first.

    Example:
        >>> nearest_to_median([0.1, 0.4, 0.9])
        1
    """
    return min(range(len(quantiles)), key=lambda index: abs(quantiles[index] - 0.5))
