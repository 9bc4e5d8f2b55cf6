"""Fetches a proposed preset from KerasHub's hub, Kaggle, into a folder."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from multimodal_tf.data import atomic
from multimodal_tf.data.presets.folder import PresetFolder, check_preset, read_preset
from multimodal_tf.data.presets.proposed import NAMES, PROPOSED

# seconds without a byte, after which the hub counts as silent
TIMEOUT = 60.0
# seconds between two looks at what has come
_PAUSE = 0.2
# kagglehub's marks of finished files
_MARKS = ".complete"
# errors of `requests`, whose messages are long
_UNREACHED = ("ConnectionError", "ConnectTimeout", "ProxyError", "SSLError")
# In a process of its own: kagglehub's first requests wait for ever for a silent server.
_DOWNLOAD = """
import sys
import kagglehub
try:
    kagglehub.model_download(sys.argv[1], output_dir=sys.argv[2])
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def fetch_preset(name: str, folder: pathlib.Path, timeout: float = TIMEOUT) -> PresetFolder:
    """Fetches a preset, unless the folder has it.

    It is downloaded beside its place, loaded for a check and then renamed, so that a preset in the
    folder is whole.

    Args:
        name: of a `proposed.Proposal`.
        folder: gets the folder `name`; made if it is missing.
        timeout: seconds that the hub may send nothing.

    Returns:
        `PresetFolder`.

    Raises:
        OSError: the hub is not reached, refuses or is silent; or the folder cannot be written.
        ValueError: what is there, or what came, is no such preset; or none is called so.
    """
    if name not in NAMES:
        raise ValueError(f"a preset to fetch must be one of {', '.join(NAMES)}, received {name!r}")
    proposal = PROPOSED[NAMES.index(name)]
    target = folder / name
    if target.exists():
        try:
            return read_preset(target)
        except (OSError, ValueError) as error:
            raise ValueError(f"{error}; remove {target}, then fetch it again") from error
    with atomic.full_disk_explained(folder, resumes=False), atomic.locked(folder):
        atomic.remove_abandoned(target)
        beside = atomic.temporary(target)
        try:
            _download(name, _handle(name), beside, timeout)
            shutil.rmtree(beside / _MARKS, ignore_errors=True)
            came = read_preset(beside)
            if came.kind != proposal.kind:
                raise ValueError(
                    f"the hub's {name} must read {proposal.kind}, received a {came.backbone}"
                )
            check_preset(came)
            os.replace(beside, target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return read_preset(target)


def _handle(name: str) -> str:
    """Kaggle's handle of one of KerasHub's presets."""
    # the import takes a second
    import keras_hub

    handle: str = keras_hub.models.Backbone.presets[name]["kaggle_handle"]
    return handle.removeprefix("kaggle://")


def _download(name: str, handle: str, beside: pathlib.Path, timeout: float) -> None:
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-c", _DOWNLOAD, handle, str(beside)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        try:
            silent = _wait(process, beside, timeout)
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        lines = said.read().decode("utf-8", "replace").strip().splitlines()
    if silent:
        reason = f"it sent nothing for {timeout:g} s"
    elif process.returncode:
        reason = " ".join(lines[-1].split())[:200] if lines else f"code {process.returncode}"
        if reason.startswith(_UNREACHED):
            reason = "it cannot be reached"
    else:
        return
    raise OSError(
        f"the hub kaggle.com did not send {name} ({reason}): where there is no network, fetch it on"
        " another machine and copy its folder"
    )


def _wait(process: subprocess.Popen[bytes], beside: pathlib.Path, timeout: float) -> bool:
    """Waits for a download; True if nothing came for `timeout` seconds."""
    size, since = -1, time.monotonic()
    while process.poll() is None:
        now = _size(beside)
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > timeout:
            return True
        time.sleep(_PAUSE)
    return False


def _size(folder: pathlib.Path) -> int:
    """Bytes of all files; of a folder that changes meanwhile, of those that are still there."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
