"""Vectors: cells, refusals, standardization, corruptions and description."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from multimodal_tf.config import (
    ClassificationHead,
    Config,
    DenseTower,
    VectorInput,
)
from multimodal_tf.corruptions import SEVERITIES, corrupted, corruptions_for
from multimodal_tf.data import record_files
from multimodal_tf.data.column_stats import RunningVectorMoments
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.kinds import kind_of, read_cell
from multimodal_tf.data.table import read_table
from multimodal_tf.schema import VectorMoments

DIM = 8
CONFIG = VectorInput(dim=DIM)
# the greatest is the largest that is read
NUMBERS = [0.5, -1.0, 2.0, 0.0, 1e-3, 4.0, 2.0**64, -7.0]
STATS = VectorMoments(mean=[1.0] * DIM, std=[0.5, 1.0, 2.0, 4.0] * 2, rows=3)


@pytest.mark.parametrize(
    "value",
    [
        NUMBERS,
        tuple(NUMBERS),
        np.array(NUMBERS),
        np.array(NUMBERS, object),
        json.dumps(NUMBERS),
        json.dumps(NUMBERS).encode(),
    ],
)
def test_lists_arrays_and_json_are_the_same_cell(value):
    assert read_cell(value, CONFIG) == np.array(NUMBERS, np.float32).tolist()


@pytest.mark.parametrize(
    "value", [None, "", " ", math.nan, [math.nan] * DIM, [None] * DIM, "[" + "null," * 7 + "null]"]
)
def test_missing(value):
    assert read_cell(value, CONFIG) is None


@pytest.mark.parametrize(
    ("value", "received"),
    [
        (NUMBERS[:7], "received 7"),
        ([], "received 0"),
        (NUMBERS + [1.0], "received 9"),
        (json.dumps(NUMBERS[:3]), "received 3"),
        ([*NUMBERS[:7], math.nan], "received nan as number 8"),
        ([None, *NUMBERS[1:]], "received nan as number 1"),
        ([math.inf, *NUMBERS[1:]], "received inf as number 1"),
        ([1e39, *NUMBERS[1:]], "received 1e+39 as number 1"),
        (["1"] * DIM, "received ['1',"),
        (["1", *NUMBERS[1:]], "received ['1',"),
        ([NUMBERS], "received an array of shape (1, 8)"),
        ([[1.0], *NUMBERS[1:]], "received [[1.0]"),
        ("[1, 2", "received '[1, 2'"),
        ("7", "received '7'"),
        (7.0, "received 7.0"),
    ],
)
def test_refused(value, received):
    with pytest.raises(ValueError, match="^a vector must have 8 finite numbers, ") as error:
        read_cell(value, CONFIG)
    assert received in str(error.value)
    assert "\n" not in str(error.value)


def test_numbers_beyond_the_largest_are_refused_wherever_a_cell_is_read():
    said = "larger than 2^64 (1.8e19), the largest number that is read"
    cell = [*NUMBERS[:7], -1e20]
    with pytest.raises(ValueError, match=f"^number 8 of a vector, -1e.20, is {re.escape(said)}$"):
        read_cell(cell, CONFIG)
    assert kind_of(CONFIG).problem(cell) == f"a number of it is {said}"
    _, present, reason = kind_of(CONFIG).reader(STATS).read(tf.constant([cell]))
    assert (present.numpy().tolist(), reason.numpy().tolist()) == (
        [False],
        [f"a number of it is {said}".encode()],
    )


@pytest.mark.parametrize("dim", [7, 4097])
def test_bounds_of_the_length(dim):
    with pytest.raises(ValueError, match="VectorInput: dim: "):
        VectorInput(dim=dim)


def test_moments_are_those_of_numpy():
    values = np.random.default_rng(0).normal(3, 2, [100, DIM]).astype(np.float32)
    values[:, 3] = np.float32(0.1)
    learner = RunningVectorMoments(DIM)
    for batch in np.split(np.insert(values, 50, np.nan, axis=0), [10, 50, 51]):
        learner.add(tf.constant(batch))
    column = type("Column", (), {"title": "the input"})
    stats = learner.stats(column)
    expected = values.std(axis=0, dtype=np.float64)
    expected[3] = 1
    np.testing.assert_allclose(stats.mean, values.mean(axis=0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(stats.std, expected, rtol=1e-12)
    assert stats.rows == 100


def test_the_graph_standardizes_and_reports_broken_cells():
    cells = np.array(
        [NUMBERS, [math.nan] * DIM, [*NUMBERS[:7], math.inf], [math.nan, *NUMBERS[1:]]], np.float32
    )
    tensor, present, reason = kind_of(CONFIG).reader(STATS).read(tf.constant(cells))
    expected = (cells[0].astype(np.float64) - STATS.mean) / STATS.std
    np.testing.assert_array_equal(tensor[0], expected.astype(np.float32))
    assert not tensor[1:].numpy().any()
    assert present.numpy().tolist() == [True, False, False, False]
    broken = b"not a vector of finite numbers"
    assert reason.numpy().tolist() == [b"", b"", broken, broken]
    problems = [kind_of(CONFIG).problem(cell) for cell in cells.tolist()]
    assert [problem.encode() for problem in problems] == reason.numpy().tolist()


def test_corruptions_move_by_standard_deviations_drop_components_and_empty_cells():
    cells = np.full([500, DIM], 3.0, np.float32)
    cells[-1] = np.nan
    noise, dropped, missing = corruptions_for(CONFIG, STATS)
    assert [each.name for each in (noise, dropped, missing)] == [
        "noise",
        "dropped components",
        "missing",
    ]
    for severity in SEVERITIES:
        rows = range(len(cells))
        moved = corrupted(cells, "one", noise, severity, 0, rows)
        assert moved.dtype == np.float32
        assert np.isnan(moved[-1]).all()
        strength = noise.strengths[severity - 1]
        np.testing.assert_allclose(
            (moved[:-1] - 3).std(axis=0), strength * np.array(STATS.std), rtol=0.15
        )
        kept = corrupted(cells, "one", dropped, severity, 0, rows)[:-1]
        assert set(np.unique(kept)) == {1.0, 3.0}
        assert abs((kept == 1).mean() - dropped.strengths[severity - 1]) < 0.05
        empty = np.isnan(corrupted(cells, "one", missing, severity, 0, rows)[:-1])
        assert (empty.all(axis=1) == empty.any(axis=1)).all()
        assert abs(empty.mean() - missing.strengths[severity - 1]) < 0.1


def test_records_of_vectors():
    config = Config(inputs={"one": CONFIG}, heads={"y": ClassificationHead()})
    written = [record_files.encode(0, {"one": [0.0] * DIM}, {}), record_files.encode(1, {}, {})]
    cells = record_files.parse(config, written)[1]["one"].numpy()
    assert cells.shape == (2, DIM)
    assert not cells[0].any()
    assert np.isnan(cells[1]).all()


def described(cells, **types):
    frame = pd.DataFrame({"v": pd.Series(cells, dtype=object), "label": ["a", "b"] * 3})
    return describe(read_table(frame), types=types, label="label").columns[0]


@pytest.mark.parametrize("form", [list, tuple, np.array, lambda cell: json.dumps(list(cell))])
def test_described(form):
    random = np.random.default_rng(0)
    column = described([form(random.normal(size=500).tolist()) for _ in range(6)])
    proposed = VectorInput(dim=500, tower=DenseTower(wide=True))
    assert (column.type, column.input, column.rejected) == ("vector", proposed, 0)
    assert column.length is not None
    assert column.length.median == 500


def test_other_lengths_are_broken_cells():
    random = np.random.default_rng(0)
    cells = [random.uniform(-1, 1, size).tolist() for size in (16, 16, 12, 16, 16, 5000)]
    cells[1] = json.dumps([math.nan, *cells[1][1:]])
    column = described(cells)
    proposed = VectorInput(dim=16, tower=DenseTower(wide=True))
    assert (column.type, column.input) == ("vector", proposed)
    assert [(one.row, one.reason) for one in column.rejections] == [
        (1, "a vector must have 16 finite numbers, received nan as number 1"),
        (2, "a vector must have 16 finite numbers, received 12"),
        (5, "audio, not vector"),
    ]


def test_a_list_longer_than_any_vector_is_refused_by_its_length():
    column = described([[2.0] * 16] * 5 + [[2.0] * 5000])
    reasons = [(one.row, one.reason) for one in column.rejections]
    assert reasons == [(5, "a list of 5,000 values, not vector")]


def test_long_arrays_and_given_types_are_audio():
    random = np.random.default_rng(0)
    clips = [random.uniform(-1, 1, size).astype(np.float32) for size in [8000] * 5 + [4000]]
    assert (described(clips).type, described(clips).rejected) == ("audio", 0)
    short = [clip[:2000] for clip in clips]
    assert described(short).type == "vector"
    assert described(short, v="audio").rejected == 0
    assert described([[1.0, 2.0]] * 6).type == "ignored"
