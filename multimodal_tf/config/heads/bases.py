"""Facts of heads that other rooms go by, and the base classes of heads."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal

import pydantic
from pydantic import Field

from multimodal_tf.config.column import Column
from multimodal_tf.config.inputs import Input
from multimodal_tf.config.names import NonNegative, Strict
from multimodal_tf.config.spelling import as_text

TargetType = Literal["class", "classes", "number", "text", "image"]

OWN_INPUTS = "names of the inputs that it reads, `tabular` for that tower's; null: all"


# scores of heads that predict classes: means over classes, and those of a predicted class
CLASS_SCORES = (
    "average_precision",
    "average_precision_macro",
    "average_precision_micro",
    "auroc",
    "f1",
    "f1_macro",
    "f1_micro",
    "accuracy",
    "balanced_accuracy",
)

# YAML may name the class 1 by a number
ClassName = Annotated[str, pydantic.BeforeValidator(as_text)]


def _each_class_once(weights: Any) -> Any:
    """Refuses two names of one class, such as 1 and "1.0", of which the last would count."""
    if isinstance(weights, dict):
        names = [as_text(name) for name in weights]
        twice = [name for name in weights if names.count(as_text(name)) > 1]
        if twice:
            raise ValueError(
                f"class_weight must name each class once, received {twice[0]!r} and {twice[1]!r}, "
                f"which are both {as_text(twice[0])!r}"
            )
    return weights


ClassWeights = Annotated[dict[ClassName, NonNegative], pydantic.BeforeValidator(_each_class_once)]

# scores of heads whose vectors find each other
RETRIEVAL_SCORES = ("mean_average_precision", "recall_at_1", "recall_at_5", "recall_at_10")


class BaseHead(Strict):
    """Facts of a head, with the values that hold for most heads."""

    # what a cell of its column holds; None: it reads no column
    target_type: ClassVar[TargetType | None] = None
    # names of the scores by which training can choose an epoch
    monitors: ClassVar[tuple[str, ...]] = ()
    # whether the loss is a squared error
    squared_error: ClassVar[bool] = False
    # whether it compares the vectors of its own inputs and does not read the fused vector
    compares_inputs: ClassVar[bool] = False
    # whether its output are vectors in one space
    aligns_inputs: ClassVar[bool] = False
    # whether it reads the cells and tokens of its own inputs, or runs their towers again on changed
    # cells, and does not read the fused vector
    rereads_inputs: ClassVar[bool] = False
    # whether its prediction is a text or an image: the model learns by reading its target, and
    # `models.generating` has the layers that predict it
    generates: ClassVar[bool] = False
    # whether it reads the tokens of towers, and not their vectors alone
    reads_tokens: ClassVar[bool] = False
    # whether an exported model answers it; False: it only teaches
    served: ClassVar[bool] = True
    # the fewest classes that the training split must have
    min_classes: ClassVar[int] = 0
    # the classes have an order
    ordered: ClassVar[bool] = False
    # endings of the keys, served or of a client's columns, beside the head's name; the last one
    # holds the whole output
    endings: ClassVar[tuple[str, ...]] = ()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _threshold_of_several_labels(cls, settings: Any) -> Any:
        if isinstance(settings, dict) and "threshold" in settings and cls.target_type != "classes":
            kind = cls.model_fields["type"].default
            raise ValueError(
                f"threshold is a setting of heads of several labels, received one with type {kind}"
            )
        return settings

    @property
    def reads_fused(self) -> bool:
        """Whether it reads the vector that a fusion makes of its inputs."""
        from_tokens = self.generates and self.reads_tokens
        return not (self.compares_inputs or self.rereads_inputs or from_tokens)

    @property
    def needs_fused(self) -> bool:
        """Whether it reads the fused vector itself, so that predictions cannot be combined."""
        return self.reads_fused and (self.target_type is None or self.generates)

    @property
    def samples(self) -> bool:
        """Whether its prediction can be drawn at random, by a seed for each row."""
        return False

    @property
    def cell_input(self) -> Input | None:
        """The input whose cells its column has; None: its cells are labels, or it reads none."""
        return None

    @property
    def stats_settings(self) -> list[Any]:
        """All that its entry in the schema depends on besides the records, with a fixed `repr`."""
        return []

    def input_problem(self, own: Input | None) -> str:
        """Why an input cannot be one of this head's, as "must be ..."; "" where it can.

        Args:
            own: the input; None: the tower over several columns.
        """
        return ""

    @property
    def compared_cells(self) -> list[str]:
        """The inputs whose cells are its target, which is where they are equal; none: no cell is.

        One for each vector of a row's output.
        """
        return []

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


class LabelColumn(BaseHead, Column):
    """A head that learns from a column of labels."""

    # of this head's loss in the total
    weight: NonNegative = 1.0
    inputs: Annotated[list[str], Field(min_length=1)] | None = Field(None, description=OWN_INPUTS)

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """A number for each class."""
        return (classes,)
