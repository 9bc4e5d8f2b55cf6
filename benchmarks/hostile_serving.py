"""Hostile cells through the served signature, as a Markdown table: time, memory, neighbours.

    PYTHONPATH=tests python -m benchmarks.hostile_serving [--package DIR]

Each cell of `tests/fuzz/hostile.py` is one row of a batch of 64, whose other rows are good. A
process that dies is started anew. "Changed" is a batch whose other rows have other predictions, or
that holds a number that is not finite. Memory is the process's peak above what it had before any
cell; TensorFlow keeps what it has allocated, so that a cell shows the peak of those before it.
"""

import argparse
import collections
import pathlib
import tempfile
from collections.abc import Iterator

from fuzz.hostile import CELLS
from fuzz.watch import TESTS, Trial, Watched

SECONDS, MEGABYTES = 60, 8000


def tried(package: pathlib.Path) -> Iterator[tuple[str, str, Trial]]:
    """Input and title of each cell, and what came of it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        first = folder / "title" / "first"
        first.parent.mkdir()
        first.write_bytes(b"a red bird")
        environment = {"FUZZ_MODEL": temporary}
        with Watched("hostile", first, package, SECONDS, MEGABYTES, environment) as watched:
            for name, cells in CELLS.items():
                (folder / name).mkdir(exist_ok=True)
                for title, data in cells().items():
                    path = folder / name / "cell"
                    path.write_bytes(data)
                    yield name, title, watched.attempt(path)


def main() -> None:
    """Prints the table of cells, and the totals."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--package", type=pathlib.Path, default=TESTS.parent)
    package = parser.parse_args().package.absolute()
    print("| input | cell | outcome | CPU s of the batch | peak memory, MB | reason |")
    print("|---|---|---|---:|---:|---|")
    trials = []
    for name, title, trial in tried(package):
        outcome = "changed" if trial.outcome == "disagreement" else trial.outcome
        print(
            f"| {name} | {title} | {outcome} | {trial.seconds:.1f} | {trial.megabytes:.0f}"
            f" | {trial.reason[:90]} |",
            flush=True,
        )
        trials.append(trial)
    outcomes = collections.Counter(trial.outcome for trial in trials)
    print(
        f"\n{len(trials)} cells: {dict(outcomes)}; longest batch"
        f" {max(trial.seconds for trial in trials):.1f} CPU s, peak memory"
        f" {max(trial.megabytes for trial in trials):.0f} MB above the model's"
    )


if __name__ == "__main__":
    main()
