"""Search spaces: a configuration in which any field or section may be a choice or a range.

In YAML a choice is `{choice: [...]}`, a range `{int: [low, high]}` or `{float: [low, high]}`, with
Keras Tuner's `step` and `sampling` (`linear`, `log`, `reverse_log`). An option of a choice may be a
section that contains choices. These are active only if that option is chosen:

    fusion:
      choice:
        - {type: concatenation}
        - {type: gated, dim: {choice: [32, 64, 128]}}
    training:
      learning_rate: {float: [1e-4, 1e-2], sampling: log}

In Python, use `Choice`, `Int` and `Float`.
"""

import dataclasses
import json
import math
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import pydantic
import yaml

from multimodal_tf.config.model import Config
from multimodal_tf.config.yaml_text import load_yaml_file

SAMPLINGS = ("linear", "log", "reverse_log")
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")

_MOST_OPTIONS = 1000
Label = str | int | float
# a configuration as dicts, lists and values, with `Choice`, `Int` and `Float` anywhere in it
Tree = Any


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of several options: values, lists or sections of the configuration.

    Raises:
        ValueError: there are fewer than two options, or an option is given twice.

    Example:
        >>> Choice([{"type": "sum"}, {"type": "mean"}, None]).labels
        ('sum', 'mean', 'null')
    """

    options: Sequence[Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(map(_to_plain, self.options)))
        if not 2 <= len(self.options) <= _MOST_OPTIONS:
            rule = "two options or more" if len(self.options) < 2 else f"at most {_MOST_OPTIONS}"
            raise ValueError(f"choice must have {rule}, received {list(self.options)!r:.80}")
        for index, option in enumerate(self.options):
            if option in self.options[:index]:
                raise ValueError(
                    f"choice must have each option once, received {option!r:.80} twice"
                )

    @property
    def labels(self) -> tuple[Label, ...]:
        """Names of the options, for tables and Keras Tuner.

        Numbers and strings are their own labels; a section's label is its type, numbered if shared.
        """
        if all(_is_number(option) for option in self.options):
            number = float if any(isinstance(option, float) for option in self.options) else int
            return tuple(map(number, self.options))
        if all(isinstance(option, str) for option in self.options):
            return tuple(self.options)
        names = [_name(option) for option in self.options]
        counts = [names[: index + 1].count(name) for index, name in enumerate(names)]
        return tuple(
            name if count == 1 else f"{name}-{count}" for name, count in zip(names, counts)
        )


@dataclasses.dataclass(frozen=True)
class _Range:
    low: float
    high: float
    step: float | None = None
    sampling: str = "linear"

    def __post_init__(self) -> None:
        word = type(self).__name__.lower()
        if not (self._allows(self.low) and self._allows(self.high) and self.low < self.high):
            raise ValueError(
                f"{word} must be [low, high] with low below high, "
                f"received [{self.low!r}, {self.high!r}]"
            )
        if self.sampling not in SAMPLINGS:
            raise ValueError(f"sampling must be {', '.join(SAMPLINGS)}, received {self.sampling!r}")
        if self.sampling != "linear" and self.low <= 0:
            raise ValueError(f"sampling {self.sampling} must begin above 0, received {self.low}")
        least = 0 if self.sampling == "linear" else 1
        if self.step is not None and not (self._allows(self.step) and self.step > least):
            raise ValueError(
                "step must be above 0, or above 1 where sampling is not linear, "
                f"received {self.step!r}"
            )

    def _allows(self, value: object) -> bool:
        return _is_number(value) and (isinstance(value, int) or not isinstance(self, Int))


class Int(_Range):
    """A whole number from `low` to `high`, both included.

    `step` is the distance between two values, or their ratio if `sampling` is not linear.
    """


class Float(_Range):
    """A number from `low` to `high`, both included; `step` as for `Int`."""


@dataclasses.dataclass(frozen=True)
class Field:
    """A choice or range of a search space.

    `name` is its dotted path. `conditions` are pairs of a choice's path and an option's label; the
    field is active only if all these options are chosen.
    """

    name: str
    domain: Choice | Int | Float
    conditions: tuple[tuple[str, Label], ...]


class Space:
    """All configurations that a search may try.

    Args:
        tree: the configuration as dicts and lists, with `Choice`, `Int` and `Float`, or their YAML
            spellings, anywhere in it.

    Raises:
        ValueError: there is neither choice nor range, a choice or range is wrong, a field does not
            exist or does not take one of its options, or the first options do not make a
            configuration. The message is one sentence that names the field.

    Example:
        >>> space = Space({
        ...     "inputs": {"title": {"type": "text"}},
        ...     "heads": {"label": {"type": "classification"}},
        ...     "fusion": Choice([{"type": "sum"}, {"type": "gated", "dim": Int(8, 64)}]),
        ... })
        >>> [(field.name, field.conditions) for field in space.fields()]
        [('fusion', ()), ('fusion.gated.dim', (('fusion', 'gated'),))]
        >>> space.config({"fusion": "gated", "fusion.gated.dim": 16}).fusion.dim
        16
    """

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self.tree: Tree = _parse(_to_plain(tree), "")
        if not self.fields():
            raise ValueError(
                "the search space must have a field with a choice or a range, such as "
                "{choice: [1, 2]}, received none"
            )
        self.default_config()
        for _ in self.variants():
            pass

    @classmethod
    def from_config(cls, config: Config, fields: Mapping[str, Any]) -> Self:
        """A configuration in which some fields, by dotted path, are choices or ranges.

        Example:
            >>> from multimodal_tf.config import ClassificationHead, TextInput
            >>> config = Config(inputs={"title": TextInput()}, heads={"y": ClassificationHead()})
            >>> rate = Float(1e-4, 1e-2, sampling="log")
            >>> space = Space.from_config(config, {"training.learning_rate": rate})
            >>> space.default_config().training.learning_rate
            0.0001
        """
        tree: dict[str, Any] = config.model_dump(mode="json")
        for path, domain in fields.items():
            *sections, name = path.split(".")
            node: Any = tree
            for section in sections:
                node = node.get(section) if isinstance(node, dict) else None
            if not isinstance(node, dict):
                raise ValueError(
                    f"the search space names a field that does not exist, received {path!r}"
                )
            node[name] = domain
        return cls(tree)

    @classmethod
    def load(cls, path: str | pathlib.Path) -> Self:
        """Reads a YAML or JSON file; raises as the constructor, with the file's name."""
        tree = load_yaml_file(path)
        if not isinstance(tree, dict):
            raise ValueError(f"{path} must hold a configuration, received {tree!r:.80}")
        try:
            return cls(tree)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def to_yaml(self) -> str:
        """The space as YAML text, for `load`."""
        return str(yaml.safe_dump(_to_yaml_tree(self.tree), sort_keys=False, allow_unicode=True))

    def fields(self) -> list[Field]:
        """All choices and ranges. A field follows the fields that it depends on."""
        return list(_fields(self.tree, "", ()))

    def config(self, values: Mapping[str, Any]) -> Config:
        """The configuration with the given values.

        Args:
            values: the value of each active field by its path; of a choice, the option's label.

        Raises:
            ValueError: the values together break a rule of the configuration.
            KeyError: a value is missing.
        """
        return Config.from_yaml(json.dumps(_substitute(self.tree, "", values)))

    def default_config(self) -> Config:
        """The configuration of all first options and lowest values.

        Raises:
            ValueError: they do not make a configuration.
        """
        try:
            return self.config(self._defaults())
        except ValueError as error:
            raise ValueError(
                f"the search space's first options must make a configuration: {error}"
            ) from error

    def variants(self) -> Iterator[Config]:
        """Configurations that together take every option and both ends of every range.

        The first is the default; each other one differs from it in one option or end of a range.
        Those that break a rule between several fields are left out.

        Raises:
            ValueError: a field of the configuration does not take an option.
        """
        yield self.default_config()
        for field in self.fields():
            for value in _extremes(field.domain)[1:]:
                values = self._defaults() | dict(field.conditions) | {field.name: value}
                variant = self._variant(values, field, value)
                if variant is not None:
                    yield variant

    def _defaults(self) -> dict[str, Label]:
        """Of every field, active or not; `config` reads the active ones only."""
        return {field.name: _extremes(field.domain)[0] for field in reversed(self.fields())}

    def _variant(self, values: Mapping[str, Any], field: Field, value: Label) -> Config | None:
        """The configuration; None if it breaks a rule between several fields."""
        try:
            return Config.model_validate(_substitute(self.tree, "", values))
        except pydantic.ValidationError as error:
            if all(details["type"] == "value_error" for details in error.errors()):
                return None
        try:
            return self.config(values)
        except ValueError as error:
            raise ValueError(
                f"the search space's {field.name} with {value!r:.80}: {error}"
            ) from error


def _is_number(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and value not in (math.inf, -math.inf)


def _name(option: object) -> str:
    if isinstance(option, dict) and isinstance(option.get("type"), str):
        return str(option["type"])
    return json.dumps(_to_yaml_tree(option), separators=(",", ":"))


def _to_plain(node: Any) -> Tree:
    """Sections of a configuration as dicts; tuples as lists."""
    if isinstance(node, pydantic.BaseModel):
        return node.model_dump(mode="json")
    if isinstance(node, Mapping):
        return {key: _to_plain(value) for key, value in node.items()}
    return [_to_plain(value) for value in node] if isinstance(node, list | tuple) else node


def _parse(node: Tree, path: str) -> Tree:
    """The tree with YAML's spellings of choices and ranges made `Choice`, `Int` and `Float`."""
    if isinstance(node, Choice):
        return Choice([_parse(option, path) for option in node.options])
    if isinstance(node, list):
        return [_parse(value, f"{path}.{index}") for index, value in enumerate(node)]
    if not isinstance(node, dict):
        return node
    try:
        domain = _parse_domain(node, path)
    except (ValueError, TypeError) as error:
        if str(error).startswith("the search space"):
            raise
        raise ValueError(f"the search space's {path}: {error}") from error
    if domain is not None:
        return domain
    return {key: _parse(value, _join(path, key)) for key, value in node.items()}


def _parse_domain(node: dict[str, Any], path: str) -> Choice | Int | Float | None:
    """The choice or range that a mapping spells; None for any other mapping."""
    if _spells(node, "choice", set()):
        return Choice([_parse_number(_parse(option, path)) for option in node["choice"]])
    for word, kind in (("int", Int), ("float", Float)):
        if _spells(node, word, {"step", "sampling"}):
            if len(node[word]) != 2:
                raise ValueError(f"{word} must be [low, high], received {node[word]}")
            low, high = map(_parse_number, node[word])
            step = _parse_number(node.get("step"))
            return kind(low, high, step, node.get("sampling", "linear"))
    return None


def _parse_number(value: Any) -> Any:
    """YAML reads 1e-4, without a point, as a string."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def _spells(node: dict[str, Any], word: str, optional: set[str]) -> bool:
    """Whether a mapping has these keys alone, the first one with a list.

    No section of a configuration has a list under such a key.
    """
    return isinstance(node.get(word), list) and set(node) <= {word, *optional}


def _fields(node: Tree, path: str, conditions: tuple[tuple[str, Label], ...]) -> Iterator[Field]:
    if isinstance(node, Choice):
        yield Field(path, node, conditions)
        for label, option in zip(node.labels, node.options):
            yield from _fields(option, f"{path}.{label}", (*conditions, (path, label)))
    elif isinstance(node, Int | Float):
        yield Field(path, node, conditions)
    else:
        for key, value in _items(node):
            yield from _fields(value, _join(path, key), conditions)


def _substitute(node: Tree, path: str, values: Mapping[str, Any]) -> Tree:
    """The tree with each choice and range replaced by its value."""
    if isinstance(node, Choice):
        label = values[path]
        return _substitute(node.options[node.labels.index(label)], f"{path}.{label}", values)
    if isinstance(node, Int | Float):
        return values[path]
    children = [_substitute(value, _join(path, key), values) for key, value in _items(node)]
    return _rebuild(node, children)


def _to_yaml_tree(node: Tree) -> Tree:
    """The tree with choices and ranges in YAML's spelling."""
    if isinstance(node, Choice):
        return {"choice": [_to_yaml_tree(option) for option in node.options]}
    if isinstance(node, Int | Float):
        word = type(node).__name__.lower()
        tree: dict[str, Any] = {word: [node.low, node.high]}
        if node.step is not None:
            tree["step"] = node.step
        if node.sampling != "linear":
            tree["sampling"] = node.sampling
        return tree
    return _rebuild(node, [_to_yaml_tree(value) for _, value in _items(node)])


def _items(node: Tree) -> Iterable[tuple[Any, Tree]]:
    if isinstance(node, dict):
        return node.items()
    return enumerate(node) if isinstance(node, list) else ()


def _rebuild(node: Tree, children: list[Tree]) -> Tree:
    """A node of the same kind with other children."""
    if isinstance(node, dict):
        return dict(zip(node, children))
    return children if isinstance(node, list) else node


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _extremes(domain: Choice | Int | Float) -> tuple[Label, ...]:
    """All labels of a choice; both ends of a range."""
    return domain.labels if isinstance(domain, Choice) else (domain.low, domain.high)
