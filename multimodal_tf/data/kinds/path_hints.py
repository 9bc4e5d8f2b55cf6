"""Why there is no file under a path, where the path itself tells."""

import os
import pathlib
import re
import urllib.parse

from multimodal_tf.data.filesystem import PathLike

_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://")
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}")
_SEPARATORS = ";|,\n"
# names of a folder that are looked through for one in other letters
_MOST_NAMES = 100_000


def path_hint(name: str, root: PathLike) -> str:
    r"""What is wrong with a path under which there is no file; "" where nothing tells.

    Args:
        name: the cell's text.
        root: folder that relative paths start from.

    Example:
        >>> path_hint("https://example.org/a.jpg", ".")
        'an address: download the file, and give its path'
        >>> path_hint(r"C:\data\a.jpg", ".")
        'a path of Windows: give it with / from a folder of this machine'
        >>> path_hint("a.jpg", ".")
        ''
    """
    scheme = _SCHEME.match(name)
    if scheme and scheme["scheme"].lower() == "file":
        return "a file:// address: give the path alone"
    if scheme:
        return "an address: download the file, and give its path"
    if _DRIVE.match(name) or ("\\" in name and "/" not in name):
        return "a path of Windows: give it with / from a folder of this machine"
    if name.startswith("~"):
        return "~ is not expanded: give the whole path"
    if _ESCAPED.search(name) and _exists(urllib.parse.unquote(name), root):
        return f"escaped as in an address: there is {urllib.parse.unquote(name)!r}"
    several = _several(name, root)
    if several:
        return several
    other = _in_other_case(name, root)
    return f"small and capital letters differ: there is {other!r}" if other else ""


def _exists(name: str, root: PathLike) -> bool:
    return os.path.lexists(os.path.join(str(root), name))


def _several(name: str, root: PathLike) -> str:
    for separator in _SEPARATORS:
        pieces = [piece.strip() for piece in name.split(separator)]
        if len(pieces) > 1 and all(pieces) and _exists(pieces[0], root):
            return (
                f"{len(pieces)} paths in one cell, of which there is {pieces[0]!r}: give each a"
                " column of its own"
            )
    return ""


def _in_other_case(name: str, root: PathLike) -> str:
    """The path as it exists but for the case of its letters; "" where it does not."""
    folder = pathlib.Path(str(root))
    parts = pathlib.PurePath(name).parts
    if not parts or parts[0] in ("/", "..") or ".." in parts:
        return ""
    found = []
    for part in parts:
        if not os.path.lexists(folder / part):
            part = _alike(folder, part)
            if not part:
                return ""
        found.append(part)
        folder = folder / part
    return "/".join(found)


def _alike(folder: pathlib.Path, name: str) -> str:
    wanted = name.casefold()
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if entry.name.casefold() == wanted:
                    return entry.name
                if count > _MOST_NAMES:
                    break
    except (OSError, ValueError):
        pass
    return ""
