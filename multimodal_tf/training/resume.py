"""A training that can be killed at any moment: its state at a step, and how Keras' `fit` goes on
from there.
"""

import time

import keras
import numpy as np

from multimodal_tf.training import distribute
from multimodal_tf.training.checkpoint import Checkpoints
from multimodal_tf.training.distribute import OwnValues

# of the time between two checkpoints, the most that they may stop the training
_SHARE = 0.02
# what changes of Keras' callbacks while they work
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
    """The callbacks of a `fit` that writes checkpoints, and goes on from one in the middle of an
    epoch.

    To be given to `model.fit` as `callbacks`, with `initial_epoch=state["epoch"]`. Keras begins
    every epoch with its first batch. In the
    epoch that was interrupted, the steps that are done are therefore passed over: no callback hears
    of them, and the training function draws nothing for them; from then on it draws from an
    iterator that begins at the right step.

    Args:
        callbacks: list of `keras.callbacks.Callback`. Of Keras' own the state is kept; of others,
            what `get_state()` returns, to be given to `set_state(state)`, where they have these.
        model: the compiled model.
        checkpoints: `Checkpoints`.
        batches: function from a step to an iterable of the batches of an epoch from that step on;
        which epoch, `epoch` says.
        epoch: int64 scalar `tf.Variable`, which is set when an epoch begins.
        identity: what must be the same for a state to be of this training; kept in it.
        seconds: float > 0. Between two checkpoints, or as much more as it takes that training stops
        for at most a 50th of the time.
        steps_between: int > 0 or None. Steps between two checkpoints, instead.
        state: what `checkpoints.latest()` gave; None: from the beginning.
        params: what `fit` would give its own `CallbackList`: `verbose`, `epochs`, `steps`.
    """

    def __init__(
        self,
        callbacks,
        model,
        checkpoints: Checkpoints,
        batches,
        epoch,
        identity,
        seconds,
        steps_between=None,
        state=None,
        **params,
    ):
        super().__init__(
            callbacks, add_history=True, add_progbar=params["verbose"] != 0, model=model, **params
        )
        self._checkpoints, self._batches, self._epoch, self._identity = (
            checkpoints,
            batches,
            epoch,
            identity,
        )
        self._seconds, self._steps, self._state = seconds, steps_between, state
        # steps of this epoch that are passed over
        self._done = 0
        self._train_function = None
        self._saved, self._since, self._pause = time.monotonic(), 0, 0.0
        # steps after which several workers ask each other how long the last checkpoint is ago
        self._asked = 0
        self._counts: OwnValues | None = None

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch.assign(epoch)
        super().on_epoch_begin(epoch, logs)
        if self._state is not None:
            self._go_on(self._state)
            self._state = None

    def on_train_batch_begin(self, batch, logs=None):
        if batch >= self._done:
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        if batch < self._done:
            return
        super().on_train_batch_end(batch, logs)
        self._checkpoints.check()
        self._since += self.model.steps_per_execution
        if self._is_due() and not self.model.stop_training:
            self._save(batch + 1)

    def on_epoch_end(self, epoch, logs=None):
        if self._train_function is not None:
            self.model.train_function, self._train_function, self._done = (
                self._train_function,
                None,
                0,
            )
        super().on_epoch_end(epoch, logs)

    def _stateful(self):
        return [
            callback
            for callback in self.callbacks
            if not isinstance(callback, keras.callbacks.ProgbarLogger)
        ]

    def _is_due(self):
        if self._steps is not None:
            return self._since >= self._steps
        if self._since < self._asked:
            return False
        said = distribute.gathered(
            self.model.distribute_strategy, [time.monotonic() - self._saved, self._pause]
        )
        waited, pause = said.max(axis=0)
        wanted = max(self._seconds, pause / _SHARE)
        # as workers wait for each other, they ask only when it may be time
        if len(said) > 1 and waited < wanted:
            self._asked = self._since + max(int(self._since * (wanted / waited - 1)), 1)
        return waited >= wanted

    def _save(self, step):
        begin = time.monotonic()
        epoch = int(self._epoch)
        variables = {
            group: [np.array(variable) for variable in own]
            for group, own in _groups(self.model).items()
        }
        state = {
            "identity": self._identity,
            "epoch": epoch,
            "step": step,
            "variables": variables,
            "counts": self._own_counts().read(),
        }
        state["callbacks"] = [
            (type(callback).__name__, _state_of(callback)) for callback in self._stateful()
        ]
        if distribute.is_chief(self.model.distribute_strategy):
            self._checkpoints.save(epoch * self.params["steps"] + step, state)
        self._saved, self._since, self._asked = time.monotonic(), 0, 0
        self._pause = self._saved - begin

    def _own_counts(self):
        """What metrics have counted so far, on each replica."""
        if self._counts is None:
            self._counts = OwnValues(self.model.distribute_strategy, self.model.metrics_variables)
        return self._counts

    def _go_on(self, state):
        """Restores a state in its epoch, when all callbacks have begun that."""
        if self.model._distribute_strategy is None:
            # Keras makes the metrics with the first batch, but for a strategy; it would be too late
            # then
            self.model._symbolic_build(data_batch=next(iter(self._batches(0))))
        restore(self.model, state["variables"])
        self._own_counts().write(state["counts"])
        ours, theirs = (
            [type(callback).__name__ for callback in self._stateful()],
            [name for name, _ in state["callbacks"]],
        )
        if ours != theirs:
            raise ValueError(
                f"callbacks: must be those of the training that was interrupted, {theirs}, received {ours}"
            )
        for callback, (_, values) in zip(self._stateful(), state["callbacks"]):
            _restore_callback(callback, values)
        self._done = state["step"]
        self._train_function = self.model.train_function
        self.model.train_function = _passing_over(
            self.model, self._done, self._train_function, iter(self._batches(self._done))
        )


def restore(model, groups):
    """Gives a model and its optimizer the values of a checkpoint.

    Raises:
        ValueError: they are not of this model.
    """
    for group, values in groups.items():
        variables = _groups(model)[group]
        ours, theirs = (
            [tuple(variable.shape) for variable in variables],
            [np.shape(value) for value in values],
        )
        if ours != theirs:
            raise ValueError(
                f"the checkpoint must be of this model, but {len(ours)} {group} variables meet {len(theirs)}: delete it to start anew"
            )
        for variable, value in zip(variables, values):
            variable.assign(value)


def _groups(model):
    """All that changes in training and is the same on all replicas: weights, random states, what
    the optimizer keeps.
    """
    return {"model": model.variables, "optimizer": model.optimizer.variables}


def _passing_over(model, steps, train, rest):
    """A training function that answers for `steps` steps what the metrics say already, and then
    trains on `rest`.
    """
    logs, left = model.get_metrics_result(), steps // model.steps_per_execution

    def step(_):
        nonlocal left
        if left:
            left -= 1
            return logs
        return train(rest)

    return step


def _state_of(callback):
    """What a callback knows, as `Checkpoints` takes it."""
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


def _restore_callback(callback, state):
    if hasattr(callback, "set_state"):
        callback.set_state(state)
    elif isinstance(callback, keras.callbacks.CSVLogger):
        # its file may hold later epochs; it writes the names of columns once
        callback.csv_file.truncate(0)
        callback.csv_file.write(state["written"])
        callback.csv_file.flush()
        callback.append_header = not state["written"]
    else:
        for name, value in state.items():
            setattr(callback, name, value)
