"""A wheel holds all that the package needs, its data files included."""

import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[2]
CHECK = """
import pathlib, multimodal_tf
from multimodal_tf import Config, digits_config, digits_table
assert "site" in pathlib.Path(multimodal_tf.__file__).parts, multimodal_tf.__file__
assert (pathlib.Path(multimodal_tf.__file__).parent / "py.typed").exists()
print(len(next(digits_table().chunks(rows=100))), type(digits_config()).__name__)
"""


@pytest.mark.slow
def test_a_wheel_works_away_from_the_sources(tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    subprocess.run(["git", "checkout-index", "--all", f"--prefix={source}/"], cwd=ROOT, check=True)
    # what pip calls
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", CHECK], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "100 Config", done.stderr
