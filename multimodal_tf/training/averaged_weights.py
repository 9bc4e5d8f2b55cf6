"""Validation and the kept model use the moving average of the weights."""

from typing import Any

import keras
import numpy as np

Logs = dict[str, Any] | None


class AveragedWeights(keras.callbacks.Callback):
    """Swaps the weights and the optimizer's moving average, exactly, between two epochs.

    Training goes on with the weights; validation, checkpoints of the best model and the end of the
    training have the average. It stands before callbacks that save or keep weights.
    `keras.callbacks.SwapEMAWeights` rounds in each swap, and at the end of a training Keras
    overwrites what it has swapped.

    Source: Polyak and Juditsky 1992, «Acceleration of stochastic approximation by averaging».
    """

    def __init__(self) -> None:
        super().__init__()
        self._averaged, self._last = False, None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Trains on with the weights."""
        self._set(averaged=False)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Validates the average."""
        self._set(averaged=True)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Keeps the average."""
        self._set(averaged=True)
        self._last = self.model.get_weights()

    def on_train_end(self, logs: Logs = None) -> None:
        """Undoes that Keras overwrites the weights at the end."""
        if self._last is not None:
            self.model.set_weights(self._last)

    def _set(self, averaged: bool) -> None:
        if averaged == self._averaged:
            return
        self._averaged = averaged
        # float16 has an optimizer around it
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        pairs = zip(optimizer._trainable_variables, optimizer._model_variables_moving_average)
        with self.model.distribute_strategy.scope():
            for variable, average in pairs:
                values = np.array(variable)
                variable.assign(np.array(average))
                average.assign(values)
