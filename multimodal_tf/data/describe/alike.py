"""Values that look like one another."""

import collections
from collections.abc import Iterable, Mapping


def alike(values: Iterable[str]) -> list[list[str]]:
    """Groups of values that differ only in case or spaces.

    Example:
        >>> alike(["OK", "ok", "o k", "bad"])
        [['OK', 'o k', 'ok']]
    """
    return grouped({value: "".join(value.casefold().split()) for value in values})


def grouped(keys: Mapping[str, str]) -> list[list[str]]:
    """The values of each key that several have.

    Example:
        >>> grouped({"1.0": "1", "2": "2", "1": "1"})
        [['1', '1.0']]
    """
    found: dict[str, list[str]] = collections.defaultdict(list)
    for value in sorted(keys):
        found[keys[value]].append(value)
    return [values for values in found.values() if len(values) > 1]
