"""Labels to targets and weights."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.utils.class_weight import compute_class_weight

from multimodal_tf.config import (
    AlignmentHead,
    ClassificationHead,
    Config,
    EmbeddingHead,
    MatchingHead,
    MultiLabelHead,
    OrdinalHead,
    QuantileHead,
    RegressionHead,
    TextInput,
)
from multimodal_tf.data.targets import Targets
from multimodal_tf.schema import Classes, Moments, Schema

SCHEMA = Schema(
    rows=10,
    inputs={},
    heads={
        "label": Classes(names=["a", "b", "猫"], counts=[6, 3, 1]),
        "tags": Classes(names=["x", "y"], counts=[5, 5]),
        "age": Moments(mean=1.0, std=2.0),
    },
)
LABELS = {
    "label": tf.constant(["b", "", "zebra", "猫"]),
    "tags": tf.constant(["y\x1fx", "\x1f", "", "z\x1fy"]),
    "age": tf.constant([4.0, float("nan"), -1.0, float("inf")]),
}


def make(class_weight=None, class_weights=True):
    heads = {
        "label": ClassificationHead(class_weight=class_weight),
        "tags": MultiLabelHead(),
        "age": RegressionHead(),
    }
    return Targets(Config(inputs={"title": TextInput()}, heads=heads), SCHEMA, class_weights)


def test_targets_and_weights():
    targets, weights = make()(LABELS)
    assert {name: (tensor.dtype, tensor.shape.as_list()) for name, tensor in targets.items()} == {
        "label": (tf.int32, [4]),
        "tags": (tf.float32, [4, 2]),
        "age": (tf.float32, [4, 1]),
    }
    assert targets["label"].numpy().tolist() == [1, 0, 0, 2]
    assert weights["label"].numpy().tolist() == [1, 0, 0, 1]
    assert targets["tags"].numpy().tolist() == [[1, 1], [0, 0], [0, 0], [0, 1]]
    # no label applies; not known; one of two is known
    assert weights["tags"].numpy().tolist() == [1, 1, 0, 1]
    assert targets["age"].numpy().tolist() == [[4], [0], [-1], [0]]
    assert weights["age"].numpy().tolist() == [1, 0, 1, 0]


def test_labels_that_training_never_saw_do_not_count():
    targets, weights = make()(LABELS | {"tags": tf.constant(["q", "q\x1fr"] * 2)})
    assert not targets["tags"].numpy().any()
    assert not weights["tags"].numpy().any()


def test_balanced_as_scikit_learn():
    rows = np.repeat(["a", "b", "猫"], [6, 3, 1])
    expected = compute_class_weight("balanced", classes=np.array(["a", "b", "猫"]), y=rows)
    _, weights = make("balanced")(LABELS)
    np.testing.assert_allclose(weights["label"], [expected[1], 0, 0, expected[2]], rtol=1e-6)


def test_class_weights_by_name():
    _, weights = make({"猫": 5.0})(LABELS)
    assert weights["label"].numpy().tolist() == [1, 0, 0, 5]


def test_class_weights_are_for_training_only():
    for choice in ("balanced", {"zebra": 2.0}):
        _, weights = make(choice, class_weights=False)(LABELS)
        assert weights["label"].numpy().tolist() == [1, 0, 0, 1]


def test_a_class_weight_for_no_class():
    with pytest.raises(
        ValueError, match=r"heads\.label\.class_weight must name classes .* received 'zebra'"
    ):
        make({"zebra": 2.0})


def test_heads_of_the_same_labels_have_the_same_targets():
    heads = {"label": OrdinalHead(), "age": QuantileHead()}
    same = make(None)(LABELS)
    found = Targets(Config(inputs={"title": TextInput()}, heads=heads), SCHEMA, class_weights=True)(
        LABELS
    )
    for mine, theirs in zip(found, same):
        for name in heads:
            np.testing.assert_array_equal(mine[name], theirs[name])


def test_heads_without_labels():
    """Every row's pair matches; an embedding has no loss. Records give ones for both."""
    heads = {"pair": MatchingHead(inputs=["title", "body"]), "vector": EmbeddingHead()}
    ones = tf.ones([3])
    targets, weights = Targets(
        Config(inputs={"title": TextInput(), "body": TextInput()}, heads=heads), SCHEMA
    )(dict.fromkeys(heads, ones))
    assert {name: tensor.numpy().tolist() for name, tensor in targets.items()} == {
        "pair": [[1], [1], [1]],
        "vector": [[1], [1], [1]],
    }
    assert {name: tensor.numpy().tolist() for name, tensor in weights.items()} == {
        "pair": [1, 1, 1],
        "vector": [0, 0, 0],
    }


def test_a_head_that_aligns_inputs_has_the_numbers_of_their_cells():
    heads = {"space": AlignmentHead(inputs=["title", "body"])}
    config = Config(inputs={"title": TextInput(), "body": TextInput()}, heads=heads)
    numbers = tf.constant([[2**60, 1], [2**60 + 1, 1]], tf.int64)
    targets, weights = Targets(config, SCHEMA)({"space": numbers})
    np.testing.assert_array_equal(targets["space"], numbers)
    assert weights["space"].numpy().tolist() == [1, 1]


def test_no_rows():
    targets, weights = make()({name: tensor[:0] for name, tensor in LABELS.items()})
    assert [tensor.shape.as_list() for tensor in targets.values()] == [[0], [0, 2], [0, 1]]
    assert [tensor.shape.as_list() for tensor in weights.values()] == [[0]] * 3
