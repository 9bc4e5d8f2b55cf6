"""A search space: a configuration in which any field, or whole section, may be a choice or a range.

In YAML a choice is `{choice: [...]}`, a range `{int: [low, high]}` or `{float: [low, high]}`, with
Keras Tuner's `step` and `sampling` (`linear`, `log`, `reverse_log`). An option of a choice may be a
section with choices of its own, which exist where that option is taken:

    fusion:
      choice:
        - {type: concatenation}
        - {type: gated, dim: {choice: [32, 64, 128]}}
    training:
      learning_rate: {float: [1e-4, 1e-2], sampling: log}

In Python the same with `Choice`, `Int` and `Float`.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pydantic
import yaml

from multimodal_tf.config.model import Config

SAMPLINGS = ("linear", "log", "reverse_log")
_POWER = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of several options: values, lists, sections, or parts of the configuration.

    Raises:
        ValueError: fewer than two options, or one of them twice.

    Example:
        >>> Choice([{"type": "sum"}, {"type": "mean"}, None]).labels
        ('sum', 'mean', 'null')
    """

    options: Sequence[Any]

    def __post_init__(self):
        object.__setattr__(self, "options", tuple(map(_plain, self.options)))
        if len(self.options) < 2:
            raise ValueError(
                f"choice must have two options or more, received {list(self.options)!r:.80}"
            )
        twice = next(
            (one for place, one in enumerate(self.options) if one in self.options[:place]), None
        )
        if twice is not None:
            raise ValueError(f"choice must have each option once, received {twice!r:.80} twice")

    @property
    def labels(self) -> tuple:
        """What the options are called in tables and by Keras Tuner: numbers and strings by
        themselves, a section by its type.
        """
        if all(isinstance(one, int | float) and not isinstance(one, bool) for one in self.options):
            return tuple(
                map(
                    float if any(isinstance(one, float) for one in self.options) else int,
                    self.options,
                )
            )
        if all(isinstance(one, str) for one in self.options):
            return tuple(self.options)
        names = [
            one["type"] if _is_typed(one) else json.dumps(_shown(one), separators=(",", ":"))
            for one in self.options
        ]
        counted = [names[: place + 1].count(name) for place, name in enumerate(names)]
        return tuple(
            name if count == 1 else f"{name}-{count}" for name, count in zip(names, counted)
        )


@dataclasses.dataclass(frozen=True)
class _Range:
    low: float
    high: float
    step: float | None = None
    sampling: str = "linear"

    def __post_init__(self):
        word = type(self).__name__.lower()
        kinds = int if isinstance(self, Int) else int | float
        if (
            any(
                not isinstance(one, kinds) or isinstance(one, bool) for one in (self.low, self.high)
            )
            or not self.low < self.high
        ):
            raise ValueError(
                f"{word} must be [low, high] with low below high, received [{self.low!r}, {self.high!r}]"
            )
        if self.sampling not in SAMPLINGS:
            raise ValueError(f"sampling must be {', '.join(SAMPLINGS)}, received {self.sampling!r}")
        if self.sampling != "linear" and self.low <= 0:
            raise ValueError(f"sampling {self.sampling} must begin above 0, received {self.low}")
        if self.step is not None and (
            not isinstance(self.step, kinds) or self.step <= (self.sampling != "linear")
        ):
            raise ValueError(
                f"step must be above 0, or above 1 where sampling is not linear, received {self.step!r}"
            )


class Int(_Range):
    """A whole number from `low` to `high`, both included; `step` apart, or with `sampling` log
    `step` times as much.
    """


class Float(_Range):
    """A number from `low` to `high`; `step` apart, or with `sampling` log `step` times as much."""


@dataclasses.dataclass(frozen=True)
class Field:
    """A choice or range of a space, with its path, and the options that must be taken for it to
    exist: pairs of path and label.
    """

    name: str
    part: Choice | Int | Float
    conditions: tuple[tuple[str, Any], ...]


class Space:
    """All configurations that a search draws from.

    Args:
        tree: the configuration as dicts and lists, with `Choice`, `Int` and `Float`, or their YAML
            spellings, anywhere in it.

    Raises:
        ValueError: there is neither choice nor range, a choice or range is wrong, a field does not
            exist, an option is not one that its field takes, or the first options do not make a
            configuration; one sentence, with the field.

    Example:
        >>> space = Space({
        ...     "inputs": {"title": {"type": "text"}},
        ...     "heads": {"label": {"type": "classification"}},
        ...     "fusion": Choice([{"type": "sum"}, {"type": "gated", "dim": Int(8, 64)}]),
        ... })
        >>> [(field.name, field.conditions) for field in space.fields()]
        [('fusion', ()), ('fusion.gated.dim', (('fusion', 'gated'),))]
        >>> space.draw({"fusion": "gated", "fusion.gated.dim": 16}).fusion.dim
        16
    """

    def __init__(self, tree: Mapping[str, Any]):
        self.tree = _parsed(_plain(tree), "")
        if not self.fields():
            raise ValueError(
                "the search space must have a field with a choice or a range, such as {choice: [1, 2]}, received none"
            )
        self.first()
        for _ in self.variants():
            pass

    @classmethod
    def over(cls, config: Config, fields: Mapping[str, Any]) -> "Space":
        """The space of a configuration in which some fields, by dotted path, are choices or ranges.

        Example:
            >>> from multimodal_tf.config import ClassificationHead, TextInput
            >>> config = Config(inputs={"title": TextInput()}, heads={"label": ClassificationHead()})
            >>> Space.over(config, {"training.learning_rate": Float(1e-4, 1e-2, sampling="log")}).first().training.learning_rate
            0.0001
        """
        tree: dict[str, Any] = config.model_dump(mode="json")
        for path, part in fields.items():
            *rooms, last = path.split(".")
            place: Any = tree
            for room in rooms:
                place = place.get(room) if isinstance(place, dict) else None
            if not isinstance(place, dict):
                raise ValueError(
                    f"the search space names a field that does not exist, received {path!r}"
                )
            place[last] = part
        return cls(tree)

    @classmethod
    def load(cls, path: str | pathlib.Path) -> "Space":
        """Reads a YAML or JSON file; errors as the constructor's, with the file's name."""
        try:
            tree = yaml.safe_load(pathlib.Path(path).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
        if not isinstance(tree, dict):
            raise ValueError(f"{path} must hold a configuration, received {tree!r:.80}")
        try:
            return cls(tree)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def to_yaml(self) -> str:
        """The space as YAML text, for `load`."""
        return yaml.safe_dump(_shown(self.tree), sort_keys=False, allow_unicode=True)

    def fields(self) -> list[Field]:
        """All choices and ranges, parents before what they decide on."""
        return list(_fields(self.tree, "", ()))

    def draw(self, values: Mapping[str, Any]) -> Config:
        """The configuration in which each choice or range has the value (of a choice: the label)
        that `values` has under its path.

        Raises:
            ValueError: the values together break a rule of the configuration.
            KeyError: a value is missing.
        """
        return Config.from_yaml(json.dumps(_drawn(self.tree, "", values)))

    def first(self) -> Config:
        """The configuration of all first options and lowest values.

        Raises:
            ValueError: they make none.
        """
        try:
            return self.draw(self._firsts())
        except ValueError as error:
            raise ValueError(
                f"the search space's first options must make a configuration: {error}"
            ) from error

    def variants(self) -> Iterator[Config]:
        """The first configuration, and for each option and end of a range the one that has it, and
        first options elsewhere.

        Those that break a rule of the configuration between several fields are left out.

        Raises:
            ValueError: an option is none that its field takes.
        """
        yield self.first()
        for field in self.fields():
            for value in _ends(field.part)[1:]:
                variant = self._valid(
                    {**self._firsts(), **dict(field.conditions), field.name: value}, field, value
                )
                if variant is not None:
                    yield variant

    def _firsts(self):
        """Of every field, whether it exists or not: those that do not are not asked for."""
        return {field.name: _ends(field.part)[0] for field in reversed(self.fields())}

    def _valid(self, values, field, value):
        tree = _drawn(self.tree, "", values)
        try:
            return Config.model_validate(tree)
        except pydantic.ValidationError as error:
            if all(fault["type"] == "value_error" for fault in error.errors()):
                return None
        try:
            return self.draw(values)
        except ValueError as error:
            raise ValueError(
                f"the search space's {field.name} with {value!r:.80}: {error}"
            ) from error


def _plain(node):
    """Parts of a configuration as dicts; tuples as lists."""
    if isinstance(node, pydantic.BaseModel):
        return node.model_dump(mode="json")
    if isinstance(node, Mapping):
        return {key: _plain(one) for key, one in node.items()}
    return [_plain(one) for one in node] if isinstance(node, list | tuple) else node


def _parsed(node, path):
    """The tree with YAML's spellings of choices and ranges made `Choice`, `Int` and `Float`."""
    if isinstance(node, Choice):
        return Choice([_parsed(one, path) for one in node.options])
    if isinstance(node, list):
        return [_parsed(one, f"{path}.{place}") for place, one in enumerate(node)]
    if not isinstance(node, dict):
        return node
    try:
        if _spells(node, "choice", set()):
            return Choice([_number(_parsed(one, path)) for one in node["choice"]])
        for word, kind in (("int", Int), ("float", Float)):
            if _spells(node, word, {"step", "sampling"}):
                if len(node[word]) != 2:
                    raise ValueError(f"{word} must be [low, high], received {node[word]}")
                low, high = map(_number, node[word])
                return kind(low, high, _number(node.get("step")), node.get("sampling", "linear"))
    except (ValueError, TypeError) as error:
        raise (
            error
            if str(error).startswith("the search space")
            else ValueError(f"the search space's {path}: {error}")
        ) from error
    return {key: _parsed(one, f"{path}.{key}" if path else str(key)) for key, one in node.items()}


def _number(value):
    """YAML reads 1e-4, without a point, as a string."""
    return float(value) if isinstance(value, str) and _POWER.fullmatch(value) else value


def _spells(node, word, more):
    """A mapping of these words alone, with a list: no field of a configuration, and no name in one,
    has a list under such a key.
    """
    return isinstance(node.get(word), list) and set(node) <= {word, *more}


def _fields(node, path, conditions):
    if isinstance(node, Choice):
        yield Field(path, node, conditions)
        for label, option in zip(node.labels, node.options):
            yield from _fields(option, f"{path}.{label}", (*conditions, (path, label)))
    elif isinstance(node, Int | Float):
        yield Field(path, node, conditions)
    else:
        for key, one in _items(node):
            yield from _fields(one, f"{path}.{key}" if path else str(key), conditions)


def _drawn(node, path, values):
    if isinstance(node, Choice):
        label = values[path]
        return _drawn(node.options[node.labels.index(label)], f"{path}.{label}", values)
    if isinstance(node, Int | Float):
        return values[path]
    drawn = {
        key: _drawn(one, f"{path}.{key}" if path else str(key), values) for key, one in _items(node)
    }
    return (
        drawn
        if isinstance(node, dict)
        else list(drawn.values())
        if isinstance(node, list)
        else node
    )


def _items(node):
    return (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )


def _ends(part):
    return part.labels if isinstance(part, Choice) else (part.low, part.high)


def _shown(node):
    """The tree in YAML's spelling."""
    if isinstance(node, Choice):
        return {"choice": [_shown(one) for one in node.options]}
    if isinstance(node, Int | Float):
        word = type(node).__name__.lower()
        more = {"step": node.step, "sampling": None if node.sampling == "linear" else node.sampling}
        return {
            word: [node.low, node.high],
            **{key: one for key, one in more.items() if one is not None},
        }
    shown = {key: _shown(one) for key, one in _items(node)}
    return (
        shown
        if isinstance(node, dict)
        else list(shown.values())
        if isinstance(node, list)
        else node
    )


def _is_typed(option):
    return isinstance(option, dict) and isinstance(option.get("type"), str)
