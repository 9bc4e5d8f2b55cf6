"""A callback that unfreezes layers step by step."""

from collections.abc import Sequence
from typing import Any

import keras

from multimodal_tf.models.peft.attach import train
from multimodal_tf.training.peft.freeze import WeightIds, ids, trained_ids, weights_within


class GradualUnfreezing(keras.callbacks.Callback):
    """Unfreezes layers step by step, from the outputs down to the inputs.

    Compile the model with everything trainable that is trained in the end, because the optimizer
    must know it. When training begins, all stages are frozen. The first stage is unfrozen after
    `epochs` epochs, the next after as many epochs again. Layers of no stage are trained all the
    time. When training ends, all stages are trainable again.

    Args:
        stages: the patterns of each stage, as for `freeze`; the first is unfrozen first.
        epochs: int > 0. Between two stages.

    Raises:
        ValueError: there are no stages, or `epochs` is below 1; when training begins: a pattern
            matches no layer, or a stage has no trainable weight.

    Source: Howard and Ruder 2018, arXiv:1801.06146 ("ULMFiT"), section 3.3.
    """

    def __init__(self, stages: Sequence[Sequence[str]], epochs: int = 1) -> None:
        super().__init__()
        if not stages or epochs < 1:
            raise ValueError(
                "GradualUnfreezing: needs at least one stage and one epoch for each, "
                f"received {len(stages)} and {epochs}"
            )
        self.stages, self.epochs = [tuple(stage) for stage in stages], epochs
        self._weights: list[WeightIds] = []
        self._all: WeightIds = set()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Finds the weights of each stage."""
        self._all = trained_ids(self.model)
        # in the first step Keras would build it for the weights that are trained then
        if not self.model.optimizer.built:
            with self.model.distribute_strategy.scope():
                self.model.optimizer.build(self.model.trainable_weights)
        self._weights = [
            ids(weights_within(self.model, stage, "stages")) & self._all for stage in self.stages
        ]
        for patterns, weights in zip(self.stages, self._weights):
            if not weights:
                raise ValueError(
                    "stages: must have weights that are trainable when the model is compiled, "
                    f"received {list(patterns)}, which is frozen"
                )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Freezes the stages whose turn has not come."""
        frozen = self._weights[epoch // self.epochs :]
        now = self._all.difference(*frozen)
        if now != trained_ids(self.model):
            train(self.model, now)
            # traces the step again, without gradients of frozen weights
            self.model.make_train_function(force=True)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Makes all stages trainable again."""
        train(self.model, self._all)
