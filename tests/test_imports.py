"""Who may import whom: the walls between the rooms."""

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "multimodal_tf"
LEAVES = {"config", "schema", "losses", "scoring", "progress"}
MAY_IMPORT = {
    "config": set(),
    "schema": {"config"},
    "losses": set(),
    "scoring": set(),
    "progress": set(),
    "data": {"config", "schema", "progress"},
    "models": LEAVES,
    "training": LEAVES | {"models", "data"},
    "metrics": {"scoring"},
    "corruptions": {"config", "schema", "data"},
    "evaluation": {"config", "schema", "scoring", "data", "metrics", "corruptions"},
    "report": {"evaluation", "metrics", "config", "schema", "progress"},
    "serving": {"config", "schema", "scoring", "data", "progress"},
    "cli": LEAVES
    | {"data", "models", "training", "metrics", "corruptions", "evaluation", "report", "serving"},
}
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path):
    """Every `multimodal_tf.X` that a file imports, wherever in the file, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, (
                f"{path}:{node.lineno} imports relatively: write the whole name, so that this test sees it"
            )
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_what_it_may(path):
    rooms = {
        name.split(".")[1] for name in imported_modules(path) if name.startswith("multimodal_tf.")
    }
    assert rooms - {room(path)} <= MAY_IMPORT[room(path)]


def test_every_public_name_can_be_had():
    import multimodal_tf

    assert {
        name for name in multimodal_tf.__all__ if not callable(getattr(multimodal_tf, name))
    } == set()


def test_the_package_itself_does_not_load_tensorflow():
    code = "import sys, multimodal_tf; multimodal_tf.Config; print('tensorflow' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "False"
    )
