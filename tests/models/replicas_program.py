"""Models on two replicas in one process.

Run by `test_distributed_model_replicas`. It writes `found.json`, metrics by
name, and `found.npz`, weights and predictions by name, into the folder that it is given.
"""

import contextlib
import json
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf
from distributed_models import (
    difference,
    fails,
    line,
    moved,
    share,
    single_steps,
    small,
    stepped_share,
    trained,
    without,
)

from multimodal_tf.models.distributed_model import DistributedModel
from multimodal_tf.models.presence import PresentBatchNormalization
from multimodal_tf.training import distribute


def replicas(out):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = distribute.strategy_of("mirrored")
    two_metrics, two = trained(
        strategy.scope(),
        distribute.distribute_dataset(strategy, share),
        steps_per_execution=3,
    )
    stepped = distribute.distribute_dataset(strategy, stepped_share)
    history, after = single_steps(strategy.scope(), stepped)
    two |= after
    metrics = {
        "two replicas": two_metrics | {"single steps": history},
        "replicas": strategy.num_replicas_in_sync,
    }
    for check in (
        clipping,
        uneven_rows,
        masks,
        several_steps,
        epochs_begun,
        rows_answered,
        overflow,
        normalisation,
        refusals,
    ):
        metrics[check.__name__] = check(strategy)
    out.with_suffix(".json").write_text(json.dumps(metrics))
    np.savez(out.with_suffix(".npz"), **two)


def clipping(strategy):
    """How far the weights of two replicas are from those of one device, by class."""

    def clipped():
        return keras.optimizers.SGD(0.1, global_clipnorm=0.5)

    expected = moved(
        small(contextlib.nullcontext(), optimizer=clipped),
        line(8),
    )
    makes = {"mended": DistributedModel, "Keras": without("_apply_gradients")}
    return {
        name: difference(
            expected,
            moved(
                small(strategy.scope(), make, clipped),
                line(8),
            ),
        )
        for name, make in makes.items()
    }


def uneven_rows(strategy):
    """As `clipping`, with a last batch of three rows."""
    expected = moved(small(contextlib.nullcontext()), line(7))
    makes = {"mended": DistributedModel, "Keras": without("_share_of_rows")}
    return {
        name: difference(
            expected,
            moved(small(strategy.scope(), make), line(7)),
        )
        for name, make in makes.items()
    }


def masks(strategy):
    """Whether two replicas drop the same units, by class; and the states of the seeds."""
    found = {}
    for name, make in {
        "mended": DistributedModel,
        "Keras": without("_replica_seeds"),
    }.items():
        model = small(strategy.scope(), make, layers=[lambda: keras.layers.Dropout(0.5, seed=3)])

        @tf.function
        def dropped(model=model):
            def on_replica():
                with model._replica_seeds():
                    return model.layers[1](tf.ones((1, 64)), training=True)

            return strategy.experimental_local_results(strategy.run(on_replica))

        one, other = (part.numpy() for part in dropped())
        states = [
            state.numpy().tolist()
            for state in strategy.experimental_local_results(
                model.layers[1].seed_generator.state.value
            )
        ]
        found[name] = {
            "same": bool((one == other).all()),
            "kept": float((one > 0).mean()),
            "states": states,
        }
    return found


def several_steps(strategy):
    """The error of several steps in one graph, as Keras has it."""
    return fails(
        lambda: moved(
            small(
                strategy.scope(),
                without("_make_function"),
                steps_per_execution=2,
            ),
            line(8),
        )
    )


def epochs_begun(strategy):
    """How often the data are iterated in one epoch."""
    found = {}
    for name, make in {
        "mended": DistributedModel,
        "Keras": without("_maybe_symbolic_build"),
    }.items():
        begun = []

        def rows(begun=begun):
            begun.append(1)
            yield from [(np.ones((4, 2), "float32"), np.ones((4, 1), "float32"))] * 2

        spec = (tf.TensorSpec((None, 2)), tf.TensorSpec((None, 1)))
        moved(
            small(strategy.scope(), make),
            tf.data.Dataset.from_generator(rows, output_signature=spec),
        )
        found[name] = len(begun)
    return found


def rows_answered(strategy):
    """How many predictions one batch of five rows gets."""
    makes = {"mended": DistributedModel, "Keras": without("predict_on_batch")}
    return {
        name: len(small(strategy.scope(), make).predict_on_batch(np.ones((5, 2), "float32")))
        for name, make in makes.items()
    }


def overflow(strategy):
    """Whether weights stay finite where float16 overflows on the second replica only."""
    x = np.array([[1, 1], [1, 1], [6e4, 6e4], [6e4, 6e4]], "float32")
    data = tf.data.Dataset.from_tensors((x, np.ones((4, 1), "float32")))
    keras.config.set_dtype_policy("mixed_float16")
    try:
        makes = {
            "mended": DistributedModel,
            "Keras": without("_apply_gradients"),
        }
        return {
            name: bool(np.isfinite(moved(small(strategy.scope(), make), data)).all())
            for name, make in makes.items()
        }
    finally:
        keras.config.set_dtype_policy("float32")


class WherePresent(keras.layers.Layer):
    """Our batch normalisation, over some of the rows: unequally many on the two replicas."""

    def __init__(self):
        super().__init__()
        self.normalisation = PresentBatchNormalization(momentum=0.5)

    def call(self, x, training=None):
        return self.normalisation(
            x, keras.ops.cast(keras.ops.abs(x[:, 0] - 0.2) > 0.05, "float32"), training=training
        )


def normalisation(strategy):
    """As `clipping`, with batch normalisation, Keras' and ours, synchronised and not."""
    found = {}
    for kind, layer in {
        "Keras": lambda: keras.layers.BatchNormalization(momentum=0.5),
        "ours": WherePresent,
    }.items():
        expected = moved(
            small(contextlib.nullcontext(), layers=[layer]),
            line(8),
        )
        for name, change in {
            "synchronised": distribute.synchronize_batch_normalization,
            "own": lambda model: None,
        }.items():
            model = small(strategy.scope(), layers=[layer])
            change(model)
            found[f"{kind}, {name}"] = difference(expected, moved(model, line(8)))
    return found


def refusals(strategy):
    def accumulating():
        return keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)

    return {
        "accumulation": fails(
            lambda: moved(
                small(strategy.scope(), optimizer=accumulating),
                line(8),
            )
        ),
        "jit": fails(
            lambda: moved(
                small(strategy.scope(), jit_compile=True),
                line(8),
            )
        ),
        "batch": fails(lambda: distribute.check_batch_size(strategy, 7)),
    }


if __name__ == "__main__":
    replicas(pathlib.Path(sys.argv[1]) / "found")
