"""Tux Paint's stamps: images with descriptions and spoken names; the class is the top folder.

Real, small (785 rows, 16 classes) and with natural gaps: descriptions that nobody translated,
names that nobody spoke. The files are in Debian's package `tuxpaint-stamps-default` (160 MB, GPL-2
and public domain) and do not ship with this package.
"""

import os
import pathlib
import re

import pandas
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from multimodal_tf.config import Config
from multimodal_tf.data.table import Table, read_table

ROOT = "/usr/share/tuxpaint/stamps"
_CONFIG = pathlib.Path(__file__).with_name("stamps.yaml")

# the language of a description file's first line, and of a spoken name whose file names none
_SOURCE = "en"
_TRANSLATION = re.compile(r"([a-z]+(?:_[A-Z]+)?(?:@[a-z]+)?)\.utf8=(.*)")
_SPOKEN = re.compile(r"(.+)_desc(?:_([a-z]+(?:_[A-Z]+)?))?\.(?:ogg|wav)")
_COLOUR = r"(?:black|blue|brown|gr[ae]y|green|pink|purple|red|white|yellow)"
_VARIANT = re.compile(
    rf"[-_ ]*(?:\d+[a-z]?|[-_](?:[a-z]|{_COLOUR}|left|right|open|closed|filled|outlined?|photo))$"
)
_TINTED = re.compile(rf"^{_COLOUR}[-_]")
_ARTICLE = re.compile(r"^(?:an?|the|some|another) ")


def stamps_table(
    root: str | os.PathLike[str] = ROOT, description: str = "en", speech: str = "fr"
) -> Table:
    """The stamps that have a PNG image and a description file.

    Args:
        root: folder of the stamps.
        description: language of the texts, some 70, such as "en", "fr", "pt_BR", "ja".
        speech: language of the spoken names; fr, ru, ro, ca, bg and es have most. Sound effects
            are left out.

    Returns:
        A table with one row per stamp, in the order of paths. Columns: `image` (PNG path),
        `description` (text, where it exists in that language), `sound` (Ogg or WAV path, likewise),
        `label` (top folder), `stem` (path without its suffix) and `group` (shared by
        near-duplicates). Paths are relative to `root`.

    Raises:
        FileNotFoundError: `root` has no stamps.
        ValueError: no stamp has that language.
    """
    folder = pathlib.Path(root)
    images = [path for path in sorted(folder.rglob("*.png")) if path.with_suffix(".txt").is_file()]
    if not images:
        raise FileNotFoundError(
            f"there are no Tux Paint stamps under {folder}: run"
            " `apt install tuxpaint-stamps-default`, or give their `root`"
        )
    stems = [path.relative_to(folder).with_suffix("").as_posix() for path in images]
    labels = [stem.split("/")[0] for stem in stems]
    texts = [_descriptions(path.with_suffix(".txt")) for path in images]
    spoken = _spoken_names(folder)
    _check("description", description, {language for text in texts for language in text})
    _check("speech", speech, {language for stem in stems for language in spoken.get(stem, {})})
    frame = pandas.DataFrame(
        {
            "image": [f"{stem}.png" for stem in stems],
            "description": [text.get(description) for text in texts],
            "sound": [spoken.get(stem, {}).get(speech) for stem in stems],
            "label": labels,
            "stem": stems,
            "group": _groups(stems, labels, [text[_SOURCE] for text in texts]),
        }
    )
    return read_table(frame, root=folder)


def stamps_config() -> Config:
    """The default model over the three inputs of `stamps_table`, split by group and class.

    Images are 64 x 64 and spectrograms coarser than by default: a step takes a third of the time,
    and no metric was worse.

    Example:
        >>> list(stamps_config().inputs)
        ['image', 'description', 'sound']
    """
    return Config.load(_CONFIG)


def _descriptions(path: pathlib.Path) -> dict[str, str]:
    """The texts of a description file by language."""
    first, *rest = path.read_text(encoding="utf-8").splitlines() or [""]
    found = {_SOURCE: first.strip()}
    for line in rest:
        match = _TRANSLATION.fullmatch(line)
        if match and match[2].strip():
            found[match[1]] = match[2].strip()
    return found


def _spoken_names(root: pathlib.Path) -> dict[str, dict[str, str]]:
    """Paths of spoken names, by stem and language."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(root.rglob("*_desc*")):
        file = path.relative_to(root).as_posix()
        match = _SPOKEN.fullmatch(file)
        if match:
            found.setdefault(match[1], {})[match[2] or _SOURCE] = file
    return found


def _check(argument: str, language: str, known: set[str]) -> None:
    if language not in known:
        raise ValueError(
            f"{argument} must be a language that some stamp has ({', '.join(sorted(known))}),"
            f" received {language!r}"
        )


def _groups(stems: list[str], labels: list[str], descriptions: list[str]) -> list[str]:
    """Names of groups of near-duplicates.

    Two stamps of one class are in one group if their file names differ only in a variant's mark
    (`note_025_a` and `note_100`, `red_apple` and `apple-2`, `a_filled` and `A_outline`), or their
    descriptions only in a colour («A green apple.» and «A red apple!»).
    """
    names = [
        f"{label}:{_plain_name(stem.rsplit('/', 1)[-1])}" for stem, label in zip(stems, labels)
    ]
    meanings = [f"{label}:{_plain_text(text)}" for text, label in zip(descriptions, labels)]
    rows = len(stems)
    name_nodes, meaning_nodes = (
        pandas.factorize(pandas.Series(names))[0],
        pandas.factorize(pandas.Series(meanings))[0],
    )
    # a graph of names and meanings, in which every stamp is an edge
    edges = coo_array(([1] * rows, (name_nodes, meaning_nodes + rows)), shape=(2 * rows, 2 * rows))
    part = connected_components(edges, directed=False)[1][name_nodes]
    first: dict[int, str] = {}
    return [first.setdefault(number, stem) for number, stem in zip(part, stems)]


def _plain_name(name: str) -> str:
    name, before = name.lower(), ""
    while name != before:
        before = name
        name = _TINTED.sub("", _VARIANT.sub("", name)) or name
    return name


def _plain_text(text: str) -> str:
    words = _ARTICLE.sub("", " ".join(re.findall(r"\w+", text.lower())))
    return " ".join(re.sub(rf"\b{_COLOUR}\b", " ", words).split()) or words
