"""How a model is trained: the optimizer and the schedule."""

import math
from typing import Annotated, Literal, Self

import pydantic
from pydantic import Field

from multimodal_tf.config.names import Fraction, NonNegative, Positive, Repeats, Strict


class Pruning(Strict):
    """The smallest weights become zeros while `fit` trains, and stay zeros.

    Of the matrices and kernels that are trained, a share `sparsity` is zero at the end. The share
    grows from epoch `begin` to epoch `end`, fast first; null: until half of the epochs are done.
    The smallest are found in each layer, or in all layers together.
    """

    sparsity: Annotated[float, Field(gt=0, lt=1)]
    begin: NonNegative = 0.0
    end: Positive | None = None
    scope: Literal["layer", "global"] = "layer"


class Training(Strict):
    """How `training.fit` trains."""

    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Positive = 3e-3
    weight_decay: NonNegative = 1e-4
    # sgd only
    momentum: Fraction = 0.9
    # momentum of a moving average of the weights, step by step, that is validated and kept; 0: the
    # weights themselves
    ema: Fraction = 0.0
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: NonNegative = 1.0
    epochs: Repeats = 40
    batch_size: Annotated[int, Field(gt=0, le=2**20)] = 32
    # what layers compute in; weights, losses, metrics and outputs stay float32, and float16 scales
    # the loss; faster on GPUs and TPUs, slower on processors
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    # null: no weight is pruned
    pruning: Pruning | None = None
    # heads that are linear over fixed features (frozen and `wide` towers) begin as logistic or
    # ridge regression, whose L2 the validation rows select
    linear_start: bool = True
    # chooses the epoch whose weights are kept: val_loss, with the heads' class weights, or the
    # score of a head on validation rows, such as val_label_balanced_accuracy; null: val_loss, or,
    # where an alignment is all that is learned, the mean average precision of its retrieval
    monitor: str | None = None
    # epochs without a better `monitor` before training stops; null: never
    patience: Repeats | None = 10
    # over the rows of all replicas, where a strategy distributes them
    synchronized_batch_normalization: bool = False
    # seconds between two checkpoints, or more, so that they take at most a 50th of the time
    checkpoint_seconds: Positive = 60.0
    # batches between two checkpoints; null: `checkpoint_seconds` counts
    checkpoint_steps: Repeats | None = None

    @property
    def pruned_in(self) -> tuple[float, float]:
        """The epochs in which pruning begins and ends; 0 and 0 without pruning."""
        if self.pruning is None:
            return 0.0, 0.0
        end = self.epochs / 2 if self.pruning.end is None else self.pruning.end
        return self.pruning.begin, end

    @property
    def first_best_epoch(self) -> int:
        """The first epoch, from 0, whose weights may be kept: before, too few are zeros."""
        return max(math.ceil(self.pruned_in[1]) - 1, 0)

    @pydantic.model_validator(mode="after")
    def _check_pruning(self) -> Self:
        begin, end = self.pruned_in
        if self.pruning is not None and not begin < end <= self.epochs:
            raise ValueError(
                f"pruning: begin must be less than end, and end at most {self.epochs} epochs, "
                f"received {begin:g} and {end:g}"
            )
        if self.pruning is not None and self.ema:
            raise ValueError(
                "pruning: must not be combined with ema, whose averages have no zeros, "
                f"received ema {self.ema}"
            )
        return self
