"""Hostile cells through the served signature, as a Markdown table: time, memory, neighbours.

    PYTHONPATH=tests python -m benchmarks.hostile_serving [--package DIR]

Each cell of `tests/fuzz/hostile.py` is one row of a batch of 64, whose other rows are good. A
process that dies is started anew. "Changed" is a batch whose other rows have other predictions, or
that holds a number that is not finite.
"""

import argparse
import pathlib
import tempfile

from fuzz.hostile import CELLS
from fuzz.watch import TESTS, Trial, Watched

SECONDS, MEGABYTES = 60, 8000


def tried(package: pathlib.Path) -> dict[tuple[str, str], Trial]:
    """What came of each cell."""
    trials = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        paths = {}
        for name, cells in CELLS.items():
            (folder / name).mkdir()
            for number, (title, data) in enumerate(cells().items()):
                paths[name, title] = folder / name / str(number)
                paths[name, title].write_bytes(data)
        first = paths["title", "zeros"]
        environment = {"FUZZ_MODEL": temporary}
        with Watched("hostile", first, package, SECONDS, MEGABYTES, environment) as watched:
            for key, path in paths.items():
                trials[key] = watched.attempt(path)
    return trials


def main() -> None:
    """Prints the table of cells, and the totals."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--package", type=pathlib.Path, default=TESTS.parent)
    trials = tried(parser.parse_args().package.absolute())
    print("| input | cell | outcome | CPU s of the batch | peak memory, MB | reason |")
    print("|---|---|---|---:|---:|---|")
    for (name, title), trial in trials.items():
        outcome = "changed" if trial.outcome == "disagreement" else trial.outcome
        print(
            f"| {name} | {title} | {outcome} | {trial.seconds:.1f} | {trial.megabytes:.0f}"
            f" | {trial.reason[:90]} |"
        )
    several = list(trials.values())
    print(
        f"\n{len(several)} cells, {sum(trial.outcome == 'crashed' for trial in several)} crashed,"
        f" {sum(trial.outcome == 'disagreement' for trial in several)} changed; longest batch"
        f" {max(trial.seconds for trial in several):.1f} CPU s, peak memory"
        f" {max(trial.megabytes for trial in several):.0f} MB above the model's"
    )


if __name__ == "__main__":
    main()
