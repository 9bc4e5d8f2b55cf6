"""Presets from the hub: whole or not at all, and one sentence where it does not answer."""

import pathlib
import socket

import pytest

from multimodal_tf.data import atomic
from multimodal_tf.data.presets.fetch import fetch_preset

NAME = "efficientnet_lite0_ra_imagenet"
# a hub that sends a folder of this machine, then does what the test says
HUB = """
import os, shutil, time

def model_download(handle, output_dir):
    with open(os.environ["CALLS"], "a") as calls:
        calls.write(handle + "\\n")
    shutil.copytree(os.environ["SENDS"], output_dir)
    os.makedirs(os.path.join(output_dir, ".complete", "marks"))
    {ends}
"""


@pytest.fixture
def hub(pretrained, tmp_path, monkeypatch):
    """`hub(ends, name)`: kagglehub sends the preset `name`; returns what it was asked for."""

    def make(ends="", name="pictures"):
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site" / "kagglehub.py").write_text(HUB.format(ends=ends))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
        monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
        monkeypatch.setenv("SENDS", str(pathlib.Path(pretrained.one_of_each()) / name))
        return tmp_path / "calls"

    return make


def left(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != atomic.LOCK)


def test_a_preset_is_there_whole_and_not_fetched_twice(hub, tmp_path):
    calls, folder = hub(), tmp_path / "new" / "presets"
    # of a process that has ended
    (folder / f"{NAME}.{socket.gethostname()}-999999999.tmp").mkdir(parents=True)
    for _ in range(2):
        preset = fetch_preset(NAME, folder)
        assert (preset.folder, preset.kind) == (folder / NAME, "image")
        assert left(folder) == [NAME]
        assert not (folder / NAME / ".complete").exists()
    assert calls.read_text() == f"keras/efficientnet/keras/{NAME}/2\n"


@pytest.mark.parametrize(
    ("ends", "name", "error", "message"),
    [
        ("time.sleep(99)", "pictures", OSError, r"did not send .* \(it sent nothing for 2 s\)"),
        (
            "raise RuntimeError('403 Client Error.\\n\\nNo permission')",
            "pictures",
            OSError,
            r"did not send .* \(No permission\): where there is no network, fetch it on another",
        ),
        ("os._exit(9)", "pictures", OSError, r"\(code 9\)"),
        ("", "english", ValueError, "the hub's .* must read image, received a BertBackbone$"),
        (
            "os.truncate(os.path.join(output_dir, 'model.weights.h5'), 9000)",
            "pictures",
            ValueError,
            "was not fetched to its end",
        ),
        ("os.remove(output_dir + '/config.json')", "pictures", OSError, "config.json is missing"),
    ],
)
def test_what_does_not_come_leaves_nothing(hub, tmp_path, ends, name, error, message):
    hub(ends, name)
    with pytest.raises(error, match=message) as caught:
        fetch_preset(NAME, tmp_path / "presets", timeout=2)
    assert "\n" not in str(caught.value)
    assert left(tmp_path / "presets") == []


def test_a_hub_that_cannot_be_reached(tmp_path, monkeypatch):
    """kagglehub itself; a proxy stands for the network, and nothing listens at its port."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "")
        with pytest.raises(OSError, match=r"^the hub kaggle.com did not send .* be reached\): w"):
            fetch_preset(NAME, tmp_path)
    assert left(tmp_path) == []


def test_a_damaged_folder_is_not_replaced(hub, tmp_path):
    calls = hub()
    (tmp_path / NAME).mkdir()
    with pytest.raises(ValueError, match=f"config.json is missing; remove .*{NAME}, then fetch"):
        fetch_preset(NAME, tmp_path)
    assert not calls.exists()


def test_an_unknown_name(tmp_path):
    with pytest.raises(ValueError, match=r"must be one of efficientnet.*, received 'minilm'$"):
        fetch_preset("minilm", tmp_path)
