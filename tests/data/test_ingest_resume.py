"""Ingest: repetition, kills, full disks and changed files write only what has to change."""

import errno
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from ingest_table import (
    CONFIG,
    FOUR_CONFIG,
    FOUR_ROWS,
    MANY_CONFIG,
    ROWS_PER_SHARD,
    contents,
    many_rows,
    read_rows,
    states,
)

from multimodal_tf.config import ClassificationHead, Config, MultiLabelHead
from multimodal_tf.data import atomic
from multimodal_tf.data.ingest import table_ingest
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.table import read_table
from multimodal_tf.schema import Schema


class TestRepetition:
    @pytest.fixture
    def again(self, ingested, tmp_path):
        """A copy of the ingested directory, and a function that ingests into it again."""
        shutil.copytree(ingested.directory, tmp_path / "out")

        def run(config=CONFIG, rows=None, root=ingested.root):
            return table_ingest.ingest(
                read_table(ingested.frame[:rows], root),
                config,
                tmp_path / "out",
                processes=1,
                rows_per_shard=ROWS_PER_SHARD,
            )

        return tmp_path / "out", run

    def test_nothing_is_done_twice(self, again, ingested):
        directory, run = again
        before = states(directory)
        assert run().model_dump() == ingested.manifest.model_dump()
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

    def test_a_changed_file_changes_its_shard_alone(self, again, ingested, tmp_path):
        directory, run = again
        root = shutil.copytree(ingested.root, tmp_path / "files")
        before, status = states(directory), (root / "b.webp").stat()
        os.utime(root / "b.webp", ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
        manifest = run(root=root)
        changed = {name for name, state in states(directory).items() if before.get(name) != state}
        assert {name for name in changed if name.startswith("parts/t")} == {"parts/test-00000.json"}
        # its bytes are what they were
        assert "test-00000.tfrecord" not in changed
        assert manifest.model_dump() == ingested.manifest.model_dump()

    def test_another_setting_of_a_column_writes_all_again(self, tmp_path):
        table_ingest.ingest(read_table(FOUR_ROWS), FOUR_CONFIG, tmp_path, processes=1)
        commas = FOUR_CONFIG.model_copy(
            update={"heads": FOUR_CONFIG.heads | {"tags": MultiLabelHead(separator=",")}}
        )
        manifest = table_ingest.ingest(read_table(FOUR_ROWS), commas, tmp_path, processes=1)
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
    def test_a_lost_or_cut_file_is_written_again(self, again, ingested, name):
        directory, run = again
        (directory / name).write_bytes((directory / name).read_bytes()[:10])
        (directory / "train-00002.tfrecord").unlink()
        run()
        assert contents(directory) == contents(ingested.directory)


def wait_for(condition, seconds=400):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.slow
def test_killed_and_started_again_gives_the_same_bytes(tmp_path):
    program = pathlib.Path(__file__).parent / "slow_ingest_program.py"
    reference, out = tmp_path / "reference", tmp_path / "out"
    tests = pathlib.Path(__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, program, out],
        env=os.environ | {"PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"},
        stderr=subprocess.DEVNULL,
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
    for directory in (reference, out):
        table_ingest.ingest(
            read_table(many_rows()), MANY_CONFIG, directory, processes=1, rows_per_shard=5
        )
    assert contents(out) == contents(reference)
    assert "not a number: 'cheap'" in (out / "rejected.csv").read_text()
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


class TestFullDisk:
    def run(self, directory):
        return table_ingest.ingest(
            read_table(FOUR_ROWS), FOUR_CONFIG, directory, processes=1, rows_per_shard=1
        )

    @pytest.fixture(scope="class")
    def reference(self, tmp_path_factory):
        """What ingest writes where space is left."""
        directory = tmp_path_factory.mktemp("reference")
        self.run(directory)
        return contents(directory)

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
    def test_is_one_error_and_the_next_run_resumes(self, tmp_path, monkeypatch, reference, name):
        """/dev/full acts as a full disk for every writer."""
        out = tmp_path / "out"
        (out / "parts").mkdir(parents=True)
        atomic.temporary(out / name).symlink_to("/dev/full")
        with monkeypatch.context() as patch:
            patch.setattr(atomic, "remove_temporaries", lambda directory: None)
            with pytest.raises(
                OSError,
                match="^no space left for .*/out .*: free some space and run it again, it resumes",
            ) as caught:
                self.run(out)
        assert caught.value.errno == errno.ENOSPC
        assert not list(out.rglob("*.tmp"))
        assert not (out / name).exists()
        finished = {path: state for path, state in states(out).items() if path.startswith("train")}
        self.run(out)
        assert contents(out) == reference
        assert {path: state for path, state in states(out).items() if path in finished} == finished


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
