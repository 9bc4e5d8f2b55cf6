"""Shared by tests of distributed training, and run in processes of their own.

A second strategy can corrupt a process.

    python tests/distribute_case.py replicas OUT     # one device and two replicas in one process
    python tests/distribute_case.py worker OUT       # one of two workers; `TF_CONFIG` says which

Each writes its results: `OUT.json`, metrics by name, and `OUT.npz`, weights and predictions by
name.
"""

import contextlib
import json
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import contract  # noqa: E402
import small_table  # noqa: E402

from multimodal_tf.config import (
    CategoryInput,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    ConvTower,
    ImageInput,
    MatchingHead,
    MultiLabelHead,
    NumberInput,
    RegressionHead,
)
from multimodal_tf.data.pipeline import load_split  # noqa: E402
from multimodal_tf.models import build_model, compile_arguments  # noqa: E402
from multimodal_tf.models.distributed_model import DistributedModel  # noqa: E402
from multimodal_tf.models.presence import PresentBatchNormalization  # noqa: E402
from multimodal_tf.schema import Schema  # noqa: E402
from multimodal_tf.training import distribute  # noqa: E402

CONFIG = Config(
    inputs={
        "photo": ImageInput(
            height=8, width=8, tower=ConvTower(filters=[3], dropout=0, batch_normalization=False)
        ),
        "size": NumberInput(),
        "colour": CategoryInput(),
    },
    heads={
        "zone": ClassificationHead(),
        "cost": RegressionHead(weight=0.5),
        "tags": MultiLabelHead(),
        "pair": MatchingHead(inputs=["photo", "size"]),
    },
    fusion=ConcatenationFusion(hidden=[6], dropout=0),
)
# the last batch has one row: a replica of two has none
ROWS, BATCH = 25, 8


def batches(rows=ROWS):
    """Batches in which inputs and labels are missing and rows weigh unequally."""
    random = np.random.default_rng(1)
    inputs, targets = contract.rows_of(CONFIG, rows), contract.targets_of(CONFIG, rows)
    for name in CONFIG.inputs:
        inputs = contract.without(inputs, name, random.random(rows) < 0.2, value=0)
    weights = {
        name: ((random.random(rows) < 0.7) * random.choice([1.0, 2.5], rows)).astype("float32")
        for name in CONFIG.heads
    }
    weights["pair"] = np.ones(rows, "float32")
    return tf.data.Dataset.from_tensor_slices((inputs, targets, weights)).batch(BATCH)


def share(worker):
    """A worker's rows of each batch, as `load_split` gives them."""
    number, workers = worker

    def cut(*batch):
        size = tf.shape(batch[1]["zone"])[0]
        return tf.nest.map_structure(
            lambda part: part[number * size // workers : (number + 1) * size // workers], batch
        )

    return batches().map(cut)


def optimizer():
    return keras.optimizers.AdamW(0.01, weight_decay=0.01, global_clipnorm=0.5)


def trained(scope, data, **options):
    """Trains a model of several heads: `(metrics, arrays)`."""
    with scope:
        model = build_model(CONFIG, contract.schema_of(CONFIG))
        model.compile(
            optimizer(), **options, **compile_arguments(CONFIG, contract.schema_of(CONFIG))
        )
    history = model.fit(data, epochs=2, shuffle=False, verbose=0, validation_data=data).history
    evaluated = model.evaluate(data, verbose=0, return_dict=True)
    arrays = {weight.path: weight.numpy() for weight in model.weights} | {
        "prediction " + k: v for k, v in model.predict(data, verbose=0).items()
    }
    return {
        "history": history,
        "evaluated": evaluated,
        "steps": int(model.optimizer.iterations.numpy()),
    }, arrays


def small(scope, make=DistributedModel, optimizer=None, layers=(), **options):
    """A model of one linear layer, of the class that is tested."""
    with scope:
        x = keras.Input((2,), name="x")
        y = x
        for layer in layers:
            y = layer()(y)
        model = make(x, keras.layers.Dense(1, kernel_initializer="ones")(y))
        model.compile(
            keras.optimizers.SGD(0.1) if optimizer is None else optimizer(), "mse", **options
        )
    return model


def line(rows, batch=4):
    """Rows that rise, so that halves of a batch differ."""
    x = np.stack([np.arange(rows), np.ones(rows)], 1).astype("float32") / 10
    return tf.data.Dataset.from_tensor_slices(
        (x, np.arange(rows, dtype="float32")[:, None] % 5)
    ).batch(batch)


def moved(model, data):
    model.fit(data, epochs=1, shuffle=False, verbose=0)
    return [float(number) for weight in model.get_weights() for number in weight.ravel()]


def difference(ones, others):
    return float(max(np.abs(np.subtract(one, other)).max() for one, other in zip(ones, others)))


def fails(call):
    """The message of an exception; None if there is none."""
    try:
        call()
    except Exception as error:  # noqa: BLE001  any failure of Keras or TensorFlow counts
        return f"{type(error).__name__}: {error}"
    return None


def without(*mends):
    """The model as Keras has it, in these methods."""
    plain = {name: getattr(keras.Model, name) for name in mends if hasattr(keras.Model, name)}
    return type(
        "Without",
        (DistributedModel,),
        plain | {name: _AS_KERAS[name] for name in mends if name in _AS_KERAS},
    )


def _apply_as_keras(self, tape, loss):
    self.optimizer.apply_gradients(
        zip(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
    )


_AS_KERAS = {
    "_apply_gradients": _apply_as_keras,
    "_share_of_rows": lambda self, x: 1.0,
    "_forward": lambda self, x, training: self(x, training=training),
    "_replica_seeds": lambda self: contextlib.nullcontext(),
}


# --- one device and two replicas


def replicas(out):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy, none = distribute.strategy_of("mirrored"), contextlib.nullcontext
    one_metrics, one = trained(none(), batches())
    two_metrics, two = trained(
        strategy.scope(), distribute.distribute_dataset(strategy, share), steps_per_execution=3
    )
    metrics = {
        "one device": one_metrics,
        "two replicas": two_metrics,
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
    np.savez(
        out.with_suffix(".npz"),
        **{f"one/{name}": x for name, x in one.items()},
        **{f"two/{name}": x for name, x in two.items()},
    )


def clipping(strategy):
    """How far the weights of two replicas are from those of one device, by class."""

    def clipped():
        return keras.optimizers.SGD(0.1, global_clipnorm=0.5)

    expected = moved(small(contextlib.nullcontext(), optimizer=clipped), line(8))
    makes = {"mended": DistributedModel, "Keras": without("_apply_gradients")}
    return {
        name: difference(expected, moved(small(strategy.scope(), make, clipped), line(8)))
        for name, make in makes.items()
    }


def uneven_rows(strategy):
    """As `clipping`, with a last batch of three rows."""
    expected = moved(small(contextlib.nullcontext()), line(7))
    makes = {"mended": DistributedModel, "Keras": without("_share_of_rows")}
    return {
        name: difference(expected, moved(small(strategy.scope(), make), line(7)))
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
            small(strategy.scope(), without("_make_function"), steps_per_execution=2), line(8)
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
        makes = {"mended": DistributedModel, "Keras": without("_apply_gradients")}
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
        expected = moved(small(contextlib.nullcontext(), layers=[layer]), line(8))
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
            lambda: moved(small(strategy.scope(), optimizer=accumulating), line(8))
        ),
        "jit": fails(lambda: moved(small(strategy.scope(), jit_compile=True), line(8))),
        "batch": fails(lambda: distribute.check_batch_size(strategy, 7)),
    }


# --- two workers


def worker(out):
    strategy = distribute.strategy_of("multi_worker")
    number = strategy.cluster_resolver.task_id
    metrics, arrays = trained(
        strategy.scope(), distribute.distribute_dataset(strategy, share), steps_per_execution=3
    )
    metrics["chief"] = distribute.is_chief(strategy)
    metrics["records"] = with_records(strategy, out)
    for mend in ("_maybe_symbolic_build", "_make_function"):
        metrics[mend] = fails(
            lambda mend=mend: named(strategy, without(mend)).fit(named_rows(), verbose=0)
        )
    out.with_name(f"{out.name}-{number}.json").write_text(json.dumps(metrics))
    np.savez(out.with_name(f"{out.name}-{number}.npz"), **arrays)


def with_records(strategy, out):
    """Plain Keras on `load_split`'s datasets, which TensorFlow distributes.

    Returns the metrics of the test split, and writes the model.
    """
    config, schema = small_table.CONFIG, Schema.load(out.parent / "records" / "schema.json")
    train, test = (
        load_split(config, schema, out.parent / "records", split, training=split == "train")
        for split in ("train", "test")
    )
    with strategy.scope():
        model = build_model(config, schema)
        model.compile(keras.optimizers.Adam(0.01), **compile_arguments(config, schema))
    model.fit(train, verbose=0)
    with distribute.chief_path(strategy, out.with_name("model.keras")) as place:
        model.save(place)
    return model.evaluate(test, verbose=0, return_dict=True)


def named(strategy, make):
    """A model of dict inputs and outputs."""
    with strategy.scope():
        x = {"x": keras.Input((2,), name="x")}
        model = make(x, {"y": keras.layers.Dense(1, name="y")(x["x"])})
        model.compile("sgd", {"y": "mse"})
    return model


def named_rows():
    return line(8).map(lambda x, y: ({"x": x}, {"y": y}))


if __name__ == "__main__":
    {"replicas": replicas, "worker": worker}[sys.argv[1]](pathlib.Path(sys.argv[2]))
