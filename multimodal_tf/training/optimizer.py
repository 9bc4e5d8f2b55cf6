"""The optimizer and learning rate schedule of a configuration."""

from collections.abc import Mapping
from typing import Any

import keras

from multimodal_tf.config import Training
from multimodal_tf.training.layerwise_learning_rates import (
    LayerwiseAdamW,
    LayerwiseSGD,
    learning_rate_factors,
)


def make_optimizer(
    training: Training,
    model: keras.Model,
    steps: int,
    factors: Mapping[str, float] | None = None,
) -> keras.optimizers.Optimizer:
    """The optimizer of a configuration, with its learning rate schedule.

    The learning rate rises linearly to `learning_rate` during `warmup_epochs`. It then falls along
    a half cosine to 0 at the end of the last epoch, or stays constant. Biases and the scales and
    shifts of normalisation layers, that is, all weights that are not matrices, do not decay. With
    `training.ema` it keeps the moving average of the weights (`callbacks.AveragedWeights`).

    Args:
        training: `Training`.
        model: a built model, whose variables the optimizer is for.
        steps: int. Batches per epoch.
        factors: factors of the learning rate by pattern over paths of layers, as for
            `learning_rate_factors`; None: the same learning rate for all layers.

    Returns:
        A Keras optimizer for `model.compile`.

    Raises:
        ValueError: a pattern in `factors` matches no layer.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101 (decoupled weight decay), 2017,
    arXiv:1608.03983 (cosine).
    """
    rate = learning_rate_schedule(training, steps)
    options: dict[str, Any] = {"weight_decay": training.weight_decay}
    if training.ema:
        options |= {"use_ema": True, "ema_momentum": training.ema}
    if factors:
        options["factors"] = learning_rate_factors(model, factors)
    if training.optimizer == "adamw":
        optimizer = (LayerwiseAdamW if factors else keras.optimizers.AdamW)(rate, **options)
    else:
        options["momentum"] = training.momentum
        optimizer = (LayerwiseSGD if factors else keras.optimizers.SGD)(rate, **options)
    optimizer.exclude_from_weight_decay(
        [variable for variable in model.trainable_variables if len(variable.shape) < 2]
    )
    return optimizer


def learning_rate_schedule(
    training: Training, steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up, then a half cosine or a constant; of `steps` batches per epoch."""
    total = training.epochs * steps
    warmup = min(round(training.warmup_epochs * steps), total)
    return keras.optimizers.schedules.CosineDecay(
        # a first step with a learning rate of 0 would change nothing
        initial_learning_rate=training.learning_rate / max(warmup, 1),
        warmup_target=training.learning_rate if warmup else None,
        warmup_steps=warmup,
        decay_steps=max(total - warmup, 1),
        # the final learning rate as a fraction of the highest
        alpha=1.0 if training.schedule == "constant" else 0.0,
    )
