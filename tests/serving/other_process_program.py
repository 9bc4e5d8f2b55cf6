"""Serves a model with TensorFlow alone, then predicts with the client of another.

Arguments: the folder with `raw.npz` and the model `words/1`, and the folder of the first model.
"""

import sys

import numpy as np
import tensorflow as tf


def main(folder, path):
    raw = np.load(f"{folder}/raw.npz", allow_pickle=True)
    dtypes = {name: "float64" if name == "price" else "string" for name in raw}
    cells = {name: tf.constant(raw[name].tolist(), dtypes[name]) for name in raw}
    given = tf.saved_model.load(path).signatures["predict"](**cells)
    np.savez(f"{folder}/given.npz", **{name: found.numpy() for name, found in given.items()})
    assert "multimodal_tf" not in sys.modules

    from multimodal_tf.serving.client import Client

    found = Client(f"{folder}/words/1").predict([{"title": "red"}, {"title": ""}])
    print(found["label_probability"].tolist())


if __name__ == "__main__":
    main(*sys.argv[1:])
