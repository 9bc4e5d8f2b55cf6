"""Cells: every way to write one of each kind, and an image in particular."""

import base64
import math

import numpy as np
import pandas as pd
import pytest
from media import pixels_of, random_image

from multimodal_tf.config import (
    AudioInput,
    BooleanInput,
    CategoryInput,
    ClassificationHead,
    ImageInput,
    MultiLabelHead,
    NumberInput,
    RegressionHead,
    TextInput,
)
from multimodal_tf.data import record_files
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.kinds import read_cell
from multimodal_tf.data.kinds.cell import is_missing
from multimodal_tf.data.kinds.files import file_of
from multimodal_tf.data.kinds.label import read_label

IMAGE = ImageInput(max_pixels=10_000)
AUDIO = AudioInput(seconds=2.0)


class TestMissing:
    @pytest.mark.parametrize(
        "value",
        [
            None,
            float("nan"),
            np.nan,
            np.float32("nan"),
            pd.NaT,
            pd.NA,
            "",
            " \t\n",
            "\u3000",
            b"",
            {"bytes": None, "path": None},
        ],
    )
    @pytest.mark.parametrize(
        "input_config", [IMAGE, AUDIO, TextInput(), NumberInput(), CategoryInput()]
    )
    def test_is_none_for_every_input(self, value, input_config):
        assert is_missing(value)
        assert read_cell(value, input_config) is None

    @pytest.mark.parametrize("head", [ClassificationHead(), MultiLabelHead(), RegressionHead()])
    def test_is_none_for_every_label(self, head):
        assert read_label(None, head) is None
        assert read_label("  ", head) is None

    @pytest.mark.parametrize("value", [0, 0.0, False, "0", b"\0", [], "nan"])
    def test_what_is_not_missing(self, value):
        assert not is_missing(value)


class TestPlainCells:
    @pytest.mark.parametrize(
        ("value", "number"),
        [
            (3, 3.0),
            ("3", 3.0),
            (" -1.5e3 ", -1500.0),
            (True, 1.0),
            (np.float32(0.5), 0.5),
            (np.int64(7), 7.0),
            (b"2", 2.0),
            (np.array([4]), 4.0),
        ],
    )
    def test_numbers(self, value, number):
        cell = read_cell(value, NumberInput())
        assert type(cell) is float
        assert cell == number

    @pytest.mark.parametrize(
        "value",
        [
            True,
            np.bool_(True),
            1,
            1.0,
            np.float32(1),
            "True",
            " YES ",
            "t",
            "y",
            "1",
            "1.0",
            b"true",
        ],
    )
    def test_what_is_true(self, value):
        cell = read_cell(value, BooleanInput())
        assert type(cell) is float
        assert cell == 1.0

    @pytest.mark.parametrize(
        "value",
        [
            False,
            np.bool_(False),
            0,
            0.0,
            np.int64(0),
            "FALSE",
            "no",
            "F",
            "n",
            "0",
            "0.0",
            np.array([False]),
        ],
    )
    def test_what_is_false(self, value):
        assert read_cell(value, BooleanInput()) == 0.0

    @pytest.mark.parametrize(
        "value", ["maybe", 2, -1, 0.5, "nan", "on", [True, False], 1j, b"\xff"]
    )
    def test_what_is_neither_true_nor_false(self, reason, value):
        assert reason(value, BooleanInput())

    def test_the_text_nan_is_a_missing_number(self):
        assert read_cell("NaN", NumberInput()) is None

    @pytest.mark.parametrize(
        "value",
        ["seven", "1,5", "1_000", "inf", math.inf, "1e39", 1e39, 10**400, [1], b"\xff", 1j, "0x10"]
        + ["3e38", -3e38, 2**65, np.float32(1.9e19)],
    )
    def test_bad_numbers(self, reason, value):
        assert reason(value, NumberInput())

    def test_whole_numbers_of_64_bits_are_read(self):
        cells = [read_cell(value, NumberInput()) for value in (2**64 - 1, str(-(2**64)))]
        assert cells == [2.0**64, -(2.0**64)]

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("a b", b"a b"),
            ("ünï".encode(), "ünï".encode()),
            (7, b"7"),
            (7.0, b"7"),
            (7.25, b"7.25"),
            ("007", b"007"),
            (" x ", b" x "),
            ("a\0b", b"a\0b"),
        ],
    )
    def test_texts(self, value, text):
        assert read_cell(value, TextInput()) == text

    def test_a_category_is_stripped(self):
        assert read_cell(" red\n", CategoryInput()) == b"red"
        assert (
            read_cell(3.0, CategoryInput())
            == read_cell(3, CategoryInput())
            == read_cell("3", CategoryInput())
        )

    def test_text_of_10_mb(self):
        assert len(read_cell("é" * 5_000_000, TextInput())) == 10_000_000

    @pytest.mark.parametrize("value", [b"caf\xe9", "\ud800", {"a": 1}, ["a"]])
    def test_bad_texts(self, reason, value):
        for input_config in (TextInput(), CategoryInput()):
            assert reason(value, input_config)

    def test_invalid_utf8_is_named_by_its_place(self, reason):
        assert reason(b"caf\xe9", TextInput()) == "not UTF-8: byte 0xe9 at 3"


class TestLabels:
    def test_classes(self):
        assert read_label(" cat ", ClassificationHead()) == "cat"
        assert read_label(3.0, ClassificationHead()) == read_label(3, ClassificationHead()) == "3"

    def test_targets(self):
        assert read_label("2.5", RegressionHead()) == 2.5
        with pytest.raises(CellError):
            read_label("dear", RegressionHead())

    @pytest.mark.parametrize(
        "value",
        ["b; a;;b", ["b", "a", "b", None], ("a", "b"), {"a", "b"}, np.array(["a", "b"], object)],
    )
    def test_several(self, value):
        assert read_label(value, MultiLabelHead()).split(record_files.LABEL_SEPARATOR) == ["a", "b"]

    @pytest.mark.parametrize("value", [";", [], np.array([]), " ; "])
    def test_no_label_applies_is_not_missing(self, value):
        assert read_label(value, MultiLabelHead()) == record_files.LABEL_SEPARATOR

    @pytest.mark.parametrize("value", ["a\x1fb", b"\xff", {"a": 1}])
    def test_bad_labels(self, value):
        with pytest.raises(CellError):
            read_label(value, ClassificationHead())


class TestWaysToWriteAnImage:
    @pytest.fixture
    def data(self):
        return random_image()

    def test_paths(self, data, tmp_path):
        (tmp_path / "ä b.png").write_bytes(data)
        assert read_cell("ä b.png", IMAGE, tmp_path) == data
        assert read_cell(str(tmp_path / "ä b.png"), IMAGE, "/nowhere") == data
        assert read_cell(tmp_path / "ä b.png", IMAGE) == data
        assert read_cell({"bytes": None, "path": "ä b.png"}, IMAGE, tmp_path) == data

    def test_bytes(self, data):
        for value in (
            data,
            bytearray(data),
            memoryview(data),
            {"bytes": data, "path": "nowhere.png"},
        ):
            assert read_cell(value, IMAGE) == data

    def test_data_uri_and_base64(self, data):
        packed = base64.b64encode(data).decode()
        lines = base64.encodebytes(data).decode()
        for value in (packed, lines, f"data:image/png;base64,{packed}", f"DATA:;base64,{lines}"):
            assert read_cell(value, IMAGE) == data
        percent = "".join(f"%{byte:02x}" for byte in data)
        assert read_cell(f"data:image/png,{percent}", IMAGE) == data

    def test_base64_of_a_jpeg_looks_like_an_absolute_path(self):
        data = random_image(kind="JPEG", size=(200, 40))
        packed = base64.b64encode(data).decode()
        assert packed.startswith("/9j/")
        assert len(packed) > 4096
        assert read_cell(packed, IMAGE) == data

    def test_a_file_comes_before_base64(self, data, tmp_path):
        (tmp_path / "iVBORw0KGgo=").write_bytes(data)
        assert read_cell("iVBORw0KGgo=", IMAGE, tmp_path) == data

    @pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3), (5, 4, 4)])
    def test_arrays(self, shape):
        array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
        mode = {4: "RGBA", 3: "RGB"}.get(shape[2] if len(shape) == 3 else 1, "L")
        for value in (array, array / 255, array.astype(np.int64), array.tolist()):
            np.testing.assert_array_equal(
                pixels_of(read_cell(value, IMAGE), mode).reshape(shape), array
            )

    def test_parquet_gives_arrays_of_arrays(self, tmp_path):
        array = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
        pd.DataFrame({"image": [array.tolist()]}).to_parquet(tmp_path / "a.parquet")
        value = pd.read_parquet(tmp_path / "a.parquet")["image"][0]
        assert value.dtype == object
        np.testing.assert_array_equal(pixels_of(read_cell(value, IMAGE)), array)

    @pytest.mark.parametrize(
        "array",
        [
            np.zeros((2, 2, 2)),
            np.zeros(4),
            np.full((2, 2), 256),
            np.full((2, 2), -1),
            np.full((2, 2), 1.5),
            np.full((2, 2), np.nan),
            np.zeros((0, 3)),
            [[1], [1, 2]],
            np.array([["a"]]),
            np.zeros((200, 200)),
        ],
    )
    def test_bad_arrays(self, reason, array):
        assert reason(array, IMAGE)

    def test_file_of(self):
        assert str(file_of("a/b.png", "/root")) == "/root/a/b.png"
        for value in (
            b"x",
            None,
            "",
            "data:,x",
            "x" * 5000,
            "a\0b",
            np.zeros(3),
            {"bytes": b"x", "path": "a.png"},
        ):
            assert file_of(value, "/root") is None
