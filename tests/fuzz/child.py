"""The process in which files are tried: it says of each what came of it, and may die of it.

Its arguments are TARGET DESCRIPTOR FIRST. It tries the file FIRST, writes a line that says that it
is ready to the descriptor, reads paths, one a line, and writes a line of JSON for each.
"""

import faulthandler
import json
import os
import pathlib
import sys
import time
import traceback
from collections.abc import Callable, Mapping

from fuzz.outcomes import DisagreementError

# takes a file's bytes and its path; gives "" or why the file is refused
Attempt = Callable[[bytes, pathlib.Path], str]


def main(targets: Mapping[str, Callable[[], Attempt]]) -> None:
    """Tries files until the input ends.

    Args:
        targets: makes the function that a file is given to; it may take its time.
    """
    faulthandler.enable()
    attempt = targets[sys.argv[1]]()
    # functions are traced, which takes its time
    tried(attempt, pathlib.Path(sys.argv[3]), 0)
    ready = _megabytes("VmRSS")
    with os.fdopen(int(sys.argv[2]), "w") as out:
        print(json.dumps({"ready": True}), file=out, flush=True)
        for line in sys.stdin:
            print(
                json.dumps(tried(attempt, pathlib.Path(line.rstrip("\n")), ready)),
                file=out,
                flush=True,
            )


def tried(attempt: Attempt, path: pathlib.Path, ready: float) -> dict[str, str | float]:
    """The outcome of one file, its reason, CPU seconds and megabytes at the peak.

    `ready` are the megabytes that the process had before any file. (What it has before this one may
    be memory that TensorFlow keeps of an earlier file, and uses again.)
    """
    data = path.read_bytes()
    # the peak starts anew
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    start = time.process_time()
    try:
        reason = attempt(data, path)
        outcome = "refused" if reason else "accepted"
    except DisagreementError as error:
        outcome, reason = error.outcome, str(error)
    # whatever a decoder raises is the finding
    except Exception as error:  # noqa: BLE001
        place = traceback.extract_tb(error.__traceback__)[-1]
        outcome = "error"
        text = f"{type(error).__name__}: {error}"[:300]
        reason = f"{text} ({pathlib.Path(place.filename).name}:{place.lineno})"
    return {
        "outcome": outcome,
        "reason": reason,
        "seconds": time.process_time() - start,
        "megabytes": _megabytes("VmHWM") - ready,
    }


def _megabytes(field: str) -> float:
    text = pathlib.Path("/proc/self/status").read_text()
    return int(text.partition(field + ":")[2].split()[0]) / 1024
