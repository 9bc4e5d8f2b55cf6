"""How a model is trained: the split of the rows, the optimizer and the schedule."""

from typing import Literal, Self

import pydantic
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from multimodal_tf.config.names import Fraction, Strict


class Split(Strict):
    """How rows are split into train, validation and test.

    `column` names a column that holds the split (`train`, `validation` or `val`, `test`). Without
    it, rows are drawn by the seed: all rows of one value in the column `group` get the same split,
    and the values of the column `stratify` keep their proportions.
    """

    column: str | None = None
    group: str | None = None
    stratify: str | None = None
    validation: Fraction = 0.1
    test: Fraction = 0.2

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.column is not None and (self.group is not None or self.stratify is not None):
            raise ValueError(
                "split.column gives the split, so split.group and split.stratify must be absent"
            )
        if self.validation + self.test >= 1:
            raise ValueError(
                "split.validation + split.test must leave rows to train on, "
                f"received {self.validation} + {self.test}"
            )
        return self


class Training(Strict):
    """How `training.fit` trains."""

    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 3e-3
    weight_decay: NonNegativeFloat = 1e-4
    # sgd only
    momentum: Fraction = 0.9
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: NonNegativeFloat = 1.0
    epochs: PositiveInt = 40
    batch_size: PositiveInt = 32
    # epochs without a better validation loss before training stops; null: never
    patience: PositiveInt | None = None
    # over the rows of all replicas, where a strategy distributes them
    synchronized_batch_normalization: bool = False
    # seconds between two checkpoints, or more, so that they take at most a 50th of the time
    checkpoint_seconds: PositiveFloat = 60.0
    # batches between two checkpoints; null: `checkpoint_seconds` counts
    checkpoint_steps: PositiveInt | None = None
