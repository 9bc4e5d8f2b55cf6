"""Reads YAML and JSON of bounded size and cost, in which no key is repeated."""

import os
import pathlib
from typing import Any

import upath
import yaml

# a configuration of ten thousand columns has half as many
MAX_BYTES = 2**21
# values that a text may have after its aliases are replaced by what they name
MAX_NODES = 500_000
# characters
MAX_NUMBER = 1000
_TEXT = "tag:yaml.org,2002:str"
# of libyaml, where PyYAML was built with it: four times as fast, and its nesting is bounded
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _BoundedLoader(_Loader):
    """Refuses a document whose aliases multiply without end, and repeated keys."""

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            _count(node, {}, set())
        return node


def load_yaml(text: str) -> Any:
    """The dicts, lists and values of a YAML or JSON text (JSON is YAML).

    Anchors and aliases may be used while the whole has at most `MAX_NODES` values.

    Raises:
        ValueError: the text is not YAML, too long or nested too deeply, a key is repeated, or its
            aliases make too many values. The message names the line, where it is known.

    Example:
        >>> load_yaml("a: &a [1, 2]\\nb: *a")
        {'a': [1, 2], 'b': [1, 2]}
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"YAML must have at most {MAX_BYTES:,} bytes, received {len(text):,}")
    try:
        # a subclass of the safe loader
        return yaml.load(text, _BoundedLoader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        raise ValueError(_sentence(error, text.count("\n") + 1)) from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    # of a value whose tag is another type's, such as `!!bool 3`, or a date that does not exist
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise ValueError(f"a value is not what its type says: {error}") from error


def load_yaml_file(path: str | os.PathLike[str] | upath.UPath) -> Any:
    """As `load_yaml`, of a file.

    Raises:
        ValueError: as `load_yaml` and `read_yaml_file`; the message names the file.
    """
    try:
        return load_yaml(read_yaml_file(path))
    except ValueError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error


def read_yaml_file(path: str | os.PathLike[str] | upath.UPath) -> str:
    """The text of a YAML or JSON file, whose size is checked before it is read.

    Raises:
        ValueError: it is too large, or not UTF-8.
        OSError: it cannot be read.
    """
    file: pathlib.Path | upath.UPath = upath.UPath(path)
    with file.open("rb") as opened:
        data: bytes = opened.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"YAML must have at most {MAX_BYTES:,} bytes, received more")
    return data.decode("utf-8-sig")


def _sentence(error: yaml.MarkedYAMLError, lines: int) -> str:
    """An error with its line; libyaml counts one line more at the end of the text."""
    mark = error.problem_mark or error.context_mark
    where = "" if mark is None else f"line {min(mark.line + 1, lines)}: "
    return where + " ".join(filter(None, [error.context, error.problem]))


def _count(node: yaml.Node, known: dict[int, int], open_nodes: set[int]) -> int:
    """The values in a node, each alias counted as what it names.

    Raises:
        yaml.YAMLError: there are too many, a node is in itself, or a key is repeated.
    """
    key = id(node)
    if key in open_nodes:
        raise _error(node, "a value must not hold itself")
    if isinstance(node, yaml.ScalarNode):
        # 1:59:59 is a number in YAML; reading one takes time with the square of its length
        if node.tag != _TEXT and len(node.value) > MAX_NUMBER:
            raise _error(node, f"a number must have at most {MAX_NUMBER} characters")
        return 1
    if key in known:
        return known[key]
    open_nodes.add(key)
    inner = node.value
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        inner = [one for pair in node.value for one in pair]
    count = 1 + sum(_count(one, known, open_nodes) for one in inner)
    open_nodes.remove(key)
    if count > MAX_NODES:
        raise _error(node, f"must have at most {MAX_NODES:,} values with its aliases")
    known[key] = count
    return count


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        name = (key.tag, key.value)
        if name in seen:
            raise _error(key, f"the key {key.value!r:.80} is repeated")
        seen.add(name)


def _error(node: yaml.Node, message: str) -> yaml.YAMLError:
    return yaml.YAMLError(f"line {node.start_mark.line + 1}: {message}")
