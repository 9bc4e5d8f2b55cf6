"""Functions as signatures: traced once, with the variables and tables that they read."""

import contract
import numpy as np
import pytest
import tensorflow as tf

from multimodal_tf.serving import saved_functions

SPECS = {"word": tf.TensorSpec([None], tf.string, "word")}


class Words(tf.Module):
    def __init__(self):
        super().__init__()
        pairs = tf.lookup.KeyValueTensorInitializer(["a", "b"], [1, 2])
        self.table = tf.lookup.StaticHashTable(pairs, -1)


@pytest.fixture(params=["one device", "mirrored"])
def scale(request):
    if request.param == "one device":
        return tf.Variable(2.0)
    with contract.strategy().scope():
        return tf.Variable(2.0)


def test_each_function_is_traced_once_and_reads_its_variables_and_tables(scale, tmp_path):
    words, traced = Words(), []

    def scaled(inputs):
        traced.append("scaled")
        return {"x": scale * tf.cast(words.table.lookup(inputs["word"]), tf.float32)}

    def found(inputs):
        traced.append("found")
        return {"found": words.table.lookup(inputs["word"])}

    functions = {"scaled": (scaled, SPECS), "found": (found, SPECS)}
    saved_functions.save(functions, [words], tmp_path / "saved")
    assert traced == ["scaled", "found"]
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    assert set(loaded.signatures) == {"scaled", "found"}
    given = loaded.signatures["scaled"](word=tf.constant(["b", "c"]))
    np.testing.assert_array_equal(given["x"], [4.0, -2.0])
    assert loaded.signatures["found"](word=tf.constant(["a"]))["found"] == 1
