"""The documentation: examples run, commands and options exist, every public name is listed."""

import doctest
import inspect
import pathlib
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import typer
from PIL import Image

import multimodal_tf
from multimodal_tf.cli.app import app
from multimodal_tf.config.names import Strict

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_CODE = [page for page in PAGES if "```python" in page.read_text()]
# public names without an example that runs in their docstring, and why
NO_EXAMPLE = {
    "Client": "needs an exported model",
    "build_towers": "as `build_model`",
    "compare_form": "the example of `docs/guides/forms.md` runs it",
    "compile_arguments": "the example of `docs/guides/table.md` runs it",
    "cross_validate": "trains many models",
    "evaluate": "the example of `docs/guides/table.md` runs it",
    "explanations": "needs a trained model",
    "export_ensemble": "the example of `docs/guides/teachers.md` runs it",
    "export_model": "the example of the README runs it",
    "fit": "trains a model",
    "fit_guard": "needs a trained model",
    "ingest": "the example of `docs/guides/table.md` runs it",
    "load_run": "needs a run",
    "load_split": "the example of `docs/guides/table.md` runs it",
    "model_report": "needs a trained model",
    "stamps_table": "needs a package of Debian",
    "tune": "trains many models",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with the table that the examples read; its training rows are less than a batch."""
    folder = tmp_path_factory.mktemp("shop")
    random = np.random.default_rng(0)
    rows = []
    for number in range(40):
        label = ("shoe", "shirt")[number % 2]
        Image.fromarray(random.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(
            folder / f"{number}.png"
        )
        rows.append(
            {
                "photo": f"{number}.png" if number % 7 else "",
                "title": f"{('red', 'blue')[number % 3 == 0]} {label}",
                "price": number / 2,
                "label": label,
            }
        )
    pd.DataFrame(rows).to_csv(folder / "shop.csv", index=False)
    Image.new("RGB", (32, 32)).save(folder / "new.jpg")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page, shop, monkeypatch):
    monkeypatch.chdir(shop)
    for folder in ("records", "saved_models"):
        shutil.rmtree(shop / folder, ignore_errors=True)
    names: dict = {}
    for code in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL):
        exec(compile(code, str(page), "exec"), names)


def commands():
    group = typer.main.get_command(app)
    return {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in group.commands.items()
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_options_of_a_page_exist(page):
    known = commands()
    for line in re.findall(r"^multimodal-tf ([^#\n]*)", page.read_text(), flags=re.MULTILINE):
        name, *words = line.split()
        options = {word for word in words if word.startswith("--") and word != "--"}
        inner = words[words.index("--") + 1] if "--" in words else name
        assert name in known, f"{page.name}: {line}"
        assert options <= known[name] | known[inner], f"{page.name}: {line}"


def is_field_group(value):
    """Whether it is a part of a configuration, whose fields are its documentation; `test_config`
    builds each from YAML.
    """
    return (
        isinstance(value, type) and issubclass(value, Strict) and value is not multimodal_tf.Config
    )


def test_every_public_name_is_in_the_api_list():
    listed = {
        name
        for page in (ROOT / "docs" / "api").glob("*.md")
        for name in re.findall(r"^::: multimodal_tf\.(\w+)$", page.read_text(), flags=re.MULTILINE)
    }
    assert listed == set(multimodal_tf.__all__)


@pytest.mark.parametrize("name", sorted(multimodal_tf.__all__))
def test_a_public_name_has_a_docstring_with_an_example_or_says_why_not(name):
    value = getattr(multimodal_tf, name)
    text = inspect.getdoc(value)
    assert text, f"{name} has no docstring"
    if is_field_group(value):
        return
    examples = doctest.DocTestParser().get_examples(text)
    runs = [one for one in examples if doctest.SKIP not in one.options]
    if name in NO_EXAMPLE:
        assert not runs, f"{name} has an example: take it out of NO_EXAMPLE"
    else:
        assert runs, f"{name} has no example that runs"


def test_the_readme_leads_to_every_public_name():
    """By a link to a page, whose links lead to the API list."""
    readme = (ROOT / "README.md").read_text()
    assert "docs/api/index.md" in readme
    index = (ROOT / "docs" / "api" / "index.md").read_text()
    pages = {page.name for page in (ROOT / "docs" / "api").glob("*.md")} - {"index.md"}
    assert pages == set(re.findall(r"\((\w+\.md)\)", index))


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 160
