"""A decoder of files in several graphs."""

import tensorflow as tf
from tensorflow.python.autograph.impl import api

from multimodal_tf.data.codecs.file_decoder import FileDecoder


def test_each_function_is_traced_once_for_all_graphs_and_not_converted(monkeypatch):
    traced, converted, convert = [], [], api._convert_actual
    monkeypatch.setattr(
        api, "_convert_actual", lambda one, *more: converted.append(one) or convert(one, *more)
    )

    def problem(data):
        traced.append("problem")
        return tf.where(data == b"bad", "it is bad", "")

    def decode(data):
        traced.append("decode")
        with tf.control_dependencies([tf.debugging.Assert(data != b"broken", [data])]):
            return tf.strings.length(data)

    decoder = FileDecoder(problem, decode, tf.TensorSpec([], tf.int32), "damaged file")
    cells = tf.constant(["four", "", "bad", "broken", "sixsix"])
    for _ in range(2):
        graph = tf.function(decoder.decode, autograph=False)
        lengths, present, reasons = (part.numpy().tolist() for part in graph(cells))
        assert lengths == [4, 0, 0, 0, 6]
        assert present == [True, False, False, False, True]
        assert reasons == [b"", b"", b"it is bad", b"damaged file", b""]
    one_by_one = [decoder.problem(cell) for cell in (b"four", b"bad", b"broken")]
    assert one_by_one == ["", "it is bad", "damaged file"]
    assert sorted(traced) == ["decode", "problem"]
    assert converted == []
