"""The heads of a model: one prediction target each.

What other rooms need to know of a head stands here as a fact (a class variable, a property or a
method), so that they do not branch on its type.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

import pydantic
from pydantic import Field

from multimodal_tf.config.inputs import Column
from multimodal_tf.config.names import (
    HIGH,
    LOW,
    PROBABILITIES,
    PROBABILITY,
    QUANTILES,
    Fraction,
    NonNegative,
    Strict,
    Width,
)

TargetType = Literal["class", "classes", "number"]

_OWN_INPUTS = "names of the inputs that it reads, `tabular` for that tower's; null: all"


class _Head(Strict):
    """Facts of a head, with the values that hold for most heads."""

    # what a cell of its column holds; None: it reads no column
    target_type: ClassVar[TargetType | None] = None
    # whether the loss is a squared error
    squared_error: ClassVar[bool] = False
    # whether it compares the vectors of its own two inputs and does not read the fused vector
    compares_inputs: ClassVar[bool] = False
    # the fewest classes that the training split must have
    min_classes: ClassVar[int] = 0
    # the classes have an order
    ordered: ClassVar[bool] = False
    # endings of the keys, served or of a client's columns, beside the head's name; the last one
    # holds the whole output
    endings: ClassVar[tuple[str, ...]] = ()

    @property
    def declared_classes(self) -> list[str] | None:
        """The classes that the configuration names, in their order; None: those of the data."""
        return None

    @property
    def point_index(self) -> int:
        """Index in the output of the number that is the point prediction."""
        return 0

    def number_problem(self, number: float) -> str:
        """Why a finite number cannot be a label of this head; "" where it can."""
        return ""

    def class_order(self, names: Iterable[str]) -> list[str]:
        """The order of classes in the schema and in the output.

        Raises:
            ValueError: the head's classes are numbers, and a name is none.
        """
        return sorted(names)

    def output_shape(self, classes: int) -> tuple[int, ...] | None:
        """Shape of one row's output; None: that of the fused vector.

        Args:
            classes: number of classes in the schema; not read by a head without classes.
        """
        return None

    def output_columns(self, name: str, classes: Sequence[str]) -> list[str]:
        """Names of columns for the numbers of one row's output, in a table of predictions.

        Args:
            name: of the head.
            classes: of the schema; none where the head has no classes.
        """
        return [f"{name}={one}" for one in classes] or [name]


class _LabelColumn(_Head, Column):
    """A head that learns from a column of labels."""

    # of this head's loss in the total
    weight: NonNegative = 1.0
    inputs: Annotated[list[str], Field(min_length=1)] | None = Field(None, description=_OWN_INPUTS)

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """A number for each class."""
        return (classes,)


class ClassificationHead(_LabelColumn):
    """One class out of several: softmax with cross-entropy or focal loss.

    `gamma` is the exponent of the focal loss; with 0 it is the cross-entropy; null: 2.
    `class_weight` "balanced": rows / (classes * the class's rows).
    """

    target_type = "class"
    min_classes = 2
    endings = (PROBABILITY, PROBABILITIES)

    type: Literal["classification"] = "classification"
    loss: Literal["crossentropy", "focal"] = "crossentropy"
    gamma: NonNegative | None = None
    class_weight: Literal["balanced"] | dict[str, NonNegative] | None = None
    # share of the target that is spread evenly over all classes
    label_smoothing: Fraction = 0.1

    @pydantic.model_validator(mode="after")
    def _gamma_of_the_focal_loss(self) -> Self:
        if self.gamma is not None and self.loss != "focal":
            raise ValueError(
                f"gamma needs the loss focal, received {self.gamma} with the loss {self.loss}"
            )
        return self


class OrdinalHead(_LabelColumn):
    """One class out of several in an order, such as small, medium, large.

    A mistake by two steps costs more than one by a step. `classes` gives the order, lowest first,
    and must name every class of the column; null: the classes are numbers.
    """

    target_type = "class"
    min_classes = 2
    ordered = True
    endings = (PROBABILITY, PROBABILITIES)

    type: Literal["ordinal"] = "ordinal"
    classes: Annotated[list[str], Field(min_length=2)] | None = None

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


class MultiLabelHead(_LabelColumn):
    """Any number of labels a row: sigmoids and binary cross-entropy.

    A cell is a list, or labels joined by `separator`.
    """

    target_type = "classes"
    min_classes = 1
    endings = (PROBABILITIES,)
    cell_settings = ("separator",)

    type: Literal["multi_label"] = "multi_label"
    separator: str = Field(";", min_length=1)


class RegressionHead(_LabelColumn):
    """A number, in its own unit; the squared error is divided by the training split's variance."""

    target_type = "number"
    squared_error = True

    type: Literal["regression"] = "regression"

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """One number."""
        return (1,)


class CountHead(_LabelColumn):
    """A whole number from 0, such as visits or defects: the rate of a Poisson distribution.

    The rate is the expected count. The loss is the Poisson deviance, divided by how much more the
    training split's counts vary than a Poisson distribution.
    """

    target_type = "number"

    type: Literal["count"] = "count"

    def number_problem(self, number: float) -> str:
        """A count is a whole number from 0."""
        if number >= 0 and number.is_integer():
            return ""
        return f"a count must be a whole number from 0, received {number!r}"

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """One number."""
        return (1,)


class QuantileHead(_LabelColumn):
    """A number with its uncertainty: its quantiles at the probabilities `quantiles`, in its unit.

    The lowest and the highest bound an interval; the one nearest to 0.5 is the point prediction.
    Quantiles never cross.
    """

    target_type = "number"
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


class MatchingHead(_Head):
    """Whether two inputs of a row belong together, such as a text and an image.

    It needs no labels: the two inputs of every row match, and mismatched pairs are drawn from the
    batch. Where one of the two is missing, the probability is 0.5 and the row teaches nothing.
    """

    compares_inputs = True

    type: Literal["matching"] = "matching"
    weight: NonNegative = 1.0
    inputs: list[str] = Field(min_length=2, max_length=2)
    # width of the vectors that are compared
    dim: Width = 32

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """Two vectors, with a last number that holds scale and shift of the logit."""
        return (2, self.dim + 1)


class EmbeddingHead(_Head):
    """The fused vector, of length 1, for a search by similarity; it has no labels and no loss.

    Zeros in a row without any of its inputs.
    """

    type: Literal["embedding"] = "embedding"
    inputs: Annotated[list[str], Field(min_length=1)] | None = Field(None, description=_OWN_INPUTS)


# heads that read a column of labels
LabelledHead = (
    ClassificationHead | OrdinalHead | MultiLabelHead | RegressionHead | CountHead | QuantileHead
)
# heads that compare two inputs
PairHead: TypeAlias = MatchingHead
# heads with a loss and metrics
LossHead = LabelledHead | PairHead
Head = Annotated[LossHead | EmbeddingHead, Field(discriminator="type")]


def nearest_to_median(quantiles: Sequence[float]) -> int:
    """Index of the quantile that is nearest to the median; of two equally near ones the first.

    Example:
        >>> nearest_to_median([0.1, 0.4, 0.9])
        1
    """
    return min(range(len(quantiles)), key=lambda index: abs(quantiles[index] - 0.5))


def labelled(heads: Mapping[str, Head]) -> dict[str, LabelledHead]:
    """The heads that read a column of labels.

    Example:
        >>> list(labelled({"label": ClassificationHead(), "vector": EmbeddingHead()}))
        ['label']
    """
    return {name: head for name, head in heads.items() if isinstance(head, LabelledHead)}


def with_loss(heads: Mapping[str, Head]) -> dict[str, LossHead]:
    """The heads that have a loss and metrics.

    Example:
        >>> list(with_loss({"label": ClassificationHead(), "vector": EmbeddingHead()}))
        ['label']
    """
    return {name: head for name, head in heads.items() if isinstance(head, LossHead)}


def comparing(heads: Mapping[str, Head]) -> dict[str, PairHead]:
    """The heads that compare two inputs.

    Example:
        >>> list(comparing({"pair": MatchingHead(inputs=["a", "b"]), "vector": EmbeddingHead()}))
        ['pair']
    """
    return {name: head for name, head in heads.items() if isinstance(head, PairHead)}


def learns_without_labels(heads: Mapping[str, Head]) -> bool:
    """Whether rows without any label teach one of the heads.

    Example:
        >>> learns_without_labels({"label": ClassificationHead(), "vector": EmbeddingHead()})
        False
    """
    return any(head.target_type is None for head in with_loss(heads).values())


def prediction_keys(heads: Mapping[str, Head]) -> list[str]:
    """All keys of the served predictions and of the columns that `Client.predict` gives.

    Example:
        >>> prediction_keys({"price": QuantileHead()})
        ['price', 'price_low', 'price_high', 'price_quantiles']
    """
    return [name + ending for name, head in heads.items() for ending in ("", *head.endings)]


def output_key(name: str, head: Head) -> str:
    """The served key that holds a head's whole output, or all that is served of it.

    Example:
        >>> output_key("label", ClassificationHead()), output_key("price", RegressionHead())
        ('label_probabilities', 'price')
    """
    return name + head.endings[-1] if head.endings else name


def check_inputs(heads: Mapping[str, Head], vectors: Sequence[str]) -> None:
    """Checks that the heads read inputs that exist, each once.

    Args:
        heads: by name.
        vectors: names of the vectors that fusion reads, `Config.vectors()`.

    Raises:
        ValueError: a head names another input, or one twice.
    """
    for name, head in heads.items():
        chosen = head.inputs or []
        wrong = next((one for one in chosen if one not in vectors), None)
        if wrong is not None:
            raise ValueError(
                f"heads.{name}.inputs: must name inputs that have a tower of their own {vectors}, "
                f"received {wrong!r}"
            )
        if len(set(chosen)) < len(chosen):
            raise ValueError(f"heads.{name}.inputs: must name each input once, received {chosen}")
