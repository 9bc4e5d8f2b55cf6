"""`DistributedModel`: a functional Keras model that trains on several replicas of `tf.distribute`
as it does on one device.

Each method mends something of Keras 3.15, and says what. Where Keras does so itself, the method can
go, and with the last one the class.

What is to hold: for a batch of the same rows, however they are spread over replicas, losses,
metrics, gradients and weights are those of one device, within rounding. What differs by its nature
is what is drawn at random, and statistics of a replica's own rows (batch normalisation that is not
synchronised).
"""

import contextlib
import warnings
from typing import Any

import keras
import tensorflow as tf

from multimodal_tf.losses import BatchwiseLoss

# between the seeds of two replicas: far, so that they do not meet
_APART = 0x3C6EF372


@keras.saving.register_keras_serializable("multimodal_tf")
class DistributedModel(keras.Model):
    """A functional `keras.Model`; for several replicas build and compile it inside the strategy's
    scope.

    Args:
        inputs, outputs, name: as in every functional `keras.Model`.

    Example:
        >>> x = keras.Input((2,))
        >>> model = DistributedModel(x, keras.layers.Dense(1)(x))
        >>> model.compile("sgd", "mse")
        >>> list(model.fit(tf.ones((4, 2)), tf.ones((4, 1)), verbose=0).history)
        ['loss']
    """

    # --- one step on one replica's rows

    def train_step(self, data):
        """As Keras' own, and what the methods below mend."""
        x, y, rows_weights = keras.utils.unpack_x_y_sample_weight(data)
        share = self._share_of_rows(x)
        with self._seeds_of_this_replica(), tf.GradientTape() as tape:
            y, answers, rows_weights = self._all_rows_where_compared(
                y, self._answer(x, training=True), rows_weights
            )
            loss = self._counted_loss(x, y, answers, rows_weights, training=True)
            scaled = self.optimizer.scale_loss(loss * share)
        self._apply_gradients(tape, scaled)
        return self.compute_metrics(x, y, answers, sample_weight=rows_weights)

    def test_step(self, data):
        """As Keras' own, and what the methods below mend."""
        x, y, rows_weights = keras.utils.unpack_x_y_sample_weight(data)
        y, answers, rows_weights = self._all_rows_where_compared(
            y, self._answer(x, training=False), rows_weights
        )
        self._counted_loss(x, y, answers, rows_weights, training=False)
        return self.compute_metrics(x, y, answers, sample_weight=rows_weights)

    def predict_step(self, data):
        """As Keras' own, but for a replica without rows."""
        return self._answer(keras.utils.unpack_x_y_sample_weight(data)[0], training=False)

    def _answer(self, x, training, call=None):
        """What the model, or `call`, answers, also of no rows: a last batch may have fewer than
        there are replicas.

        TensorFlow's convolutions fail on no rows, so the model is given one of zeros, whose answer
        is left out.
        """
        call = self if call is None else call
        if _replicas() == 1:
            return call(x, training=training)
        rows = _rows(x)
        nobody = tf.cast(rows == 0, tf.int32)
        filled = tf.nest.map_structure(
            lambda part: tf.concat([part, tf.zeros([nobody, *part.shape[1:]], part.dtype)], 0), x
        )
        return tf.nest.map_structure(lambda part: part[:rows], call(filled, training=training))

    def _share_of_rows(self, x):
        """By what a replica's loss counts: its share of all replicas' rows, times their number.

        Keras averages the replicas' mean losses, as if all had equally many rows; the last batch of
        an epoch need not be so.
        """
        if _replicas() == 1:
            return 1.0
        rows = tf.cast(_rows(x), tf.float32)
        return rows * _replicas() / tf.maximum(_sum_over_replicas(rows), 1.0)

    def _counted_loss(self, x, y, answers, rows_weights, training):
        """`compute_loss`, and its account in the metrics: `loss`, and in models of several heads
        `{head}_loss`.

        In Keras' account of a head's loss all batches count alike, however few rows they have.
        """
        rows = tf.cast(_rows(x), tf.float32)
        before = {
            metric: (tf.identity(metric.total), tf.identity(metric.count))
            for metric in self._heads_losses()
        }
        for metric in before:
            metric.reset_state()
        loss = self.compute_loss(x, y, answers, rows_weights, training=training)
        # Keras makes them in the first call
        for metric in self._heads_losses():
            total, count = before.get(metric, (0.0, 0.0))
            metric.total.assign(total + metric.result() * rows)
            metric.count.assign(count + rows)
        self._loss_tracker.update_state(loss * _replicas(), sample_weight=rows)
        return loss

    def _heads_losses(self):
        return [] if self._compile_loss is None else self._compile_loss.metrics

    def _all_rows_where_compared(self, y, answers, rows_weights):
        """Targets, answers and weights, those of all replicas' rows for a head whose loss compares
        rows: `losses.BatchwiseLoss`.

        Otherwise a replica would see the mismatched pairs of its own rows only. Gradients flow back
        to the replicas that the rows are of.
        """
        heads = (
            [name for name, loss in self.loss.items() if isinstance(loss, BatchwiseLoss)]
            if isinstance(self.loss, dict)
            else []
        )
        if _replicas() == 1 or not heads:
            return y, answers, rows_weights
        whole = [y, answers] if rows_weights is None else [y, answers, rows_weights]
        found = _of_all_replicas([{name: part[name] for name in heads} for part in whole])
        whole = [part | compared for part, compared in zip(whole, found)]
        return *whole, *([None] if rows_weights is None else [])

    @contextlib.contextmanager
    def _seeds_of_this_replica(self):
        """Within the block, whatever is drawn at random, such as dropout, differs between replicas.

        All replicas' seed generators have the same state, and so Keras draws the same for each.
        They have it again after the block: a checkpoint holds one state for all.
        """
        if _replicas() == 1:
            yield
            return
        states = [
            weight for weight in self.variables if weight.path.endswith("seed_generator_state")
        ]
        number = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
        for state in states:
            state.assign(state + tf.stack([number * _APART, 0]))
        yield
        for state in states:
            state.assign(state - tf.stack([number * _APART, 0]))

    def _apply_gradients(self, tape, loss):
        """One step of the optimizer down the gradients of the scaled loss.

        Keras clips each replica's gradient before it sums them, and under float16 judges by each
        replica's alone whether all are finite: where it matters they are summed and clipped here.
        (Keras then sums once more, as many times the same.) And Keras takes the norm of an
        embedding's gradient before the rows of the same word are added up.
        """
        weights = self.trainable_weights
        if not weights:
            warnings.warn("The model has no trainable weights.", stacklevel=2)
            return
        gradients = tape.gradient(loss, weights)
        inner = _inner(self.optimizer)
        clips = inner.clipnorm or inner.global_clipnorm or inner.clipvalue
        if clips:
            gradients = [
                None if gradient is None else tf.convert_to_tensor(gradient)
                for gradient in gradients
            ]
        if _replicas() > 1 and (clips or inner is not self.optimizer):
            there = [place for place, gradient in enumerate(gradients) if gradient is not None]
            scale = self.optimizer.scale_loss(1.0)
            summed = [
                gradient / scale
                for gradient in _sum_over_replicas([gradients[place] for place in there])
            ]
            for place, gradient in zip(there, inner._clip_gradients(summed)):
                gradients[place] = gradient * scale / _replicas()
        self.optimizer.apply_gradients(zip(gradients, weights))

    # --- Keras' loop around the steps

    def predict_on_batch(self, x):
        """As Keras' own, but that each row is answered once: Keras gives all rows to every replica,
        and puts their answers together.
        """
        answers = super().predict_on_batch(x)
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return answers
        rows = len(keras.tree.flatten(x)[0])
        return keras.tree.map_structure(lambda part: part[:rows], answers)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Builds metrics and optimizer from what the data set says of its elements.

        Keras draws a batch for it: it averages that over replicas, which fails on several workers;
        and an epoch of the data is begun that nobody trains on.
        """
        if iterator is not None and self._distribute_strategy is not None:
            spec = iterator._distributed_dataset.element_spec
            data_batch = keras.tree.map_structure(
                lambda part: getattr(part, "_value_specs", [part])[0], spec
            )
        super()._maybe_symbolic_build(data_batch=data_batch)

    def make_train_function(self, force=False):
        """As Keras' own, but that it refuses what would fail in the midst of tracing a step."""
        if self.distribute_strategy.num_replicas_in_sync > 1:
            inner = _inner(self.optimizer)
            if inner.gradient_accumulation_steps:
                raise ValueError(
                    "gradient_accumulation_steps: Keras cannot accumulate gradients over several replicas, received "
                    f"{inner.gradient_accumulation_steps}: take a larger batch, which the replicas share, or one device"
                )
            if self.jit_compile:
                raise ValueError(
                    "jit_compile must be False over several replicas, which TensorFlow cannot compile, received True"
                )
        super().make_train_function(force)

    def _make_function(self, step_function):
        """From a data iterator to the figures of `steps_per_execution` steps.

        Keras averages figures over workers along their first axis, but they are scalars. It makes a
        graph function of one step within the loop over several, where TensorFlow's collective
        operations do not get their keys. And where it does not know that the data have
        ended, a last step without data still changes what does not depend on them: seeds, the
        optimizer's count of steps.
        """
        strategy = self.distribute_strategy
        if strategy.num_replicas_in_sync == 1:
            return super()._make_function(step_function)
        names: list[str] = []

        def on_replica(data):
            figures = step_function(data)
            names[:] = figures
            # one reduction for all
            return tf.stack([tf.cast(figure, tf.float32) for figure in figures.values()])

        def step(data):
            return strategy.reduce("MEAN", strategy.run(on_replica, args=(data,)), axis=None)

        def steps(iterator):
            data = iterator.get_next_as_optional()
            there = data.has_value()
            found = tf.cond(there, lambda: step(data.get_value()), lambda: tf.zeros([len(names)]))

            def further(number, found):
                data = iterator.get_next_as_optional()
                return number + 1, tf.cond(
                    data.has_value(), lambda: step(data.get_value()), lambda: found
                )

            if self.steps_per_execution > 1:
                found = tf.while_loop(
                    lambda number, found: number < self.steps_per_execution, further, (1, found)
                )[1]
            return there, found

        run_step, run_steps = step, steps
        if not self.run_eagerly:
            run_step, run_steps = (
                tf.function(part, reduce_retracing=True, autograph=False) for part in (step, steps)
            )

        def figures(iterator):
            if isinstance(iterator, tf.data.Iterator | tf.distribute.DistributedIterator):
                there, found = run_steps(iterator)
                if not there:
                    raise StopIteration
            else:
                # of `train_on_batch`
                found = run_step(next(iterator))
            return dict(zip(names, tf.unstack(found, num=len(names))))

        return figures


def _replicas():
    return tf.distribute.get_strategy().num_replicas_in_sync


def _sum_over_replicas(tensors):
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)


def _of_all_replicas(tensors):
    """The rows of all replicas, in their order, with gradients: a sum of what each has, between
    zeros.
    """
    context, rows = tf.distribute.get_replica_context(), _rows(tensors)
    number = tf.cast(context.replica_id_in_sync_group, tf.int32)
    counts = _sum_over_replicas(tf.one_hot(number, _replicas(), on_value=rows, off_value=0))
    before = tf.reduce_sum(counts[:number])
    ends = [[before, tf.reduce_sum(counts) - before - rows]]
    return _sum_over_replicas(
        tf.nest.map_structure(
            lambda part: tf.pad(part, ends + [[0, 0]] * (len(part.shape) - 1)), tensors
        )
    )


def _inner(optimizer) -> Any:
    """The optimizer itself, also within the one that scales the loss for float16."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _rows(x):
    return tf.shape(tf.nest.flatten(x)[0])[0]
