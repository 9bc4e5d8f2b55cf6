"""What a training ended with: its best epoch and that epoch's metrics."""

import math
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from multimodal_tf.config import Training
from multimodal_tf.training.callbacks import BestFromStart
from multimodal_tf.training.checkpoint import Checkpoints
from multimodal_tf.training.monitor import Monitor
from multimodal_tf.training.run_dir import RunRecord

History = dict[str, list[float]]


def record_result(
    record: RunRecord,
    history: History,
    checkpoints: Checkpoints,
    callbacks: Sequence[keras.callbacks.Callback],
    monitor: Monitor,
) -> None:
    """Notes the best epoch and its metrics.

    The losses of single heads are left out: a `keras.Model` that was passed to `fit` averages them
    over batches instead of rows.
    """
    first = next((one.first for one in callbacks if isinstance(one, BestFromStart)), {})
    record.epochs = len(history.get("loss", []))
    try:
        record.best_epoch = _best_epoch(history, first, record.config.training, monitor)
    except ValueError:
        # a resumed training would end in the same way
        checkpoints.remove()
        raise
    losses = {f"{prefix}{name}_loss" for name in record.config.heads for prefix in ("", "val_")}
    best = {name: values[record.best_epoch - 1] for name, values in history.items()}
    record.metrics = {
        name: value
        for name, value in (best if record.best_epoch else first).items()
        if name not in losses
    }


def _best_epoch(
    history: History, first: Mapping[str, float], training: Training, monitor: Monitor
) -> int:
    """The epoch, from 1, whose weights the model has; 0: the first ones, if they were evaluated."""
    if not history:
        return 0
    losses = history.get("val_loss", history["loss"])
    if not math.isfinite(history["loss"][-1]) or not np.isfinite(losses).any():
        raise ValueError(
            f"the loss became NaN or infinite in epoch {len(losses)}: "
            f"training.learning_rate must be lower, received {training.learning_rate}"
        )
    start = training.first_best_epoch
    return monitor.best(history, first, start) if "val_loss" in history else len(losses)
