"""How the rows are split into training, validation and test."""

import numbers
from typing import Annotated, Any, Literal, Self

import numpy as np
import pydantic
from pydantic import Field

from multimodal_tf.config.names import ColumnName, Fraction, Strict
from multimodal_tf.config.spelling import spelling

# the words of a column of splits, and the index of each split
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


class Split(Strict):
    """How rows are split into train, validation and test.

    `column` names a column that holds the split: `train`, `validation` or `val`, `test`, or the
    values that `values` names, such as `{0: train, 1: validation, 2: test}`. Values are compared
    without case and outer spaces, and a number has one spelling: 0, 0.0 and "0" are one value.
    Without `column`, rows are drawn by the seed: all rows of one value in the column `group` get
    the same split, and the values of the column `stratify` keep their proportions.

    Example:
        >>> Split(column="Usage", values={"Training": "train", "PublicTest": "test"}).values
        {'Training': 'train', 'PublicTest': 'test'}
    """

    column: ColumnName | None = None
    values: Annotated[
        dict[str, Literal["train", "validation", "test"]] | None,
        Field(
            min_length=1,
            max_length=1000,
            description="the split that each value of `column` stands for;"
            " null: the words themselves",
        ),
    ] = None
    group: ColumnName | None = None
    stratify: ColumnName | None = None
    validation: Fraction = 0.1
    test: Fraction = 0.2

    @pydantic.field_validator("values", mode="before")
    @classmethod
    def _as_texts(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        # YAML reads 0 and true as a number and a boolean
        texts = {
            key if isinstance(key, str) else split_key(key): split for key, split in values.items()
        }
        if len({split_key(key) for key in values}) < len(values):
            raise ValueError(f"two values are one and the same, received {list(values)}")
        return texts

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.column is not None and (self.group is not None or self.stratify is not None):
            raise ValueError(
                "split.column gives the split, so split.group and split.stratify must be absent"
            )
        if self.values is not None:
            if self.column is None:
                raise ValueError(
                    "split.values names values of split.column, which must be given, received"
                    f" {self.values}"
                )
            if "train" not in self.values.values():
                raise ValueError(f"split.values must name one as train, received {self.values}")
        if self.validation + self.test >= 1:
            raise ValueError(
                "split.validation + split.test must leave rows to train on, "
                f"received {self.validation} + {self.test}"
            )
        return self


def split_key(value: Any) -> str | None:
    """What a value of a column of splits is compared by; None for what is no text or number.

    Example:
        >>> [split_key(value) for value in (" Training", 0, 0.0, "0.0", True, "TRUE", None)]
        ['training', '0', '0', '0', 'true', 'true', None]
    """
    if not isinstance(value, (str, numbers.Number, np.bool_)):
        return None
    return spelling(str(value)).casefold()
