"""Spoken letters and syllables in some 20 languages: Debian's `klettres-data`.

One speaker a language. `letters` tests on speakers that training has not heard; `languages` on
letters and syllables that it has not heard.
"""

import pathlib
import string
import xml.etree.ElementTree as ET

import pandas

from benchmarks.table_sources.source import GROUP, LABEL, Source, needed, sampled

ROOT = "/usr/share/klettres"
# clips of one language, at most
MOST = 40


def clips():
    """Path, language and spelling of every clip."""
    rows = []
    for path in sorted(needed(ROOT, "klettres-data").glob("*/sounds.xml")):
        for sound in ET.parse(path).iter("sound"):
            file = sound.attrib["file"]
            if (pathlib.Path(ROOT) / file).is_file():
                rows.append((file, path.parent.name, sound.attrib["name"].strip().upper()))
    frame = pandas.DataFrame(rows, columns=["sound", "language", "spelling"])
    # some languages borrow another's clips
    return frame.drop_duplicates("sound").reset_index(drop=True)


def letters(folder):
    frame = clips()
    frame = frame[frame["spelling"].isin([*string.ascii_uppercase])].reset_index(drop=True)
    return frame.rename(columns={"spelling": LABEL, "language": GROUP})


def languages(folder):
    frame = clips().rename(columns={"language": LABEL, "spelling": GROUP})
    parts = [sampled(rows, MOST) for _, rows in frame.groupby(LABEL, sort=True)]
    return pandas.concat(parts, ignore_index=True)


SOURCES = [
    Source(
        "letters",
        "a spoken letter; which of A to Z, by a new speaker in a new language",
        "accuracy",
        {"sound": "audio"},
        letters,
        ROOT,
    ),
    Source(
        "languages",
        "a spoken letter or syllable; the language",
        "accuracy",
        {"sound": "audio"},
        languages,
        ROOT,
    ),
]
