"""What a killed process left is removed by the next one; what a running one writes stays."""

import errno
import socket
import subprocess
import sys

import pytest

from multimodal_tf.config import ClassificationHead, Config, TextInput
from multimodal_tf.data import atomic
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.schema import Schema, check_schema

HOST = socket.gethostname()


@pytest.fixture
def ended():
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_only_what_ended_processes_left_is_removed(tmp_path, ended):
    path = tmp_path / "out.csv"
    kept = [
        atomic.temporary(path).name,
        f"out.csv.{HOST}-1.tmp",
        f"out.csv.other-{ended}.tmp",
        f"out.csv.gz.{HOST}-{ended}.tmp",
        f"out.csv.{HOST}-{ended}.tmp.bak",
        "out.csv",
    ]
    for name in [*kept, f"out.csv.{HOST}-{ended}.tmp"]:
        (tmp_path / name).write_text("")
    atomic.remove_abandoned(path)
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(kept)


def test_folders_are_removed_whole(tmp_path, ended):
    folder = tmp_path / f".1.{HOST}-{ended}.tmp"
    (folder / "variables").mkdir(parents=True)
    (folder / "variables" / "a").write_text("")
    atomic.remove_abandoned(tmp_path / ".1")
    assert list(tmp_path.iterdir()) == []
    atomic.remove_abandoned(tmp_path / "gone" / ".1")


def test_what_keras_left_is_removed(tmp_path, ended):
    (tmp_path / f"model.keras.{HOST}-{ended}.tmp.keras").write_text("")
    atomic.remove_temporaries(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "a"),
        OSError("Can't write data (errno = 28, error message = 'No space left on device')"),
        RuntimeError("UNKNOWN: /a/b; No space left on device"),
    ],
)
def test_a_full_disk_is_one_sentence(tmp_path, error):
    with (
        pytest.raises(OSError, match=f"^no space left for {tmp_path} .* run it again$") as caught,
        atomic.full_disk_explained(tmp_path, resumes=False),
    ):
        raise error
    assert caught.value.errno == errno.ENOSPC


def test_another_error_stays():
    for error in (OSError(errno.EACCES, "no"), KeyError("a")):
        with pytest.raises(type(error)) as caught, atomic.full_disk_explained("a"):
            raise error
        assert caught.value is error


def test_a_path_in_place_of_an_object_is_a_sentence(tmp_path):
    config = Config(inputs={"a": TextInput()}, heads={"y": ClassificationHead()})
    calls = [
        (lambda: ingest("a.csv", config, tmp_path), "there is no table a.csv"),
        (lambda: describe("a.csv"), "there is no table a.csv"),
        (lambda: check_schema("run", "run"), "config must be a Config, such as Config.load"),
        (lambda: check_schema(config, "run"), "schema must be a Schema, such as Schema.load"),
        (lambda: Schema.load(tmp_path / "gone"), "gone"),
    ]
    for call, sentence in calls:
        with pytest.raises((ValueError, OSError), match=sentence):
            call()
