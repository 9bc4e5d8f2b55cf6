"""Who may import whom: the walls between the rooms."""

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parents[2] / "multimodal_tf"
LEAVES = {"config", "schema", "losses", "scoring"}
# by room, the rooms and folders of rooms that it may import
MAY_IMPORT = {
    "config": set(),
    "schema": {"config"},
    "losses": set(),
    "keras_settings": set(),
    "quiet_import": set(),
    "scoring": set(),
    "data": {"config", "schema"},
    "models": LEAVES,
    "training": LEAVES | {"models", "data"},
    "metrics": {"scoring"},
    "corruptions": {"config", "data.codecs"},
    "evaluation": {"config", "schema", "scoring", "data", "metrics", "corruptions"},
    # a killed page leaves what other files leave, and one function removes it
    "report": {"evaluation", "metrics", "config", "schema", "data.atomic"},
    "serving": {"config", "schema", "scoring", "data"},
    "cli": LEAVES
    | {"data", "models", "training", "metrics", "corruptions", "evaluation", "report", "serving"},
}
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_names(path):
    """Every `multimodal_tf.X` that a file imports, wherever in the file, as a dotted name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, (
                f"{path}:{node.lineno} imports relatively: write the whole name, so that this test "
                "sees it"
            )
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_what_it_may(path):
    allowed = MAY_IMPORT[room(path)] | {room(path)}
    imported = [
        name.removeprefix("multimodal_tf.")
        for name in imported_names(path)
        if name.startswith("multimodal_tf.")
    ]
    assert [
        name for name in imported if not any(f"{name}.".startswith(f"{each}.") for each in allowed)
    ] == []


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
