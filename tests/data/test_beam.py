"""Ingest on Apache Beam: the same files as from one process, and failures of workers."""

import pickle
import shutil
import sys

import pandas as pd
import pytest
from ingest_table import CONFIG, ROWS_PER_SHARD, contents

pytest.importorskip("apache_beam", reason="needs the extra `beam`")

from multimodal_tf import cli
from multimodal_tf.config import ClassificationHead, Config, TextInput, VectorInput
from multimodal_tf.data import atomic
from multimodal_tf.data.ingest import beam, shards, table_ingest
from multimodal_tf.data.ingest.jobs import Job
from multimodal_tf.data.table import read_table

pytestmark = pytest.mark.slow

IN_PROCESS = ["--runner=DirectRunner"]
TWO_PROCESSES = [*IN_PROCESS, "--direct_num_workers=2", "--direct_running_mode=multi_processing"]
FRAME = pd.DataFrame({"title": [f"word {row}" for row in range(24)], "label": ["x", "y"] * 12})
SMALL = Config(inputs={"title": TextInput()}, heads={"label": ClassificationHead()})


def run(directory, options=IN_PROCESS, frame=FRAME):
    return table_ingest.ingest(read_table(frame), SMALL, directory, rows_per_shard=5, beam=options)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The files that one process writes for the small table, without the lock."""
    directory = tmp_path_factory.mktemp("local")
    table_ingest.ingest(read_table(FRAME), SMALL, directory, processes=1, rows_per_shard=5)
    return written(directory)


def written(directory):
    return {name: data for name, data in contents(directory).items() if name != atomic.LOCK}


def test_two_workers_write_what_one_process_writes(ingested, tmp_path):
    """All files, for a table with a bad cell of every kind."""
    table = read_table(ingested.frame, ingested.root)
    found = table_ingest.ingest(
        table, CONFIG, tmp_path, rows_per_shard=ROWS_PER_SHARD, beam=TWO_PROCESSES
    )
    assert found.model_dump() == ingested.manifest.model_dump()
    assert found.rejected == len(ingested.rejected)
    assert written(tmp_path) == written(ingested.directory)
    assert {path.name for path in tmp_path.iterdir()} == {
        path.name for path in ingested.directory.iterdir()
    }


def test_a_worker_writes_vectors(tmp_path):
    config = Config(inputs={"v": VectorInput(dim=8)}, heads={"label": ClassificationHead()})
    vectors = [list(range(row, row + 8)) for row in range(24)]
    vectors[3], vectors[5] = None, vectors[5][:-1]
    table = read_table(pd.DataFrame({"v": vectors, "label": ["x", "y"] * 12}))
    options = {"one": {"processes": 1}, "beam": {"beam": IN_PROCESS}}
    for name, way in options.items():
        table_ingest.ingest(table, config, tmp_path / name, rows_per_shard=5, **way)
    assert written(tmp_path / "beam") == written(tmp_path / "one")


class TestRepetition:
    @pytest.fixture(scope="class")
    def finished(self, tmp_path_factory):
        """What Beam wrote into a folder where an earlier run was killed."""
        out = tmp_path_factory.mktemp("finished")
        (out / "jobs").mkdir()
        (out / "jobs" / "train-00009.tfrecord.pickle").write_bytes(b"half a")
        run(out)
        return out

    @pytest.fixture
    def out(self, finished, tmp_path):
        return shutil.copytree(finished, tmp_path / "out")

    def test_files_of_a_killed_run_are_ignored(self, finished, local):
        assert written(finished) == local

    def test_what_is_done_is_not_done_again(self, out, monkeypatch, local):
        monkeypatch.setattr(beam.BeamPipeline, "_run", None)
        run(out)
        assert written(out) == local

    def test_a_lost_shard_alone_is_made_again(self, out, local):
        before = {path.name: path.stat().st_ino for path in out.glob("*.tfrecord")}
        (out / "train-00001.tfrecord").unlink()
        run(out)
        assert {
            path.name for path in out.glob("*.tfrecord") if path.stat().st_ino != before[path.name]
        } <= {"train-00001.tfrecord"}
        assert written(out) == local

    def test_a_failed_pipeline_is_one_error_and_the_next_run_resumes(self, tmp_path, local):
        out = tmp_path / "out"
        (out / "train-00001.tfrecord").mkdir(parents=True)
        with pytest.raises(
            OSError,
            match="^the Beam pipeline failed \\(.*\\): finished shards are kept, run it again",
        ) as caught:
            run(out)
        assert "\n" not in str(caught.value)
        assert not (out / "manifest.json").exists()
        (out / "train-00001.tfrecord").rmdir()
        run(out)
        assert written(out) == local

    def test_a_worker_leaves_a_shard_that_an_earlier_attempt_has_made(self, tmp_path):
        job = Job(
            "train-00000.tfrecord", ("title", "label"), [(0, ("word", "x"))], "what it is made from"
        )
        (tmp_path / "job").write_bytes(pickle.dumps(job))
        attempts = []

        def work(job):
            attempts.append(job)
            (tmp_path / "parts").mkdir()
            shards.write(job, SMALL, ".", tmp_path)

        for _ in range(2):
            beam._write_shard(work, tmp_path, tmp_path / "job")
        assert attempts == [job]


class TestErrors:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--runner=Nope"], "the Beam runner 'Nope' cannot be had: Unexpected pipeline runner"),
            (
                ["--runner=nope.Runner"],
                "the Beam runner 'nope.Runner' cannot be had: No module named 'nope'",
            ),
            (
                ["--direct_num_workers=two"],
                "Beam's options .* cannot be read: argument --direct_num_workers: invalid int",
            ),
        ],
    )
    def test_before_the_table_is_read(self, tmp_path, options, message):
        with pytest.raises(ValueError, match=message) as caught:
            run(tmp_path / "out", options)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()

    def test_workers_that_write_elsewhere(self, tmp_path):
        jobs = [Job("train-00000.tfrecord", ("title",), [(0, ("word",))], "print")]
        pipeline = beam.BeamPipeline(IN_PROCESS, tmp_path)
        with pytest.raises(
            OSError,
            match="ended without train-00000.tfrecord in .*: its workers must read and write there",
        ):
            list(pipeline.results(str, jobs))


def test_the_pipeline_is_as_small_for_many_shards_as_for_few(tmp_path):
    sizes = []
    for number in (2, 200):
        pipeline = beam.BeamPipeline(IN_PROCESS, tmp_path)
        jobs = (
            Job(f"train-{shard:05d}.tfrecord", ("title",), [(shard, ("word",))], "")
            for shard in range(number)
        )
        with pytest.raises(OSError, match="ended without"):
            list(pipeline.results(str, jobs))
        sizes.append(pipeline._pipeline.to_runner_api().ByteSize())
    assert sizes[1] < sizes[0] + 100


def test_a_directory_in_memory(local):
    run("memory://beam/out")
    assert written("memory://beam/out") == local


class TestCommandLine:
    def run(self, monkeypatch, folder, *words):
        FRAME.to_csv(folder / "table.csv", index=False)
        SMALL.save(folder / "config.yaml")
        words = [
            "ingest",
            folder / "table.csv",
            "--config",
            folder / "config.yaml",
            "--out",
            folder / "out",
            *words,
        ]
        monkeypatch.setattr(sys, "argv", ["multimodal-tf", *map(str, words)])
        cli.main()

    def test_a_runner_and_its_options(self, tmp_path, monkeypatch, capsys):
        with pytest.raises(SystemExit) as stop:
            self.run(
                monkeypatch, tmp_path, "--runner", "direct", "--beam-option", "direct_num_workers=1"
            )
        assert not stop.value.code
        assert "24 of 24 rows" in capsys.readouterr().out

    def test_options_without_a_runner(self, tmp_path, monkeypatch, capsys):
        with pytest.raises(SystemExit) as stop:
            self.run(monkeypatch, tmp_path, "--beam-option", "direct_num_workers=1")
        assert stop.value.code == 1
        assert (
            "--beam-option needs --runner, received 'direct_num_workers=1'"
            in capsys.readouterr().err
        )
