"""Texts by file: Debian's `fortunes` and `fortunes-min`."""

import pathlib
import re

import pandas

from benchmarks.table_sources.source import GROUP, LABEL, Source, needed, sampled

ROOT = "/usr/share/games/fortunes"
# files of fewer are left out, of more are drawn from
LEAST, MOST = 200, 100
# texts that begin so alike are near-duplicates
ALIKE = 30


def make(folder: pathlib.Path) -> pandas.DataFrame:
    """Up to 100 fortunes of each file that has 200."""
    needed(ROOT, "fortunes")
    parts = []
    for path in sorted(pathlib.Path(ROOT).iterdir()):
        # beside each file are an index and a link
        if path.suffix or not path.is_file():
            continue
        texts = path.read_text(encoding="utf-8", errors="replace").split("\n%\n")
        texts = [text for text in dict.fromkeys(" ".join(text.split()) for text in texts) if text]
        if len(texts) >= LEAST:
            frame = pandas.DataFrame({"text": texts, LABEL: path.name})
            parts.append(sampled(frame, MOST))
    frame = pandas.concat(parts, ignore_index=True)
    frame[GROUP] = [re.sub(r"\W+", "", text.lower())[:ALIKE] for text in frame["text"]]
    return frame


SOURCES = [
    Source("fortunes", "a saying; the file that it stands in", "accuracy", {"text": "text"}, make)
]
