"""Foreign files through ingest, `Client` and the graph: counts by kind, as a Markdown table.

    PYTHONPATH=tests python -m benchmarks.foreign_files FOLDER... [--package DIR] [--list FILE]

Files are images, sounds, videos or tables by their names. Each is read in a child process
(`tests/fuzz`), and what is accepted is compared with Pillow, libsndfile, FFmpeg and pandas.
`--package` is the folder of another state of the package; `--list` gets a line of JSON for each
file. `benchmarks.fetch_corpora` fetches the folders.
"""

import argparse
import collections
import dataclasses
import hashlib
import json
import pathlib
import sys
import tempfile

from fuzz.corpus import SEEDS, ending
from fuzz.watch import TESTS, Watched
from PIL import Image

SOUNDS = (
    ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".m4b", ".aac", ".mka",
    ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64", ".voc", ".wma", ".mpc",
    ".ape", ".wv", ".tta", ".amr", ".ac3", ".dsf", ".mp2", ".spx",
)  # fmt: skip
VIDEOS = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ogv", ".flv", ".wmv",
    ".3gp", ".asf",
)  # fmt: skip
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".csv.gz", ".tsv.gz", ".jsonl.gz", ".parquet")
# Pillow's, which are no images of a table: fonts, documents, and what needs another program
NO_IMAGES = {
    ".pdf",
    ".eps",
    ".ps",
    ".wmf",
    ".emf",
    ".h5",
    ".hdf",
    ".grib",
    ".bufr",
    ".mpg",
    ".mpeg",
}
OUTCOMES = ("accepted", "refused", "wrong", "disagreement", "error", "crashed", "hung", "memory")
LARGEST = 60_000_000
SECONDS = 30


def kind(path: pathlib.Path) -> str | None:
    """ "image", "sound", "video", "table" or None, by the name."""
    name = path.name.lower()
    if name.endswith(TABLES):
        return "table"
    suffix = path.suffix.lower()
    if suffix in VIDEOS:
        return "video"
    if suffix in SOUNDS:
        return "sound"
    Image.init()
    return "image" if suffix in Image.EXTENSION and suffix not in NO_IMAGES else None


def found(folders: list[pathlib.Path]) -> dict[str, list[pathlib.Path]]:
    """The files of each kind, sorted, each content once."""
    files: dict[str, list[pathlib.Path]] = {
        name: [] for name in ("image", "gif as a video", "sound", "video", "table")
    }
    seen = set()
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        name = kind(path)
        if name is None or "\n" in str(path) or not 0 < path.stat().st_size <= LARGEST:
            continue
        digest = hashlib.sha256(path.read_bytes()).digest()
        if digest not in seen:
            seen.add(digest)
            files[name].append(path.absolute())
            if path.suffix.lower() == ".gif":
                files["gif as a video"].append(path.absolute())
    return files


def main() -> None:
    """Prints the table, a line as soon as a kind is done."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--package", type=pathlib.Path, default=TESTS.parent)
    parser.add_argument("--list", type=pathlib.Path, default=pathlib.Path("/dev/null"))
    arguments = parser.parse_args()
    print(f"| files of | files | {' | '.join(OUTCOMES)} | slowest, CPU s | most memory, MB |")
    print("|---" * (len(OUTCOMES) + 4) + "|", flush=True)
    with open(arguments.list, "w") as log, tempfile.TemporaryDirectory() as folder:
        for name, paths in found(arguments.folders).items():
            target = "video" if name.startswith("gif") else name
            seed, data = next(iter(SEEDS[target]().items()))
            first = pathlib.Path(folder) / f"first{ending(seed)}"
            first.write_bytes(data)
            counts: collections.Counter[str] = collections.Counter()
            slowest = largest = 0.0
            package = arguments.package.absolute()
            with Watched(f"foreign_{target}", first, package, SECONDS) as watched:
                for path in paths:
                    trial = watched.attempt(path)
                    counts[trial.outcome] += 1
                    slowest = max(slowest, trial.seconds)
                    largest = max(largest, trial.megabytes)
                    line = {"kind": name, "path": str(path)} | dataclasses.asdict(trial)
                    print(json.dumps(line), file=log, flush=True)
            cells = " | ".join(str(counts[outcome]) for outcome in OUTCOMES)
            print(
                f"| {name} | {len(paths)} | {cells} | {slowest:.1f} | {largest:.0f} |", flush=True
            )


if __name__ == "__main__":
    sys.exit(main())
