"""`DistributedModel`: a functional Keras model that trains on several `tf.distribute` replicas.

Each method works around a fault of Keras 3.15, which its docstring names. Once Keras fixes it, the
method can go, and with the last one the class.

The invariant: for a batch of the same rows, however they are split over replicas, losses, metrics,
gradients and weights equal those of one device, within rounding. Exceptions are random numbers, and
statistics over a replica's own rows (batch normalisation that is not synchronised).
"""

import contextlib
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import keras
import tensorflow as tf

from multimodal_tf.losses import BatchwiseLoss
from multimodal_tf.models import intermediate_outputs, replicas
from multimodal_tf.models.counted_rows import per_counted_row
from multimodal_tf.models.generating import GeneratingModel
from multimodal_tf.models.intermediate_outputs import Outputs
from multimodal_tf.models.momentum import MomentumEncoder

# offset between the seeds of two replicas: large, so that their sequences do not overlap
_SEED_OFFSET = 0x3C6EF372


@keras.saving.register_keras_serializable("multimodal_tf")
class DistributedModel(GeneratingModel):
    """A functional `keras.Model`, for one or several replicas.

    For several replicas build and compile it inside the strategy's scope.

    Args:
        inputs, outputs, name: as in every functional `keras.Model`.

    Example:
        >>> x = keras.Input((2,))
        >>> model = DistributedModel(x, keras.layers.Dense(1)(x))
        >>> model.compile("sgd", "mse")
        >>> list(model.fit(tf.ones((4, 2)), tf.ones((4, 1)), verbose=0).history)
        ['loss']
    """

    # as `intermediate_outputs.locate` describes them; not a dict, which Keras would track
    _explanations: Mapping[str, Any] = types.MappingProxyType({})

    # what `build_model` made it of
    built_from: str | None = None

    # --- explanations

    def keep_explanations(self, outputs: Outputs) -> None:
        """Keeps tensors that explain the predictions, also when the model is saved.

        Args:
            outputs: as `intermediate_outputs.locate` takes.
        """
        self._explanations = types.MappingProxyType(intermediate_outputs.locate(self, outputs))

    def explanations(self) -> dict[str, keras.KerasTensor]:
        """The tensors that explain the predictions, by name; see `models.build.explanations`."""
        return intermediate_outputs.tensors(self, self._explanations)

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        return config | ({"explanations": dict(self._explanations)} if self._explanations else {})

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Self:
        functional = {key: value for key, value in config.items() if key != "explanations"}
        model: Self = super().from_config(functional, custom_objects)
        model._explanations = types.MappingProxyType(config.get("explanations", {}))
        return model

    # --- one step on the rows of one replica

    def train_step(self, data: Any) -> Any:
        """As in Keras, with the corrections of the methods below."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        share = self._share_of_rows(x)
        self._follow()
        with self._replica_seeds(), tf.GradientTape() as tape:
            y, y_pred, sample_weight = self._gather_batchwise(
                y, self._forward(x, training=True), sample_weight
            )
            loss = self._tracked_loss(x, y, y_pred, sample_weight, training=True)
            scaled = self.optimizer.scale_loss(loss * share)
        self._apply_gradients(tape, scaled)
        for name in self._queues():
            self.get_layer(name).enqueue(y[name], y_pred[name])
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def test_step(self, data: Any) -> Any:
        """As in Keras, with the corrections of the methods below."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y, y_pred, sample_weight = self._gather_batchwise(
            y, self._forward(x, training=False), sample_weight
        )
        self._tracked_loss(x, y, y_pred, sample_weight, training=False)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def predict_step(self, data: Any) -> Any:
        """As in Keras, but also for a replica without rows."""
        return self._forward(keras.utils.unpack_x_y_sample_weight(data)[0], training=False)

    def _forward(self, x: Any, training: bool, call: Callable[..., Any] | None = None) -> Any:
        """The output of the model, or of `call`, also for no rows.

        A last batch may have fewer rows than there are replicas, and TensorFlow's convolutions fail
        on no rows. The model then gets one row of zeros, whose output is dropped.
        """
        call = self.outputs_of if call is None else call
        if replicas.count() == 1:
            return call(x, training=training)
        rows = replicas.rows_of(x)
        padding = tf.cast(rows == 0, tf.int32)
        padded = tf.nest.map_structure(
            lambda one: tf.concat([one, tf.zeros([padding, *one.shape[1:]], one.dtype)], 0), x
        )
        return tf.nest.map_structure(lambda one: one[:rows], call(padded, training=training))

    def _share_of_rows(self, x: Any) -> Any:
        """Factor of a replica's loss: its share of the rows of all replicas, times their number.

        Keras averages the mean losses of the replicas as if all had the same number of rows. In the
        last batch of an epoch they may not.
        """
        if replicas.count() == 1:
            return 1.0
        rows = tf.cast(replicas.rows_of(x), tf.float32)
        return rows * replicas.count() / tf.maximum(replicas.summed(rows), 1.0)

    def _tracked_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> Any:
        """`compute_loss`, tracked in the metrics `loss` and, with several heads, `{head}_loss`.

        Keras' mean of a head's loss gives every batch the same weight, however few rows it has, and
        counts rows that teach nothing.
        """
        sample_weight, shares = per_counted_row(self.loss, y, y_pred, sample_weight)
        rows = tf.cast(replicas.rows_of(x), tf.float32)
        before = {
            metric: (tf.identity(metric.total), tf.identity(metric.count))
            for metric in self._head_losses()
        }
        for metric in before:
            metric.reset_state()
        loss = self.compute_loss(x, y, y_pred, sample_weight, training=training)
        # Keras creates them in the first call
        for metric in self._head_losses():
            total, count = before.get(metric, (0.0, 0.0))
            counted = rows * shares.get(metric.name.removesuffix("_loss"), 1.0)
            metric.total.assign(total + metric.result() * counted)
            metric.count.assign(count + counted)
        alone = next(iter(shares.values())) if shares and len(self.loss) == 1 else 1.0
        self._loss_tracker.update_state(loss * replicas.count(), sample_weight=rows * alone)
        return loss

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """As in Keras; heads with a queue compare their rows with those in it, too."""
        y, y_pred = self._with_queues(y, y_pred)
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def _head_losses(self) -> list[Any]:
        return [] if self._compile_loss is None else self._compile_loss.metrics

    def _queues(self) -> list[str]:
        """The heads that also compare a batch with the rows of batches before."""
        losses = self.loss if isinstance(self.loss, dict) else {}
        return [name for name, loss in losses.items() if getattr(loss, "queue", 0)]

    def _follow(self) -> None:
        """Moves the weights of copies that follow others."""
        for layer in self.layers:
            if isinstance(layer, MomentumEncoder):
                layer.follow(self)

    def _with_queues(self, y: Any, y_pred: Any) -> tuple[Any, Any]:
        """Targets and predictions; of a head with a queue those of its rows behind the batch's."""
        for name in self._queues():
            rows = self.get_layer(name).with_queue(y[name], y_pred[name])
            y, y_pred = y | {name: rows[0]}, y_pred | {name: rows[1]}
        return y, y_pred

    def _gather_batchwise(self, y: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        """Targets, predictions and weights; of all replicas for a head with a `BatchwiseLoss`.

        Otherwise a replica would compare its own rows only. Gradients flow back to the replicas
        that the rows come from.
        """
        heads: list[str] = []
        if isinstance(self.loss, dict):
            heads = [name for name, loss in self.loss.items() if isinstance(loss, BatchwiseLoss)]
        if replicas.count() == 1 or not heads:
            return y, y_pred, sample_weight
        own = [one for one in (y, y_pred, sample_weight) if one is not None]
        gathered = replicas.gathered([{name: one[name] for name in heads} for one in own])
        y, y_pred, *weights = [one | every for one, every in zip(own, gathered)]
        return y, y_pred, weights[0] if weights else None

    @contextlib.contextmanager
    def _replica_seeds(self) -> Iterator[None]:
        """Within the block, random numbers such as dropout masks differ between replicas.

        The seed generators of all replicas have the same state, and so Keras draws the same for
        each. They have it again after the block: a checkpoint holds one state for all.
        """
        if replicas.count() == 1:
            yield
            return
        states = [one for one in self.variables if one.path.endswith("seed_generator_state")]
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
        for state in states:
            state.assign(state + tf.stack([replica * _SEED_OFFSET, 0]))
        yield
        for state in states:
            state.assign(state - tf.stack([replica * _SEED_OFFSET, 0]))

    def _apply_gradients(self, tape: tf.GradientTape, loss: Any) -> None:
        """One step of the optimizer down the gradients of the scaled loss.

        Keras clips each replica's gradient before it sums them, and under float16 checks each
        replica's gradient alone for overflow. Where that matters, gradients are summed and clipped
        here; Keras then sums them again, divided by the number of replicas. Keras also takes the
        norm of an embedding's gradient before the rows of the same word are added up.
        """
        weights = self.trainable_weights
        if not weights:
            warnings.warn("The model has no trainable weights.", stacklevel=2)
            return
        gradients = tape.gradient(loss, weights)
        inner = _inner(self.optimizer)
        clips = inner.clipnorm or inner.global_clipnorm or inner.clipvalue
        if clips:
            gradients = [None if one is None else tf.convert_to_tensor(one) for one in gradients]
        if replicas.count() > 1 and (clips or inner is not self.optimizer):
            known = [index for index, one in enumerate(gradients) if one is not None]
            scale = self.optimizer.scale_loss(1.0)
            summed = replicas.summed([gradients[index] for index in known])
            clipped = inner._clip_gradients([one / scale for one in summed])
            for index, gradient in zip(known, clipped):
                gradients[index] = gradient * scale / replicas.count()
        self.optimizer.apply_gradients(zip(gradients, weights))

    # --- Keras' loop around the steps

    def predict_on_batch(self, x: Any) -> Any:
        """As in Keras, but each row is predicted once.

        Keras gives all rows to every replica, and concatenates their predictions.
        """
        y_pred = super().predict_on_batch(x)
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return y_pred
        rows = len(keras.tree.flatten(x)[0])
        return keras.tree.map_structure(lambda one: one[:rows], y_pred)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Creates the variables of losses, metrics and optimizer before a step is traced.

        On one device Keras leaves them to the step, and TensorFlow then traces it twice. On several
        it draws a batch for them and averages that over replicas, which fails on several workers,
        and it starts an epoch of the data that nothing trains on.
        """
        if iterator is not None:
            data_batch = iterator._distributed_dataset.element_spec
        y = keras.tree.map_structure(_symbolic, keras.utils.unpack_x_y_sample_weight(data_batch)[1])
        with self.distribute_strategy.scope():
            for one in (self._compile_metrics, self._compile_loss):
                if not (y is None or one is None or one.built):
                    one.build(y, self.output)
            if self.optimizer is not None and not self.optimizer.built:
                self.optimizer.build(self.trainable_variables)

    def make_train_function(self, force: bool = False) -> Any:
        """As in Keras, but refuses settings that would fail while a step is traced."""
        if self.distribute_strategy.num_replicas_in_sync > 1:
            inner = _inner(self.optimizer)
            if inner.gradient_accumulation_steps:
                raise ValueError(
                    "gradient_accumulation_steps: Keras cannot accumulate gradients over several "
                    f"replicas, received {inner.gradient_accumulation_steps}: take a larger batch, "
                    "which the replicas share, or one device"
                )
            if self.jit_compile:
                raise ValueError(
                    "jit_compile must be False over several replicas, which TensorFlow cannot "
                    "compile, received True"
                )
        return super().make_train_function(force)

    def _make_function(self, step_function: Callable[[Any], dict[str, Any]]) -> Any:
        """A function from a data iterator to the metrics of `steps_per_execution` steps.

        Keras averages metrics over workers along their first axis, but they are scalars. It makes a
        graph function of one step within the loop over several, where TensorFlow's collective
        operations do not get their keys. Where it does not know that the data have ended, a last
        step without data still changes what does not depend on them: seeds, the optimizer's count
        of steps.
        """
        strategy = self.distribute_strategy
        if strategy.num_replicas_in_sync == 1:
            return super()._make_function(step_function)
        names: list[str] = []

        def on_replica(data: Any) -> Any:
            metrics = step_function(data)
            names[:] = metrics
            # one reduction for all
            return tf.stack([tf.cast(metric, tf.float32) for metric in metrics.values()])

        def step(data: Any) -> Any:
            return strategy.reduce("MEAN", strategy.run(on_replica, args=(data,)), axis=None)

        steps = _loop(step, self.steps_per_execution)
        run_step: Callable[..., Any] = step
        if not self.run_eagerly:
            run_step, steps = (
                tf.function(one, reduce_retracing=True, autograph=False) for one in (step, steps)
            )

        def metrics(iterator: Any) -> dict[str, Any]:
            if isinstance(iterator, tf.data.Iterator | tf.distribute.DistributedIterator):
                has_data, values = steps(iterator)
                if not has_data:
                    raise StopIteration
            else:
                # from `train_on_batch`
                values = run_step(next(iterator))
            return dict(zip(names, tf.unstack(values, num=len(names))))

        return metrics


def _loop(step: Callable[[Any], Any], count: int) -> Callable[[Any], Any]:
    """A function from a data iterator to whether there were data, and the last of `count` steps."""

    def steps(iterator: Any) -> Any:
        def one(number: Any, has_data: Any, values: Any) -> Any:
            data = iterator.get_next_as_optional()
            has_value = data.has_value()
            values = tf.cond(has_value, lambda: step(data.get_value()), lambda: values)
            return number + 1, tf.logical_or(has_data, has_value), values

        # the step is traced once, which is when it is known how many values it has
        state = (tf.constant(0), tf.constant(False), tf.zeros([0]))
        if count == 1:
            return one(*state)[1:]
        shapes = (tf.TensorShape([]), tf.TensorShape([]), tf.TensorShape([None]))
        return tf.while_loop(lambda number, *_: number < count, one, state, shapes)[1:]

    return steps


def _symbolic(one: Any) -> Any:
    """A symbolic tensor like an array, or like what an element specification says of one."""
    # of the first replica
    one = getattr(one, "_value_specs", [one])[0]
    # Keras' form of a missing tensor
    if one is None or isinstance(one, tf.OptionalSpec):
        return None
    return keras.KerasTensor(one.shape, keras.backend.standardize_dtype(one.dtype))


def _inner(optimizer: Any) -> Any:
    """The optimizer itself, also within the one that scales the loss for float16."""
    return getattr(optimizer, "inner_optimizer", optimizer)
