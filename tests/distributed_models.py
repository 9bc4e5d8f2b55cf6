"""Models that are trained on one device, on two replicas and by two workers, and their rows."""

import contextlib

import contract
import keras
import numpy as np
import tensorflow as tf

from multimodal_tf.config import (
    AlignmentHead,
    CategoryInput,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    ConvTower,
    ImageHead,
    ImageInput,
    LSTMTower,
    MaskedHead,
    MatchingHead,
    MultiLabelHead,
    NumberInput,
    OrderHead,
    RegressionHead,
    TextInput,
    TokenMatchingHead,
    ViewsHead,
)
from multimodal_tf.config.names import TARGET
from multimodal_tf.models import build_model, compile_arguments
from multimodal_tf.models.distributed_model import DistributedModel

CONFIG = Config(
    inputs={
        "photo": ImageInput(
            height=8, width=8, tower=ConvTower(filters=[3], dropout=0, batch_normalization=False)
        ),
        "size": NumberInput(),
        "colour": CategoryInput(),
        "note": TextInput(max_tokens=4, tower=LSTMTower(units=3, embedding_dim=3, dropout=0)),
    },
    heads={
        "zone": ClassificationHead(),
        "cost": RegressionHead(weight=0.5),
        "pair": MatchingHead(inputs=["photo", "size"]),
        "siglip": AlignmentHead(
            inputs=["colour", "photo"], dim=4, loss="sigmoid", weight=0.1, queue=11
        ),
        "patches": MaskedHead(inputs=["photo"], dim=4, weight=0.1),
    },
    fusion=ConcatenationFusion(hidden=[6], dropout=0),
)
# heads of which single steps are compared, besides those that compare rows: the trainings above
# have one head of each mechanism
STEPPED = {
    "tags": MultiLabelHead(),
    "space": AlignmentHead(inputs=["photo", "size", "colour"], dim=5),
    "near": AlignmentHead(inputs=["photo", "size"], dim=3, loss="distance"),
    "words": MaskedHead(inputs=["note"], context=["photo"], dim=4, weight=0.5),
    "order": OrderHead(inputs=["note"], weight=0.5),
    "simclr": ViewsHead(inputs=["photo"], dim=3, temperature=0.5),
    "moco": ViewsHead(inputs=["photo"], dim=3, temperature=0.5, momentum=0.75, queue=9),
    "jointly": TokenMatchingHead(inputs=["note", "photo"], dim=16, heads=2, weight=0.02),
    "drawing": ImageHead(height=5, width=6, channels=1, filters=[3], latent=2),
}
EVERY = CONFIG.model_copy(update={"heads": CONFIG.heads | STEPPED})
# heads that compare rows
COMPARING = ("pair", "space", "siglip", "near", "simclr", "moco")
STEPS_OF = ("pair", "siglip", *STEPPED)
# the last batch has one row: a replica of two has none
ROWS, BATCH = 25, 8


def batches(rows=ROWS, heads=tuple(CONFIG.heads)):
    """Batches in which inputs and labels are missing and rows weigh unequally."""
    random = np.random.default_rng(1)
    inputs, targets = contract.rows_of(CONFIG, rows), contract.targets_of(EVERY, rows)
    drawn = contract.rows_of(EVERY, rows)
    inputs |= {name + TARGET: drawn[name + TARGET] for name in heads if name + TARGET in drawn}
    for name in CONFIG.inputs:
        inputs = contract.without(inputs, name, random.random(rows) < 0.2, value=0)
    weights = {
        name: ((random.random(rows) < 0.7) * random.choice([1.0, 2.5], rows)).astype("float32")
        for name in EVERY.heads
    }
    for name in COMPARING:
        weights[name] = np.ones(rows, "float32")
    # cells that are equal in rows of one batch, and of one replica or two
    targets["space"] = targets["space"] // 12
    chosen = [{name: one[name] for name in heads} for one in (targets, weights)]
    return tf.data.Dataset.from_tensor_slices((inputs, *chosen)).batch(BATCH)


def share(worker, heads=tuple(CONFIG.heads)):
    """A worker's rows of each batch, as `load_split` gives them."""
    number, workers = worker

    def cut(*batch):
        size = tf.shape(batch[0]["size"])[0]
        return tf.nest.map_structure(
            lambda part: part[number * size // workers : (number + 1) * size // workers], batch
        )

    return batches(heads=heads).map(cut)


def stepped_share(worker):
    return share(worker, STEPS_OF)


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


class _FromTheSameWeights(keras.callbacks.Callback):
    """Begins each batch with the first weights, and keeps the weights after it."""

    def __init__(self):
        super().__init__()
        self.after = {}

    def on_train_begin(self, logs=None):
        self.first = [weight.numpy() for weight in self.model.trainable_weights]

    def on_train_batch_begin(self, batch, logs=None):
        for weight, value in zip(self.model.trainable_weights, self.first):
            weight.assign(value)

    def on_train_batch_end(self, batch, logs=None):
        for weight in self.model.trainable_weights:
            self.after[f"step on batch {batch}: {weight.path}"] = weight.numpy()


def single_steps(scope, data):
    """One step by the gradient from the same weights on each batch: `(history, arrays)`.

    Of the heads in `STEPS_OF`, over shared towers; `data` has their targets alone. `history` has
    the metrics of these steps, `arrays` the weights after each.
    """
    config = CONFIG.model_copy(update={"heads": {name: EVERY.heads[name] for name in STEPS_OF}})
    with scope:
        model = build_model(config, contract.schema_of(EVERY))
        # of rate 1: weights differ by what gradients differ by
        model.compile(
            keras.optimizers.SGD(1.0), **compile_arguments(config, contract.schema_of(EVERY))
        )
    steps = _FromTheSameWeights()
    history = model.fit(data, shuffle=False, verbose=0, callbacks=[steps]).history
    return history, steps.after


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


def without(*corrections):
    """The model as Keras has it, in these methods."""
    plain = {name: getattr(keras.Model, name) for name in corrections if hasattr(keras.Model, name)}
    return type(
        "Without",
        (DistributedModel,),
        plain | {name: _AS_KERAS[name] for name in corrections if name in _AS_KERAS},
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
