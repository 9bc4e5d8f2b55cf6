"""Broken and missing cells in the served graph: the row's error, and no change of other rows."""

import struct

import numpy as np
import pytest
from media import random_audio, random_image
from small_model import CONFIG, raw_rows, served

NUMBERS = ("label_probabilities", "tags_probabilities", "age")


@pytest.fixture(scope="module")
def serve(signatures):
    return lambda raw: served(signatures["small"]["serving_default"], raw)


def huge_png():
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + bytes(400)


HOSTILE = {
    "html": ("photo", b"<!DOCTYPE html><html>404</html>"),
    "truncated jpeg": ("photo", random_image(kind="JPEG")[:300]),
    "20000 x 20000": ("photo", huge_png()),
    "one byte": ("photo", b"\xff"),
    "noise": ("photo", np.random.default_rng(0).bytes(5000)),
    "an image as audio": ("sound", random_image()),
    "RIFF alone": ("sound", b"RIFF"),
    "rate of 1 Hz": (
        "sound",
        random_audio()[:24] + struct.pack("<I", 1) + random_audio()[28:],
    ),
    "not UTF-8": ("title", b"caf\xe9 \xff\xfe"),
    "infinite": ("price", float("inf")),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_one_hostile_cell_among_64_rows(serve, clean, kind):
    name, cell = HOSTILE[kind]
    raw, without = raw_rows(64), raw_rows(64)
    raw[name][37], without[name][37] = cell, float("nan") if name == "price" else b""
    given = serve(raw)
    others = np.arange(64) != 37
    # bit for bit
    for key, values in given.items():
        np.testing.assert_array_equal(values[others], clean[key][others], err_msg=key)
    assert given["error"][37].decode().startswith(f"{name}: ")
    assert len(given["error"][37]) > len(name) + 5
    assert not given["valid"][37]
    assert not given["present"][37][list(CONFIG.inputs).index(name)]
    # predicted as if that cell were missing
    for key in NUMBERS:
        np.testing.assert_array_equal(given[key][37], serve(without)[key][37], err_msg=key)


def test_empty_cells_are_missing_not_broken(serve):
    raw = raw_rows(2)
    raw["title"][:] = [b"a red bird", b" \n\t"]
    for name in ("photo", "sound", "colour"):
        raw[name][:] = b""
    raw["price"][:] = [float("nan"), 1.0]
    given = serve(raw)
    assert given["present"].tolist() == [
        [False, True, False, False, False],
        [False, False, False, True, False],
    ]
    assert given["error"].tolist() == [b"", b""]
    assert given["valid"].all()


def test_a_row_without_any_input(serve):
    given = serve(
        {
            name: [float("nan")] * 2
            if name == "price"
            else [b"", b"?"]
            if name == "photo"
            else [b""] * 2
            for name in CONFIG.inputs
        }
    )
    assert given["valid"].tolist() == [False, False]
    assert given["error"][0] == b"no input is present"
    assert given["error"][1].startswith(b"photo: ")
    assert given["error"][1].endswith(b"; no input is present")
    assert all(np.isfinite(given[key]).all() for key in NUMBERS)


def test_two_broken_cells_of_one_row_are_both_reported(serve):
    raw = raw_rows(1)
    raw["photo"][:], raw["sound"][:], raw["title"][:] = b"?", b"?", b"red"
    first, second = serve(raw)["error"][0].decode().split("; ")
    assert first.startswith("photo: ")
    assert second.startswith("sound: ")
