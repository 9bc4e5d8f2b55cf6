"""The Keras callbacks of every training."""

import pathlib
import time
from collections.abc import Sequence
from typing import Any

import keras

from multimodal_tf.config import Training
from multimodal_tf.training.averaged_weights import AveragedWeights
from multimodal_tf.training.monitor import Monitor
from multimodal_tf.training.run_dir import CHECKPOINT, HISTORY, LOGS

# the largest fraction of the time for which writing the best model may stop the training
_PAUSED = 0.1
# bytes that a disk writes in a second, before this is measured
_DISK = 100e6


class BestModel(keras.callbacks.ModelCheckpoint):
    """As Keras' own, but writing takes a small part of the time.

    A model with large frozen towers takes longer to write than an epoch may last.
    """

    _ended, _took = 0.0, 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Takes writing the model for as long as a slow disk does, until it is measured."""
        super().on_train_begin(logs)
        self._ended, self._took = time.monotonic(), 4 * self.model.count_params() / _DISK

    def _should_save_model(self, *args: Any) -> bool:
        # first, because it notes the best value
        better = super()._should_save_model(*args)
        return bool(better) and time.monotonic() >= self._ended + self._took / _PAUSED

    def _save_model(self, *args: Any, **kwargs: Any) -> None:
        began = time.monotonic()
        super()._save_model(*args, **kwargs)
        now = time.monotonic()
        # a call that wrote nothing is short
        if now - began > self._took / 2:
            self._ended, self._took = now, now - began


class BestFromStart(keras.callbacks.EarlyStopping):
    """Keras' early stopping, for which the first weights count too if they were evaluated.

    Args:
        first: metrics of the first weights on the validation rows, `val_` before their names;
            empty: they do not count.
        arguments: of `keras.callbacks.EarlyStopping`.
    """

    def __init__(self, first: dict[str, float], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.first = first

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Keeps the first weights, as those of epoch 0, if they were evaluated."""
        super().on_train_begin(logs)
        if self.monitor in self.first:
            self.best, self.best_epoch = self.first[self.monitor], -1
            self.best_weights = self.model.get_weights()

    def get_state(self) -> dict[str, Any]:
        """What a resumed training needs."""
        names = ("best", "wait", "best_epoch", "best_weights", "stopped_epoch", "first")
        return {name: getattr(self, name) for name in names}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes what `get_state` returned."""
        for name, value in state.items():
            setattr(self, name, value)


def check_callbacks(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Checks that `fit` can call the callbacks of its caller.

    Raises:
        ValueError: one sets the learning rate, which has a schedule, or swaps averaged weights.
    """
    for one in callbacks:
        name = type(one).__name__
        if isinstance(
            one, keras.callbacks.ReduceLROnPlateau | keras.callbacks.LearningRateScheduler
        ):
            raise ValueError(
                "callbacks: the learning rate of `fit` follows training.schedule and "
                "training.warmup_epochs, and no callback can set it: call `model.fit` of a model "
                f"from `build_model` for that, received {name}"
            )
        if isinstance(one, keras.callbacks.SwapEMAWeights):
            raise ValueError(
                f"callbacks: set training.ema, which averages the weights in `fit`, received {name}"
            )


def make_callbacks(
    training: Training,
    run_dir: pathlib.Path,
    validated: bool,
    monitor: Monitor,
    first: dict[str, float] | None = None,
    replicas: int = 1,
    saves: bool = True,
) -> list[keras.callbacks.Callback]:
    """Stops on NaN, writes history, TensorBoard logs and the best model, stops early.

    Args:
        training: `Training`. `patience` None: all epochs are run, and the best weights kept.
        run_dir: gets `history.csv`, `logs` and `checkpoint.keras`.
        validated: whether there is a validation loss. Without one there is no early stopping, and
            the checkpoint is the last model instead of the best.
        monitor: which epoch is best.
        first: metrics of the first weights, as `BestFromStart`; None: they do not count.
        replicas: with several, all workers must write alike, and clocks differ: then Keras' own
            callback writes every better model.
        saves: whether logs and the best model are written.
    """
    first = first or {}
    best_model = BestModel if replicas == 1 else keras.callbacks.ModelCheckpoint
    callbacks: list[keras.callbacks.Callback] = [
        *([AveragedWeights()] if training.ema else []),
        *([] if monitor.callback is None else [monitor.callback]),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.CSVLogger(str(run_dir / HISTORY)),
    ]
    if saves:
        callbacks += [
            keras.callbacks.TensorBoard(str(run_dir / LOGS), write_graph=False),
            best_model(
                # Keras fills in what stands in braces
                str(run_dir / CHECKPOINT).replace("{", "{{").replace("}", "}}"),
                monitor=monitor.name,
                mode=monitor.mode,
                save_best_only=validated,
                initial_value_threshold=first.get(monitor.name),
            ),
        ]
    if validated:
        patience = training.epochs if training.patience is None else training.patience
        callbacks.append(
            BestFromStart(
                first,
                monitor=monitor.name,
                mode=monitor.mode,
                patience=patience,
                start_from_epoch=training.first_best_epoch,
                restore_best_weights=True,
            )
        )
    return callbacks
