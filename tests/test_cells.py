"""Cells: every way to write one, every format of image and sound, and everything that can be wrong with one."""

import base64
import contextlib
import fractions
import io
import math
import os
import struct

import av
import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

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
from multimodal_tf.data import cells, records, sound
from multimodal_tf.data.cells import CellError, convert_image, file_of, is_missing, read_cell, read_label

IMAGE = ImageInput(max_pixels=10_000)
AUDIO = AudioInput(seconds=2.0)
RATE = 8000
WAVE = (0.4 * np.sin(np.arange(RATE) * 0.05)).astype(np.float32)
STEREO = np.stack([WAVE, -0.3 * WAVE[::-1]], axis=1)


def image_bytes(mode="RGB", kind="PNG", size=(13, 7), **options):
    image = Image.effect_noise(size, 120).resize(size)
    file = io.BytesIO()
    (image if mode == "L" else image.convert(mode)).save(file, kind, **options)
    return file.getvalue()


def sound_bytes(samples=STEREO, rate=RATE, **options):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **options)
    return file.getvalue()


def pixels(data, mode="RGB"):
    return np.asarray(Image.open(io.BytesIO(data)).convert(mode)).astype(int)


def samples_of(wav_bytes):
    return soundfile.read(io.BytesIO(wav_bytes), dtype="float32")


def reason(value, part, root="."):
    with pytest.raises(CellError) as caught:
        read_cell(value, part, root)
    return str(caught.value)


class TestMissing:
    @pytest.mark.parametrize(
        "value", [None, float("nan"), np.nan, np.float32("nan"), pd.NaT, pd.NA, "", " \t\n", "\u3000", b"", {"bytes": None, "path": None}]
    )
    @pytest.mark.parametrize("part", [IMAGE, AUDIO, TextInput(), NumberInput(), CategoryInput()])
    def test_is_none_for_every_input(self, value, part):
        assert is_missing(value)
        assert read_cell(value, part) is None

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

    @pytest.mark.parametrize("value", [True, np.bool_(True), 1, 1.0, np.float32(1), "True", " YES ", "t", "y", "1", "1.0", b"true"])
    def test_what_is_true(self, value):
        cell = read_cell(value, BooleanInput())
        assert type(cell) is float
        assert cell == 1.0

    @pytest.mark.parametrize("value", [False, np.bool_(False), 0, 0.0, np.int64(0), "FALSE", "no", "F", "n", "0", "0.0", np.array([False])])
    def test_what_is_false(self, value):
        assert read_cell(value, BooleanInput()) == 0.0

    @pytest.mark.parametrize("value", ["maybe", 2, -1, 0.5, "nan", "on", [True, False], 1j, b"\xff"])
    def test_what_is_neither_true_nor_false(self, value):
        assert reason(value, BooleanInput())

    def test_the_text_nan_is_a_missing_number(self):
        assert read_cell("NaN", NumberInput()) is None

    @pytest.mark.parametrize("value", ["seven", "1,5", "1_000", "inf", math.inf, "1e39", 1e39, 10**400, [1], b"\xff", 1j, "0x10"])
    def test_bad_numbers(self, value):
        assert reason(value, NumberInput())

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
        assert read_cell(3.0, CategoryInput()) == read_cell(3, CategoryInput()) == read_cell("3", CategoryInput())

    def test_text_of_10_mb(self):
        assert len(read_cell("é" * 5_000_000, TextInput())) == 10_000_000

    @pytest.mark.parametrize("value", [b"caf\xe9", "\ud800", {"a": 1}, ["a"]])
    def test_bad_texts(self, value):
        for part in (TextInput(), CategoryInput()):
            assert reason(value, part)

    def test_invalid_utf8_is_named_by_its_place(self):
        assert reason(b"caf\xe9", TextInput()) == "not UTF-8: byte 0xe9 at 3"


class TestLabels:
    def test_classes(self):
        assert read_label(" cat ", ClassificationHead()) == "cat"
        assert read_label(3.0, ClassificationHead()) == read_label(3, ClassificationHead()) == "3"

    def test_targets(self):
        assert read_label("2.5", RegressionHead()) == 2.5
        with pytest.raises(CellError):
            read_label("dear", RegressionHead())

    @pytest.mark.parametrize("value", ["b; a;;b", ["b", "a", "b", None], ("a", "b"), {"a", "b"}, np.array(["a", "b"], object)])
    def test_several(self, value):
        assert read_label(value, MultiLabelHead()).split(records.LABEL_SEPARATOR) == ["a", "b"]

    @pytest.mark.parametrize("value", [";", [], np.array([]), " ; "])
    def test_no_label_applies_is_not_missing(self, value):
        assert read_label(value, MultiLabelHead()) == records.LABEL_SEPARATOR

    @pytest.mark.parametrize("value", ["a\x1fb", b"\xff", {"a": 1}])
    def test_bad_labels(self, value):
        with pytest.raises(CellError):
            read_label(value, ClassificationHead())


class TestWaysToWriteAnImage:
    @pytest.fixture
    def data(self):
        return image_bytes()

    def test_paths(self, data, tmp_path):
        (tmp_path / "ä b.png").write_bytes(data)
        assert read_cell("ä b.png", IMAGE, tmp_path) == data
        assert read_cell(str(tmp_path / "ä b.png"), IMAGE, "/nowhere") == data
        assert read_cell(tmp_path / "ä b.png", IMAGE) == data
        assert read_cell({"bytes": None, "path": "ä b.png"}, IMAGE, tmp_path) == data

    def test_bytes(self, data):
        for value in (data, bytearray(data), memoryview(data), {"bytes": data, "path": "nowhere.png"}):
            assert read_cell(value, IMAGE) == data

    def test_data_uri_and_base64(self, data):
        packed = base64.b64encode(data).decode()
        lines = base64.encodebytes(data).decode()
        for value in (packed, lines, f"data:image/png;base64,{packed}", f"DATA:;base64,{lines}"):
            assert read_cell(value, IMAGE) == data
        percent = "".join(f"%{byte:02x}" for byte in data)
        assert read_cell(f"data:image/png,{percent}", IMAGE) == data

    def test_base64_of_a_jpeg_looks_like_an_absolute_path(self):
        data = image_bytes(kind="JPEG", size=(200, 40))
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
            np.testing.assert_array_equal(pixels(read_cell(value, IMAGE), mode).reshape(shape), array)

    def test_parquet_gives_arrays_of_arrays(self, tmp_path):
        array = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
        pd.DataFrame({"image": [array.tolist()]}).to_parquet(tmp_path / "a.parquet")
        value = pd.read_parquet(tmp_path / "a.parquet")["image"][0]
        assert value.dtype == object
        np.testing.assert_array_equal(pixels(read_cell(value, IMAGE)), array)

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
    def test_bad_arrays(self, array):
        assert reason(array, IMAGE)

    def test_file_of(self):
        assert str(file_of("a/b.png", "/root")) == "/root/a/b.png"
        for value in (b"x", None, "", "data:,x", "x" * 5000, "a\0b", np.zeros(3), {"bytes": b"x", "path": "a.png"}):
            assert file_of(value, "/root") is None


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
        data = image_bytes(mode, kind)
        assert read_cell(data, IMAGE) == data

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"])
    def test_tiff_becomes_png(self, mode):
        # as such files are: Pillow 12 cannot read the uncompressed ones that it writes
        options = {"compression": "jpeg"} if mode == "YCbCr" else {}
        data = image_bytes(mode, "TIFF", **options)
        png = read_cell(data, IMAGE)
        assert png.startswith(b"\x89PNG")
        np.testing.assert_array_equal(pixels(png, "RGBA"), pixels(data, "RGBA"))

    @pytest.mark.parametrize(
        ("kind", "options"),
        [("TIFF", {"compression": "tiff_lzw"}), ("JPEG2000", {}), ("AVIF", {}), ("PPM", {}), ("TGA", {}), ("ICO", {"sizes": [(13, 7)]})],
    )
    def test_other_formats_become_png(self, kind, options):
        data = image_bytes("RGB", kind, **options)
        np.testing.assert_array_equal(pixels(read_cell(data, IMAGE)), pixels(data))

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_16_bit_tiff_keeps_16_bits(self, order):
        array = np.array([[0, 300], [40000, 65535]], np.uint16)
        header = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8)
        tags = [(256, 2), (257, 2), (258, 16), (259, 1), (262, 1), (273, 134), (277, 1), (278, 2), (279, 8), (339, 1)]
        entries = b"".join(struct.pack(order + "HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
        data = header + struct.pack(order + "H", len(tags)) + entries + bytes(4) + array.astype(order + "u2").tobytes()
        png = Image.open(io.BytesIO(read_cell(data, IMAGE)))
        np.testing.assert_array_equal(np.asarray(png), array)

    def test_32_bit_and_float_tiff(self):
        def tiff(array):
            file = io.BytesIO()
            Image.fromarray(array).save(file, "TIFF")
            return file.getvalue()

        values = np.array([[0, 65535]], np.int32)
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(read_cell(tiff(values), IMAGE)))), values)
        assert reason(tiff(values + 1), IMAGE) == "an image of integers must lie in 0..65535, received 1..65536"
        np.testing.assert_array_equal(pixels(read_cell(tiff(np.array([[0, 1]], np.float32)), IMAGE), "L"), [[0, 255]])
        assert "floats" in reason(tiff(np.array([[0, 2]], np.float32)), IMAGE)

    def test_orientation_of_a_tiff_is_applied(self):
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was turned: width and height change places
        upright = Image.effect_noise((13, 7), 90)
        file = io.BytesIO()
        upright.save(file, "TIFF", exif=exif)
        png = read_cell(file.getvalue(), IMAGE)
        np.testing.assert_array_equal(pixels(png, "L"), np.rot90(np.asarray(upright), -1))
        assert 0x0112 not in Image.open(io.BytesIO(png)).getexif()

    def test_first_frame_of_a_tiff(self):
        frames = [Image.new("RGB", (3, 2), colour) for colour in ("red", "blue")]
        file = io.BytesIO()
        frames[0].save(file, "TIFF", save_all=True, append_images=frames[1:])
        assert (pixels(read_cell(file.getvalue(), IMAGE)) == [255, 0, 0]).all()

    def test_one_pixel(self):
        assert pixels(read_cell(image_bytes("RGB", "TIFF", size=(1, 1)), IMAGE)).shape == (1, 1, 3)

    def test_a_compressed_bmp_goes_through_pillow(self):
        rle = b"\x02\x01\x00\x00" * 2 + b"\x00\x01"  # two rows of two pixels of colour 1
        palette = bytes(4) + b"\x00\x00\xff\x00" + bytes(4 * 254)
        data = b"BM" + struct.pack("<IIIIiiHHIIiiII", 1078 + len(rle), 0, 1078, 40, 2, 2, 1, 8, 1, len(rle), 0, 0, 256, 0) + palette + rle
        assert (pixels(read_cell(data, IMAGE)) == [255, 0, 0]).all()

    def test_the_same_cell_gives_the_same_png(self):
        data = image_bytes("CMYK", "TIFF")
        assert read_cell(data, IMAGE) == read_cell(data, IMAGE)


class TestBrokenImages:
    def test_files(self, tmp_path):
        (tmp_path / "folder").mkdir()
        (tmp_path / "empty.jpg").touch()
        (tmp_path / "page.jpg").write_text("<!DOCTYPE html><p>404")
        os.mkfifo(tmp_path / "pipe.jpg")
        expected = {
            "folder": "a directory, not a file",
            "gone.jpg": "no such file",
            "page.jpg/x": "no such file",
            "empty.jpg": "an empty file (0 bytes)",
            "page.jpg": "not an image: it begins with b'<!DOCTYPE ht'",
            "pipe.jpg": "not a regular file",
            "a\0b": "no such file",
            "\ud800.jpg": "no such file",
            "x" * 300: "neither a file's path nor base64 of a known format",
            "x" * 100_000: "neither a file's path nor base64 of a known format",
            base64.b64encode(b"plain words").decode(): "no such file",
            "https://example.org/a.jpg": "no such file",
            "data:image/png;base64,???": "a data URI whose base64 is broken",
            "data:,": "an empty data URI",
        }
        assert {value: reason(value, IMAGE, tmp_path) for value in expected} == expected
        assert {value: reason(value, AUDIO, tmp_path) for value in list(expected)[:3]} == {
            value: expected[value] for value in list(expected)[:3]
        }

    def test_a_file_without_permission(self, tmp_path, monkeypatch):
        (tmp_path / "secret.jpg").write_bytes(image_bytes(kind="JPEG"))
        (tmp_path / "secret.jpg").chmod(0)
        monkeypatch.chdir(tmp_path)
        user = os.geteuid()
        if user == 0:  # root may read everything, so be somebody else for a moment
            for folder in (tmp_path, *list(tmp_path.parents)[:2]):
                folder.chmod(0o755)
            os.seteuid(65534)
        try:
            assert reason("secret.jpg", IMAGE) == "no permission to read the file"
        finally:
            os.seteuid(user)

    def test_truncated(self):
        data = image_bytes("RGB", "TIFF", size=(50, 50))
        assert reason(data[:-100], IMAGE).startswith("a broken image: ")
        assert reason(data[:20], IMAGE).startswith(("a broken image: ", "not an image: "))

    def test_too_many_pixels_are_refused_from_the_header(self):
        def tiff(side):
            file = io.BytesIO()
            Image.new("1", (side, side)).save(file, "TIFF", compression="group4")
            return file.getvalue()

        assert reason(tiff(101), IMAGE) == "101 x 101 pixels, more than max_pixels = 10000"
        assert reason(tiff(20_000), ImageInput()) == "more pixels than max_pixels = 50000000"
        assert reason(tiff(20_000), ImageInput(max_pixels=10**9)) == "more pixels than max_pixels = 178956970"

    @pytest.mark.filterwarnings("ignore")  # Pillow's opinions of broken TIFFs
    def test_random_bytes_after_a_good_start(self):
        whole, generator = image_bytes("RGB", "TIFF", size=(30, 30), compression="tiff_lzw"), np.random.default_rng(0)
        for _ in range(200):
            broken = bytearray(whole)
            for place in generator.integers(0, len(whole), 8):
                broken[place] = generator.integers(256)
            with contextlib.suppress(CellError):
                assert convert_image(bytes(broken), IMAGE).startswith(b"\x89PNG")

    @pytest.mark.parametrize("value", [5, 1.5, True, object(), pd.Timestamp("2020-01-01")])
    def test_cells_of_the_wrong_type(self, value):
        assert reason(value, IMAGE)
        assert reason(value, AUDIO)

    def test_a_huge_file_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr(cells, "MAX_BYTES", 10)
        (tmp_path / "a.png").write_bytes(image_bytes())
        assert reason("a.png", IMAGE, tmp_path) == "larger than 10 bytes"


def m4a_bytes(samples=STEREO, rate=RATE):
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout="stereo")
        frame.sample_rate = rate
        frame.pts, frame.time_base = 0, fractions.Fraction(1, rate)  # so that the file says which samples are the encoder's run-up
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return file.getvalue()


class TestSoundFormats:
    MONO = STEREO.mean(axis=1)

    @pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
    @pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
    @pytest.mark.parametrize("samples", [WAVE, STEREO], ids=["mono", "stereo"])
    def test_lossless_wav_loses_nothing(self, subtype, kind, samples):
        data = sound_bytes(samples, format=kind, subtype=subtype)
        expected = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0].mean(axis=1)
        actual, rate = samples_of(read_cell(data, AUDIO))
        assert rate == RATE
        np.testing.assert_array_equal(actual, expected)

    def test_16_bits_where_they_suffice(self):
        assert soundfile.info(io.BytesIO(read_cell(sound_bytes(WAVE, format="WAV", subtype="PCM_16"), AUDIO))).subtype == "PCM_16"
        assert soundfile.info(io.BytesIO(read_cell(sound_bytes(WAVE, format="FLAC", subtype="PCM_24"), AUDIO))).subtype == "FLOAT"
        assert soundfile.info(io.BytesIO(read_cell(sound_bytes(format="OGG", subtype="VORBIS"), AUDIO))).subtype == "PCM_16"

    @pytest.mark.parametrize(
        ("kind", "subtype"),
        [
            ("FLAC", "PCM_16"),
            ("FLAC", "PCM_24"),
            ("AIFF", "PCM_16"),
            ("CAF", "PCM_16"),
            ("AU", "PCM_16"),
            ("WAV", "ULAW"),
            ("WAV", "IMA_ADPCM"),
        ],
    )
    def test_other_lossless_formats_and_telephone(self, kind, subtype):
        data = sound_bytes(format=kind, subtype=subtype)
        actual, _ = samples_of(read_cell(data, AUDIO))
        np.testing.assert_array_equal(actual, soundfile.read(io.BytesIO(data), dtype="float32")[0].mean(axis=1))

    @pytest.mark.parametrize(("kind", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")])
    def test_lossy_formats(self, kind, subtype):
        actual, rate = samples_of(read_cell(sound_bytes(format=kind, subtype=subtype), AUDIO))
        assert rate == RATE
        assert len(actual) == len(WAVE)
        assert np.corrcoef(actual, self.MONO)[0, 1] > 0.98

    def test_m4a(self):
        actual, rate = samples_of(read_cell(m4a_bytes(), AUDIO))
        assert rate == RATE
        assert np.corrcoef(actual[: len(WAVE)], self.MONO)[0, 1] > 0.98

    def test_m4a_by_path_and_base64(self, tmp_path):
        data = m4a_bytes()
        (tmp_path / "a.m4a").write_bytes(data)
        assert read_cell("a.m4a", AUDIO, tmp_path) == read_cell(base64.b64encode(data).decode(), AUDIO) == read_cell(data, AUDIO)

    def test_a_video_without_sound(self):
        file = io.BytesIO()
        with av.open(file, "w", format="mp4") as container:
            stream = container.add_stream("mpeg4", rate=5)
            stream.width = stream.height = 32
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)
        assert reason(file.getvalue(), AUDIO) == "a file without sound"

    def test_what_the_model_cannot_hear_is_left_out(self):
        long = np.tile(WAVE, 120)
        for data in (sound_bytes(long, format="WAV", subtype="PCM_16"), sound_bytes(long, format="FLAC")):
            actual, _ = samples_of(read_cell(data, AUDIO))
            assert len(actual) == 4 * RATE
            np.testing.assert_allclose(actual, long[: 4 * RATE], atol=1 / 32768)

    def test_arrays(self):
        for value in (WAVE, WAVE.astype(np.float64), WAVE.tolist()):
            actual, rate = samples_of(read_cell(value, AUDIO))
            assert rate == AUDIO.sample_rate
            np.testing.assert_array_equal(actual, WAVE)
        whole = np.array([-32768, 0, 32767])
        np.testing.assert_array_equal(samples_of(read_cell(whole.astype(np.int16), AUDIO))[0] * 32768, whole)

    @pytest.mark.parametrize(
        "value", [np.zeros((2, 5)), np.array([0, 2.0]), np.array([np.nan]), np.array([40000]), np.array([], np.float32), ["a"]]
    )
    def test_bad_arrays(self, value):
        assert reason(value, AUDIO)

    def test_bytes_do_not_depend_on_the_clock(self):
        header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 44, b"WAVE", b"fmt ", 16, 3, 1, 8000, 32000, 4, 32, b"data", 8)
        assert sound.wav(np.array([0.1, -0.2], np.float32), 8000, lossy=False) == header + np.array([0.1, -0.2], "<f4").tobytes()

    def test_lossy_sounds_are_rounded_and_clipped(self):
        data = sound.wav(np.array([1.5, -1.5, 0.6 / 32768], np.float32), 8000, lossy=True)
        assert np.frombuffer(data[44:], "<i2").tolist() == [32767, -32768, 1]


def with_data_size(data, size):
    return data[:40] + struct.pack("<I", size) + data[44:]


class TestBrokenSounds:
    PLAIN = sound_bytes(WAVE, format="WAV", subtype="PCM_16")

    @pytest.mark.parametrize("size", [0xFFFFFFFF, 10**6, 2 * RATE])
    def test_a_header_that_promises_more(self, size):
        np.testing.assert_array_equal(samples_of(read_cell(with_data_size(self.PLAIN, size), AUDIO))[0], samples_of(self.PLAIN)[0])

    @pytest.mark.parametrize(("samples", "kind"), [(np.zeros(100), "WAV"), (WAVE[:1], "WAV"), (WAVE[:1], "FLAC")])
    def test_silence_and_one_sample_are_sounds(self, samples, kind):
        assert len(samples_of(read_cell(sound_bytes(samples, format=kind), AUDIO))[0]) == len(samples)

    def test_no_samples(self):
        for data in (sound_bytes(WAVE[:0], format="WAV"), with_data_size(self.PLAIN, 0)):
            assert reason(data, AUDIO) == "a sound without samples"

    @pytest.mark.parametrize("rate", [0, 2**31])
    def test_impossible_rates(self, rate):
        assert "sample rate" in reason(self.PLAIN[:24] + struct.pack("<I", rate) + self.PLAIN[28:], AUDIO)

    @pytest.mark.parametrize("rate", [1, 768_000])
    def test_strange_rates_are_kept_for_the_graph_to_judge(self, rate):
        data = self.PLAIN[:24] + struct.pack("<I", rate) + self.PLAIN[28:]
        assert samples_of(read_cell(data, AUDIO))[1] == rate

    @pytest.mark.parametrize("kind", ["FLAC", "MP3", "OGG"])
    def test_truncated_in_the_header(self, kind):
        assert reason(sound_bytes(format=kind)[:60], AUDIO).startswith("a broken sound: ")

    def test_truncated_flac_and_m4a(self):
        for data in (sound_bytes(np.tile(STEREO, (9, 1)), format="FLAC")[:5000], m4a_bytes()[:4000]):
            assert reason(data, AUDIO).startswith("a broken sound: ")

    def test_not_a_sound(self, tmp_path):
        assert reason(b"<html>", AUDIO) == "not a sound: it begins with b'<html>'"
        assert reason(image_bytes(), AUDIO).startswith("not a sound: ")
        (tmp_path / "a.wav").touch()
        assert reason("a.wav", AUDIO, tmp_path) == "an empty file (0 bytes)"

    def test_a_playlist_opens_nothing(self, tmp_path):
        (tmp_path / "a.m4a").write_bytes(m4a_bytes())
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{tmp_path}/a.m4a\n#EXT-X-ENDLIST\n"
        assert reason(playlist.encode(), AUDIO).startswith("not a sound: ")

    @pytest.mark.parametrize(
        "data",
        [sound_bytes(format="FLAC"), sound_bytes(format="OGG", subtype="OPUS"), sound_bytes(format="MP3"), m4a_bytes(), PLAIN],
        ids=str.split("flac opus mp3 m4a wav"),
    )
    def test_random_bytes_after_a_good_start(self, data):
        generator = np.random.default_rng(0)
        for _ in range(30):
            broken = bytearray(data)
            for place in generator.integers(0, len(data), 20):
                broken[place] = generator.integers(256)
            with contextlib.suppress(CellError):
                assert read_cell(bytes(broken), AUDIO)[:4] == b"RIFF"
