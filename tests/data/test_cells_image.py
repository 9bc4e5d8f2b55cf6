"""Cells of images: every format, and everything that can be wrong with one."""

import base64
import contextlib
import io
import os
import pathlib
import struct
import tempfile

import numpy as np
import pandas as pd
import pytest
from media import image_bytes, pixels_of, random_image
from PIL import Image

from multimodal_tf.config import AudioInput, ImageInput
from multimodal_tf.data.codecs import image_file
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.kinds import files, read_cell

IMAGE = ImageInput(max_pixels=10_000)
AUDIO = AudioInput(seconds=2.0)


class TestImageFormats:
    @pytest.mark.parametrize(
        ("kind", "mode"),
        [
            ("JPEG", "RGB"),
            ("JPEG", "L"),
            ("JPEG", "CMYK"),
            ("PNG", "RGBA"),
            ("PNG", "P"),
            ("PNG", "I;16"),
            ("GIF", "P"),
            ("BMP", "RGB"),
            ("BMP", "P"),
            ("WEBP", "RGBA"),
        ],
    )
    def test_what_the_graph_reads_is_kept(self, kind, mode):
        data = random_image(kind=kind, mode=mode)
        assert read_cell(data, IMAGE) == data

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"])
    def test_tiff_becomes_png(self, mode):
        # as such files are: Pillow 12 cannot read the uncompressed ones that it writes
        options = {"compression": "jpeg"} if mode == "YCbCr" else {}
        data = random_image(kind="TIFF", mode=mode, **options)
        png = read_cell(data, IMAGE)
        assert png.startswith(b"\x89PNG")
        np.testing.assert_array_equal(pixels_of(png, "RGBA"), pixels_of(data, "RGBA"))

    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            ("TIFF", {"compression": "tiff_lzw"}),
            ("JPEG2000", {}),
            ("AVIF", {}),
            ("PPM", {}),
            ("TGA", {}),
            ("ICO", {"sizes": [(13, 7)]}),
        ],
    )
    def test_other_formats_become_png(self, kind, options):
        data = random_image(size=(13, 7), kind=kind, **options)
        np.testing.assert_array_equal(pixels_of(read_cell(data, IMAGE)), pixels_of(data))

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_16_bit_tiff_keeps_16_bits(self, order):
        array = np.array([[0, 300], [40000, 65535]], np.uint16)
        header = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8)
        tags = [
            (256, 2),
            (257, 2),
            (258, 16),
            (259, 1),
            (262, 1),
            (273, 134),
            (277, 1),
            (278, 2),
            (279, 8),
            (339, 1),
        ]
        entries = b"".join(struct.pack(order + "HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
        data = (
            header
            + struct.pack(order + "H", len(tags))
            + entries
            + bytes(4)
            + array.astype(order + "u2").tobytes()
        )
        png = Image.open(io.BytesIO(read_cell(data, IMAGE)))
        np.testing.assert_array_equal(np.asarray(png), array)

    def test_32_bit_and_float_tiff(self, reason):
        def tiff(array):
            return image_bytes(array, "TIFF")

        values = np.array([[0, 65535]], np.int32)
        np.testing.assert_array_equal(pixels_of(read_cell(tiff(values), IMAGE), mode=None), values)
        assert (
            reason(tiff(values + 1), IMAGE)
            == "an image of integers must lie in 0..65535, received 1..65536"
        )
        np.testing.assert_array_equal(
            pixels_of(read_cell(tiff(np.array([[0, 1]], np.float32)), IMAGE), "L"), [[0, 255]]
        )
        assert "floats" in reason(tiff(np.array([[0, 2]], np.float32)), IMAGE)

    def test_orientation_of_a_tiff_is_applied(self):
        exif = Image.Exif()
        # the camera was turned: width and height are exchanged
        exif[0x0112] = 6
        upright = Image.effect_noise((13, 7), 90)
        png = read_cell(image_bytes(upright, "TIFF", exif=exif), IMAGE)
        np.testing.assert_array_equal(pixels_of(png, "L"), np.rot90(np.asarray(upright), -1))
        assert 0x0112 not in Image.open(io.BytesIO(png)).getexif()

    def test_first_frame_of_a_tiff(self):
        frames = [Image.new("RGB", (3, 2), colour) for colour in ("red", "blue")]
        data = image_bytes(frames[0], "TIFF", save_all=True, append_images=frames[1:])
        assert (pixels_of(read_cell(data, IMAGE)) == [255, 0, 0]).all()

    def test_one_pixel(self):
        assert pixels_of(read_cell(random_image(kind="TIFF", size=(1, 1)), IMAGE)).shape == (
            1,
            1,
            3,
        )

    def test_a_compressed_bmp_goes_through_pillow(self):
        # two rows of two pixels of colour 1
        rle = b"\x02\x01\x00\x00" * 2 + b"\x00\x01"
        palette = bytes(4) + b"\x00\x00\xff\x00" + bytes(4 * 254)
        data = (
            b"BM"
            + struct.pack(
                "<IIIIiiHHIIiiII",
                1078 + len(rle),
                0,
                1078,
                40,
                2,
                2,
                1,
                8,
                1,
                len(rle),
                0,
                0,
                256,
                0,
            )
            + palette
            + rle
        )
        assert (pixels_of(read_cell(data, IMAGE)) == [255, 0, 0]).all()

    def test_the_same_cell_gives_the_same_png(self):
        data = random_image(kind="TIFF", mode="CMYK")
        assert read_cell(data, IMAGE) == read_cell(data, IMAGE)


class TestBrokenImages:
    def test_files(self, reason, tmp_path):
        (tmp_path / "folder").mkdir()
        (tmp_path / "empty.jpg").touch()
        (tmp_path / "page.jpg").write_text("<!DOCTYPE html><p>404")
        os.mkfifo(tmp_path / "pipe.jpg")
        expected = {
            "folder": "a directory, not a file",
            "gone.jpg": "no such file",
            "page.jpg/x": "no such file",
            "empty.jpg": "an empty file (0 bytes)",
            "page.jpg": "not an image of a format that is read",
            "pipe.jpg": "not a regular file",
            "a\0b": "no such file",
            "\ud800.jpg": "no such file",
            "x" * 300: "neither a file's path nor base64 of a known format",
            "x" * 100_000: "neither a file's path nor base64 of a known format",
            base64.b64encode(b"plain words").decode(): "no such file",
            "https://example.org/a.jpg": "no such file: an address: download the file, and give its"
            " path",
            "data:image/png;base64,???": "a data URI whose base64 is broken",
            "data:,": "an empty data URI",
        }
        assert {value: reason(value, IMAGE, tmp_path) for value in expected} == expected
        assert {value: reason(value, AUDIO, tmp_path) for value in list(expected)[:3]} == {
            value: expected[value] for value in list(expected)[:3]
        }

    def test_a_file_without_permission(self, reason, tmp_path, monkeypatch):
        (tmp_path / "secret.jpg").write_bytes(random_image(kind="JPEG"))
        (tmp_path / "secret.jpg").chmod(0)
        monkeypatch.chdir(tmp_path)
        user = os.geteuid()
        # root may read everything, so be somebody else for a moment
        if user == 0:
            for folder in (tmp_path, *tmp_path.parents):
                if pathlib.Path(tempfile.gettempdir()) in folder.parents:
                    folder.chmod(0o755)
            os.seteuid(65534)
        try:
            assert reason("secret.jpg", IMAGE) == "no permission to read the file"
        finally:
            os.seteuid(user)

    def test_truncated(self, reason):
        data = random_image(kind="TIFF", size=(50, 50))
        assert reason(data[:-100], IMAGE).startswith("a broken image: ")
        assert reason(data[:20], IMAGE).startswith(("a broken image: ", "not an image "))

    def test_too_many_pixels_are_refused_from_the_header(self, reason):
        def tiff(side):
            return image_bytes(Image.new("1", (side, side)), "TIFF", compression="group4")

        assert reason(tiff(101), IMAGE) == "101 x 101 pixels, more than max_pixels = 10000"
        huge = tiff(20_000)
        assert reason(huge, ImageInput()) == "more pixels than max_pixels = 50000000"
        assert (
            reason(huge, ImageInput(max_pixels=10**9)) == "more pixels than max_pixels = 178956970"
        )

    # Pillow's opinions of broken TIFFs
    @pytest.mark.filterwarnings("ignore")
    def test_random_bytes_after_a_good_start(self):
        whole, generator = (
            random_image(kind="TIFF", size=(30, 30), compression="tiff_lzw"),
            np.random.default_rng(0),
        )
        for _ in range(200):
            broken = bytearray(whole)
            for index in generator.integers(0, len(whole), 8):
                broken[index] = generator.integers(256)
            with contextlib.suppress(CellError):
                assert image_file.convert(bytes(broken), IMAGE.max_pixels).startswith(b"\x89PNG")

    @pytest.mark.parametrize("value", [5, 1.5, True, object(), pd.Timestamp("2020-01-01")])
    def test_cells_of_the_wrong_type(self, reason, value):
        assert reason(value, IMAGE)
        assert reason(value, AUDIO)

    def test_a_huge_file_is_refused(self, reason, tmp_path, monkeypatch):
        monkeypatch.setattr(files, "MAX_BYTES", 10)
        (tmp_path / "a.png").write_bytes(random_image())
        assert reason("a.png", IMAGE, tmp_path) == "larger than 10 bytes"
