"""Equal cells have equal numbers, different ones have different numbers, for every kind."""

import numpy as np
import pytest
import tensorflow as tf
from shards import write_shards

from multimodal_tf.config import (
    AlignmentHead,
    CategoryInput,
    Config,
    DateInput,
    ImageInput,
    MLPTower,
    NumberInput,
    TextInput,
    VectorInput,
    VideoInput,
)
from multimodal_tf.data import cell_identity, pipeline, record_files
from multimodal_tf.data.fit_schema import fit_schema

NAN = float("nan")
# cells of which the first two are equal, and no others
CELLS = {
    "text": (TextInput(), ["a b", "a b", "a  b", "", "A b"]),
    "image": (ImageInput(), [b"\x89PNG\0", b"\x89PNG\0", b"\x89PNG\0\0", b"", b"\xff"]),
    "number": (NumberInput(), [0.1, 0.1, np.nextafter(np.float32(0.1), 1), NAN, 0.0]),
    "zero": (NumberInput(), [0.0, -0.0, 1e-30, NAN, 1.0]),
    "vector": (
        VectorInput(dim=8),
        [[1.0] * 8, [1.0] * 8, [1.0] * 7 + [2.0], [NAN] * 8, [2.0] + [1.0] * 7],
    ),
    "video": (
        VideoInput(),
        [[b"ab", b"c"], [b"ab", b"c"], [b"a", b"bc"], [b"", b""], [b"abc", b""]],
    ),
}


@pytest.mark.parametrize("kind", CELLS)
def test_equal_cells_have_equal_numbers(kind):
    one, cells = CELLS[kind]
    inputs = {"x": one, "title": TextInput()}
    config = Config(inputs=inputs, heads={"space": AlignmentHead(inputs=["title", "x"])})
    raw = {"x": tf.constant(cells, one.cell_dtype), "title": tf.constant(["t"] * 5)}
    numbers = cell_identity.of_heads(config, raw)["space"].numpy()
    assert numbers.dtype == np.int64
    assert len(set(numbers[:, 0])) == 1
    codes = np.unique(numbers[:, 1], return_inverse=True)[1]
    assert codes[0] == codes[1]
    assert len(set(codes)) == 4


def test_a_list_does_not_depend_on_the_longest_of_its_batch():
    inputs = {"x": VideoInput(), "title": TextInput()}
    config = Config(inputs=inputs, heads={"space": AlignmentHead(inputs=["title", "x"])})
    short = {"x": tf.constant([[b"ab"]]), "title": tf.constant(["t"])}
    padded = {"x": tf.constant([[b"ab", b"", b""]]), "title": tf.constant(["t"])}
    found = [cell_identity.of_heads(config, raw)["space"].numpy() for raw in (short, padded)]
    np.testing.assert_array_equal(*found)


def test_the_columns_of_one_tower_are_one_cell():
    inputs = {"hue": CategoryInput(), "shade": CategoryInput(), "title": TextInput()}
    head = AlignmentHead(inputs=["title", "tabular"])
    config = Config(inputs=inputs, heads={"space": head}, tabular=MLPTower())
    raw = {
        "hue": tf.constant(["x", "", "x"]),
        "shade": tf.constant(["", "x", ""]),
        "title": tf.constant(["t", "t", "u"]),
    }
    first, second, third = cell_identity.of_heads(config, raw)["space"].numpy()
    assert first[1] == third[1] != second[1]
    assert first[0] == second[0] != third[0]


@pytest.mark.parametrize("cached", [True, False])
def test_batches_have_them_as_targets(cached, tmp_path, monkeypatch):
    if not cached:
        monkeypatch.setattr(pipeline, "available_memory", lambda: 0)
    inputs = {"title": CategoryInput(), "day": DateInput(), "price": NumberInput()}
    heads = {"space": AlignmentHead(inputs=["title", "price"])}
    config = Config(inputs=inputs, heads=heads)
    rows = [({"title": b"w%d" % (n % 3), "price": float(n)}, {}) for n in range(6)]
    write_shards(tmp_path, train=rows)
    schema = fit_schema(config, tmp_path)
    _, targets, weights = next(iter(pipeline.load_split(config, schema, tmp_path, "train")))
    raw = next(iter(pipeline.load_raw(config, tmp_path, "train", 6)))
    np.testing.assert_array_equal(targets["space"], raw[2]["space"])
    assert len(set(targets["space"][:, 0].numpy())) == 3
    assert len(set(targets["space"][:, 1].numpy())) == 6
    assert weights["space"].numpy().all()
    assert record_files.parse(config, tf.constant([], tf.string))[2]["space"].shape == (0, 2)
