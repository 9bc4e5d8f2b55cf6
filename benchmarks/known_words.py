"""How many words of texts in many languages a preset's English vocabulary knows whole.

    apt install tuxpaint-stamps-default fortunes
    python -m benchmarks.make_presets runs/presets --only minilm
    python -m benchmarks.known_words runs/presets/minilm

`describe` proposes a network of one language where this share is at least `KNOWN_WORDS`. The texts
are titles of `stamps` in their languages and the files of `fortunes`; of each at most 500.
"""

import argparse
import collections
import pathlib
import re
import sys

from multimodal_tf.data.describe.pretrained import KNOWN_WORDS
from multimodal_tf.data.presets.folder import read_preset
from multimodal_tf.data.presets.reader import TextReader

STAMPS = pathlib.Path("/usr/share/tuxpaint/stamps")
FORTUNES = pathlib.Path("/usr/share/games/fortunes")
TRANSLATION = re.compile(r"([A-Za-z_@]+)\.utf8=(.*)")
# texts of a collection
FEWEST, MOST = 20, 500


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("preset", type=pathlib.Path, help="preset folder of a text network")
    reader = TextReader(read_preset(parser.parse_args().preset))
    shares = {
        name: reader.known_words(texts[:MOST])
        for name, texts in collections_of_texts().items()
        if len(texts) >= FEWEST
    }
    for name, share in sorted(shares.items(), key=lambda one: -one[1]):
        print(f"{share:.3f} {name}")
    for what, wanted in (("English", True), ("other", False)):
        found = [share for name, share in shares.items() if is_english(name) == wanted]
        print(f"{what}: {len(found)} collections, {min(found):.3f} to {max(found):.3f}")
    print(f"bound: {KNOWN_WORDS}")
    return 0


def collections_of_texts():
    """Texts by language of `stamps` and by file of `fortunes`."""
    found = collections.defaultdict(list)
    for path in sorted(STAMPS.rglob("*.txt")):
        first, *others = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
        found["en"].append(first)
        for match in filter(None, map(TRANSLATION.match, others)):
            found[match[1]].append(match[2])
    for path in sorted(FORTUNES.glob("*")):
        if path.is_file() and not path.suffix:
            texts = path.read_text(encoding="utf-8", errors="replace").split("\n%\n")
            found[f"fortunes {path.name}"] = [text for text in texts if text.strip()]
    return found


def is_english(name):
    return name.startswith(("en", "fortunes"))


if __name__ == "__main__":
    sys.exit(main())
