"""All corruptions: reproducible in every process, missing stays missing, readable by the graph."""

import math
import pickle

import numpy as np
import pytest
from corrupted_cells import all_of, cells, digest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_tf.config import AudioInput, DateInput, ImageInput, NumberInput, VideoInput
from multimodal_tf.corruptions import (
    SEVERITIES,
    columns,
    corrupted,
    corruptions_for,
    image,
    image_files,
    text,
    wav,
)
from multimodal_tf.data.kinds import kind_of


def problem(input_config, cell):
    """Why the graph does not read a cell; a video it reads as it reads images, frame by frame."""
    if not isinstance(input_config, VideoInput):
        return kind_of(input_config).problem(cell)
    frame = kind_of(ImageInput(height=input_config.height, width=input_config.width))
    return "".join(map(frame.problem, cell))


@pytest.mark.parametrize("kind", list(cells()))
def test_the_graph_reads_every_corrupted_cell_and_missing_stays_missing(kind):
    input_config, given, corruptions = all_of(kind)
    names = [corruption.name for corruption in corruptions]
    assert len(set(names)) == len(names)
    for corruption in corruptions:
        assert len(corruption.strengths) == len(SEVERITIES)
        for severity in SEVERITIES:
            changed = corrupted(given, kind, corruption, severity, 0, range(len(given)))
            assert [problem(input_config, cell) for cell in changed] == [""] * len(given), (
                corruption.name,
                severity,
            )
            assert changed[-1] == given[-1] or math.isnan(changed[-1])
            if corruption is not columns.MISSING:
                assert all(bool(cell) or kind in ("number", "boolean") for cell in changed[:-1])


@pytest.mark.slow
def test_another_process_makes_the_same_bytes(other_process):
    assert other_process[1]["corruptions"] == digest()


@settings(deadline=None)
@given(st.permutations(range(8)), st.integers(1, 8))
def test_neither_order_nor_batches_change_a_cell(order, batch):
    given = [f"the number {row} has some words".encode() for row in range(8)]
    whole = corrupted(given, "title", text.TYPOS, 5, 3, range(8))
    for start in range(0, 8, batch):
        rows = order[start : start + batch]
        assert corrupted([given[row] for row in rows], "title", text.TYPOS, 5, 3, rows) == [
            whole[row] for row in rows
        ]


@pytest.mark.parametrize("kind", list(cells()))
def test_corruptions_can_be_sent_to_other_processes(kind):
    _, given, corruptions = all_of(kind)
    for corruption in corruptions:
        sent = pickle.loads(pickle.dumps(corruption))
        assert repr(corrupted(given, "x", sent, 2, 0, range(len(given)))) == repr(
            corrupted(given, "x", corruption, 2, 0, range(len(given)))
        )


def test_seed_name_corruption_severity_and_row_each_change_what_is_drawn():
    same = [b"exactly the same sentence in each and every row"] * 2

    def changed(name="a", corruption=text.TYPOS, severity=4, seed=0):
        return corrupted(same, name, corruption, severity, seed, [0, 1])

    first, second = changed()
    assert (
        len(
            {
                first,
                second,
                changed(name="b")[0],
                changed(seed=1)[0],
                changed(severity=5)[0],
                changed(corruption=text.DELETION)[0],
            }
        )
        == 6
    )


def test_arrays_stay_arrays():
    words = np.array([b"red shoe", b""], dtype=object)
    changed = corrupted(words, "title", text.CASE, 5, 0, np.arange(2))
    assert (changed.dtype, changed.tolist()) == (object, [b"RED SHOE", b""])
    numbers = corrupted(
        np.array([1.0, np.nan], np.float32), "price", columns.number_noise(1.0), 1, 0, np.arange(2)
    )
    assert (numbers.dtype, np.isnan(numbers).tolist()) == (np.float32, [False, True])


def test_videos_in_arrays_keep_their_frames_and_their_padding():
    frame = image_files.encode_png(np.full([6, 6, 3], 100, np.uint8))
    videos = np.array([[frame, frame, b""], [b"", b"", b""], [frame, b"", frame]], dtype=object)
    changed = corrupted(videos, "clip", image.GAUSSIAN_NOISE, 3, 0, np.arange(3))
    assert changed.shape == (3, 3)
    assert [[bool(cell) for cell in row] for row in changed] == [
        [True, True, False],
        [False] * 3,
        [True, True, False],
    ]
    # all frames of a video alike
    assert changed[0, 0] == changed[0, 1] != changed[2, 0]
    assert (
        corrupted(videos, "clip", columns.MISSING, 5, 0, np.arange(3)).tolist() == [[b""] * 3] * 3
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"severity": 0}, "severity must be 1 to 5, received 0"),
        ({"severity": 6}, "severity must be 1 to 5, received 6"),
        ({"seed": -1}, "seed must not be negative, received -1"),
        ({"rows": [0]}, "rows must be as many as cells, 2, received 1"),
        ({"cells": [b"ok", b"\xff"]}, "row 9 of the input 'title': a text must be UTF-8"),
        (
            {"cells": [b"no image", b""], "corruption": image.JPEG},
            "row 8 of the input 'title': an image must be one that can be decoded",
        ),
    ],
)
def test_invalid_arguments_are_refused(change, message):
    usual = {
        "cells": [b"one", b"two"],
        "name": "title",
        "corruption": text.CASE,
        "severity": 1,
        "seed": 0,
        "rows": [8, 9],
    }
    with pytest.raises(ValueError, match=message):
        corrupted(**usual | change)


def test_a_single_corruption_checks_its_severity_and_keeps_missing_cells():
    random = np.random.default_rng(0)
    with pytest.raises(ValueError, match="severity"):
        text.CASE(b"a", 0, random)
    assert text.CASE(b"", 1, random) == b""
    assert text.CASE(" \u3000".encode(), 1, random) == " \u3000".encode()
    assert columns.category_noise(["red"])(b"  ", 5, random) == b"  "


# --- columns


def deviation(corruption, severity, cell=0.0):
    return np.std(corrupted(np.full(4000, cell), "x", corruption, severity, 0, range(4000)))


def test_noise_of_numbers_is_in_units_of_their_standard_deviation():
    noise = columns.number_noise(10.0)
    assert [deviation(noise, severity) for severity in SEVERITIES] == pytest.approx(
        [10 * unit for unit in noise.strengths], rel=0.05
    )


def test_a_number_stays_one_that_is_read():
    noise = columns.number_noise(3e38)
    changed = np.array([noise(3e38, 5, np.random.default_rng(seed)) for seed in range(20)])
    assert (np.abs(changed) <= 2.0**64).all()


def test_noise_of_dates_is_in_days_and_stays_in_the_calendar():
    noise = columns.date_noise(100.0)
    changed = corrupted([b"2000-01-01"] * 2000, "sold", noise, 4, 0, range(2000))
    assert np.std(np.array(changed, "datetime64[D]").astype(int)) == pytest.approx(100, rel=0.06)
    with_time = noise(b"2000-01-01T12:00:00Z", 4, np.random.default_rng(0)).decode()
    assert len(with_time) == 20
    assert with_time.endswith("Z")
    wild = columns.date_noise(1e7)
    assert all(
        kind_of(DateInput()).problem(cell) == ""
        for cell in corrupted(
            [b"2000-01-01", b"0001-01-01T00:00:00Z"] * 20, "x", wild, 5, 0, range(40)
        )
    )


@pytest.mark.parametrize(
    ("corruption", "cell"),
    [
        (columns.category_noise(["a", "b", "c"]), b"a"),
        (columns.BOOLEAN_NOISE, 1.0),
        (columns.MISSING, b"a"),
    ],
)
def test_fractions_of_cells_are_as_configured(corruption, cell):
    for severity in SEVERITIES:
        changed = corrupted([cell] * 2000, "x", corruption, severity, 0, range(2000))
        assert np.mean([one != cell for one in changed]) == pytest.approx(
            corruption.strengths[severity - 1], abs=0.04
        )


def test_a_category_becomes_another_of_training():
    changed = corrupted(
        [b"a"] * 500, "x", columns.category_noise(["a", "b", "c"]), 5, 0, range(500)
    )
    assert set(changed) == {b"a", b"b", b"c"}
    assert set(corrupted([b"a"] * 50, "x", columns.category_noise(["a"]), 5, 0, range(50))) == {
        b"a"
    }


@pytest.mark.parametrize("std", [0.0, -1.0, math.nan, math.inf])
def test_a_standard_deviation_must_be_positive_and_finite(std):
    with pytest.raises(ValueError, match="std must be a finite number above 0"):
        columns.number_noise(std)


def test_statistics_are_required():
    with pytest.raises(
        ValueError, match="a number input needs its statistics from the schema, received None"
    ):
        corruptions_for(NumberInput())


def test_babble_needs_other_audio_files():
    silent, loud = wav.encode(np.zeros([100, 1]), 8000), wav.encode(np.ones([100, 1]) * 0.1, 8000)
    for pool in ((), (loud,), (loud, loud), (loud, silent, b"")):
        assert "babble" not in [each.name for each in corruptions_for(AudioInput(), pool=pool)]
