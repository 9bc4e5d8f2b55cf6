"""The scores, splits and file readers of `benchmarks.tables` and `benchmarks.make_presets`."""

import io
import pickle
import struct

import numpy as np
import pandas
import pytest
from sklearn import metrics

from benchmarks.presets import ctranslate_file, torch_file
from benchmarks.table_scores import score, scored
from benchmarks.table_sources.source import split_rows

RANDOM = np.random.default_rng(0)
WEIGHTS = RANDOM.integers(0, 4, 60).astype(float)


def test_scores_are_scikit_learns():
    truth, predicted = RANDOM.integers(0, 4, (2, 60))
    many, scores = RANDOM.random((60, 5)) < 0.3, RANDOM.integers(0, 9, (60, 5)) / 9
    numbers, guessed = RANDOM.random((2, 60))
    expected = {
        "accuracy": (
            truth,
            predicted,
            metrics.accuracy_score(truth, predicted, sample_weight=WEIGHTS),
        ),
        "balanced_accuracy": (
            truth,
            predicted,
            metrics.balanced_accuracy_score(truth, predicted, sample_weight=WEIGHTS),
        ),
        "average_precision": (
            many,
            scores,
            metrics.average_precision_score(many, scores, sample_weight=WEIGHTS),
        ),
        "r2": (numbers, guessed, metrics.r2_score(numbers, guessed, sample_weight=WEIGHTS)),
    }
    for metric, (labels, predictions, value) in expected.items():
        assert score(metric, labels, predictions, WEIGHTS) == pytest.approx(value)


def test_difference_is_the_mean_over_seeds_and_its_interval_is_paired():
    truth = RANDOM.integers(0, 2, 200)
    wrong = np.where(np.arange(200) < 20, 1 - truth, truth)
    results = [
        {"column": column, "metric": "accuracy", "groups": [*range(200)], "truth": truth.tolist()}
        | {"predicted": predicted.tolist()}
        for column, predicted in (("simple", truth), ("default", wrong))
        for _ in range(2)
    ]
    by_seed, found = scored(results)
    difference = found["default", "simple"]
    assert by_seed["default"] == [0.9, 0.9]
    assert difference.value == pytest.approx(-0.1)
    assert -0.15 < difference.low < difference.value < difference.high < -0.05


def test_groups_are_on_one_side_and_given_test_rows_stay():
    frame = pandas.DataFrame({"label": ["a", "b"] * 60, "group": np.arange(120) // 3})
    words = split_rows(frame, "accuracy", seed=0)
    assert {*words} == {"train", "validation", "test"}
    assert all(len({*words[frame["group"] == group]}) == 1 for group in range(40))
    assert not np.array_equal(words, split_rows(frame, "accuracy", seed=1))
    frame["part"] = np.where(frame["group"] < 10, "test", "train")
    words = split_rows(frame, "accuracy", seed=0)
    assert np.array_equal(words == "test", frame["part"] == "test")
    assert "validation" in words


def test_tensors_of_a_pytorch_file_are_read_and_foreign_names_refused(tmp_path):
    def save(named):
        body = io.BytesIO()
        for one in (torch_file.MAGIC, 1001, {}):
            pickle.dump(one, body, protocol=2)
        named(body)
        (tmp_path / "weights.pth").write_bytes(body.getvalue())
        return tmp_path / "weights.pth"

    def foreign(body):
        pickle.dump(struct.Struct, body, protocol=2)

    def tensor(body):
        # {"w": _rebuild_tensor_v2(storage "0", offset 1, shape (2, 2), strides (1, 2))}
        body.write(
            b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(("
            b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
            b"K\x05NtQK\x01K\x02K\x02\x86K\x01K\x02\x86tRs."
        )
        pickle.dump(["0"], body, protocol=2)
        body.write(struct.pack("<q5f", 5, 0, 1, 2, 3, 4))

    (name, values), *_ = torch_file.read(save(tensor)).items()
    assert name == "w"
    assert values.tolist() == [[1, 3], [2, 4]]
    with pytest.raises(pickle.UnpicklingError, match="_struct.Struct"):
        torch_file.read(save(foreign))


def test_tensors_of_a_ctranslate_file_are_read(tmp_path):
    def string(text):
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    values = np.arange(6, dtype=np.float16)
    header = struct.pack("<I", 6) + string("Spec") + struct.pack("<II", 1, 1)
    shape = struct.pack("<BII", 2, 2, 3) + struct.pack("<BI", 4, values.nbytes)
    path = tmp_path / "model.bin"
    path.write_bytes(header + string("a/weight") + shape + values.tobytes())
    assert ctranslate_file.read(path)["a/weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    path.write_bytes(struct.pack("<I", 5))
    with pytest.raises(ValueError, match="must be version 6 of CTranslate2, is 5"):
        ctranslate_file.read(path)
