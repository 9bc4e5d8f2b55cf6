"""Models of several heads whose loss weights are learned: functional Keras models with another
training step.

What they train on is their own weighing; `evaluate`, and so `val_loss`, counts the losses with the
fixed weights that `compile` was given, as these are the same in every epoch.
"""

from functools import partial

import keras
import tensorflow as tf
from keras import ops

from multimodal_tf.config import FUSED, GradNormWeights, UncertaintyWeights
from multimodal_tf.config.heads import with_loss
from multimodal_tf.models.distributed_model import DistributedModel


def model_of(config):
    """What makes the model of a configuration from its inputs, outputs and name:
    `DistributedModel`, or one that learns its loss weights.
    """
    learning = with_loss(config.heads)
    match config.loss_weighting:
        case UncertaintyWeights():
            gaussian = [name for name, head in learning.items() if head.squared_error]
            return partial(
                UncertaintyWeighted,
                weights={name: head.weight for name, head in learning.items()},
                gaussian=gaussian,
            )
        case GradNormWeights():
            return partial(
                GradNormWeighted,
                heads=list(learning),
                alpha=config.loss_weighting.alpha,
                rate=config.loss_weighting.rate,
            )
    return DistributedModel


class _LearnedWeights(DistributedModel):
    """A functional model that multiplies each head's loss, after the fixed weight of `compile`, by
    a factor of its own in training.

    Args:
        inputs, outputs, name: as in a functional `keras.Model`, `outputs` a dict by head.
        weighed: list of the heads that have a loss; `compile` is to be given a dict of a
            `keras.losses.Loss` for each, as of `compile_arguments`.
    """

    def __init__(self, inputs, outputs, name=None, *, weighed, **kwargs):
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)
        self.heads = list(weighed)
        unknown = next((head for head in self.heads if head not in outputs), None)
        if unknown is not None:
            raise ValueError(
                f"{type(self).__name__}: heads must be outputs of the model, {list(outputs)}, received {unknown!r}"
            )

    def _by_head(self, y, y_pred, sample_weight):
        """By head, its loss times its fixed weight; each counts as its share of all replicas' rows,
        as everywhere in Keras.
        """
        self._check_losses()
        # it reads the learning rate too
        with tf.init_scope():
            weights = self.get_compile_config()["loss_weights"] or {}
        rows = sample_weight or {}
        return {
            name: loss(y[name], y_pred[name], rows.get(name)) * weights.get(name, 1.0)
            for name, loss in self.loss.items()
        }

    def _check_losses(self):
        fits = isinstance(self.loss, dict) and all(
            isinstance(one, keras.losses.Loss) for one in self.loss.values()
        )
        if not fits or {*self.loss} != {*self.heads}:
            raise ValueError(
                f"loss: learned weights need a `keras.losses.Loss` for each of {self.heads}, by head, received {self.loss!r}"
            )

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """As in every `keras.Model`; Keras' own also keeps account of the heads' losses."""
        correction = self._correction(self._by_head(y, y_pred, sample_weight)) if training else 0.0
        return super().compute_loss(x, y, y_pred, sample_weight, training) + correction

    def _correction(self, losses):
        """What is to be added to the sum of the losses."""
        raise NotImplementedError


@keras.saving.register_keras_serializable("multimodal_tf")
class UncertaintyWeighted(_LearnedWeights):
    """A model that learns, with its weights, how noisy each head's labels are, and counts the loss
    of noisy ones less.

    With `s` the logarithm of a head's variance, a trainable weight `{name}_log_variance` that
    starts at 0, a loss becomes `exp(-s) loss + s / 2`, a squared error `exp(-s) loss / 2 + s / 2`.
    At its best `s` a head pulls by its relative, not its absolute improvement.

    Args:
        inputs, outputs, name: as in a functional `keras.Model`, `outputs` a dict by head.
        weights: dict of head to float > 0, for the heads that have a loss: a factor of the whole.
        gaussian: list of the heads whose loss is a squared error.

    Raises:
        ValueError: a head is no output.

    Source: Kendall, Gal and Cipolla 2018, arXiv:1705.07115, equations 7 and 10.
    """

    def __init__(self, inputs, outputs, name=None, *, weights, gaussian, **kwargs):
        super().__init__(inputs, outputs, name, weighed=weights, **kwargs)
        self.heads_weights, self.gaussian = dict(weights), list(gaussian)
        self.log_variances = {
            head: self.add_weight(
                shape=(), initializer="zeros", name=f"{head}_log_variance", dtype="float32"
            )
            for head in sorted(weights)
        }

    def _correction(self, losses):
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        total = 0.0
        for head, loss in losses.items():
            log_variance = ops.convert_to_tensor(self.log_variances[head])
            factor = ops.exp(-log_variance) * (0.5 if head in self.gaussian else 1.0)
            total += (factor - 1) * loss + self.heads_weights[head] * log_variance / 2 / replicas
        return total

    def get_config(self):
        return super().get_config() | {
            "weights": dict(self.heads_weights),
            "gaussian": list(self.gaussian),
        }


@keras.saving.register_keras_serializable("multimodal_tf")
class GradNormWeighted(_LearnedWeights):
    """A model that adjusts the loss weights in every step, so that the heads' gradients on the
    vector that they share become equally long, longer for heads whose loss has fallen less than the
    others'.

    A head's weight `w` aims at `|w g| = mean |w g| * r^alpha`, with `g` the gradient of its loss on
    the shared vector and `r` what is left of its first loss, over the mean of all heads. It takes a
    step of `rate` down the absolute difference, which is divided by the mean length, so that no
    unit matters; then the weights are scaled to have mean 1. A head without a labelled row in a
    batch takes no step.

    The paper takes the gradient on the last shared layer's weights. Here it is that on the shared
    vector, the output of the layer `fused`: it costs the heads' backward pass only, and there is
    one also where fusion has no weights.

    Args:
        inputs, outputs, name: as in a functional `keras.Model`, `outputs` a dict by head; there is
            a layer `fused`.
        heads: list of the heads that have a loss.
        alpha: float, 0 or more.
        rate: float > 0.

    Raises:
        ValueError: a head is no output.

    Source: Chen et al. 2018, arXiv:1711.02257, algorithm 1.
    """

    def __init__(self, inputs, outputs, name=None, *, heads, alpha, rate, **kwargs):
        super().__init__(inputs, outputs, name, weighed=heads, **kwargs)
        self.alpha, self.rate = float(alpha), float(rate)
        shape, fixed = (
            (len(self.heads),),
            {"trainable": False, "dtype": "float32", "aggregation": "only_first_replica"},
        )
        self.task_weights = self.add_weight(
            shape=shape, initializer="ones", name="task_weights", **fixed
        )
        self.first_losses = self.add_weight(
            shape=shape, initializer="zeros", name="first_losses", **fixed
        )
        shared = keras.Model(
            self.input, {"shared": self.get_layer(FUSED).output, "answers": self.output}
        )
        # in a function, as an attribute it would be saved a second time
        self._with_shared = lambda x: shared(x, training=True)

    def _correction(self, losses):
        weights = ops.unstack(ops.convert_to_tensor(self.task_weights), num=len(self.heads))
        return sum((weight - 1) * losses[head] for head, weight in zip(self.heads, weights))

    def train_step(self, data):
        """One step: of the weights, then of the model with these."""
        x, y, rows = keras.utils.unpack_x_y_sample_weight(data)
        share, shared = self._share_of_rows(x), []

        def call(x, training):
            found = self._with_shared(x)
            shared.append(found["shared"])
            return found["answers"]

        with self._seeds_of_this_replica(), tf.GradientTape() as tape:
            with tf.GradientTape(persistent=True) as of_heads:
                y, answers, rows = self._all_rows_where_compared(
                    y, self._answer(x, training=True, call=call), rows
                )
                losses = {
                    name: loss * share for name, loss in self._by_head(y, answers, rows).items()
                }
            pulls = [of_heads.gradient(losses[head], shared[0]) for head in self.heads]
            self._balance(
                [losses[head] for head in self.heads],
                [ops.sum(ops.square(ops.cast(pull, "float32"))) for pull in pulls],
            )
            loss = self._counted_loss(x, y, answers, rows, training=True)
            scaled = self.optimizer.scale_loss(loss * share)
        self._apply_gradients(tape, scaled)
        return self.compute_metrics(x, y, answers, sample_weight=rows)

    def _balance(self, losses, squares):
        """One step of the weights, alike on all replicas, each of which brings its part of the
        losses and of the lengths' squares.
        """
        found = tf.stop_gradient(ops.stack([ops.stack(losses), ops.stack(squares)]))
        losses, squares = ops.unstack(
            tf.distribute.get_replica_context().all_reduce("SUM", found), num=2
        )
        lengths = ops.sqrt(squares)
        weights, first = (
            ops.convert_to_tensor(self.task_weights),
            ops.convert_to_tensor(self.first_losses),
        )
        first = ops.where(first > 0, first, losses)
        there = ops.cast(ops.logical_and(losses > 0, lengths > 0), "float32")
        left = losses / ops.where(first > 0, first, 1.0)
        slowness = left / ops.maximum(_mean(left, there), 1e-12)
        pull = weights * lengths
        mean = ops.maximum(_mean(pull, there), 1e-12)
        step = self.rate * ops.sign(pull - mean * ops.power(slowness, self.alpha)) * lengths / mean
        weights = ops.maximum(weights - there * step, 1e-3)
        self.first_losses.assign(first)
        self.task_weights.assign(weights * len(self.heads) / ops.sum(weights))

    def get_config(self):
        return super().get_config() | {
            "heads": list(self.heads),
            "alpha": self.alpha,
            "rate": self.rate,
        }


def _mean(values, there):
    return ops.sum(values * there) / ops.maximum(ops.sum(there), 1.0)
