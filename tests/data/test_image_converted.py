"""Images that Pillow reads and the graph does not: one rule in ingest, `describe` and `Client`."""

import contextlib
import io
import struct
import time
import warnings

import numpy as np
import pytest
from described_tables import column_of, described
from image_formats import EXACT, LOSSY, bmp, chunk, photo
from media import image_bytes, random_image
from PIL import Image, ImageFile

from multimodal_tf.config import ImageInput, VideoInput
from multimodal_tf.data.codecs import image_cost, image_file
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.kinds import kind_of, read_cell

IMAGE = ImageInput(height=8, width=8, max_pixels=10_000)
VIDEO = VideoInput(frames=2, height=8, width=8, max_pixels=10_000)
JPEG = LOSSY["jpeg"]
MANY_TEXTS = chunk(b"zTXt", b"Comment\0\0x\x9c\x03\0\0\0\0\x01") * 30
# the graph refuses each from its header or in its decoder, and Pillow reads it
REPAIRED = {
    "bytes between the segments of a JPEG": JPEG[:2] + b"\0" + JPEG[2:],
    "a BMP of 16 bits": bmp(photo(2, 2), 16),
    "a TIFF": random_image(kind="TIFF"),
    "a PNG of many texts": EXACT["png rgb"][:33] + MANY_TEXTS + EXACT["png rgb"][33:],
}
LONG_PIXELS = chunk(b"IDAT", bytes(200_000))
REPAIRED["a PNG with more than its pixels"] = (
    EXACT["png rgb"][:-12] + LONG_PIXELS + EXACT["png rgb"][-12:]
)
REPAIRED["bytes between the segments of a JPEG"] = JPEG[:20] + b"\0" + JPEG[20:]


@pytest.mark.parametrize("name", REPAIRED)
def test_the_rule_is_one(name):
    data = REPAIRED[name]
    cell = kind_of(IMAGE).read_checked(data, ".")
    assert cell.startswith(b"\x89PNG")
    again, reason = kind_of(IMAGE).checked(read_cell(data, IMAGE))
    assert (again, reason) == (cell, "")


def test_frames_of_a_list_are_converted_alike():
    data = REPAIRED["a PNG of many texts"]
    frames = kind_of(VIDEO).read_checked([random_image(), data], ".")
    assert frames == [random_image(), kind_of(IMAGE).read_checked(data, ".")]


def test_describe_reads_what_ingest_reads():
    files = [random_image(seed) for seed in range(4)]
    found = described({"x": [*files, *REPAIRED.values()], "label": list("abababab") + ["a"]})
    assert column_of(found, "x").type == "image"
    assert column_of(found, "x").rejected == 0


def test_a_limit_is_no_reason_to_convert():
    large = random_image(size=(101, 100))
    many = JPEG[:-2] + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" * 200 + JPEG[-2:]
    for data, reason in ((large, "101 x 100 pixels, more than"), (many, image_cost.MANY_SCANS)):
        with pytest.raises(CellError, match=reason):
            kind_of(IMAGE).read_checked(data, ".")
    # not even where the graph cannot find the size
    with pytest.raises(CellError):
        kind_of(IMAGE).read_checked(many[:20] + b"\0" + many[20:], ".")
    with pytest.raises(CellError, match=image_cost.MANY_SCANS):
        image_file.convert(many[:20] + b"\0" + many[20:], 10_000)


def test_a_broken_image_keeps_the_graphs_reason():
    with pytest.raises(CellError, match="^damaged image$"):
        kind_of(IMAGE).read_checked(JPEG[:200], ".")


ERRORS = [
    RuntimeError("Failed to decode frame 0: Truncated data"),
    NotImplementedError("Unimplemented pixel format b'SECR'"),
    SyntaxError("broken PNG file (chunk b'SECR')"),
    ValueError("Invalid token for this mode: SECRET"),
    AttributeError("x"),
    RecursionError("x"),
    MemoryError(),
    struct.error("x"),
    Image.DecompressionBombError("x"),
    OverflowError("x"),
    AssertionError(),
    ZeroDivisionError("x"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("where", ["open", "load"])
def test_whatever_pillow_raises_is_the_reason(error, where, monkeypatch, reason):
    def fail(*_arguments, **_options):
        raise error

    data = random_image(kind="TIFF")
    monkeypatch.setattr(
        *((Image, "open") if where == "open" else (ImageFile.ImageFile, "load")), fail
    )
    said = reason(data, IMAGE)
    assert said.startswith(("a broken image: ", "more pixels than max_pixels"))
    assert "SECR" not in said
    found = described(
        {"x": [data, data], "label": list("ab")},
    )
    assert found.columns


def test_damaged_files_of_every_format_end_in_a_reason():
    random = np.random.default_rng(0)
    for kind in (
        "AVIF",
        "DDS",
        "BLP",
        "SPIDER",
        "TGA",
        "PCX",
        "SGI",
        "JPEG2000",
        "ICNS",
        "IM",
        "QOI",
    ):
        mode = {"BLP": "P", "SPIDER": "F"}.get(kind, "RGB")
        size = (16, 16) if kind == "ICNS" else (12, 9)
        whole = image_bytes(Image.new("L", size, 7).convert(mode), kind)
        for _ in range(25):
            broken = bytearray(whole)
            for index in random.integers(0, min(len(whole), 200), 3):
                broken[index] = random.integers(256)
            end = int(random.integers(len(whole) // 2, len(whole) + 1))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # another error is one of this test
                with contextlib.suppress(CellError):
                    read_cell(bytes(broken[:end]), IMAGE)


def test_no_reason_quotes_the_file(reason):
    for data in (b"root:x:0:0", b"P3 SECRET", b"P6\nSECRETSECRET 5 255\n", b"DDS |" + b"SECR" * 40):
        said = reason(data, IMAGE)
        assert said
        assert "SECR" not in said
        assert "root" not in said


def test_sizes_are_checked_before_pixels_are_decoded(reason):
    file = io.BytesIO()
    Image.new("1", (13_000, 13_000)).save(file, "PNG")
    icon = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(file.getvalue()), 22)
    assert "13000 x 13000 pixels" in reason(icon + file.getvalue(), ImageInput())
    assert "more pixels than" in reason(b"P6 1000000 1000000 255\n", ImageInput())


def _gif_of_comments(count):
    gif = image_bytes(Image.new("P", (4, 4)), "GIF")
    start = 13 + 3 * 2 ** ((gif[10] & 7) + 1)
    return gif[:start] + (b"!\xfe\1x\0") * count + gif[start:]


@pytest.mark.parametrize(
    "data",
    [
        # Pillow joins its comments, which takes the square of their number
        pytest.param(_gif_of_comments(200_000), id="GIF"),
        pytest.param(b"P6\n#" + b"x" * 2_000_000 + b"\n1 1 255\n" + bytes(3), id="PPM"),
        pytest.param(b"\0\0\1\0\xff\xff" + bytes(16 * 65_535), id="ICO"),
        pytest.param(b"/* XPM */\n" + b'"2000 2000 999999 2",\n' + b'"a c #1",' * 99, id="XPM"),
    ],
)
def test_headers_of_millions_of_pieces_are_refused(data):
    start = time.process_time()
    with pytest.raises(CellError):
        image_file.convert(data, 10**6)
    assert time.process_time() - start < 2


def test_pixels_that_python_decodes_are_bounded(monkeypatch):
    monkeypatch.setattr(image_file, "_READS", 1000)
    data = image_bytes(Image.new("RGB", (8, 8)), "QOI")
    assert image_file.convert(data, 10**6)
    with pytest.raises(CellError, match="too many small pieces"):
        image_file.convert(random_image(size=(40, 50), kind="QOI"), 10**6)
