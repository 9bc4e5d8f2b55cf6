"""The fuzz campaign: what it tries, and what it sees of the process that tries it."""

import random
import re

import pytest

from fuzz import campaign, corpus, pieces
from fuzz.mutations import mutated
from fuzz.watch import Watched

# a target that does what the file says
PROGRAM = """
import os, time
from fuzz import child
from fuzz.outcomes import DisagreementError

def attempt(data, path):
    match data.decode():
        case "crash":
            os.abort()
        case "hang":
            while True:
                pass
        case "memory":
            return "x" * bool(bytearray(300 << 20))
        case "error":
            raise KeyError("error")
        case "disagreement":
            raise DisagreementError("two ways")
        case "refused":
            return "refused"
    return ""

child.main({"told": lambda: attempt})
"""


@pytest.fixture(scope="module")
def images():
    return corpus.images()


def test_pieces_are_the_file(images):
    files = images | corpus.tables()
    assert {name for name, data in files.items() if b"".join(pieces.split(data)) != data} == set()
    assert min(len(pieces.split(data)) for data in files.values()) > 1


def test_a_good_file_is_not_mended(images):
    changed = {name for name, data in images.items() if pieces.mend(data) != data}
    assert changed == set()


def test_mutations_depend_on_the_seed_alone(images):
    data, other = images["RGB.png"], images["lossy.webp"]

    def several(seed):
        generator = random.Random(seed)
        return [mutated(data, other, generator) for _ in range(200)]

    assert several(1) == several(1)
    assert several(1) != several(2)
    assert len(set(several(1))) > 150


@pytest.mark.slow
def test_what_becomes_of_the_process_belongs_to_its_file(tmp_path):
    def told(name):
        path = tmp_path / name
        path.write_text(name)
        return path

    with Watched("told", told("first"), seconds=1, megabytes=200, program=PROGRAM) as watched:
        names = ["first", "crash", "refused", "memory", "error", "disagreement", "hang", "first"]
        trials = [watched.attempt(told(name)) for name in names]
    assert [trial.outcome for trial in trials] == [
        "accepted",
        "crashed",
        "refused",
        "memory",
        "error",
        "disagreement",
        "hung",
        "accepted",
    ]
    assert trials[1].reason.startswith("SIGABRT")
    assert re.fullmatch(r"KeyError: 'error' \(.*:\d+\)", trials[4].reason)


@pytest.mark.slow
def test_a_short_campaign(tmp_path, capsys, monkeypatch):
    arguments = ["campaign", "--minutes", "0.02", "--targets", "configuration"]
    monkeypatch.setattr("sys.argv", [*arguments, "--findings", str(tmp_path / "findings")])
    assert campaign.main() == 0
    cells = capsys.readouterr().out.splitlines()[2].split("|")
    files, accepted = map(int, cells[2:4])
    assert files > accepted > 0
    assert not (tmp_path / "findings").exists()
