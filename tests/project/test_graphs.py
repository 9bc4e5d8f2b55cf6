"""Graphs of the package are written in ops: none is converted from Python, which takes seconds."""

import ast
import pathlib

PACKAGE = pathlib.Path(__file__).parents[2] / "multimodal_tf"


def converted(path):
    """The lines of a file that make a `tf.function` without `autograph=False`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "tf.function":
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if given.get("autograph") != "False":
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}"


def test_autograph_converts_no_function():
    assert [line for path in sorted(PACKAGE.rglob("*.py")) for line in converted(path)] == []
