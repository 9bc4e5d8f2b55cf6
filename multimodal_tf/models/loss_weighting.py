"""Models of several heads whose loss weights are learned, with another training step.

Training minimises the losses with the learned weights. `evaluate`, and so `val_loss`, uses the
fixed weights that `compile` was given, as these are the same in every epoch.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, assert_never

import keras
import tensorflow as tf
from keras import ops

from multimodal_tf.config import (
    FUSED,
    Config,
    FixedWeights,
    GradNormWeights,
    UncertaintyWeights,
)
from multimodal_tf.config.heads import with_loss
from multimodal_tf.models import replicas
from multimodal_tf.models.distributed_model import DistributedModel


def model_of(config: Config) -> Callable[..., DistributedModel]:
    """The class of a configuration's model, called with its inputs, outputs and name."""
    learning = with_loss(config.heads)
    match config.loss_weighting:
        case FixedWeights():
            return DistributedModel
        case UncertaintyWeights():
            return partial(
                UncertaintyWeighted,
                weights={name: head.weight for name, head in learning.items()},
                gaussian=[name for name, head in learning.items() if head.squared_error],
            )
        case GradNormWeights(alpha=alpha, rate=rate):
            return partial(GradNormWeighted, heads=list(learning), alpha=alpha, rate=rate)
        case _:
            assert_never(config.loss_weighting)


# what `clone_model` hands on of a model: an attribute of its output tensors
_SETTINGS = "_loss_weighting"


class _LearnedWeights(DistributedModel):
    """A functional model that multiplies each head's loss by a factor of its own in training.

    The factor applies after the fixed weight of `compile`.

    Args:
        inputs, outputs, name: as in a functional `keras.Model`, `outputs` a dict by head.
        weighted: the heads that have a loss; `compile` takes a dict with a `keras.losses.Loss` for
            each, such as that of `compile_arguments`.
    """

    def __init__(
        self,
        inputs: Any,
        outputs: dict[str, Any],
        name: str | None = None,
        *,
        weighted: Sequence[str],
        **kwargs: Any,
    ) -> None:
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)
        self.heads = list(weighted)
        unknown = next((head for head in self.heads if head not in outputs), None)
        if unknown is not None:
            raise ValueError(
                f"{type(self).__name__}: heads must be outputs of the model, {list(outputs)}, "
                f"received {unknown!r}"
            )

    def _run_through_graph(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """As in Keras, whose `clone_model` then calls the class with tensors and a name alone."""
        outputs = super()._run_through_graph(inputs, *args, **kwargs)
        for output in keras.tree.flatten(outputs):
            if isinstance(output, keras.KerasTensor):
                setattr(output, _SETTINGS, self._settings())
        return outputs

    def _settings(self) -> dict[str, Any]:
        """The arguments of the class that a functional model does not have."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | self._settings()

    def _losses_by_head(self, y: Any, y_pred: Any, sample_weight: Any) -> dict[str, Any]:
        """Each head's loss times its fixed weight.

        It counts as its share of the rows of all replicas, as everywhere in Keras.
        """
        self._check_losses()
        # it also reads the learning rate, which is a variable
        with tf.init_scope():
            weights = self.get_compile_config()["loss_weights"] or {}
        by_head = sample_weight or {}
        y, y_pred = self._with_queues(y, y_pred)
        return {
            name: loss(y[name], y_pred[name], by_head.get(name)) * weights.get(name, 1.0)
            for name, loss in self.loss.items()
        }

    def _check_losses(self) -> None:
        valid = isinstance(self.loss, dict) and all(
            isinstance(one, keras.losses.Loss) for one in self.loss.values()
        )
        if not valid or {*self.loss} != {*self.heads}:
            raise ValueError(
                "loss: learned weights need a `keras.losses.Loss` for each of "
                f"{self.heads}, by head, received {self.loss!r}"
            )

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """As in every `keras.Model`, whose own method also tracks the heads' losses."""
        correction = 0.0
        if training:
            correction = self._correction(self._losses_by_head(y, y_pred, sample_weight))
        return super().compute_loss(x, y, y_pred, sample_weight, training) + correction

    def _correction(self, losses: dict[str, Any]) -> Any:
        """What is added to the sum of the losses."""
        raise NotImplementedError


@keras.saving.register_keras_serializable("multimodal_tf")
class UncertaintyWeighted(_LearnedWeights):
    """A model that learns how noisy each head's labels are, and weights noisy ones less.

    With `s` the logarithm of a head's variance, a trainable weight `{name}_log_variance` that
    starts at 0, a loss becomes `exp(-s) loss + s / 2`, a squared error `exp(-s) loss / 2 + s / 2`.
    At the optimal `s` a head's gradient depends on its relative, not its absolute improvement.

    Args:
        inputs, outputs, name: as in a functional `keras.Model`, `outputs` a dict by head.
        weights: factor > 0 of the whole by head, for the heads that have a loss.
        gaussian: the heads whose loss is a squared error.

    Raises:
        ValueError: a head is no output.

    Source: Kendall, Gal and Cipolla 2018, arXiv:1705.07115, equations 7 and 10.
    """

    def __init__(
        self,
        inputs: Any,
        outputs: dict[str, Any],
        name: str | None = None,
        *,
        weights: Mapping[str, float] | None = None,
        gaussian: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        weights, gaussian = _given(outputs, weights=weights, gaussian=gaussian)
        super().__init__(inputs, outputs, name, weighted=list(weights), **kwargs)
        self.head_weights, self.gaussian = dict(weights), list(gaussian)
        self.log_variances = {
            head: self.add_weight(
                shape=(), initializer="zeros", name=f"{head}_log_variance", dtype="float32"
            )
            for head in sorted(weights)
        }

    def _correction(self, losses: dict[str, Any]) -> Any:
        total = 0.0
        for head, loss in losses.items():
            log_variance = ops.convert_to_tensor(self.log_variances[head])
            factor = ops.exp(-log_variance) * (0.5 if head in self.gaussian else 1.0)
            total += (factor - 1) * loss + self.head_weights[
                head
            ] * log_variance / 2 / replicas.count()
        return total

    def _settings(self) -> dict[str, Any]:
        return {"weights": dict(self.head_weights), "gaussian": list(self.gaussian)}


@keras.saving.register_keras_serializable("multimodal_tf")
class GradNormWeighted(_LearnedWeights):
    """A model that adjusts the loss weights in every step to balance the heads' gradients.

    The gradients on the shared vector become equally long, longer for heads whose loss has fallen
    less than the others'. A head's weight `w` aims at `|w g| = mean |w g| * r^alpha`, with `g` the
    gradient of its loss on the shared vector and `r` its loss divided by its first loss, over the
    mean of all heads. It takes a step of `rate` down the absolute difference, which is divided by
    the mean length, so that no unit matters; then the weights are scaled to have mean 1. A head
    without a labelled row in a batch takes no step.

    The paper takes the gradient on the last shared layer's weights. Here it is that on the output
    of the layer `fused`: it costs the heads' backward pass only, and also exists where the fusion
    has no weights.

    Args:
        inputs, outputs, name: as in a functional `keras.Model`, `outputs` a dict by head; there is
            a layer `fused`.
        heads: the heads that have a loss.
        alpha: 0 or more.
        rate: > 0.

    Raises:
        ValueError: a head is no output.

    Source: Chen et al. 2018, arXiv:1711.02257, algorithm 1.
    """

    def __init__(
        self,
        inputs: Any,
        outputs: dict[str, Any],
        name: str | None = None,
        *,
        heads: Sequence[str] | None = None,
        alpha: float | None = None,
        rate: float | None = None,
        **kwargs: Any,
    ) -> None:
        heads, alpha, rate = _given(outputs, heads=heads, alpha=alpha, rate=rate)
        super().__init__(inputs, outputs, name, weighted=heads, **kwargs)
        self.alpha, self.rate = float(alpha), float(rate)
        self.task_weights = self._add_state("task_weights", "ones")
        self.first_losses = self._add_state("first_losses", "zeros")
        shared = keras.Model(
            self.input, {"shared": self.get_layer(FUSED).output, "predictions": self.output}
        )

        def with_shared(x: Any) -> Any:
            return self.outputs_of(x, training=True, model=shared)

        # a function, because a model as an attribute would be saved a second time
        self._with_shared = with_shared

    def _add_state(self, name: str, initializer: str) -> keras.Variable:
        return self.add_weight(
            shape=(len(self.heads),),
            initializer=initializer,
            name=name,
            trainable=False,
            dtype="float32",
            aggregation="only_first_replica",
        )

    def _correction(self, losses: dict[str, Any]) -> Any:
        weights = ops.unstack(ops.convert_to_tensor(self.task_weights), num=len(self.heads))
        return sum((weight - 1) * losses[head] for head, weight in zip(self.heads, weights))

    def train_step(self, data: Any) -> Any:
        """One step of the loss weights, then one of the model with these."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        share = self._share_of_rows(x)
        shared: list[Any] = []

        def call(x: Any, training: bool) -> Any:
            outputs = self._with_shared(x)
            shared.append(outputs["shared"])
            return outputs["predictions"]

        with self._replica_seeds(), tf.GradientTape() as tape:
            with tf.GradientTape(persistent=True) as of_heads:
                y, y_pred, sample_weight = self._gather_batchwise(
                    y, self._forward(x, training=True, call=call), sample_weight
                )
                losses = {
                    name: loss * share
                    for name, loss in self._losses_by_head(y, y_pred, sample_weight).items()
                }
            gradients = [of_heads.gradient(losses[head], shared[0]) for head in self.heads]
            self._balance(
                [losses[head] for head in self.heads],
                [ops.sum(ops.square(ops.cast(one, "float32"))) for one in gradients],
            )
            loss = self._tracked_loss(x, y, y_pred, sample_weight, training=True)
            scaled = self.optimizer.scale_loss(loss * share)
        self._apply_gradients(tape, scaled)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def _balance(self, losses: list[Any], squares: list[Any]) -> None:
        """One step of the loss weights, the same on all replicas.

        Args:
            losses: by head, this replica's part.
            squares: by head, this replica's part of the gradient's squared length.
        """
        parts = tf.stop_gradient(ops.stack([ops.stack(losses), ops.stack(squares)]))
        loss, square = ops.unstack(replicas.summed(parts), num=2)
        lengths = ops.sqrt(square)
        weights = ops.convert_to_tensor(self.task_weights)
        first = ops.convert_to_tensor(self.first_losses)
        first = ops.where(first > 0, first, loss)
        labelled = ops.cast(ops.logical_and(loss > 0, lengths > 0), "float32")
        left = loss / ops.where(first > 0, first, 1.0)
        slowness = left / ops.maximum(_mean(left, labelled), 1e-12)
        pull = weights * lengths
        mean = ops.maximum(_mean(pull, labelled), 1e-12)
        step = self.rate * ops.sign(pull - mean * ops.power(slowness, self.alpha)) * lengths / mean
        weights = ops.maximum(weights - labelled * step, 1e-3)
        self.first_losses.assign(first)
        self.task_weights.assign(weights * len(self.heads) / ops.sum(weights))

    def _settings(self) -> dict[str, Any]:
        return {"heads": list(self.heads), "alpha": self.alpha, "rate": self.rate}


def _given(outputs: Any, **settings: Any) -> list[Any]:
    """Settings that are given, or those of the model that `clone_model` clones.

    Raises:
        TypeError: one is missing.
    """
    cloned = getattr(next(iter(keras.tree.flatten(outputs)), None), _SETTINGS, {})
    found = {name: cloned.get(name) if one is None else one for name, one in settings.items()}
    missing = next((name for name, one in found.items() if one is None), None)
    if missing is not None:
        raise TypeError(f"a model with learned loss weights needs {missing!r}, received none")
    return list(found.values())


def _mean(values: Any, labelled: Any) -> Any:
    """The mean over the heads with a labelled row."""
    return ops.sum(values * labelled) / ops.maximum(ops.sum(labelled), 1.0)
