"""The heads of a model: one prediction target each.

What other rooms need to know of a head stands here as a fact (a class variable, a property or a
method), so that they do not branch on its type.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

import pydantic
from pydantic import Field

from multimodal_tf.config.head_bases import CLASS_SCORES, OWN_INPUTS, BaseHead, LabelColumn
from multimodal_tf.config.names import (
    HIGH,
    LOW,
    PROBABILITIES,
    PROBABILITY,
    QUANTILES,
    Fraction,
    NonNegative,
    QueueLength,
    Temperature,
    Width,
)


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


class MultiLabelHead(LabelColumn):
    """Any number of labels a row: sigmoids and binary cross-entropy.

    A cell is a list, or labels joined by `separator`. `class_weight` "balanced" weighs each label
    as a decision of its own: rows / (2 * rows that bear it) where a row bears it, rows / (2 * rows
    that do not) where it does not. A dict gives the weight of the rows that bear a label; the
    others keep 1.

    Source: `sklearn.utils.class_weight.compute_class_weight` of each label; a dict is `pos_weight`
    of PyTorch's `BCEWithLogitsLoss`.
    """

    target_type = "classes"
    monitors = CLASS_SCORES
    min_classes = 1
    endings = (PROBABILITIES,)
    cell_settings = ("separator",)

    type: Literal["multi_label"] = "multi_label"
    separator: str = Field(";", min_length=1)
    class_weight: Literal["balanced"] | dict[str, NonNegative] | None = None
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


class RegressionHead(LabelColumn):
    """A number, in its own unit; the squared error is divided by the training split's variance."""

    target_type = "number"
    monitors = ("mae",)
    squared_error = True

    type: Literal["regression"] = "regression"

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """One number."""
        return (1,)


class CountHead(LabelColumn):
    """A whole number from 0, such as visits or defects: the rate of a Poisson distribution.

    The rate is the expected count. The loss is the Poisson deviance, divided by how much more the
    training split's counts vary than a Poisson distribution.
    """

    target_type = "number"
    monitors = ("mae",)

    type: Literal["count"] = "count"

    def number_problem(self, number: float) -> str:
        """A count is a whole number from 0."""
        if number >= 0 and number.is_integer():
            return ""
        return f"a count must be a whole number from 0, received {number!r}"

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """One number."""
        return (1,)


class QuantileHead(LabelColumn):
    """A number with its uncertainty: its quantiles at the probabilities `quantiles`, in its unit.

    The lowest and the highest bound an interval; the one nearest to 0.5 is the point prediction.
    Quantiles never cross.
    """

    target_type = "number"
    monitors = ("mae",)
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


class MatchingHead(BaseHead):
    """Whether two inputs of a row belong together, such as a text and an image.

    It needs no labels: the two inputs of every row match, and mismatched pairs are drawn from the
    batch. Where one of the two is missing, the probability is 0.5 and the row teaches nothing.

    It is no case of `AlignmentHead`, though it resembles its loss `sigmoid`: it is a classifier of
    pairs. Matching and mismatched pairs count equally whatever the batch, so that its sigmoid is a
    probability, 0.5 by chance, which is served and judged as one. The sigmoid of an alignment
    contains the share of pairs that match in a batch, and is no probability of anything in service.
    """

    compares_inputs = True
    # index in an output's last axis where the vector ends
    vector_end: ClassVar[int] = -1

    type: Literal["matching"] = "matching"
    weight: NonNegative = 1.0
    inputs: list[str] = Field(min_length=2, max_length=2)
    # width of the vectors that are compared
    dim: Width = 32

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """Two vectors, with a last number that holds scale and shift of the logit."""
        return (2, self.dim + 1)


class AlignmentHead(BaseHead):
    """Vectors of two or more inputs in one space, near each other where the inputs are of one row.

    It needs no labels: the inputs of a row attract each other, those of other rows of the batch
    repel. Rows with an equal cell attract each other too. A missing input does neither; a row takes
    part in a pair of inputs where it has both.

    `loss`: "infonce", the cross-entropy of finding a row's other input in the batch; "sigmoid", a
    binary cross-entropy for each pair of rows (SigLIP), which prefers small batches; "distance",
    the mean squared distance of a row's vectors, which nothing repels: towers that learn may then
    give the same vector to every row.
    """

    compares_inputs = True
    aligns_inputs = True
    # index in an output's last axis where the vector ends
    vector_end: ClassVar[int] = -2

    type: Literal["alignment"] = "alignment"
    weight: NonNegative = 1.0
    inputs: list[str] = Field(min_length=2)
    # width of the space
    dim: Width = 64
    loss: Literal["infonce", "sigmoid", "distance"] = "infonce"
    # divides the cosines, learned from this value on; null: 0.07, of the loss "sigmoid" 0.1
    temperature: Temperature | None = None
    # rows of the batches before that repel as well, with the vectors that they had then; 0: none
    queue: QueueLength = 0

    @pydantic.model_validator(mode="after")
    def _distance_has_neither(self) -> Self:
        if self.loss == "distance" and (self.temperature is not None or self.queue):
            field = "queue" if self.queue else "temperature"
            raise ValueError(
                f"{field} needs the loss infonce or sigmoid, "
                f"received {getattr(self, field)} with the loss distance"
            )
        return self

    @property
    def initial_temperature(self) -> float:
        """`temperature`, or that of the loss: of Radford et al. 2021 or of Zhai et al. 2023."""
        return self.temperature or (0.1 if self.loss == "sigmoid" else 0.07)

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """A vector of length 1 for each input, and behind it scale and shift of the logit."""
        return (len(self.inputs), self.dim + 2)


class EmbeddingHead(BaseHead):
    """The fused vector, of length 1, for a search by similarity; it has no labels and no loss.

    Zeros in a row without any of its inputs.
    """

    type: Literal["embedding"] = "embedding"
    inputs: Annotated[list[str], Field(min_length=1)] | None = Field(None, description=OWN_INPUTS)


# heads that read a column of labels
LabelledHead = (
    ClassificationHead | OrdinalHead | MultiLabelHead | RegressionHead | CountHead | QuantileHead
)
# heads that compare inputs
PairHead: TypeAlias = MatchingHead | AlignmentHead
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
    """The heads that compare inputs.

    Example:
        >>> list(comparing({"pair": MatchingHead(inputs=["a", "b"]), "vector": EmbeddingHead()}))
        ['pair']
    """
    return {name: head for name, head in heads.items() if isinstance(head, PairHead)}


def input_pairs(head: PairHead) -> list[tuple[str, str]]:
    """All pairs of the inputs that a head compares.

    Example:
        >>> input_pairs(AlignmentHead(inputs=["photo", "title", "clip"]))
        [('photo', 'title'), ('photo', 'clip'), ('title', 'clip')]
    """
    return list(itertools.combinations(head.inputs, 2))


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
