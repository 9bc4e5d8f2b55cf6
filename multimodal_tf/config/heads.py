"""What is asked: one head a task."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import pydantic
from pydantic import Field, NonNegativeFloat, PositiveInt

from multimodal_tf.config.inputs import Column
from multimodal_tf.config.names import (
    HIGH,
    LOW,
    PROBABILITIES,
    PROBABILITY,
    QUANTILES,
    Fraction,
    Strict,
)

_OWN_INPUTS = "names of the inputs that it reads, `tabular` for that tower's; null: all"


class _Head(Column):
    """A head that learns from a column of labels."""

    # what a cell of its column is: a class, classes or a number
    target_type: ClassVar[str] = "class"
    # of this head's loss in the total
    weight: NonNegativeFloat = 1.0
    inputs: Annotated[list[str], Field(min_length=1)] | None = Field(None, description=_OWN_INPUTS)


class ClassificationHead(_Head):
    """One class out of several: softmax and cross-entropy, or the focal loss, which counts rows
    less that are easy already.

    `gamma` is the focal loss's: how much less; with 0 it is the cross-entropy; null: 2.
    `class_weight` "balanced": rows / (classes * the class's rows).
    """

    type: Literal["classification"] = "classification"
    loss: Literal["crossentropy", "focal"] = "crossentropy"
    gamma: NonNegativeFloat | None = None
    class_weight: Literal["balanced"] | dict[str, NonNegativeFloat] | None = None
    # share of the target that is spread evenly over all classes
    label_smoothing: Fraction = 0.1

    @pydantic.model_validator(mode="after")
    def _gamma_of_the_focal_loss(self):
        if self.gamma is not None and self.loss != "focal":
            raise ValueError(
                f"gamma needs the loss focal, received {self.gamma} with the loss {self.loss}"
            )
        return self


class OrdinalHead(_Head):
    """One class out of several in an order, such as small, medium, large: a mistake by two steps
    costs more than one by a step.

    `classes` says the order, lowest first, and must name every class of the column; null: the
    classes are numbers.
    """

    type: Literal["ordinal"] = "ordinal"
    classes: Annotated[list[str], Field(min_length=2)] | None = None

    @pydantic.field_validator("classes")
    @classmethod
    def _each_once(cls, classes):
        twice = sorted({name for name in classes or [] if classes.count(name) > 1})
        if twice:
            raise ValueError(f"classes must name each class once, received {twice[0]!r} twice")
        return classes


class MultiLabelHead(_Head):
    """Any number of labels a row: sigmoids and binary cross-entropy. A cell is a list, or labels
    joined by `separator`.
    """

    type: Literal["multi_label"] = "multi_label"
    target_type: ClassVar[str] = "classes"
    separator: str = Field(";", min_length=1)


class RegressionHead(_Head):
    """A number, in its own unit; the squared error is divided by the training split's variance."""

    type: Literal["regression"] = "regression"
    target_type: ClassVar[str] = "number"


class QuantileHead(_Head):
    """A number with its uncertainty: the values below which it lies with the probabilities
    `quantiles`, in its own unit.

    The lowest and the highest bound an interval; the one nearest to 0.5 is the answer. Without
    crossings: a higher quantile is never less.
    """

    type: Literal["quantile"] = "quantile"
    target_type: ClassVar[str] = "number"
    quantiles: list[Annotated[float, Field(gt=0, lt=1)]] = Field([0.05, 0.5, 0.95], min_length=2)

    @pydantic.field_validator("quantiles")
    @classmethod
    def _rising(cls, quantiles):
        if any(lower >= higher for lower, higher in zip(quantiles, quantiles[1:])):
            raise ValueError(f"quantiles must rise, received {quantiles}")
        return quantiles

    @property
    def middle(self):
        """Place of the quantile that is nearest to the median."""
        return nearest_to_median(self.quantiles)


def nearest_to_median(quantiles: Sequence[float]) -> int:
    """Place of the quantile that is nearest to the median, the first of two that are as near."""
    return min(range(len(quantiles)), key=lambda place: abs(quantiles[place] - 0.5))


class MatchingHead(Strict):
    """Whether two inputs of a row belong together, such as a text and an image. It needs no labels:
    every row's two do, and the mismatched pairs that it learns from are drawn from the batch. Where
    one of the two is absent, it answers an even chance and learns nothing."""

    type: Literal["matching"] = "matching"
    target_type: ClassVar[None] = None
    weight: NonNegativeFloat = 1.0
    inputs: list[str] = Field(min_length=2, max_length=2)
    # width of the vectors that are compared
    dim: PositiveInt = 32


class EmbeddingHead(Strict):
    """The fused vector, of length 1, to look up what is alike. It has no labels and no loss: it is
    what the other heads make of it.

    Zeros in a row without any of its inputs.
    """

    type: Literal["embedding"] = "embedding"
    target_type: ClassVar[None] = None
    inputs: Annotated[list[str], Field(min_length=1)] | None = Field(None, description=_OWN_INPUTS)


Head = Annotated[
    ClassificationHead
    | OrdinalHead
    | MultiLabelHead
    | RegressionHead
    | QuantileHead
    | MatchingHead
    | EmbeddingHead,
    Field(discriminator="type"),
]


def labelled(heads: Mapping[str, Head]) -> dict[str, Head]:
    """The heads that read a column of labels.

    Example:
        >>> list(labelled({"label": ClassificationHead(), "vector": EmbeddingHead()}))
        ['label']
    """
    return {name: head for name, head in heads.items() if head.target_type is not None}


def prediction_keys(heads: dict[str, Head]) -> list[str]:
    """All keys of the served answers and of the columns that `Client.predict` gives.

    Example:
        >>> prediction_keys({"price": QuantileHead()})
        ['price', 'price_quantiles', 'price_low', 'price_high']
    """
    found = []
    for name, head in heads.items():
        suffixes = (
            (QUANTILES, LOW, HIGH)
            if isinstance(head, QuantileHead)
            else (PROBABILITIES, PROBABILITY)
        )
        found += [name, *(name + suffix for suffix in suffixes)]
    return found


def check_inputs(heads: dict[str, Head], vectors: list[str]):
    """Whether the heads read what is there.

    Args:
        heads: by name.
        vectors: names of the vectors that fusion reads, `Config.vectors()`.

    Raises:
        ValueError: a head names something else, or one twice.
    """
    for name, head in heads.items():
        chosen = head.inputs or []
        wrong = next((one for one in chosen if one not in vectors), None)
        if wrong is not None:
            raise ValueError(
                f"heads.{name}.inputs: must name inputs that have a tower of their own {vectors}, received {wrong!r}"
            )
        if len(set(chosen)) < len(chosen):
            raise ValueError(f"heads.{name}.inputs: must name each input once, received {chosen}")
