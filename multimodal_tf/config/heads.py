"""What is asked: one head a task."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat

from multimodal_tf.config.inputs import Column
from multimodal_tf.config.names import Fraction


class _Head(Column):
    weight: NonNegativeFloat = 1.0  # of this head's loss in the total


class ClassificationHead(_Head):
    """One class out of several: softmax and cross-entropy."""

    type: Literal["classification"] = "classification"
    class_weight: Literal["balanced"] | dict[str, NonNegativeFloat] | None = None
    label_smoothing: Fraction = 0.1  # share of the target that is spread evenly over all classes


class MultiLabelHead(_Head):
    """Any number of labels a row: sigmoids and binary cross-entropy. A cell is a list, or labels joined by `separator`."""

    type: Literal["multi_label"] = "multi_label"
    separator: str = Field(";", min_length=1)


class RegressionHead(_Head):
    """A number, in its own unit; the squared error is divided by the training split's variance."""

    type: Literal["regression"] = "regression"


Head = Annotated[ClassificationHead | MultiLabelHead | RegressionHead, Field(discriminator="type")]
