"""Resumable training: the state of a training at a step, and how `model.fit` continues from it."""

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from multimodal_tf.training import distribute
from multimodal_tf.training.checkpoint import Checkpoints, State
from multimodal_tf.training.distribute import ReplicaValues
from multimodal_tf.training.interrupt import Signals, TrainingStopped

# Keras' metrics by name
Logs = dict[str, Any]
TrainFunction = Callable[[Iterator[Any]], Logs]

# the largest fraction of the time for which checkpoints may stop the training
_PAUSED = 0.02
# the attributes in which Keras' callbacks keep their state
_ATTRIBUTES: dict[type, tuple[str, ...]] = {
    keras.callbacks.History: ("epoch", "history"),
    keras.callbacks.EarlyStopping: ("best", "wait", "best_epoch", "best_weights", "stopped_epoch"),
    keras.callbacks.ModelCheckpoint: (
        "best",
        "_batches_seen_since_last_saving",
        "_last_batch_seen",
    ),
    keras.callbacks.ReduceLROnPlateau: ("best", "wait", "cooldown_counter"),
    keras.callbacks.TensorBoard: ("_global_train_batch", "_global_test_batch"),
}


class Resumable(keras.callbacks.CallbackList):
    """The callbacks of a `fit` that writes checkpoints, and resumes from one within an epoch.

    Pass it to `model.fit` as `callbacks`, with `initial_epoch=state["epoch"]`. Keras begins every
    epoch with its first batch. In the interrupted epoch, the steps that were done are therefore
    skipped: no callback is called for them, and the training function takes no batch. Afterwards
    it reads from an iterator that begins at the right step.

    Args:
        callbacks: list of `keras.callbacks.Callback`. The state of Keras' own is kept. The state of
            others is what their `get_state()` returns; it is passed to their `set_state(state)`.
        model: the compiled model.
        checkpoints: `Checkpoints`.
        batches: function from a step to an iterable of the epoch's batches from that step on.
        epoch: int64 scalar `tf.Variable` that `batches` reads; set at the beginning of each epoch.
        identity: what must be equal for a state to be of this training; stored in the state.
        seconds: float > 0. Between two checkpoints; more if checkpoints would otherwise stop the
            training for more than a 50th of the time.
        steps_between: int > 0. Steps between two checkpoints, instead of `seconds`; or None.
        state: what `checkpoints.latest()` returned; None: from the beginning.
        signals: after one, a checkpoint is written, and `TrainingStopped` raised; None: no matter.
        params: what `fit` would pass to its own `CallbackList`: `verbose`, `epochs`, `steps`.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        model: keras.Model,
        checkpoints: Checkpoints,
        batches: Callable[[int], Any],
        epoch: tf.Variable,
        identity: Mapping[str, Any],
        seconds: float,
        steps_between: int | None = None,
        state: State = None,
        signals: Signals | None = None,
        **params: Any,
    ) -> None:
        super().__init__(
            callbacks, add_history=True, add_progbar=params["verbose"] != 0, model=model, **params
        )
        self._checkpoints, self._batches = checkpoints, batches
        self._epoch, self._identity = epoch, identity
        self._seconds, self._steps, self._state = seconds, steps_between, state
        self._signals = Signals() if signals is None else signals
        # steps of this epoch that are skipped
        self._done = 0
        self._train_function: TrainFunction | None = None
        # the last checkpoint: when it was written, steps since then, and how long it took
        self._saved, self._since, self._pause = time.monotonic(), 0, 0.0
        # steps after which workers ask each other how long ago the last checkpoint was
        self._ask_after = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Sets the epoch, and resumes in the first one."""
        self._epoch.assign(epoch)
        super().on_epoch_begin(epoch, logs)
        if self._state is not None:
            self._resume(self._state)
            self._state = None

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Calls the callbacks, unless the step is skipped."""
        if batch >= self._done:
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Calls the callbacks, unless the step is skipped, and writes a checkpoint if it is due."""
        if batch < self._done:
            return
        super().on_train_batch_end(batch, logs)
        self._checkpoints.check()
        self._since += self.model.steps_per_execution
        received = self._signals.received
        if self.model.stop_training or not (received or self._is_due()):
            return
        self._save(batch + 1)
        if received is not None:
            self._checkpoints.close()
            folder = self._checkpoints.folder.parent
            raise TrainingStopped(received, int(self._epoch), batch + 1, folder)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Ends the skipping of steps, and calls the callbacks."""
        if self._train_function is not None:
            self.model.train_function = self._train_function
            self._train_function, self._done = None, 0
        super().on_epoch_end(epoch, logs)

    def _stateful(self) -> list[keras.callbacks.Callback]:
        return [
            callback
            for callback in self.callbacks
            if not isinstance(callback, keras.callbacks.ProgbarLogger)
        ]

    def _is_due(self) -> bool:
        if self._steps is not None:
            return self._since >= self._steps
        if self._since < self._ask_after:
            return False
        by_worker = distribute.all_gather(
            self.model.distribute_strategy, [time.monotonic() - self._saved, self._pause]
        )
        waited, pause = by_worker.max(axis=0).tolist()
        wanted = max(self._seconds, pause / _PAUSED)
        # workers wait for each other's answers, so they ask only when a checkpoint may be due
        if len(by_worker) > 1 and waited < wanted:
            self._ask_after = self._since + max(int(self._since * (wanted / waited - 1)), 1)
        return bool(waited >= wanted)

    def _save(self, step: int) -> None:
        begin = time.monotonic()
        epoch = int(self._epoch)
        state = {
            "identity": self._identity,
            "epoch": epoch,
            "step": step,
            "variables": {
                group: [np.array(variable) for variable in variables]
                for group, variables in _variables(self.model).items()
            },
            "metrics": self._metrics.read(),
            "callbacks": [
                (type(callback).__name__, _callback_state(callback))
                for callback in self._stateful()
            ],
        }
        if distribute.is_chief(self.model.distribute_strategy):
            self._checkpoints.save(epoch * self.params["steps"] + step, state)
        self._saved, self._since, self._ask_after = time.monotonic(), 0, 0
        self._pause = self._saved - begin

    @functools.cached_property
    def _metrics(self) -> ReplicaValues:
        """The state of the metrics, which each replica has its own of."""
        return ReplicaValues(self.model.distribute_strategy, self.model.metrics_variables)

    def _resume(self, state: State) -> None:
        """Restores a state in its epoch, after `on_epoch_begin` of all callbacks."""
        if self.model._distribute_strategy is None:
            # without a strategy Keras makes the metrics with the first batch, which is too late
            self.model._symbolic_build(data_batch=next(iter(self._batches(0))))
        restore(self.model, state["variables"])
        self._metrics.write(state["metrics"])
        self._restore_callbacks(state["callbacks"])
        self._done = state["step"]
        self._train_function = self.model.train_function
        self.model.train_function = _skipping(
            self.model, self._done, self._train_function, iter(self._batches(self._done))
        )

    def _restore_callbacks(self, states: Sequence[tuple[str, State]]) -> None:
        callbacks = self._stateful()
        ours = [type(callback).__name__ for callback in callbacks]
        theirs = [name for name, _ in states]
        if ours != theirs:
            raise ValueError(
                "callbacks: must be those of the training that was interrupted, "
                f"{theirs}, received {ours}"
            )
        for callback, (_, state) in zip(callbacks, states):
            _restore_callback(callback, state)


def restore(model: keras.Model, groups: Mapping[str, Sequence[np.ndarray[Any, Any]]]) -> None:
    """Assigns the values of a checkpoint to a model and its optimizer.

    Raises:
        ValueError: they are of another model.
    """
    for group, values in groups.items():
        variables = _variables(model)[group]
        ours = [tuple(variable.shape) for variable in variables]
        theirs = [np.shape(value) for value in values]
        if ours != theirs:
            raise ValueError(
                f"the checkpoint must be of this model, which has {len(ours)} {group} variables, "
                f"received {len(theirs)}, or other shapes: delete it to start anew"
            )
        for variable, value in zip(variables, values):
            variable.assign(value)


def _variables(model: keras.Model) -> dict[str, list[keras.Variable]]:
    """What training changes and all replicas share: weights, random states, optimizer states."""
    return {"model": model.variables, "optimizer": model.optimizer.variables}


def _skipping(
    model: keras.Model, steps: int, train: TrainFunction, rest: Iterator[Any]
) -> TrainFunction:
    """A training function that skips `steps` steps, and then trains on `rest`.

    In skipped steps it returns the metrics as they are.
    """
    logs, left = model.get_metrics_result(), steps // model.steps_per_execution

    def step(_: Iterator[Any]) -> Logs:
        nonlocal left
        if left:
            left -= 1
            skipped: Logs = logs
            return skipped
        return train(rest)

    return step


def _callback_state(callback: keras.callbacks.Callback) -> State:
    """The state of a callback, as `Checkpoints` takes it."""
    if hasattr(callback, "get_state"):
        return callback.get_state()
    if isinstance(callback, keras.callbacks.CSVLogger):
        with open(callback.filename, encoding="utf-8", newline="") as file:
            return {"written": file.read()}
    return {
        name: getattr(callback, name)
        for kind, names in _ATTRIBUTES.items()
        if isinstance(callback, kind)
        for name in names
    }


def _restore_callback(callback: keras.callbacks.Callback, state: State) -> None:
    if hasattr(callback, "set_state"):
        callback.set_state(state)
    elif isinstance(callback, keras.callbacks.CSVLogger):
        # its file may hold later epochs; the header is written only once
        callback.csv_file.truncate(0)
        callback.csv_file.write(state["written"])
        callback.csv_file.flush()
        callback.append_header = not state["written"]
    else:
        for name, value in state.items():
            setattr(callback, name, value)
