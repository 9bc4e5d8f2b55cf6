"""Debian's own list of packages, as `apt-cache dumpavail` prints it (`apt-get update` first).

`sections`: numbers and categories; `tags`: several labels of a short text; `games`: one package in
50. Packages of one source are near-duplicates.
"""

import re
import subprocess

import pandas

from benchmarks.table_sources.source import GROUP, LABEL, Source, needed, sampled

APT = "/usr/bin/apt-cache"
ROWS = 3_000
# labels, and classes, that are asked for: the commonest
TAGS, SECTIONS = 20, 10
# of two to one, as 1:50
POSITIVE = 1 / 51
# facets of tags that a description may tell
FACETS = ("field", "game", "implemented-in", "interface", "role", "uitoolkit", "use", "works-with")


def packages():
    """One row per package with a description, in alphabetical order."""
    needed(APT, "apt")
    listed = subprocess.run([APT, "dumpavail"], check=True, capture_output=True, text=True).stdout
    # A package that was installed by hand has no size.
    blocks = [block for block in listed.split("\n\n") if "\nSize: " in block]
    frame = pandas.DataFrame([fields(block) for block in blocks])
    frame = frame[frame["description"].notna()]
    return frame.drop_duplicates("name").sort_values("name").reset_index(drop=True)


def fields(block):
    joined = re.sub(r"\n[ \t]+", " ", block)
    found = dict(line.split(": ", 1) for line in joined.splitlines() if ": " in line)
    listed = {name: len(found.get(name, "").split(",")) for name in found}
    return {
        "name": found["Package"],
        GROUP: found.get("Source", found["Package"]).split(" ")[0],
        "description": found.get("Description"),
        "section": found.get("Section", "").split("/")[-1],
        "tags": found.get("Tag", "").split(", ") if "Tag" in found else [],
        "installed_kb": float(found.get("Installed-Size", "nan")),
        "packed_kb": int(found["Size"]) / 1024,
        "depends": listed.get("Depends", 0),
        "recommends": listed.get("Recommends", 0),
        "suggests": listed.get("Suggests", 0),
        "priority": found.get("Priority"),
        "architecture": found.get("Architecture"),
        "multi_arch": found.get("Multi-Arch"),
        "maintainer": found.get("Maintainer", "").split(" <")[0],
    }


def sections(folder):
    frame = packages()
    common = frame["section"].value_counts().index[:SECTIONS]
    frame = sampled(frame[frame["section"].isin(common)], ROWS)
    return frame.rename(columns={"section": LABEL})[[*COLUMNS, LABEL, GROUP]]


def tags(folder):
    frame = packages()
    own = frame["tags"].map(
        lambda tags: [tag for tag in tags if tag.split("::")[0] in FACETS and "TODO" not in tag]
    )
    common = {*own.explode().value_counts().index[:TAGS]}
    frame[LABEL] = own.map(lambda tags: sorted(common & {*tags}))
    frame = sampled(frame[frame[LABEL].map(len) > 0], ROWS)
    return frame[["description", LABEL, GROUP]]


def games(folder):
    frame = packages()
    game = frame["section"] == "games"
    positive = sampled(frame[game], round(ROWS * POSITIVE))
    rows = pandas.concat([positive, sampled(frame[~game], ROWS - len(positive))])
    rows[LABEL] = ["game" if section == "games" else "other" for section in rows["section"]]
    rows = rows.sort_values("name").reset_index(drop=True)
    return rows[["description", "installed_kb", "depends", LABEL, GROUP]]


COLUMNS = {
    "installed_kb": "number",
    "packed_kb": "number",
    "depends": "number",
    "recommends": "number",
    "suggests": "number",
    "priority": "category",
    "architecture": "category",
    "multi_arch": "category",
    "maintainer": "category",
}

SOURCES = [
    Source(
        "sections",
        "numbers and categories of a package; one of its ten commonest sections",
        "accuracy",
        COLUMNS,
        sections,
    ),
    Source(
        "tags",
        "a package's short description; which of the 20 commonest tags",
        "average_precision",
        {"description": "text"},
        tags,
    ),
    Source(
        "games",
        "a package's description and sizes; whether it is a game, as one in 51 is",
        "balanced_accuracy",
        {"description": "text", "installed_kb": "number", "depends": "number"},
        games,
    ),
]
