"""The agreement of aligned inputs as matching heads give it."""

import numpy as np

from multimodal_tf.config import ClassificationHead, Config, MatchingHead, NumberInput, TextInput
from multimodal_tf.evaluation.agreement import Aligned, aligned


def test_a_chain_of_pairs_does_not_identify_the_odd_one_out():
    cosines = np.array([[0.9, 0.1], [0.9, 0.1]])
    assert Aligned(
        cosines, np.ones((2, 2), bool), (("a", "b"), ("b", "c"))
    ).odd_one_out().tolist() == [-1, -1]
    ring = Aligned(
        np.array([[0.9, 0.1, 0.2], [0.9, 0.1, 0.2]]),
        np.array([[1, 1, 1], [1, 1, 0]], bool),
        (("a", "b"), ("b", "c"), ("a", "c")),
    )
    assert [ring.names[index] if index >= 0 else None for index in ring.odd_one_out()] == [
        "c",
        None,
    ]


def test_the_columns_of_one_tower_are_one_input():
    config = Config(
        inputs={"title": TextInput(), "price": NumberInput(), "size": NumberInput()},
        tabular={"type": "mlp"},
        heads={"match": MatchingHead(inputs=["title", "tabular"]), "label": ClassificationHead()},
    )
    predictions = aligned({"match": np.ones((3, 2, 4))}, [[1, 0, 1], [1, 0, 0], [0, 1, 1]], config)
    assert predictions.known[:, 0].tolist() == [True, False, False]
    assert config.vector_inputs() == {"title": ["title"], "tabular": ["price", "size"]}
