"""The manifest beside the shards."""

import json

import pytest

from multimodal_tf.data.manifest import Manifest, Shard


def manifest():
    shards = {
        "train": [
            Shard(file=f"train-0000{n}.tfrecord", rows=n + 1, bytes=9, sha256="") for n in range(2)
        ]
    }
    return Manifest(
        table="t", config_hash="c", splits=shards, table_rows=4, kept=3, rejected=1, hash="h"
    )


def test_round_trip(tmp_path):
    manifest().save(tmp_path)
    loaded = Manifest.load(tmp_path)
    assert loaded.model_dump() == manifest().model_dump()
    assert loaded.shards("train") == [
        tmp_path / "train-00000.tfrecord",
        tmp_path / "train-00001.tfrecord",
    ]
    assert (loaded.rows("train"), loaded.rows("test"), loaded.shards("test")) == (3, 0, [])


def test_no_manifest(tmp_path):
    with pytest.raises(FileNotFoundError, match="ingest a table there first"):
        Manifest.load(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "[1]"])
def test_not_a_manifest(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match="manifest.json is not a manifest"):
        Manifest.load(tmp_path)


def test_another_version(tmp_path):
    other = manifest()
    other.version = 99
    other.save(tmp_path)
    with pytest.raises(ValueError, match="version 1, received 99"):
        Manifest.load(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["../../x", "../x", "/etc/passwd", "rows/../../x", "..", "", "a\n", "../rows/../x", "a/b", "~"],
)
def test_a_shard_elsewhere(tmp_path, name):
    manifest().save(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text().replace('"train-00001.tfrecord"', json.dumps(name)))
    with pytest.raises(ValueError, match=r"is not a manifest: splits\.train\.1\.file[^\n]*$"):
        Manifest.load(tmp_path)


@pytest.mark.parametrize("number", ["-1", "1" + "0" * 300, "1e999", "NaN"])
def test_a_number_that_is_no_count(tmp_path, number):
    manifest().save(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text().replace('"rows": 2', f'"rows": {number}'))
    with pytest.raises(ValueError, match=r"is not a manifest[^\n]*$"):
        Manifest.load(tmp_path)
