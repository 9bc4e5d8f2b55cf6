"""Fetching a SavedModel from archives and handles, and refusing graphs that do harm."""

import io
import os
import pathlib
import re
import shutil
import sys
import tarfile
import types
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from one_input import built, image, refused, rows_of, vector

from multimodal_tf.config import SavedModelTower
from multimodal_tf.models.towers import saved_model_files

HARM = {
    "WriteFile": lambda target: tf.io.write_file(str(target), "x"),
    "ReadFile": lambda target: tf.io.read_file("/etc/passwd"),
    "EagerPyFunc": lambda target: tf.py_function(print, ["x"], []),
    "PrintV2": lambda target: tf.print("x", output_stream=f"file://{target}"),
    "SaveV2": lambda target: tf.raw_ops.SaveV2(
        prefix=str(target), tensor_names=["x"], shape_and_slices=[""], tensors=[tf.constant(1.0)]
    ),
}


def harmful(operation, hidden, target, folder):
    """Saves a SavedModel that runs the operation of `HARM` on the file `target` when called."""

    def harm(image):
        hidden(lambda: HARM[operation](target))
        return {"out": image[:, 0, 0]}

    signature = tf.function(
        harm, [tf.TensorSpec((None, 8, 8, 1), tf.float32, "image")], autograph=False
    )
    tf.saved_model.save(tf.Module(), folder, signatures=signature)


def plainly(operation):
    operation()


def in_a_function(operation):
    tf.function(lambda: tf.function(lambda: (operation(), tf.constant(0))[1])())()


def in_a_branch(operation):
    tf.cond(tf.random.uniform([]) > 0.5, lambda: (operation(), 0)[1], lambda: 1)


def in_a_loop(operation):
    tf.while_loop(lambda i: i < 3, lambda i: (operation(), i + 1)[1], [0])


def in_a_dataset(operation):
    return (
        tf.data.Dataset.range(3)
        .map(lambda i: (operation(), i)[1])
        .reduce(tf.constant(0, tf.int64), lambda x, y: x + y)
    )


@pytest.mark.parametrize("hidden", [plainly, in_a_function, in_a_branch, in_a_loop, in_a_dataset])
@pytest.mark.parametrize("operation", HARM)
def test_a_graph_that_accesses_files_or_python_is_refused(operation, hidden, tmp_path):
    target = tmp_path / "target"
    harmful(operation, hidden, target, tmp_path / "model")
    message = refused(image(SavedModelTower(path=str(tmp_path / "model"))))
    assert message.endswith(
        f"must not access other files or call Python, its graph has the operations ['{operation}']"
    )
    assert not target.exists()


def test_a_graph_that_does_so_when_it_is_loaded_is_refused(tmp_path):
    target = tmp_path / "folder" / "target"

    class Table(tf.Module):
        def __init__(self):
            self.table = Resource()

    class Resource(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self):
            return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

        def _initialize(self):
            HARM["SaveV2"](target)

    module = Table()
    signature = tf.function(
        lambda image: {"out": image[:, 0, 0]}, [tf.TensorSpec((None, 8, 8, 1), tf.float32, "image")]
    )
    tf.saved_model.save(module, tmp_path / "model", signatures=signature)
    shutil.rmtree(target.parent, ignore_errors=True)
    assert "['SaveV2']" in refused(image(SavedModelTower(path=str(tmp_path / "model"))))
    assert not target.parent.exists()


def test_a_keras_file_is_checked_when_it_is_loaded(pretrained, tmp_path):
    model = built(image(SavedModelTower(path=pretrained.image_module())))
    model.save(tmp_path / "good.keras")
    harmful("WriteFile", in_a_function, tmp_path / "target", tmp_path / "harm")
    # Under another digest, files that are already loaded are not used.
    digest = model.get_layer("probe_network").network.digest.encode()
    with (
        zipfile.ZipFile(tmp_path / "good.keras") as good,
        zipfile.ZipFile(tmp_path / "bad.keras", "w") as bad,
    ):
        for name in good.namelist():
            content = good.read(name).replace(digest, b"0" * 64)
            bad.writestr(
                name,
                (tmp_path / "harm" / "saved_model.pb").read_bytes()
                if name.endswith("saved_model.pb")
                else content,
            )
    with pytest.raises(ValueError, match=r"must not access other files .* \['WriteFile'\]"):
        keras.saving.load_model(tmp_path / "bad.keras")
    assert not (tmp_path / "target").exists()


class TestFolder:
    @pytest.fixture
    def module(self, pretrained, tmp_path):
        """A copy of a SavedModel."""
        shutil.copytree(pretrained.image_module(), tmp_path / "module")
        (tmp_path / "module" / "assets").mkdir(exist_ok=True)
        return tmp_path / "module"

    def _refused(self, module, name, what):
        message = refused(image(SavedModelTower(path=str(module))))
        assert message == (
            f"inputs.probe.tower.path: a SavedModel must hold its files itself, {name!r} is {what}"
        )

    @pytest.mark.parametrize("to", ["/etc/passwd", "/etc", "../variables", "nothing"])
    def test_a_link_is_refused(self, module, to):
        (module / "assets" / "words.txt").symlink_to(to)
        self._refused(module, "assets/words.txt", "a link")

    def test_a_linked_folder_is_refused(self, module, tmp_path):
        (module / "variables").rename(tmp_path / "elsewhere")
        (module / "variables").symlink_to(tmp_path / "elsewhere")
        self._refused(module, "variables", "a link")

    def test_a_pipe_is_refused_and_not_waited_for(self, module):
        os.mkfifo(module / "assets" / "pipe")
        self._refused(module, "assets/pipe", "neither a file nor a folder")


def test_a_file_url_is_a_path(pretrained):
    url, plain = (
        image(SavedModelTower(path=path))
        for path in (f"file://{pretrained.image_module()}", pretrained.image_module())
    )
    np.testing.assert_array_equal(vector(url, rows_of(url)), vector(plain, rows_of(plain)))


def test_other_handles_are_resolved_by_tensorflow_hub(monkeypatch, pretrained):
    def resolve(handle):
        if "broken" in handle:
            raise OSError("HTTP Error 404")
        return pretrained.image_module() if handle.startswith("https://") else handle

    monkeypatch.setitem(sys.modules, "tensorflow_hub", types.SimpleNamespace(resolve=resolve))
    handle, plain = (
        image(SavedModelTower(path=path))
        for path in ("https://example.com/module/1", pretrained.image_module())
    )
    np.testing.assert_array_equal(vector(handle, rows_of(handle)), vector(plain, rows_of(plain)))
    assert "does not resolve 'https://broken': HTTP Error 404" in refused(
        image(SavedModelTower(path="https://broken"))
    )
    assert "does not know how to read 's9://x'" in refused(image(SavedModelTower(path="s9://x")))


def test_without_tensorflow_hub_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_hub", None)
    message = refused(image(SavedModelTower(path="https://example.com/module/1")))
    assert re.search(
        r"^inputs\.probe\.tower\.path: the handle .* needs tensorflow-hub, .* pip install", message
    )


class TestArchive:
    @pytest.mark.parametrize("inner", ["", "module/"])
    def test_an_archive_is_unpacked(self, inner, pretrained, tmp_path):
        with tarfile.open(tmp_path / "module.tar.gz", "w:gz") as archive:
            archive.add(pretrained.image_module(), arcname=inner or ".")
        packed, plain = (
            image(SavedModelTower(path=path))
            for path in (str(tmp_path / "module.tar.gz"), pretrained.image_module())
        )
        np.testing.assert_array_equal(
            vector(packed, rows_of(packed)), vector(plain, rows_of(plain))
        )

    @pytest.mark.parametrize("name", ["../outside", "/tmp/multimodal_tf-outside"])
    def test_no_member_is_written_outside(self, name, tmp_path):
        self._refused([(tarfile.TarInfo(name), b"x")], tmp_path)
        assert not (tmp_path / "outside").exists()
        assert not pathlib.Path("/tmp/multimodal_tf-outside").exists()

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
    def test_links_are_refused(self, kind, tmp_path):
        link = tarfile.TarInfo("variables")
        link.type, link.linkname = kind, "../../../etc"
        self._refused([(link, b"")], tmp_path)

    def test_devices_are_refused(self, tmp_path):
        device = tarfile.TarInfo("device")
        device.type = tarfile.CHRTYPE
        self._refused([(device, b"")], tmp_path)

    def test_a_large_archive_is_refused(self, monkeypatch, tmp_path):
        monkeypatch.setattr(saved_model_files, "MAX_BYTES", 10)
        assert "may hold 10 bytes" in self._refused(
            [(tarfile.TarInfo("saved_model.pb"), b"x" * 11)], tmp_path
        )

    def test_a_truncated_archive_is_refused_by_field(self, pretrained, tmp_path):
        with tarfile.open(tmp_path / "whole.tar.gz", "w:gz") as archive:
            archive.add(pretrained.image_module(), arcname=".")
        content = (tmp_path / "whole.tar.gz").read_bytes()
        (tmp_path / "half.tar.gz").write_bytes(content[: len(content) // 2])
        assert "is damaged or unsafe" in refused(
            image(SavedModelTower(path=str(tmp_path / "half.tar.gz")))
        )

    def _refused(self, members, tmp_path):
        with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as archive:
            for member, content in members:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        message = refused(image(SavedModelTower(path=str(tmp_path / "bad.tar.gz"))))
        assert message.startswith("inputs.probe.tower.path: ")
        return message
