"""What a new process makes of files in `folder`: run by `test_new_process`.

It writes `loaded.npz` and `peft.npy`, predictions, and prints other findings as JSON.
"""

import contextlib
import json
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

folder, preset = pathlib.Path(sys.argv[1]), sys.argv[2]
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def loaded():
    """A saved model, of which this process has only imported `multimodal_tf.models`."""
    import multimodal_tf.models  # noqa: F401

    model = keras.saving.load_model(folder / "model.keras")
    rows = dict(np.load(folder / "rows.npz"))
    np.savez(folder / "loaded.npz", **model.predict(rows, verbose=0))
    return {
        "class": type(model).__name__,
        "steps": int(model.optimizer.iterations.numpy()),
        "variance": model.loss["cost"].variance,
    }


def fine_tuned():
    """A fine-tuned model, on a base whose names Keras counts differently, with another head."""
    import peft_models

    from multimodal_tf.training import peft

    for _ in range(3):
        keras.layers.Dense(1), keras.layers.Embedding(1, 1)
    bert = peft_models.Bert(preset)
    model = bert.model(heads=("label", "further"))
    peft.load_peft(model, folder / "peft.safetensors")
    np.save(folder / "peft.npy", bert.predicted(model))


def replicas():
    """By kind of learned loss weights, how far two replicas end from one device."""
    import weighted_losses

    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    # labels are missing unevenly
    known = {
        "zone": np.array([1, 0, 1, 1, 1, 0, 1, 0]),
        "cost": np.array([0, 0, 1, 0, 1, 1, 1, 1]),
        "vector": np.zeros(8),
    }
    found = {}
    for kind, loss_weighting in weighted_losses.KINDS.items():
        weights = []
        for scope in (contextlib.nullcontext(), strategy.scope()):
            with scope:
                optimizer = keras.optimizers.SGD(0.05)
                model, _, rows, targets = weighted_losses.ready(loss_weighting, optimizer, False)
            data = tf.data.Dataset.from_tensor_slices((rows, targets, known)).batch(8)
            model.fit(data, epochs=3, shuffle=False, verbose=0)
            weights.append(model.get_weights())
        found[kind] = float(max(np.abs(one - other).max() for one, other in zip(*weights)))
    return found


if __name__ == "__main__":
    findings = {"loaded": loaded()}
    fine_tuned()
    print(json.dumps(findings | {"replicas": replicas()}))
