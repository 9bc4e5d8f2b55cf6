"""`describe` on bytes in files, cells and arrays, and the sizes that follow from them."""

import base64
import struct
import zlib

import numpy as np
import pytest
from described_tables import clip_bytes, column_of, described, png, types_of

from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.table import read_table


def test_a_png_of_30_000_by_30_000_pixels_is_refused_from_its_header():
    huge = bytearray(png())
    huge[16:24] = struct.pack(">II", 30_000, 30_000)
    huge[29:33] = struct.pack(">I", zlib.crc32(huge[12:29]))
    found = column_of(described({"x": [png()] * 3 + [bytes(huge)], "label": list("abab")}), "x")
    assert (found.type, found.rejected) == ("image", 1)
    assert "30000 x 30000 pixels, more than" in found.rejections[0].reason
    assert found.width.max == 40


def test_bytes_data_uris_base64_and_arrays(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "a.wav").write_bytes(clip_bytes())
    array = np.zeros((30, 40), np.uint8)
    images = [
        "a.png",
        png(),
        "data:image/png;base64," + base64.b64encode(png()).decode(),
        base64.b64encode(png()).decode(),
        array,
    ]
    clips = [
        "a.wav",
        clip_bytes(),
        "data:audio/wav;base64," + base64.b64encode(clip_bytes()).decode(),
        base64.b64encode(clip_bytes()).decode(),
    ]
    found = described(
        {"x": images, "y": [*clips, np.zeros(22_050, np.int16)], "label": list("ababa")},
        root=tmp_path,
    )
    assert types_of(found) == {"x": "image", "y": "audio", "label": "classification"}
    assert [column.rejected for column in found.columns] == [0, 0, 0]
    assert column_of(found, "x").width.model_dump() == {
        "min": 40,
        "median": 40,
        "p95": 40,
        "max": 40,
    }


def test_a_folder_of_files_by_class(tmp_path):
    for label in ("cat", "owl"):
        (tmp_path / label).mkdir()
        for n in range(3):
            (tmp_path / label / f"{n}.jpg").write_bytes(png(8, 8, "L"))
    config = describe(read_table(tmp_path)).config()
    assert config.inputs["file"].type == "image"
    assert (
        config.inputs["file"].height,
        config.inputs["file"].width,
        config.inputs["file"].channels,
    ) == (32, 32, 1)
    assert list(config.heads) == ["label"]


def test_broken_files_are_of_the_kind_of_their_suffix():
    found = described(
        {"photo": ["x.jpg", "y.PNG"], "clip": ["x.mp3", "y.opus"], "label": ["a", "b"]}
    )
    assert types_of(found) == {"photo": "image", "clip": "audio", "label": "classification"}
    assert [column.rejected for column in found.columns] == [2, 2, 0]


def test_an_image_of_too_many_pixels_is_an_image(tmp_path):
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "huge.png").write_bytes(png()[:8] + chunk + png()[33:])
    (tmp_path / "fine.png").write_bytes(png())
    photo = described(
        {"photo": ["fine.png", "huge.png"], "label": ["a", "b"]}, root=tmp_path
    ).columns[0]
    assert (photo.type, photo.rejected, photo.rejections[0].row) == ("image", 1, 1)
    assert "pixels" in photo.rejections[0].reason


@pytest.mark.parametrize(
    ("seconds", "rate", "expected"),
    [
        (0.2, 16_000, (0.5, 16_000)),
        (1.01, 8_000, (1.5, 8_000)),
        (2.0, 44_100, (2.0, 16_000)),
        (40.0, 4_000, (10.0, 4_000)),
    ],
)
def test_audio_sizes(seconds, rate, expected):
    found = described({"clip": [clip_bytes(seconds, rate)] * 2, "label": ["a", "b"]})
    clip = found.config().inputs["clip"]
    assert (clip.seconds, clip.sample_rate) == expected
    assert found.columns[0].seconds.max == pytest.approx(min(seconds, 30), abs=1e-3)


def test_text_sizes():
    for length, count in {8: 1, 20: 20, 256: 1000}.items():
        columns = {"t": ["w " * count] * 2, "label": ["a", "b"]}
        config = described(columns, types={"t": "text"}).config()
        assert config.inputs["t"].max_tokens == length


def test_a_grey_column_with_one_colour_image_has_colours():
    assert described({"x": [png(mode="L"), png(mode="LA")], "label": ["a", "b"]}).columns[0].grey
    assert not described({"x": [png(mode="L"), png()], "label": ["a", "b"]}).columns[0].grey
