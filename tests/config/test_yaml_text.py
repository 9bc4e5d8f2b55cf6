"""YAML whose reading would take without end is refused, with the line."""

import re
import time

import pytest

from multimodal_tf.config import ClassificationHead, Config, TextInput, yaml_text
from multimodal_tf.config.search_space import Space

NAMES = "abcdefghi"
LAUGH = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip(NAMES, NAMES[1:])
)
MERGED = "a: &a {k: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, name in zip(NAMES, NAMES[1:])
)
BAD = {
    "aliases": (LAUGH, "line 6: must have at most 500,000 values"),
    "merged": (MERGED, "line 7: must have at most 500,000 values"),
    "itself": ("a: &a [*a]", "line 1: a value must not hold itself"),
    "repeated": ("inputs: {}\nseed: 1\ninputs: {}", "line 3: the key 'inputs' is repeated"),
    "repeated deep": ("a:\n  - b: 1\n    b: 2", "line 3: the key 'b' is repeated"),
    "repeated in JSON": ('{"a": 1,\n "a": 2}', "line 2: the key 'a' is repeated"),
    "deep": ("[" * 900 + "]" * 900, "nested too deeply|nesting"),
    "very deep": ("[" * 100_000, "nested too deeply|nesting"),
    "long": ("a" * 3_000_000, "at most 2,097,152 bytes, received (more|3,000,000)"),
    "minutes": ("a: 1" + ":59" * 300_000, "line 1: a number must have at most 1000 characters"),
    "digits": ("a: " + "9" * 900_000, "line 1: a number must have at most 1000 characters"),
    "day": ("a: 2001-99-99", "a value is not what its type says: month must be"),
    "boolean": ("a: !!bool 3", "a value is not what its type says"),
    "moment": ("a: !!timestamp x", "a value is not what its type says"),
    "whole": ("a: !!int ''", "a value is not what its type says"),
    "object": ("!!python/object:os.system x", "could not determine a constructor"),
    "alias": ("a: *b", "undefined alias"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_yaml_is_one_sentence_at_once(tmp_path, name):
    text, message = BAD[name]
    (tmp_path / "a.yaml").write_text(text)
    started = time.process_time()
    for load in (Config.load, Space.load):
        with pytest.raises(ValueError, match=f"^{tmp_path}/a.yaml[^\n]*({message})[^\n]*$"):
            load(tmp_path / "a.yaml")
    with pytest.raises(ValueError, match=f"not YAML.*({message})"):
        Config.from_yaml(text)
    assert time.process_time() - started < 10


def test_a_large_file_is_refused_before_it_is_read(tmp_path):
    with open(tmp_path / "a.yaml", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match="at most 2,097,152 bytes, received more"):
        Config.load(tmp_path / "a.yaml")


def test_small_aliases_and_merges_stay(tmp_path):
    config = Config(
        inputs={"title": TextInput(max_tokens=9), "text": TextInput(max_tokens=9)},
        heads={"label": ClassificationHead()},
    )
    text = """
base: &base {type: text, max_tokens: 9}
inputs: {title: *base, text: {<<: *base}}
heads: {label: {type: classification}}
"""
    fields = yaml_text.load_yaml(text)
    del fields["base"]
    assert Config.model_validate(fields) == config
    assert yaml_text.load_yaml("base: &b {x: 1}\nc: {<<: *b, x: 2}")["c"] == {"x": 2}


def test_what_is_written_is_read():
    inputs = {f"column_{number}": TextInput() for number in range(300)}
    config = Config(inputs=inputs, heads={"label": ClassificationHead()})
    text = config.to_yaml()
    assert not re.search(r"[&*]id", text)
    assert Config.from_yaml(text) == config
