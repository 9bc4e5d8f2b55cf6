"""Ingest: what is kept and rejected, and that kills, full disks and repetition change no byte."""

import csv
import errno
import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from ingest_case import CONFIG, ROWS_PER_SHARD, contents, make_table

from multimodal_tf.config import (
    ClassificationHead,
    Config,
    MultiLabelHead,
    RegressionHead,
    Split,
    TextInput,
)
from multimodal_tf.data import atomic, record_files
from multimodal_tf.data.codecs import riff
from multimodal_tf.data.ingest import fingerprint, jobs, processes, table_ingest
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.kinds.cell import is_missing
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.data.table import read_table
from multimodal_tf.schema import Schema


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A table of every good and bad cell, ingested once in one process."""
    root = tmp_path_factory.mktemp("case")
    frame, rejected = make_table(root)
    frame.to_pickle(root / "table.pkl")
    directory = root / "out"
    manifest = table_ingest.ingest(
        read_table(frame, root), CONFIG, directory, processes=1, rows_per_shard=ROWS_PER_SHARD
    )
    return root, frame, rejected, directory, manifest


def rejected_in(directory):
    with open(directory / "rejected.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def states(directory):
    return {
        str(path.relative_to(directory)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if path.is_file()
    }


def read_rows(manifest, config, split):
    """Rows by number: (inputs, labels) without what is missing."""
    rows = {}
    for serialized in tf.data.TFRecordDataset(list(map(str, manifest.shards(split)))).batch(7):
        numbers, inputs, labels = record_files.parse(config, serialized)
        for index, number in enumerate(numbers.numpy()):
            cells = [
                {name: tensor.numpy()[index] for name, tensor in room.items()}
                for room in (inputs, labels)
            ]
            rows[int(number)] = [
                {name: cell for name, cell in room.items() if cell not in (b"",) and cell == cell}
                for room in cells
            ]
    return rows


class TestRows:
    def test_rejected_cells_are_listed_in_the_order_of_rows(self, case):
        _, _, expected, directory, manifest = case
        actual = [
            (int(one["row"]), one["column"], one["path"], one["reason"])
            for one in rejected_in(directory)
        ]
        assert [one[:3] for one in actual] == [one[:3] for one in expected]
        for (_, _, _, reason), (_, _, path, wanted) in zip(actual, expected):
            assert wanted in reason or (path == "cut.jpg" and "image" in reason), (path, reason)
        assert manifest.rejected == len(expected)

    def test_every_other_row_is_in_its_split_in_the_table_s_order(self, case):
        _, frame, rejected, _, manifest = case
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

    def test_a_row_is_kept_without_its_bad_cell(self, case):
        root, frame, rejected, _, manifest = case
        rows = {
            number: row
            for split in ("train", "validation", "test")
            for number, row in read_rows(manifest, CONFIG, split).items()
        }
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

    def test_the_graph_reads_every_kept_cell(self, case):
        _, _, _, directory, manifest = case
        reader = Preprocessor(CONFIG, Schema.load(directory / "schema.json"))
        paths = [str(path) for split in manifest.splits for path in manifest.shards(split)]
        _, inputs, _ = record_files.parse(
            CONFIG, next(iter(tf.data.TFRecordDataset(paths).batch(1000)))
        )
        features, errors = reader.features(inputs)
        assert errors.numpy().tolist() == [b""] * manifest.kept
        assert features["clip_present"].numpy().sum() == 9 + 1

    def test_audio_is_the_same_to_the_graph_before_and_after(self, case):
        root, frame, _, _, manifest = case
        rows = {
            number: row
            for split in ("train", "validation", "test")
            for number, row in read_rows(manifest, CONFIG, split).items()
        }
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

    def test_half_an_hour_of_audio_becomes_a_small_record(self, case):
        _, _, _, _, manifest = case
        shard_bytes = sum(shard.bytes for several in manifest.splits.values() for shard in several)
        # the long text is 10 MB of it
        assert shard_bytes < 12_000_000

    def test_the_files_in_the_directory(self, case):
        _, _, _, directory, manifest = case
        assert Config.load(directory / "config.yaml") == CONFIG
        assert Schema.load(directory / "schema.json").heads["label"].names == ["a", "b"]
        assert Manifest.load(directory) == manifest
        shard = manifest.splits["train"][0]
        assert shard.file == "train-00000.tfrecord"
        assert shard.bytes == (directory / shard.file).stat().st_size
        assert not list(directory.rglob("*.tmp"))

    def test_shards_hold_rows_per_shard(self, case):
        _, frame, _, _, manifest = case
        assert len(manifest.splits["train"]) == -(
            -(frame["side"] == "train").sum() // ROWS_PER_SHARD
        )


class TestRepetition:
    @pytest.fixture
    def again(self, case, tmp_path):
        """A copy of the ingested directory, and a function that ingests into it again."""
        root, frame, _, directory, _ = case
        shutil.copytree(directory, tmp_path / "out")

        def run(config=CONFIG, rows=None):
            return table_ingest.ingest(
                read_table(frame[:rows], root),
                config,
                tmp_path / "out",
                processes=1,
                rows_per_shard=ROWS_PER_SHARD,
            )

        return tmp_path / "out", run

    def test_nothing_is_done_twice(self, again, case):
        directory, run = again
        before = states(directory)
        assert run().model_dump() == case[4].model_dump()
        assert states(directory) == before

    def test_other_training_leaves_the_records(self, again):
        directory, run = again
        before = states(directory)
        run(
            CONFIG.model_copy(update={"training": CONFIG.training.model_copy(update={"epochs": 3})})
        )
        assert {name for name, state in states(directory).items() if before[name] != state} == {
            "config.yaml"
        }

    def test_a_changed_file_changes_its_shard_alone(self, again, case):
        directory, run = again
        image = case[0] / "b.webp"
        before, status = states(directory), image.stat()
        os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
        try:
            manifest = run()
        finally:
            os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
        changed = {name for name, state in states(directory).items() if before.get(name) != state}
        assert {name for name in changed if name.startswith("parts/t")} == {"parts/test-00000.json"}
        # its bytes are what they were
        assert "test-00000.tfrecord" not in changed
        assert manifest.model_dump() == case[4].model_dump()

    def test_another_setting_of_a_column_writes_all_again(self, tmp_path):
        table_ingest.ingest(read_table(FRAME), SMALL, tmp_path, processes=1)
        commas = SMALL.model_copy(
            update={"heads": SMALL.heads | {"tags": MultiLabelHead(separator=",")}}
        )
        manifest = table_ingest.ingest(read_table(FRAME), commas, tmp_path, processes=1)
        assert read_rows(manifest, commas, "train")[0][1]["tags"] == b"x;y"

    def test_shards_of_a_larger_ingest_are_removed(self, again):
        directory, run = again
        (directory / "mine.tfrecord").write_text("not ours")
        manifest = run(rows=20)
        written = {path.name for path in directory.glob("*.tfrecord")}
        assert written == {
            path.name for split in manifest.splits for path in manifest.shards(split)
        } | {"mine.tfrecord"}
        assert {path.stem for path in (directory / "parts").glob("*.json")} == {
            name.removesuffix(".tfrecord") for name in written
        } - {"mine"}

    @pytest.mark.parametrize(
        "name",
        [
            "train-00001.tfrecord",
            "parts/train-00001.json",
            "manifest.json",
            "schema.json",
            "rejected.csv",
        ],
    )
    def test_a_lost_or_cut_file_is_written_again(self, again, case, name):
        directory, run = again
        (directory / name).write_bytes((directory / name).read_bytes()[:10])
        (directory / "train-00002.tfrecord").unlink()
        run()
        assert contents(directory) == contents(case[3])


KILLED = """
import pathlib, sys, time
import pandas as pd
from multimodal_tf.config import Config
from multimodal_tf.data import table
from multimodal_tf.data.ingest import table_ingest

def slow(rows, columns, read):  # gives the first rows, then waits to be killed
    for count, cells in read(1, columns):
        if len(columns) > 1 and (seen := slow.seen) > 25:
            time.sleep(1000)
        slow.seen += len(columns) > 1
        yield count, cells

if __name__ == "__main__":
    root, out = map(pathlib.Path, sys.argv[1:])
    whole = table.read_table(pd.read_pickle(root / "table.pkl"), root)
    slow.seen = 0
    read = lambda rows, columns: slow(rows, columns, whole.read)
    slowly = table.Table(whole.name, whole.root, whole.columns, read)
    config = Config.load(root / "out" / "config.yaml")
    table_ingest.ingest(slowly, config, out, processes=2, rows_per_shard=5)
"""


def wait_for(condition, seconds=400):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_killed_and_started_again_gives_the_same_bytes(case, tmp_path):
    root, frame, _, reference, _ = case
    script, out = tmp_path / "killed.py", tmp_path / "out"
    script.write_text(KILLED)
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, script, root, out], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: len(list(out.glob("parts/*.json"))) >= 3 or process.poll() is not None)
        workers = (
            pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        )
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(workers) >= 2
    wait_for(lambda: not any(is_running(worker) for worker in workers), 30)
    assert not (out / "manifest.json").exists()
    finished = {name: state for name, state in states(out).items() if name.endswith(".tfrecord")}
    (out / "train-00000.tfrecord.1.tmp").write_bytes(b"half")
    table_ingest.ingest(
        read_table(frame, root), CONFIG, out, processes=1, rows_per_shard=ROWS_PER_SHARD
    )
    assert contents(out) == contents(reference)
    done_before = {path.stem for path in out.glob("parts/*.json")} & {
        name.removesuffix(".tfrecord") for name in finished
    }
    assert len(done_before) >= 3
    assert {name: state for name, state in states(out).items() if name in finished} == finished


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_dead_worker_is_one_error():
    with pytest.raises(ChildProcessError, match="a worker process died"):
        list(processes.results(os._exit, iter([9]), 2))


FRAME = pd.DataFrame(
    {
        "title": ["a b", "c", None, "d"],
        "tags": ["x;y", ";", "x", None],
        "price": [1, 2, 3, None],
        "class": list("xyxx"),
    }
)
SMALL = Config(
    inputs={"title": TextInput()},
    heads={"tags": MultiLabelHead(), "price": RegressionHead()},
    split=Split(validation=0, test=0),
)


class TestSmallTables:
    def test_several_heads(self, tmp_path):
        manifest = table_ingest.ingest(read_table(FRAME), SMALL, tmp_path, processes=1)
        rows = read_rows(manifest, SMALL, "train")
        assert rows == {
            0: [{"title": b"a b"}, {"tags": b"x\x1fy", "price": 1.0}],
            1: [{"title": b"c"}, {"tags": b"\x1f", "price": 2.0}],
        }
        assert [(one["row"], one["column"], one["reason"]) for one in rejected_in(tmp_path)] == [
            ("2", "", "no input is left"),
            ("3", "", "no label"),
        ]

    def test_one_row(self, tmp_path):
        config = SMALL.model_copy(update={"heads": {"price": RegressionHead()}, "split": Split()})
        assert table_ingest.ingest(read_table(FRAME[:1]), config, tmp_path, processes=1).kept == 1

    def test_nothing_left_to_train_on(self, tmp_path):
        with pytest.raises(
            ValueError, match="no row of the DataFrame is left to train on: see .*rejected.csv"
        ):
            table_ingest.ingest(read_table(FRAME[2:]), SMALL, tmp_path, processes=1)
        assert len(rejected_in(tmp_path)) == 2

    def test_one_class(self, tmp_path):
        config = SMALL.model_copy(update={"heads": {"class": ClassificationHead()}})
        with pytest.raises(ValueError, match="must have two classes or more"):
            table_ingest.ingest(read_table(FRAME[:1]), config, tmp_path, processes=1)

    def test_progress_bar(self, tmp_path, capsys):
        table_ingest.ingest(read_table(FRAME), SMALL, tmp_path, processes=1, progress=True)
        assert "4/4 rows" in capsys.readouterr().err

    def test_rows_are_gathered_by_split(self, tmp_path):
        frame = pd.concat([FRAME[:2]] * 10, ignore_index=True).assign(
            side=(["train"] * 4 + ["test"]) * 4
        )
        config = SMALL.model_copy(update={"split": Split(column="side")})
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
        manifest = table_ingest.ingest(read_table(frame), SMALL, tmp_path, processes=1)
        assert [shard.rows for shard in manifest.splits["train"]] == [3, 1, 2]


def test_memory_does_not_grow_with_rows(tmp_path):
    def peak(rows):
        table = tmp_path / f"{rows}.csv"
        table.write_text("title,price\n" + (("word " * 200 + ",1\n") * rows))
        config = SMALL.model_copy(update={"heads": {"price": RegressionHead()}, "split": Split()})
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


class TestFullDisk:
    @pytest.mark.parametrize(
        "name",
        [
            "train-00001.tfrecord",
            "parts/train-00001.json",
            "rejected.csv",
            "config.yaml",
            "manifest.json",
            "schema.json",
        ],
    )
    def test_is_one_error_and_the_next_run_resumes(self, tmp_path, monkeypatch, name):
        """/dev/full acts as a full disk for every writer."""

        def run(directory):
            return table_ingest.ingest(
                read_table(FRAME), SMALL, directory, processes=1, rows_per_shard=1
            )

        reference = tmp_path / "reference"
        run(reference)
        out = tmp_path / "out"
        (out / "parts").mkdir(parents=True)
        atomic.temporary(out / name).symlink_to("/dev/full")
        with monkeypatch.context() as patch:
            patch.setattr(atomic, "remove_temporaries", lambda directory: None)
            with pytest.raises(
                OSError,
                match="^no space left for .*/out .*: free some space and run it again, it resumes",
            ) as caught:
                run(out)
        assert caught.value.errno == errno.ENOSPC
        assert not list(out.rglob("*.tmp"))
        assert not (out / name).exists()
        finished = {path: state for path, state in states(out).items() if path.startswith("train")}
        run(out)
        assert contents(out) == contents(reference)
        assert {path: state for path, state in states(out).items() if path in finished} == finished


class TestErrors:
    def run(self, directory, config=SMALL, **options):
        return table_ingest.ingest(read_table(FRAME), config, directory, **options)

    def test_a_column_that_does_not_exist(self, tmp_path):
        config = SMALL.model_copy(update={"inputs": {"text": TextInput(column="titel")}})
        with pytest.raises(
            ValueError,
            match="the DataFrame has no column 'titel', which text reads: did you mean 'title'\\?",
        ):
            self.run(tmp_path / "out", config)
        config = SMALL.model_copy(update={"split": Split(group="zzzz")})
        with pytest.raises(
            ValueError,
            match="no column 'zzzz', which split.group reads: it has 'title', 'tags', 'price'",
        ):
            self.run(tmp_path / "out", config)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("options", [{"processes": 0}, {"rows_per_shard": 0}])
    def test_numbers(self, tmp_path, options):
        with pytest.raises(ValueError, match="must be at least 1.*, received 0"):
            self.run(tmp_path, **options)

    def test_beam_without_beam(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "apache_beam", None)
        with pytest.raises(
            ValueError,
            match="needs Apache Beam, which is not installed .*pip install 'multimodal_tf\\[beam",
        ):
            self.run(tmp_path / "out", beam=["--runner=DirectRunner"])
        assert not (tmp_path / "out").exists()

    def test_beam_with_processes(self, tmp_path):
        with pytest.raises(
            ValueError, match="processes must be None where Beam has workers of its own, received 2"
        ):
            self.run(tmp_path / "out", processes=2, beam=[])

    def test_the_directory_is_a_file(self, tmp_path):
        (tmp_path / "out").touch()
        for name in ("out", "out/deeper"):
            with pytest.raises(NotADirectoryError, match="the output directory .*out"):
                self.run(tmp_path / name)

    def test_the_directory_cannot_be_written(self, tmp_path):
        user = os.geteuid()
        (tmp_path / "out").mkdir(mode=0o555)
        # root may write everywhere
        if user == 0:
            for folder in (tmp_path, *tmp_path.parents):
                if pathlib.Path(tempfile.gettempdir()) in folder.parents:
                    folder.chmod(0o755)
            os.seteuid(65534)
        try:
            with pytest.raises(
                PermissionError,
                match="the output directory .*out cannot be written: Permission denied",
            ):
                self.run(tmp_path / "out")
        finally:
            os.seteuid(user)

    def test_two_at_a_time(self, tmp_path):
        with open(tmp_path / atomic.LOCK, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(BlockingIOError, match="another process is writing into"):
                self.run(tmp_path)
        self.run(tmp_path, processes=1)

    def test_a_table_that_changes_meanwhile(self, tmp_path, monkeypatch):
        for rows in (3, 5):
            monkeypatch.setattr(
                table_ingest,
                "assign_splits",
                lambda table, config, rows=rows: np.zeros(rows, np.int8),
            )
            with pytest.raises(ValueError, match=f"changed while it was read: it had {rows} rows"):
                self.run(tmp_path, processes=1)


class TestFingerprint:
    def of(self, value, config=SMALL, row=0):
        return fingerprint.fingerprint(("title",), [(row, (value,))], config, ".")

    def test_is_the_same_for_the_same(self):
        for make in (
            lambda: "a",
            lambda: b"a",
            lambda: np.arange(3),
            lambda: [1, [2]],
            lambda: {"bytes": b"x"},
            lambda: {"a", "b"},
            lambda: None,
        ):
            assert self.of(make()) == self.of(make())

    def test_differs_for_what_differs(self):
        values = [
            "a",
            b"a",
            "b",
            ["a"],
            ["a", ""],
            ["a", None],
            [["a"], []],
            1,
            1.5,
            None,
            np.arange(3),
            np.arange(3.0),
            np.arange(4),
            {"bytes": b"a"},
            "\ud800",
        ]
        assert len({self.of(value) for value in values}) == len(values)
        assert self.of("a") != self.of("a", row=1)
        assert self.of("a") != self.of(
            "a", SMALL.model_copy(update={"heads": {"tags": MultiLabelHead(separator=",")}})
        )


def test_the_schema_of_another_tokenizer(tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text("cat 1 2\n")
    pd.DataFrame({"title": ["cat", "dog", "cat dog"] * 8, "label": ["a", "b"] * 12}).to_csv(
        tmp_path / "t.csv", index=False
    )
    text = {
        "type": "text",
        "vectors": {"type": "file", "path": str(file)},
        "tower": {"type": "bag", "embedding_dim": 2},
    }
    config = Config(inputs={"title": text}, heads={"label": ClassificationHead()})
    table_ingest.ingest(read_table(tmp_path / "t.csv"), config, tmp_path / "records", processes=1)
    first = Schema.load(tmp_path / "records" / "schema.json")
    assert schema_for(config, tmp_path / "records") == first
    other = Config(
        inputs={"title": {"type": "text", "tokenizer": {"type": "characters"}}}, heads=config.heads
    )
    assert schema_for(other, tmp_path / "records").inputs["title"].tokenizer == "characters"
    assert Schema.load(tmp_path / "records" / "schema.json") == first
    file.write_text("cat 30 40\n")
    again = schema_for(config, tmp_path / "records")
    assert again.inputs["title"].vectors.array()[
        again.inputs["title"].words.index("cat")
    ].tolist() == [30, 40]
    table_ingest.ingest(read_table(tmp_path / "t.csv"), config, tmp_path / "records", processes=1)
    assert Schema.load(tmp_path / "records" / "schema.json") == again
