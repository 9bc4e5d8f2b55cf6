"""Several image files in one string of a request."""

import numpy as np
import pytest
import tensorflow as tf

from multimodal_tf.data.codecs import frames


def example(**features):
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def texts(*values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


@pytest.fixture(scope="module")
def unpack():
    return tf.function(frames.unpack, input_signature=[tf.TensorSpec([None], tf.string)])


def test_what_is_packed_is_unpacked(unpack):
    rows = [[b"one", b"two", b"three"], [], [b"GIF89a..."], [b"\njunk"], [b"", b"x"]]
    files, reasons = unpack(tf.constant([frames.pack(row) for row in rows]))
    # of a row without files, the string that says so
    assert files.to_list() == [rows[0], [b""], *rows[2:]]
    assert set(reasons.numpy()) == {b""}


def test_a_damaged_row_has_a_reason_and_changes_no_other(unpack):
    good = frames.pack([b"one", b"two"])
    damaged = [
        b"\n",
        b"\njunk",
        good[:-1],
        example(frame=texts(b"one")),
        example(frames=texts()),
        example(frames=tf.train.Feature(float_list=tf.train.FloatList(value=[1.0]))),
        good[:20] + bytes(10),
        b"\n" + np.random.default_rng(0).bytes(500),
    ]
    files, reasons = unpack(tf.constant([good, *damaged, good]))
    assert files.to_list() == [[b"one", b"two"], *[[]] * len(damaged), [b"one", b"two"]]
    assert reasons.numpy().tolist() == [b"", *[frames.NO_FRAMES.encode()] * len(damaged), b""]


def test_no_rows(unpack):
    files, reasons = unpack(tf.zeros([0], tf.string))
    assert files.to_list() == reasons.numpy().tolist() == []


def test_other_features_are_left_out(unpack):
    cell = example(frames=texts(b"one", b"two"), seconds=texts(b"3"))
    assert unpack(tf.constant([cell]))[0].to_list() == [[b"one", b"two"]]
