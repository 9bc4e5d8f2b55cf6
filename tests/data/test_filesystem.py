"""Records on other file systems: in memory, and on a file server on this machine."""

import pathlib
import threading

import fsspec
import pandas as pd
import pytest
import upath
from ingest_table import contents

from multimodal_tf.config import (
    CategoryInput,
    CharacterTokenizer,
    ClassificationHead,
    Config,
    Split,
    TextInput,
    WordTokenizer,
)
from multimodal_tf.data import atomic, filesystem
from multimodal_tf.data.ingest import schema_cache, shards, table_ingest
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.schema import Schema

FRAME = pd.DataFrame(
    {"title": [f"word {row}" for row in range(24)] + [b"caf\xe9"], "label": ["x", "y"] * 12 + ["x"]}
)
CONFIG = Config(inputs={"title": CategoryInput()}, heads={"label": ClassificationHead()})


def run(directory, frame=FRAME, config=CONFIG, **options):
    return table_ingest.ingest(
        read_table(frame), config, directory, **{"processes": 1, "rows_per_shard": 5} | options
    )


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """What ingest writes on this machine, without the lock."""
    directory = tmp_path_factory.mktemp("local")
    run(directory)
    return {name: data for name, data in contents(directory).items() if name != atomic.LOCK}


@pytest.fixture
def memory():
    yield "memory://places/records"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def server(tmp_path):
    """Address of a folder on an FTP server, which keeps its files in a temporary directory."""
    servers = pytest.importorskip("pyftpdlib.servers")
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler

    users = DummyAuthorizer()
    users.add_user("user", "word", str(tmp_path), perm="elradfmw")
    handler = type("Handler", (FTPHandler,), {"authorizer": users})
    with servers.FTPServer(("127.0.0.1", 0), handler) as serving:
        stop = threading.Event()
        thread = threading.Thread(
            target=lambda: [
                serving.serve_forever(timeout=0.01, blocking=False) for _ in iter(stop.is_set, True)
            ]
        )
        thread.start()
        yield f"ftp://user:word@127.0.0.1:{serving.address[1]}/deep/records"
        stop.set()
        thread.join()


class TestToPath:
    def test_what_has_no_protocol_is_of_this_machine(self):
        for given in ("records/a", "/records/a", pathlib.Path("records/a"), "a:b"):
            assert filesystem.to_path(given) == pathlib.Path(given)
            assert filesystem.is_local(filesystem.to_path(given))

    def test_what_has_one_is_a_upath(self):
        path = filesystem.to_path("memory://records")
        assert isinstance(path, upath.UPath)
        assert not filesystem.is_local(path)
        assert filesystem.to_path(path) == path

    def test_an_unknown_protocol(self):
        with pytest.raises(
            ValueError,
            match="^nope://b/records must be on a file system that fsspec can read here: .*'nope'",
        ):
            filesystem.to_path("nope://b/records")

    def test_a_protocol_whose_package_is_missing(self, monkeypatch):
        def missing(*arguments, **options):
            raise ImportError("Install s3fs to access S3")

        monkeypatch.setattr(upath.UPath, "fs", property(missing))
        with pytest.raises(
            ValueError,
            match="^s3://b/records must be on a file system that fsspec can read here: Install",
        ):
            filesystem.to_path("s3://b/records")

    def test_a_server_that_does_not_exist(self):
        with pytest.raises(
            OSError, match="^ftp://127.0.0.1:1/records cannot be reached: Connection refused"
        ):
            filesystem.to_path("ftp://127.0.0.1:1/records")


class TestReadable:
    def test_what_tensorflow_reads_keeps_its_name(self, tmp_path):
        assert filesystem.readable(tmp_path / "a") == str(tmp_path / "a")

    def test_other_files_are_copied_and_again_when_they_change(self, memory):
        file = filesystem.to_path(memory) / "a"
        file.write_bytes(b"first")
        assert pathlib.Path(filesystem.readable(file)).read_bytes() == b"first"
        file.write_bytes(b"second")
        assert pathlib.Path(filesystem.readable(file)).read_bytes() == b"second"

    def test_a_missing_file(self, memory):
        with pytest.raises(FileNotFoundError):
            filesystem.readable(filesystem.to_path(memory) / "none")


class TestIngest:
    @pytest.fixture(params=["memory", "server"])
    def address(self, request):
        return request.getfixturevalue(request.param)

    def test_the_same_files_as_on_this_machine(self, address, local):
        manifest = run(address)
        assert contents(address) == local
        assert Manifest.load(address) == manifest
        assert manifest.shards("train")[0].read_bytes() == local["train-00000.tfrecord"]
        assert Config.load(f"{address}/config.yaml") == CONFIG
        assert Schema.load(f"{address}/schema.json").rows == manifest.rows("train")

    def test_nothing_is_done_twice_and_what_is_lost_is_made_again(
        self, address, local, monkeypatch
    ):
        run(address)
        (filesystem.to_path(address) / "train-00001.tfrecord").unlink()
        made, write = [], shards.write
        monkeypatch.setattr(
            shards, "write", lambda job, **rest: made.append(job.file) or write(job, **rest)
        )
        run(address)
        run(address)
        assert made == ["train-00001.tfrecord"]
        assert contents(address) == local

    def test_shards_of_a_larger_ingest_go(self, address):
        run(address)
        manifest = run(address, FRAME[:10])
        written = {name for name in contents(address) if name.endswith(".tfrecord")}
        assert written == {shard.file for several in manifest.splits.values() for shard in several}

    def test_the_schema_of_another_configuration(self, address):
        words, other = (
            Config(inputs={"title": TextInput(tokenizer=tokenizer)}, heads=CONFIG.heads)
            for tokenizer in (WordTokenizer(), CharacterTokenizer())
        )
        run(address, config=words)
        assert "w" in schema_cache.schema_for(other, address).inputs["title"].words

    def test_the_pipeline_reads_the_same_rows(self, address, tmp_path):
        batches = []
        for directory in (address, tmp_path / "records"):
            run(directory)
            schema = Schema.load(f"{directory}/schema.json")
            batches.append(
                [
                    batch[0]["title"].numpy()
                    for batch in load_split(CONFIG, schema, directory, "train", training=True)
                ]
            )
        assert all((one == other).all() for one, other in zip(*batches, strict=True))

    def test_no_manifest(self, address):
        with pytest.raises(
            FileNotFoundError, match="has no manifest.json: ingest a table there first"
        ):
            Manifest.load(address)


@pytest.mark.slow
def test_a_worker_process_writes_to_a_server(server, tmp_path):
    """One of two, as there is one shard."""
    config = CONFIG.model_copy(update={"split": Split(validation=0, test=0)})
    run(server, config=config, processes=2, rows_per_shard=100)
    run(tmp_path / "local", config=config, rows_per_shard=100)
    files = contents(tmp_path / "local")
    del files[atomic.LOCK]
    assert contents(server) == files


def test_a_shard_whose_sending_fails_is_not_taken_for_whole(memory, local, monkeypatch):
    files = fsspec.filesystem("memory")
    whole = files.put_file

    def cut(source, target):
        if target.endswith("train-00001.tfrecord"):
            files.pipe_file(target, b"half")
            raise ConnectionResetError("the server hung up")
        whole(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(files, "put_file", cut)
        with pytest.raises(ConnectionResetError):
            run(memory)
    assert "manifest.json" not in contents(memory)
    run(memory)
    assert contents(memory) == local
