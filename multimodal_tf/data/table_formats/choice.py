"""Which table of a file that holds several: `shop.db::prices` names one."""

import difflib
import pathlib
from collections.abc import Sequence

# between a file and the name of a table in it
PART = "::"


def divided(source: pathlib.Path) -> tuple[pathlib.Path, str | None]:
    """A file, and the name of a table in it where the source names one.

    Example:
        >>> divided(pathlib.Path("data/shop.db::prices"))
        (PosixPath('data/shop.db'), 'prices')
    """
    file, sign, part = str(source).partition(PART)
    # a file whose own name has the sign
    if not sign or source.exists():
        return source, None
    return pathlib.Path(file), part


def chosen(path: pathlib.Path, names: Sequence[str], part: str | None, noun: str) -> str:
    """The name that is asked for, or the only one.

    Raises:
        ValueError: there are several or none, or none of this name.
    """
    if part is not None:
        if part in names:
            return part
        similar = difflib.get_close_matches(part, names, n=1)
        hint = f"did you mean {similar[0]!r}?" if similar else f"it has {_listed(names)}"
        raise ValueError(f"{path} has no {part!r} among its {noun}: {hint}")
    if not names:
        raise ValueError(f"{path} has no {noun}")
    if len(names) > 1:
        raise ValueError(
            f"{path} has several {noun}, {_listed(names)}: name one, as in {path}{PART}{names[0]}"
        )
    return names[0]


def _listed(names: Sequence[str], limit: int = 10) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(repr, names[:limit])) + more
