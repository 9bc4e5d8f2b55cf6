"""Shards to batches: every row once, shuffled by the seed, the same from memory and from disk."""

import numpy as np
import pytest
import same_everywhere
import tensorflow as tf
from shards import write_shards

from multimodal_tf.config import (
    CategoryInput,
    ClassificationHead,
    Config,
    NumberInput,
    RegressionHead,
    TextInput,
    Training,
)
from multimodal_tf.data import pipeline, record_files
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_raw, load_split
from multimodal_tf.schema import Schema

HEADS = {"label": ClassificationHead(class_weight={"odd": 3.0}), "age": RegressionHead()}
CONFIG = Config(
    inputs={"title": CategoryInput(), "price": NumberInput()},
    heads=HEADS,
    training=Training(batch_size=8),
    seed=5,
)


def row(number):
    inputs = {"title": b"w%d" % (number % 3)} | (
        {} if number % 4 == 3 else {"price": float(number)}
    )
    return inputs, {"label": "odd" if number % 2 else "even", "age": float(number)}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    path = tmp_path_factory.mktemp("shards")
    splits = {"train": 50, "validation": 1, "test": 9}
    write_shards(
        path,
        rows_per_shard=7,
        **{split: [row(number) for number in range(rows)] for split, rows in splits.items()},
    )
    fit_schema(CONFIG, path).save(path / "schema.json")
    return path


@pytest.fixture(params=["memory", "disk"])
def cache(request, monkeypatch):
    if request.param == "disk":
        monkeypatch.setattr(pipeline, "available_memory", lambda: 0)
    return request.param


def load(records, split="train", config=CONFIG, **arguments):
    return load_split(config, Schema.load(records / "schema.json"), records, split, **arguments)


def ages(batches):
    return [int(age) for _, targets, _ in batches for age in targets["age"].numpy()[:, 0]]


def test_a_batch(records, monkeypatch):
    config = CONFIG.model_copy(
        update={"inputs": CONFIG.inputs | {"title": TextInput(max_tokens=2)}}
    )
    schema = fit_schema(config, records)
    for memory in (pipeline.available_memory(), 0):
        monkeypatch.setattr(pipeline, "available_memory", lambda memory=memory: memory)
        inputs, targets, weights = next(iter(load_split(config, schema, records, "train")))
        assert {name: (part.dtype, part.shape.as_list()) for name, part in inputs.items()} == {
            "title": (tf.int32, [8, 2]),
            "title_present": (tf.float32, [8]),
            "price": (tf.float32, [8]),
            "price_present": (tf.float32, [8]),
        }
        mean = np.mean([number for number in range(50) if number % 4 != 3])
        np.testing.assert_allclose(inputs["price"], [0, 1, 2, mean, 4, 5, 6, mean], rtol=1e-6)
        assert inputs["price_present"].numpy().tolist() == [1, 1, 1, 0] * 2
        assert inputs["title"].numpy().tolist() == [[2 + number % 3, 0] for number in range(8)]
        assert targets["label"].numpy().tolist() == [0, 1] * 4
        assert weights["label"].numpy().tolist() == [1] * 8


@pytest.mark.parametrize(
    ("cache", "batch_size"),
    [("memory", 1), ("disk", 9), ("memory", 8), ("disk", 8), ("memory", 10), ("disk", 4)],
    indirect=["cache"],
)
def test_evaluation_sees_every_row_once_in_order(records, cache, batch_size):
    batches = load(records, "test", batch_size=batch_size)
    assert int(batches.cardinality()) == -(-9 // batch_size) == len(list(batches))
    assert ages(batches) == list(range(9))


def test_a_split_of_one_row(records, cache):
    assert ages(load(records, "validation")) == [0]


def test_training_is_shuffled_in_each_epoch_and_complete(records, cache):
    batches = load(records, training=True)
    assert int(batches.cardinality()) == 7
    epochs = [ages(batches) for _ in range(3)]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, range(50)]}) == 4
    assert [len(targets["age"]) for _, targets, _ in batches] == [8] * 6 + [2]


def test_inputs_targets_and_weights_stay_together(records, cache):
    for inputs, targets, weights in load(records, training=True):
        age = targets["age"].numpy()[:, 0]
        np.testing.assert_array_equal(inputs["price_present"], (age % 4 != 3).astype(float))
        np.testing.assert_array_equal(inputs["title"], 1 + age % 3)
        np.testing.assert_array_equal(targets["label"], age % 2)
        np.testing.assert_array_equal(weights["label"], np.where(age % 2, 3, 1))


def test_the_seed_decides_the_order(records, cache):
    first, again = (
        [ages(batches) for _ in range(2)]
        for batches in (load(records, training=True), load(records, training=True))
    )
    assert first == again
    other = CONFIG.model_copy(update={"seed": 6})
    assert ages(load(records, config=other, training=True)) != first[0]


def test_rows_from_memory_and_from_shards_come_in_the_same_order(records, monkeypatch):
    kept = [ages(batches) for batches in [load(records, training=True)] for _ in range(2)]
    monkeypatch.setattr(pipeline, "available_memory", lambda: 0)
    assert [ages(batches) for batches in [load(records, training=True)] for _ in range(2)] == kept


def test_an_epoch_from_a_later_step(records, cache):
    epoch = tf.Variable(1, dtype=tf.int64)
    schema = Schema.load(records / "schema.json")
    batches = pipeline.open_split(CONFIG, schema, records, "train", training=True)
    whole = [ages([batch]) for batch in batches(0, epoch)]
    for start in (0, 3, 6, 7):
        rest = batches(start, epoch)
        assert len(rest) == 7 - start
        assert [ages([batch]) for batch in rest] == whole[start:]
    plain = load(records, training=True)
    assert [ages(plain), ages(plain)][1] == sum(whole, [])


@pytest.mark.parametrize(
    ("cache", "training", "workers"),
    [("memory", True, 2), ("memory", False, 3), ("disk", True, 3), ("disk", False, 2)],
    indirect=["cache"],
)
def test_workers_share_each_batch(records, cache, training, workers):
    """50 rows in batches of 8: of the last one, of 2 rows, the first of three workers gets none."""
    whole = [ages([batch]) for batch in load(records, training=training)]
    shares = [
        [ages([batch]) for batch in load(records, training=training, worker=(w, workers))]
        for w in range(workers)
    ]
    assert [sum(parts, []) for parts in zip(*shares, strict=True)] == whole
    assert [len(share[-1]) for share in shares] == ([1, 1] if workers == 2 else [0, 1, 1])


@pytest.mark.slow
def test_the_order_is_the_same_in_another_process(other_process):
    """Keras' seed, which is another one there, has no part in it."""
    folder, results = other_process
    assert results["orders"] == same_everywhere.orders(folder)


def test_raw_rows(records):
    batches = load_raw(CONFIG, records, "test", 4)
    assert int(batches.cardinality()) == 3
    rows = [int(number) for numbers, _, _ in batches for number in numbers]
    assert rows == list(range(9))
    _, inputs, labels = next(iter(batches))
    assert inputs["title"].numpy().tolist() == [b"w0", b"w1", b"w2", b"w0"]
    assert labels["label"].numpy().tolist() == [b"even", b"odd"] * 2


def test_no_such_split(records):
    for act in (lambda: load(records, "val"), lambda: load_raw(CONFIG, records, "val", 4)):
        with pytest.raises(
            ValueError, match=r"split 'val' of pets\.csv must have rows, received none; .*'test': 9"
        ):
            act()


def test_a_batch_size_of_nothing(records):
    with pytest.raises(ValueError, match="batch_size must be at least 1, received 0"):
        load(records, batch_size=0)


@pytest.mark.parametrize(
    ("worker", "start"), [((2, 2), 0), ((-1, 2), 0), ((0, 0), 0), ((0, 1), 8), ((0, 1), -1)]
)
def test_a_share_or_a_start_that_cannot_be(records, worker, start):
    with pytest.raises(
        ValueError,
        match="worker must be|start must be from 0 to the 7 batches of 'train', received",
    ):
        load(records, training=True, worker=worker, start=start)


def test_a_shard_whose_bytes_are_others(tmp_path, monkeypatch):
    """Kept rows: the hash says it. Others: the checksum of the record does, when it is drawn."""
    write_shards(tmp_path, train=[row(number) for number in range(20)])
    schema, shard = fit_schema(CONFIG, tmp_path), tmp_path / "train-00000.tfrecord"
    manifest = Manifest.load(tmp_path)
    manifest.splits["train"][0].sha256 = record_files.sha256(shard)
    manifest.save(tmp_path)
    content = bytearray(shard.read_bytes())
    content[-20] ^= 1
    shard.write_bytes(content)
    with pytest.raises(
        ValueError,
        match=r"train-00000\.tfrecord was changed: it must have the bytes that ingest wrote",
    ):
        load_split(CONFIG, schema, tmp_path, "train")
    monkeypatch.setattr(pipeline, "available_memory", lambda: 0)
    with pytest.raises(tf.errors.DataLossError, match="corrupted record"):
        ages(load_split(CONFIG, schema, tmp_path, "train"))


def test_lengths_of_records_are_read_or_found(tmp_path, monkeypatch):
    """What ingest noted, or where that is missing or wrong, the records' own heads."""
    monkeypatch.setattr(pipeline, "available_memory", lambda: 0)
    write_shards(tmp_path, rows_per_shard=7, train=[row(number) for number in range(20)])
    schema, noted = (
        fit_schema(CONFIG, tmp_path),
        record_files.lengths_path(tmp_path / "train-00001.tfrecord"),
    )
    found = ages(load_split(CONFIG, schema, tmp_path, "train"))
    noted.parent.mkdir()
    for content in (b"", b"abc", bytes(28)):
        noted.write_bytes(content)
        assert ages(load_split(CONFIG, schema, tmp_path, "train")) == found == list(range(20))


def test_a_damaged_shard_and_a_missing_one(tmp_path):
    write_shards(tmp_path, train=[row(number) for number in range(20)])
    schema = fit_schema(CONFIG, tmp_path)
    shard = tmp_path / "train-00000.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(ValueError, match="is damaged"):
        load_split(CONFIG, schema, tmp_path, "train")
    shard.unlink()
    with pytest.raises(FileNotFoundError, match="a shard is missing"):
        load_split(CONFIG, schema, tmp_path, "train")


def test_a_shard_with_other_rows_than_the_manifest_says(tmp_path):
    write_shards(tmp_path, train=[row(number) for number in range(20)])
    schema, manifest = fit_schema(CONFIG, tmp_path), tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"rows": 20', '"rows": 21'))
    with pytest.raises(ValueError, match="must hold 21 rows as the manifest says, received 20"):
        load_split(CONFIG, schema, tmp_path, "train")
