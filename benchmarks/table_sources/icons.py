"""Icons by folder: Debian's `oxygen-icon-theme` and `breeze-icon-theme` (drawn by `librsvg2-bin`).

`icons` trains on Oxygen and tests on Breeze, flat line drawings by others; `icon-names` reads
Oxygen's pictures with the words of their names.
"""

import hashlib
import subprocess

import pandas
from PIL import Image

from benchmarks.table_sources.source import GROUP, LABEL, PART, Source, needed

OXYGEN, BREEZE = "/usr/share/icons/oxygen/base", "/usr/share/icons/breeze"
DRAW = "/usr/bin/rsvg-convert"
# pixels; a folder tells by its sizes what is in it
SIZE = 64
# icons of a folder
LEAST = 30
# of Breeze, by folder
MOST = 100


def oxygen():
    """The largest file up to `SIZE` of each icon, without links: `(folder, name, path)`."""
    found = {}
    for path in sorted(needed(OXYGEN, "oxygen-icon-theme").glob("*/*/*.png")):
        size = int(path.parts[-3].split("x")[0])
        if size <= SIZE and not path.is_symlink():
            key = (path.parent.name, path.stem)
            found[key] = max(found.get(key, (0, path)), (size, path))
    return [(*key, path) for key, (_, path) in sorted(found.items())]


def breeze():
    found = {}
    for path in sorted(needed(BREEZE, "breeze-icon-theme").glob("*/*/*.svg")):
        if path.parent.name.isdigit() and not path.is_symlink():
            size = int(path.parent.name)
            key = (path.parts[-3], path.stem)
            found[key] = max(found.get(key, (0, path)), (size, path))
    return [(*key, path) for key, (_, path) in sorted(found.items())]


def drawn(path, folder):
    """The icon as PNG of `SIZE` x `SIZE` in `folder`; returns its bytes."""
    target = folder / f"{hashlib.sha256(str(path).encode()).hexdigest()[:24]}.png"
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".svg":
            size = ["--width", str(SIZE), "--height", str(SIZE)]
            command = [str(needed(DRAW, "librsvg2-bin")), *size, str(path), "--output", str(target)]
            subprocess.run(command, check=True)
        else:
            image = Image.open(path).convert("RGBA")
            image.resize((SIZE, SIZE), Image.Resampling.BILINEAR).save(target)
    return target.read_bytes()


def table(icons, folder):
    frame = pandas.DataFrame(icons, columns=[LABEL, "name", "path"])
    frame = frame[frame.groupby(LABEL)["name"].transform("size") >= LEAST].reset_index(drop=True)
    frame["image"] = [drawn(path, folder) for path in frame["path"]]
    # two icons may be one picture
    return frame.drop_duplicates("image").reset_index(drop=True)


def two_themes(folder):
    train, others = table(oxygen(), folder), breeze()
    test = pandas.DataFrame(others, columns=[LABEL, "name", "path"])
    test = test[test[LABEL].isin(train[LABEL])].groupby(LABEL).head(MOST)
    test = table(test.itertuples(index=False), folder)
    train, test = train.assign(**{PART: "train"}), test.assign(**{PART: "test"})
    return grouped(pandas.concat([train, test], ignore_index=True))[["image", LABEL, GROUP, PART]]


def with_names(folder):
    frame = grouped(table(oxygen(), folder))
    frame["name"] = frame["name"].str.replace(r"[-_.]+", " ", regex=True)
    return frame[["image", "name", LABEL, GROUP]]


def grouped(frame):
    """Names that begin with one word are near-duplicates: folder-blue, folder-red."""
    return frame.assign(**{GROUP: frame[LABEL] + ":" + frame["name"].str.split(r"[-_.]").str[0]})


SOURCES = [
    Source(
        "icons",
        "an icon; its folder, trained on one theme, tested on another",
        "accuracy",
        {"image": "image"},
        two_themes,
    ),
    Source(
        "icon-names",
        "an icon with its name; its folder",
        "accuracy",
        {"image": "image", "name": "text"},
        with_names,
    ),
]
