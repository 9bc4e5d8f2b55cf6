"""A functional `keras.Model` that also takes what its frozen towers gave, instead of inputs."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from multimodal_tf.models.frozen import FrozenBeginning


class FrozenStartModel(keras.Model):
    """Base class of the package's models."""

    # a tuple, because Keras would track the model within
    _beginning: tuple[FrozenBeginning, ...] = ()

    def frozen_beginning(self) -> FrozenBeginning:
        """What nothing trains, as the layers are trained now."""
        return FrozenBeginning(self)

    @contextlib.contextmanager
    def started_after(
        self, beginning: FrozenBeginning, missing: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[None]:
        """Within the block, batches may hold the outputs of frozen beginnings in place of inputs.

        They are trained on, evaluated and predicted like others. The model itself, its weights and
        what is saved of it stay whole.

        Args:
            beginning: of this model.
            missing: as for `FrozenBeginning.start_after`.
        """
        beginning.start_after(missing)
        self._beginning = (beginning,)
        try:
            yield
        finally:
            self._beginning = ()
            # they were traced for such batches
            self.train_function = self.test_function = self.predict_function = None

    def outputs_of(self, x: Any, training: bool, model: keras.Model | None = None) -> Any:
        """The outputs of this model, or of one with its layers, for a batch of either kind."""
        model = self if model is None else model
        for beginning in self._beginning:
            if beginning.is_in(x):
                return beginning.run(x, model, training)
        return model(x, training=training)

    def _symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """As in Keras, also for a batch with the outputs of frozen beginnings."""
        if data_batch is not None and any(one.is_in(data_batch[0]) for one in self._beginning):
            data_batch = (self.input, *data_batch[1:])
        super()._symbolic_build(iterator, data_batch)
