"""In which format a column writes its dates: found where one alone explains the cells."""

import functools
import itertools
import re
from collections.abc import Sequence
from typing import Any

from multimodal_tf.config.date_format import UNIX
from multimodal_tf.config.split import split_key
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.codecs.date_formats import rules, to_iso
from multimodal_tf.data.describe.number_formats import ENOUGH, Written

# two numbers or a month's name, and another number
_LIKE = re.compile(r"(?=.*\d)(\D{0,10}\d{1,4}[^\d:]{1,6}\d{1,4}([^\d:]|$).*|\d{8})")
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %I %p")
_BETWEEN = ("", ",")
_DATES = [
    sign.join(order)
    for sign in "/.-"
    for order in itertools.chain.from_iterable(
        [("%Y", "%m", "%d"), ("%d", "%m", year), ("%m", "%d", year)] for year in ("%Y", "%y")
    )
]
_DATES += ["%d %b %Y", "%d. %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%b %d %Y", "%Y%m%d"]
_DATES += ["%d. %m. %Y", "%d/%b/%Y", "%Y-%b-%d"]
# cells that are tried first
_FIRST = 5
# different dates without a sign between their parts, in all cells, are no chance
_MANY = 10
# seconds from 1989 to 2099
_SECONDS = (6e8, 4.1e9)
_TIME_NAMES = frozenset(
    ["unix", "epoch", "time", "timestamp", "timestamps", "datetime", "date", "ts", "at", "created"]
    + ["updated", "modified", "published", "since", "utc", "ctime", "mtime"]
)


def written_dates(texts: Sequence[str]) -> Written[str]:
    """The format that explains nearly all texts of a column.

    Example:
        >>> written_dates(["31.12.2024", "1.2.2025"]).format
        '%d.%m.%Y'
        >>> written_dates(["03/04/2024", "05/06/2024"]).why
        "'03/04/2024' may be 2024-04-03 or 2024-03-04: give the type date and its format"
    """
    texts = [text.strip() for text in texts]
    enough = ENOUGH * len(texts)
    if not texts or sum(_LIKE.fullmatch(text) is not None for text in texts) < enough:
        return Written()
    found = []
    for form in _formats():
        pattern = re.compile(rules(form)[0], re.ASCII)
        if any(map(pattern.fullmatch, texts[:_FIRST])):
            found.append((form, [_iso(text, form) for text in texts]))
    counts = [sum(one is not None for one in read) for _, read in found]
    if not counts or max(counts) < enough:
        return Written()
    best = [one for one, count in zip(found, counts) if count == max(counts)]
    form, read = best[0]
    for _, other in best[1:]:
        for text, one, two in zip(texts, read, other):
            if one != two:
                doubt = f"{text!r} may be {one} or {two}"
                return Written(None, f"{doubt}: give the type date and its format")
    if form == "%Y%m%d" and (None in read or len(set(read)) < _MANY):
        return Written()
    text, iso = next((text, one) for text, one in zip(texts, read) if one is not None)
    return Written(form, f"written as {text!r} and read as {iso}")


def unix_seconds(name: str, numbers: Sequence[Any]) -> Written[str]:
    """Whether the whole numbers of a column are seconds or milliseconds since 1970-01-01.

    The name has to say so, too: many other numbers are as large.

    Example:
        >>> unix_seconds("created_at", [1_700_000_000, 1_650_000_000]).format
        'unix'
    """
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        return Written()
    for form, scale in UNIX.items():
        low, high = (bound * scale for bound in _SECONDS)
        if not values or not all(low <= value <= high for value in values):
            continue
        iso = to_iso(str(int(values[0])), form)
        words = re.findall("[A-Z]?[a-z]+|[A-Z]+", name)
        if _TIME_NAMES & {word.lower() for word in words}:
            return Written(form, f"written as {split_key(numbers[0])} and read as {iso}")
        if all(value.is_integer() for value in values):
            why = f"may be dates such as {iso}, if they are: give the type date and format: {form}"
            return Written(None, why)
    return Written()


@functools.cache
def _formats() -> list[str]:
    days = [day + between + time for day in _DATES for between in _BETWEEN for time in _TIMES]
    isos = ["%Y/%m/%dT%H:%M:%S"]
    # a comma needs a time behind it
    return [one for one in days if not one.endswith(",")] + isos


def _iso(text: str, form: str) -> str | None:
    # texts in ISO 8601 are read in any format
    if re.fullmatch(rules(form)[0], text, re.ASCII) is None:
        return None
    try:
        return to_iso(text, form)
    except CellError:
        return None
