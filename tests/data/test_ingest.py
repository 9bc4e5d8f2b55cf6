"""Ingest: which cells and rows are kept and rejected, and in which shards they are."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from ingest_table import CONFIG, FOUR_CONFIG, FOUR_ROWS, ROWS_PER_SHARD, read_rows, rejected_in

from multimodal_tf.config import CategoryInput, ClassificationHead, Config, RegressionHead, Split
from multimodal_tf.data import record_files
from multimodal_tf.data.codecs import riff
from multimodal_tf.data.ingest import jobs, table_ingest
from multimodal_tf.data.kinds.cell import is_missing
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.data.table import read_table
from multimodal_tf.schema import Schema

PRICE = FOUR_CONFIG.model_copy(update={"heads": {"price": RegressionHead()}, "split": Split()})


def kept_rows(manifest):
    """`(inputs, labels)` of all splits by row number."""
    return {
        number: row
        for split in ("train", "validation", "test")
        for number, row in read_rows(manifest, CONFIG, split).items()
    }


class TestRows:
    def test_rejected_cells_are_listed_in_the_order_of_rows(self, ingested):
        expected = ingested.rejected
        directory = ingested.directory
        manifest = ingested.manifest
        actual = [
            (int(one["row"]), one["column"], one["path"], one["reason"])
            for one in rejected_in(directory)
        ]
        assert [one[:3] for one in actual] == [one[:3] for one in expected]
        for (_, _, _, reason), (_, _, path, wanted) in zip(actual, expected):
            assert wanted in reason or (path == "cut.jpg" and "image" in reason), (path, reason)
        assert manifest.rejected == len(expected)

    def test_every_other_row_is_in_its_split_in_the_table_s_order(self, ingested):
        frame = ingested.frame
        rejected = ingested.rejected
        manifest = ingested.manifest
        left_out = {row for row, column, _, _ in rejected if column in ("", "present")}
        assert len(left_out) == 4
        sides = frame["side"].replace("val", "validation")
        for split in ("train", "validation", "test"):
            expected = [
                row for row in range(len(frame)) if sides[row] == split and row not in left_out
            ]
            assert list(read_rows(manifest, CONFIG, split)) == expected
            assert manifest.rows(split) == len(expected)
        assert manifest.table_rows == len(frame)
        assert manifest.kept == len(frame) - len(left_out)

    def test_a_row_is_kept_without_its_bad_cell(self, ingested):
        root = ingested.root
        frame = ingested.frame
        rejected = ingested.rejected
        manifest = ingested.manifest
        rows = kept_rows(manifest)
        spoiled = {(row, column) for row, column, _, _ in rejected}
        for number, (inputs, labels) in rows.items():
            expected = {
                name for name in CONFIG.inputs if not is_missing(frame[CONFIG.column(name)][number])
            }
            assert set(inputs) == {
                name for name in expected if (number, CONFIG.column(name)) not in spoiled
            }
            assert labels["label"].decode() == frame["present"][number]
        photo = frame.index[frame["photo"].map(str) == "a.jpg"][0]
        assert rows[photo][0]["photo"] == (root / "a.jpg").read_bytes()
        assert rows[photo][0]["price"] == 1.5

    def test_the_graph_reads_every_kept_cell(self, ingested):
        directory = ingested.directory
        manifest = ingested.manifest
        reader = Preprocessor(CONFIG, Schema.load(directory / "schema.json"))
        paths = [str(path) for split in manifest.splits for path in manifest.shards(split)]
        _, inputs, _ = record_files.parse(
            CONFIG, next(iter(tf.data.TFRecordDataset(paths).batch(1000)))
        )
        features, errors = reader.features(inputs)
        assert errors.numpy().tolist() == [b""] * manifest.kept
        assert features["clip_present"].numpy().sum() == 9 + 1

    def test_audio_is_the_same_to_the_graph_before_and_after(self, ingested):
        root = ingested.root
        frame = ingested.frame
        manifest = ingested.manifest
        rows = kept_rows(manifest)
        clip, compared = CONFIG.inputs["clip"], 0
        for number, (inputs, _) in rows.items():
            name = frame["clip"][number]
            if "clip" in inputs and str(name).endswith(".wav"):
                before = riff.decode((root / name).read_bytes(), clip.sample_rate, clip.samples)
                np.testing.assert_array_equal(
                    riff.decode(inputs["clip"], clip.sample_rate, clip.samples), before
                )
                compared += 1
        assert compared == 6

    def test_half_an_hour_of_audio_becomes_a_small_record(self, ingested):
        manifest = ingested.manifest
        shard_bytes = sum(shard.bytes for several in manifest.splits.values() for shard in several)
        # the long text is 1 MB of it
        assert shard_bytes < 3_000_000

    def test_the_files_in_the_directory(self, ingested):
        directory = ingested.directory
        manifest = ingested.manifest
        assert Config.load(directory / "config.yaml") == CONFIG
        assert Schema.load(directory / "schema.json").heads["label"].names == ["a", "b"]
        assert Manifest.load(directory) == manifest
        shard = manifest.splits["train"][0]
        assert shard.file == "train-00000.tfrecord"
        assert shard.bytes == (directory / shard.file).stat().st_size
        assert not list(directory.rglob("*.tmp"))

    def test_shards_hold_rows_per_shard(self, ingested):
        frame = ingested.frame
        manifest = ingested.manifest
        assert len(manifest.splits["train"]) == -(
            -(frame["side"] == "train").sum() // ROWS_PER_SHARD
        )


class TestSmallTables:
    def test_several_heads(self, tmp_path):
        manifest = table_ingest.ingest(read_table(FOUR_ROWS), FOUR_CONFIG, tmp_path, processes=1)
        rows = read_rows(manifest, FOUR_CONFIG, "train")
        assert rows == {
            0: [{"title": b"a b"}, {"tags": b"x\x1fy", "price": 1.0}],
            1: [{"title": b"c"}, {"tags": b"\x1f", "price": 2.0}],
        }
        assert [(one["row"], one["column"], one["reason"]) for one in rejected_in(tmp_path)] == [
            ("2", "", "no input is left"),
            ("3", "", "no label"),
        ]

    def test_one_row(self, tmp_path):
        config = FOUR_CONFIG.model_copy(
            update={"heads": {"price": RegressionHead()}, "split": Split()}
        )
        assert (
            table_ingest.ingest(read_table(FOUR_ROWS[:1]), config, tmp_path, processes=1).kept == 1
        )

    def test_nothing_left_to_train_on(self, tmp_path):
        with pytest.raises(
            ValueError, match="no row of the DataFrame is left to train on: see .*rejected.csv"
        ):
            table_ingest.ingest(read_table(FOUR_ROWS[2:]), FOUR_CONFIG, tmp_path, processes=1)
        assert len(rejected_in(tmp_path)) == 2

    def test_one_class(self, tmp_path):
        config = FOUR_CONFIG.model_copy(update={"heads": {"class": ClassificationHead()}})
        with pytest.raises(ValueError, match="must have two classes or more"):
            table_ingest.ingest(read_table(FOUR_ROWS[:1]), config, tmp_path, processes=1)

    def test_progress_bar(self, tmp_path, capsys):
        table_ingest.ingest(
            read_table(FOUR_ROWS), FOUR_CONFIG, tmp_path, processes=1, progress=True
        )
        assert "4/4 rows" in capsys.readouterr().err

    def test_rows_are_gathered_by_split(self, tmp_path):
        frame = pd.concat([FOUR_ROWS[:2]] * 10, ignore_index=True).assign(
            side=(["train"] * 4 + ["test"]) * 4
        )
        config = FOUR_CONFIG.model_copy(update={"split": Split(column="side")})
        manifest = table_ingest.ingest(
            read_table(frame), config, tmp_path, processes=1, rows_per_shard=6
        )
        assert [shard.rows for shard in manifest.splits["train"]] == [6, 6, 4]
        assert [shard.rows for shard in manifest.splits["test"]] == [4]
        assert manifest.splits["validation"] == []

    def test_a_shard_of_large_cells_is_full_before_its_rows(self, tmp_path, monkeypatch):
        monkeypatch.setattr(jobs, "_BYTES_PER_SHARD", 100)
        frame = pd.DataFrame(
            {"title": ["x" * size for size in (60, 30, 10, 200, 1, 1)], "price": 1.0, "tags": "x"}
        )
        manifest = table_ingest.ingest(read_table(frame), FOUR_CONFIG, tmp_path, processes=1)
        assert [shard.rows for shard in manifest.splits["train"]] == [3, 1, 2]


@pytest.mark.slow
def test_memory_does_not_grow_with_rows(tmp_path):
    config = PRICE.model_copy(update={"inputs": {"title": CategoryInput()}})

    def peak(rows):
        table = tmp_path / f"{rows}.csv"
        table.write_text("title,price\n" + (("word " * 200 + ",1\n") * rows))
        tracemalloc.start()
        try:
            table_ingest.ingest(
                read_table(table), config, tmp_path / str(rows), processes=1, rows_per_shard=200
            )
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # imports and tracing do not count
    peak(200)
    assert peak(8_000) < 1.1 * peak(2_000)
