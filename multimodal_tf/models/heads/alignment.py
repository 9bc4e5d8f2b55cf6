"""Several inputs of a row in one space: a vector of length 1 for each."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from multimodal_tf.config import ALIGNED, AlignmentHead
from multimodal_tf.losses import (
    ContrastiveLoss,
    PairedDistance,
    PairwiseSigmoidLoss,
    compared_inputs,
)
from multimodal_tf.models.layer import Layer

# of the logits' scale, 100: Radford et al. 2021, arXiv:2103.00020, section 2.5
_MAX_LOG_SCALE = math.log(100)
# cosines of equal cells differ by rounding, otherwise on each device
_LEVEL = 1e-5


def output(
    head: AlignmentHead,
    stats: None,
    x: Sequence[keras.KerasTensor],
    name: str,
    any_present: Sequence[keras.KerasTensor] | None = None,
) -> keras.KerasTensor:
    """Vectors `(batch, inputs, head.dim + 2)`; see `models.heads.output`."""
    aligned = []
    for index, (one, vector) in enumerate(zip(head.inputs, x)):
        projection = layers.Dense(
            head.dim, use_bias=False, dtype="float32", name=f"{name}_projection_of_{one}"
        )
        unit = UnitVector(dtype="float32", name=name + ALIGNED + one)
        flag = [] if any_present is None else [any_present[index]]
        aligned.append(unit(projection(vector), *flag))
    layer = AlignedVectors(
        head.initial_temperature if head.loss != "distance" else None,
        # Zhai et al. 2023, arXiv:2303.15343, section 3.2
        shift=-10.0 if head.loss == "sigmoid" else None,
        queue=head.queue,
        dtype="float32",
        name=name,
    )
    return layer(aligned)


def prior(head: AlignmentHead, stats: None, width: int) -> list[float]:
    """Zeros: no input is present."""
    return [0.0] * width


def loss(head: AlignmentHead, stats: None) -> keras.losses.Loss:
    """That of `head.loss`."""
    if head.loss == "distance":
        return PairedDistance()
    if head.loss == "sigmoid":
        return PairwiseSigmoidLoss(head.queue)
    return ContrastiveLoss(head.queue)


def metrics(head: AlignmentHead) -> list[keras.metrics.Metric]:
    """Recall at 1 among the rows of the batch; of the loss "distance" the mean cosine."""
    if head.loss == "distance":
        return [PairedCosine(name="cosine")]
    return [BatchRecall(name="recall_at_1")]


@keras.saving.register_keras_serializable("multimodal_tf")
class UnitVector(Layer):
    """Scales vectors to length 1; zeros where the input is missing.

    Call:
        `x` is `(batch, dim)`; `present`, if given, float `(batch,)`, above 0.5 where the input is
        present. Returns the shape of `x`; a vector of zeros stays so.
    """

    def call(self, x: Any, present: Any = None) -> Any:
        # Keras' `normalize` has a NaN gradient at zero
        square = ops.sum(ops.square(x), axis=-1, keepdims=True)
        unit = x * ops.rsqrt(ops.maximum(square, 1e-12))
        return unit if present is None else ops.where(present[:, None] > 0.5, unit, 0.0)

    def compute_output_shape(self, x_shape: Any, present_shape: Any = None) -> Any:
        return x_shape


@keras.saving.register_keras_serializable("multimodal_tf")
class AlignedVectors(Layer):
    """Side by side the vectors of several inputs, each with scale and shift of its logits.

    The logit of two vectors is `scale * cosine + shift`, both learned.

    Args:
        temperature: float above 0. The scale begins at 1 / temperature, and is at most 100. None:
            it is 1.
        shift: float. Where the shift begins; None: it is 0.
        queue: int. How many rows of the batches before it keeps, newest first, for the loss; they
            are not trained, and rows not yet seen are zeros.

    Call:
        `vectors` is a list of `(batch, dim)`, of length 1, or zeros where an input is missing.
        Returns `(batch, len(vectors), dim + 2)`: the last two numbers are scale and shift; zeros
        where an input is missing.

    Raises:
        ValueError: `temperature` is not a positive finite number.

    Example:
        >>> layer = AlignedVectors(temperature=0.5)
        >>> layer([ops.ones((1, 1)), ops.zeros((1, 1))]).numpy().tolist()
        [[[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]]]
    """

    def __init__(
        self,
        temperature: float | None = None,
        shift: float | None = None,
        queue: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if temperature is not None and not 0 < temperature < math.inf:
            raise ValueError(
                f"`temperature` must be a positive finite number, received {temperature!r}"
            )
        self.temperature, self.initial_shift, self.queue = temperature, shift, queue

    def build(self, vectors_shape: Any) -> None:
        if self.temperature is not None:
            begin = keras.initializers.Constant(-math.log(self.temperature))
            self.log_scale = self.add_weight(
                shape=(), initializer=begin, constraint=_at_most_100, name="log_scale"
            )
        if self.initial_shift is not None:
            begin = keras.initializers.Constant(self.initial_shift)
            self.shift = self.add_weight(shape=(), initializer=begin, name="shift")
        if self.queue:
            inputs, dim = len(vectors_shape), vectors_shape[0][-1]
            self.queued = self._queue_weight((inputs, dim + 2), "float32", "queued")
            self.queued_cells = self._queue_weight((inputs,), "int64", "queued_cells")

    def _queue_weight(self, shape: tuple[int, ...], dtype: str, name: str) -> Any:
        return self.add_weight(
            shape=(self.queue, *shape),
            initializer="zeros",
            dtype=dtype,
            trainable=False,
            # all replicas enqueue the rows of all
            aggregation="only_first_replica",
            name=name,
        )

    def with_queue(self, cells: Any, vectors: Any) -> tuple[Any, Any]:
        """The rows of a batch and those of the queue behind them.

        Args:
            cells: int `(batch, inputs)`, targets of the loss.
            vectors: float32 `(batch, inputs, dim + 2)`, outputs of this layer.
        """
        return (
            ops.concatenate([ops.cast(cells, "int64"), self.queued_cells]),
            ops.concatenate([vectors, self.queued]),
        )

    def enqueue(self, cells: Any, vectors: Any) -> None:
        """Puts the rows of a batch in front of the queue, which forgets its oldest ones."""
        cells, vectors = self.with_queue(cells, ops.stop_gradient(vectors))
        self.queued_cells.assign(cells[: self.queue])
        self.queued.assign(vectors[: self.queue])

    def call(self, vectors: Sequence[Any]) -> Any:
        stacked = ops.stack(list(vectors), axis=1)
        present = ops.cast(ops.any(stacked != 0, axis=-1, keepdims=True), stacked.dtype)
        scale, shift = 1.0, 0.0
        if self.temperature is not None:
            scale = ops.exp(self.log_scale)
        if self.initial_shift is not None:
            shift = self.shift
        return ops.concatenate([stacked, scale * present, shift * present], axis=-1)

    def compute_output_shape(self, vectors_shape: Any) -> Any:
        first = vectors_shape[0]
        return (first[0], len(vectors_shape), first[1] + 2)

    def get_config(self) -> dict[str, Any]:
        own = {"temperature": self.temperature, "shift": self.initial_shift, "queue": self.queue}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("multimodal_tf")
class BatchRecall(keras.metrics.Mean):
    """How often the nearest vector of another input in the batch is that of the row or a positive.

    Its mean over the pairs of inputs that a row has, in both directions. A row of weight 0, or
    without two inputs, does not count. Like the loss, it depends on which rows meet in a batch.
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        found = count = 0.0
        for one in compared_inputs(y_true, y_pred):
            # Keras refuses a maximum over no rows, as a replica may have, without `initial`
            best = ops.max(
                ops.where(one.positive, one.cosines, -2.0), axis=1, keepdims=True, initial=-2.0
            )
            ahead = ops.logical_and(one.candidate, one.cosines > best + _LEVEL)
            level = ops.cast(ops.abs(one.cosines - best) <= _LEVEL, y_pred.dtype)
            # of equally near ones any could come first
            right = ops.sum(level * ops.cast(one.positive, level.dtype), axis=1)
            all_level = ops.sum(level * ops.cast(one.candidate, level.dtype), axis=1)
            share = right / ops.maximum(all_level, 1.0)
            found += ops.where(ops.any(ahead, axis=1), 0.0, share) * one.both
            count += one.both
        weight = ops.cast(count > 0, y_pred.dtype)
        if sample_weight is not None:
            weight = weight * ops.cast(sample_weight, weight.dtype)
        return super().update_state(found / ops.maximum(count, 1.0), weight)


@keras.saving.register_keras_serializable("multimodal_tf")
class PairedCosine(keras.metrics.Mean):
    """The mean cosine between the inputs of a row.

    A row of weight 0, or without two inputs, does not count.
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        present = ops.sum(ops.cast(y_pred[:, :, -2] > 0, y_pred.dtype), axis=1)
        weight = ops.cast(present > 1, y_pred.dtype)
        if sample_weight is not None:
            weight = weight * ops.cast(sample_weight, weight.dtype)
        return super().update_state(1 - PairedDistance().call(y_true, y_pred) / 2, weight)


def _at_most_100(log_scale: Any) -> Any:
    return ops.minimum(log_scale, _MAX_LOG_SCALE)
