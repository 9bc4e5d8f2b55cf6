"""How a model is trained: the optimizer and the schedule."""

from typing import Annotated, Literal

from pydantic import Field

from multimodal_tf.config.names import Fraction, NonNegative, Positive, Repeats, Strict


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
