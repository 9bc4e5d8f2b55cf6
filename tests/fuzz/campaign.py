"""`make fuzz`: mutated files through every decoder, in child processes; findings are kept.

    PYTHONPATH=tests python -m fuzz.campaign [--minutes 1] [--seed 0] [--targets image sound]

It prints a table and ends with 1 if there is a finding. A finding is a file in `findings/`, made
as small as halves, quarters and so on can be left out, with its reason beside it; `--replay FILE`
tries files again.
"""

import argparse
import collections
import dataclasses
import hashlib
import pathlib
import random
import re
import sys
import tempfile

from fuzz.corpus import SEEDS, Files, ending
from fuzz.mutations import mutated
from fuzz.watch import TESTS, Trial, Watched

FINDINGS = ("crashed", "hung", "memory", "error", "disagreement")
COLUMNS = ("accepted", "refused", *FINDINGS)
# tries to make a finding smaller
_TRIES = 60
# findings of a target with the same reason that are kept
_ALIKE = 3


@dataclasses.dataclass
class Result:
    """Counts of outcomes of a target, and its findings by kind."""

    counts: collections.Counter[str]
    kinds: collections.Counter[str]
    slowest: float = 0
    largest: float = 0


def campaign(
    target: str,
    seconds: float,
    seed: int,
    folder: pathlib.Path,
    package: pathlib.Path,
    environment: dict[str, str],
) -> Result:
    """Tries the corpus of a target, then mutations of it for some seconds.

    Args:
        target: key of `fuzz.targets.TARGETS`.
        seconds: that the files may take, without the starts of processes.
        seed: the same seed tries the same files in the same order.
        folder: where findings are written.
        package: the folder that holds the package.
        environment: of the children.
    """
    files = SEEDS[target]()
    result = Result(collections.Counter(), collections.Counter())
    generator = random.Random(f"{target} {seed}")
    with (
        tempfile.TemporaryDirectory() as temporary,
        _watched(target, files, pathlib.Path(temporary), package, environment) as watched,
    ):
        untried = list(files)
        while watched.spent < seconds:
            name = untried.pop() if untried else generator.choice(list(files))
            data = files[name]
            if not untried:
                data = mutated(data, files[generator.choice(list(files))], generator)
            path = pathlib.Path(temporary) / f"file{ending(name)}"
            path.write_bytes(data)
            trial = watched.attempt(path)
            result.counts[trial.outcome] += 1
            result.slowest = max(result.slowest, trial.seconds)
            result.largest = max(result.largest, trial.megabytes)
            if trial.is_finding:
                kind = _kind(trial)
                result.kinds[kind] += 1
                if result.kinds[kind] == 1:
                    data, trial = _smaller(data, trial, path, watched)
                if result.kinds[kind] <= _ALIKE:
                    _keep(folder, target, name, data, trial, seed)
    return result


def _watched(
    target: str,
    files: Files,
    folder: pathlib.Path,
    package: pathlib.Path,
    environment: dict[str, str],
) -> Watched:
    name = next(iter(files))
    first = folder / f"first{ending(name)}"
    first.write_bytes(files[name])
    return Watched(target, first, package, environment=environment)


def _kind(trial: Trial) -> str:
    """The outcome and its reason without what differs from file to file."""
    return f"{trial.outcome}: " + re.sub(r"\d+|'[^']*'|b\"[^\"]*\"", "#", trial.reason)


def _smaller(
    data: bytes, trial: Trial, path: pathlib.Path, watched: Watched
) -> tuple[bytes, Trial]:
    """The finding without the parts that it does not need."""
    size, tries = len(data) // 2, 0
    # a process that dies takes seconds to start again
    most = 12 if trial.outcome in ("crashed", "hung", "memory") else _TRIES
    while size >= 1 and tries < most:
        at = 0
        while at < len(data) and tries < most:
            path.write_bytes(data[:at] + data[at + size :])
            tries += 1
            again = watched.attempt(path)
            if _kind(again) == _kind(trial):
                data, trial = data[:at] + data[at + size :], again
            else:
                at += size
        size //= 2
    return data, trial


def _keep(
    folder: pathlib.Path, target: str, name: str, data: bytes, trial: Trial, seed: int
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(data).hexdigest()[:12]
    path = folder / f"{target}-{digest}{ending(name)}"
    path.write_bytes(data)
    text = (
        f"{trial.outcome}: {trial.reason}\nfrom {name}, seed {seed}; {len(data)} bytes,"
        f" {trial.seconds:.1f} CPU seconds, {trial.megabytes:.0f} MB\n"
    )
    path.with_name(path.name + ".txt").write_text(text)
    print(f"{path.name}: {text}", file=sys.stderr, flush=True)


def replay(paths: list[pathlib.Path], package: pathlib.Path, environment: dict[str, str]) -> int:
    """Tries files named `TARGET-...` again; the number of findings."""
    found = 0
    for path in paths:
        target = path.name.partition("-")[0]
        with (
            tempfile.TemporaryDirectory() as temporary,
            _watched(
                target, SEEDS[target](), pathlib.Path(temporary), package, environment
            ) as watched,
        ):
            trial = watched.attempt(path.absolute())
        print(f"{path.name}: {trial.outcome}: {trial.reason}", flush=True)
        found += trial.is_finding
    return found


def main() -> int:
    """The program; the number of the exit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", nargs="*", default=list(SEEDS))
    parser.add_argument("--findings", type=pathlib.Path, default=pathlib.Path("findings"))
    parser.add_argument("--package", type=pathlib.Path, default=TESTS.parent)
    parser.add_argument("--replay", nargs="*", type=pathlib.Path, default=[])
    arguments = parser.parse_args()
    package = arguments.package.absolute()
    with tempfile.TemporaryDirectory() as folder:
        environment = {"FUZZ_MODEL": folder}
        if arguments.replay:
            return int(bool(replay(arguments.replay, package, environment)))
        results = {}
        print(f"| target | files | {' | '.join(COLUMNS)} | slowest, CPU s | most memory, MB |")
        print("|---" * (len(COLUMNS) + 4) + "|", flush=True)
        for target in arguments.targets:
            result = campaign(
                target,
                60 * arguments.minutes,
                arguments.seed,
                arguments.findings,
                package,
                environment,
            )
            results[target] = result
            counts = " | ".join(str(result.counts[column]) for column in COLUMNS)
            print(
                f"| {target} | {result.counts.total()} | {counts} | {result.slowest:.1f} |"
                f" {result.largest:.0f} |",
                flush=True,
            )
    for target, result in results.items():
        for kind, count in result.kinds.most_common():
            print(f"{target}: {count} x {kind}")
    return int(any(result.kinds for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
