"""Names that configurations and TensorFlow Serving accept, for any columns."""

import collections
import itertools
import keyword
import re
import unicodedata
from collections.abc import Iterable

from multimodal_tf import config as configuration
from multimodal_tf.config.names import BYTES

# keys of the served `embed` endpoint besides those of inputs
_RESERVED = {configuration.FUSED, configuration.TABULAR, "error"}
# keys of the served outputs besides those of heads
_SERVED = frozenset({*configuration.SERVED, configuration.ROW})


def safe_names(columns: Iterable[tuple[str, bool]]) -> list[str]:
    """A valid name for every column, none of which clash with one another or with served keys.

    Args:
        columns: `(column, whether it is a head)` pairs.

    Example:
        >>> safe_names([("photo", False), ("prix réel", False), ("class", True)])
        ['photo', 'prix_reel', 'class_']
    """
    names: list[str] = []
    # in lower case: TensorFlow does not tell keys of inputs apart by case
    taken: set[str] = set()
    # by name and kind: where to go on, as many columns may have one name without their signs
    attempts: collections.Counter[tuple[str, bool]] = collections.Counter()
    for number, (column, is_head) in enumerate(columns, start=1):
        reserved = _RESERVED | _SERVED if is_head else _RESERVED
        plain = _plain(column, number)
        if is_head and plain.endswith(BYTES):
            plain = f"{plain}_"
        for attempt in itertools.count(max(1, attempts[plain.lower(), is_head])):
            name = plain if attempt == 1 else f"{plain}_{attempt}"
            keys = _keys(name)
            lower = {key.lower() for key in keys}
            if taken.isdisjoint(lower) and reserved.isdisjoint(keys):
                attempts[plain.lower(), is_head] = attempt
                break
        taken |= lower
        names.append(name)
    return names


def _plain(column: str, number: int) -> str:
    if configuration.NAME.fullmatch(column):
        plain = column
    else:
        letters = [
            sign
            for sign in unicodedata.normalize("NFKD", column)
            if not unicodedata.combining(sign)
        ]
        plain = re.sub(r"[^A-Za-z0-9]+", "_", "".join(letters)).strip("_") or f"column_{number}"
    plain = plain if plain[0].isalpha() else f"column_{plain}"
    return f"{plain}_" if keyword.iskeyword(plain) or plain == "self" else plain


def _keys(name: str) -> set[str]:
    """All that a name is a key of: inputs, presence flags, layers, served and predicted values."""
    inputs = (configuration.PRESENT, configuration.EMBEDDING, configuration.TOKENS)
    heads = (configuration.PROBABILITIES, configuration.PROBABILITY)
    return {name, *(name + suffix for suffix in (*inputs, *heads))}
