"""The notebooks run from top to bottom, with small settings in place of the cell tagged `parameters`."""

import pathlib
import re

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((pathlib.Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
SMALL = {"EPOCHS": "1", "ROWS": "160", "OUT": "pathlib.Path({folder!r})"}


def with_small_settings(notebook, folder):
    [cell] = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    for name, value in SMALL.items():
        value = value.format(folder=str(folder))
        cell.source, found = re.subn(rf"^{name} = .*$", lambda _, line=f"{name} = {value}": line, cell.source, flags=re.MULTILINE)
        assert found == 1, f"the parameters cell does not set {name}"
    return notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(path, tmp_path):
    notebook = with_small_settings(nbformat.read(path, as_version=4), tmp_path)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}}).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_defines_nothing(path):
    sources = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [source for source in sources if re.search(r"^\s*(def|class) ", source, flags=re.MULTILINE)] == []
