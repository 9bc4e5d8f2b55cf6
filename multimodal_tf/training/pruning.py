"""Pruning: the smallest weights of a model become zeros while it is trained, and stay zeros."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from multimodal_tf.config.training import Pruning
from multimodal_tf.models.peft import layer_paths

# times that masks grow between the first and the last step of pruning
_UPDATES = 100

Masks = list[np.ndarray[Any, np.dtype[np.bool_]]]


def sparsity_at(share: float, final: float) -> float:
    """The share of zeros after a share of the pruning, from 0 to 1: fast first, then slowly.

    Example:
        >>> [round(sparsity_at(share, 0.8), 2) for share in (0, 0.25, 0.5, 1)]
        [0.0, 0.46, 0.7, 0.8]

    Source: Zhu and Gupta 2017, arXiv:1710.01878, equation 1.
    """
    return final * (1 - (1 - share) ** 3)


class GradualPruning(keras.callbacks.Callback):
    """Sets the smallest weights to zero after steps of the training, more and more of them.

    Matrices and kernels that are trained are pruned, biases and scales never. A weight that is
    pruned stays zero: after each step it is set to zero again. All replicas have the same weights,
    and so the same masks.

    Args:
        pruning: its settings.
        span: `(begin, end)`, epochs.
        keeps: whether zeros that the model has at the beginning stay zeros.
    """

    def __init__(self, pruning: Pruning, span: tuple[float, float], keeps: bool = False) -> None:
        super().__init__()
        self._pruning, self._span, self._keeps = pruning, span, keeps
        self._weights: list[keras.Variable] = []
        self._masks: Masks = []
        self._epoch = self._updates = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Finds what is pruned."""
        self._weights = list(prunable(self.model).values())
        values = [np.array(weight) for weight in self._weights]
        # a matrix of zeros alone was never trained
        self._masks = [(one != 0) | (not (self._keeps and one.any())) for one in values]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Counts steps from the first epoch on."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Grows the masks where it is time, and applies them."""
        steps = self.params["steps"]
        begin, end = (round(one * steps) for one in self._span)
        end = max(end, begin + 1)
        done = min(self._epoch * steps + batch + 1, end) - begin
        if done > 0:
            share = done / (end - begin)
            # counted, since several steps may be one call
            updates = 1 + int(share * _UPDATES)
            if updates > self._updates:
                self._updates = updates
                self._grow(sparsity_at(share, self._pruning.sparsity))
        self._apply()

    def get_state(self) -> dict[str, Any]:
        """What a resumed training needs."""
        return {"updates": self._updates, "masks": [one.astype(np.uint8) for one in self._masks]}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Takes what `get_state` returned."""
        self._updates = state["updates"]
        self._masks = [one.astype(bool) for one in state["masks"]]

    def _grow(self, sparsity: float) -> None:
        values = [np.abs(np.array(weight)) for weight in self._weights]
        if self._pruning.scope == "layer":
            for value, mask in zip(values, self._masks):
                _prune([value], [mask], sparsity)
        else:
            _prune(values, self._masks, sparsity)

    def _apply(self) -> None:
        with self.model.distribute_strategy.scope():
            for weight, mask in zip(self._weights, self._masks):
                if not mask.all():
                    weight.assign(np.where(mask, np.array(weight), 0).astype(weight.dtype))


def prunable(model: keras.Model) -> dict[str, keras.Variable]:
    """The trained matrices and kernels of a model, by path."""
    trained = {id(one) for one in model.trainable_weights}
    found = layer_paths.weights(model)
    return {path: one for path, one in found.items() if id(one) in trained and len(one.shape) > 1}


def sparsity(model: keras.Model) -> dict[str, float]:
    """The share of zeros in what can be pruned, by input (its tower), `fused` and head."""
    values: dict[str, list[np.ndarray[Any, Any]]] = {}
    for path, weight in prunable(model).items():
        values.setdefault(layer_paths.owner(model, path), []).append(np.array(weight))
    return {
        name: sum(int((one == 0).sum()) for one in several) / sum(one.size for one in several)
        for name, several in values.items()
    }


def _prune(values: Sequence[np.ndarray[Any, Any]], masks: Masks, sparsity: float) -> None:
    """Takes the smallest values out of the masks, in place; those outside of them come first."""
    flat = np.concatenate([np.where(m, v, -1.0).ravel() for v, m in zip(values, masks)])
    pruned = round(sparsity * flat.size)
    if not pruned:
        return
    kept = np.ones(flat.size, bool)
    kept[np.argpartition(flat, pruned - 1)[:pruned]] = False
    begin = 0
    for mask in masks:
        mask &= kept[begin : begin + mask.size].reshape(mask.shape)
        begin += mask.size
