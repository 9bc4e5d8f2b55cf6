"""Small image files that would take long to decode are refused before they are decoded."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
import tensorflow as tf
from image_formats import EXACT, LOSSY, chunk, exif, photo, png, reason, with_exif
from media import image_bytes
from PIL import Image

from multimodal_tf.data.codecs import image_cost

GOOD = image_bytes(photo(64, 48).convert("RGB"), "JPEG")
PROGRESSIVE = image_bytes(photo(64, 48).convert("RGB"), "JPEG", progressive=True)
START, END = b"\xff\xda", b"\xff\xd9"


def scans(count):
    """Scans of one component without pixels."""
    return (START + b"\0\x08\x01\x01\0\0\x3f\0" + bytes(8)) * count


def repeated(jpeg, count):
    """The JPEG with its scans `count` times."""
    first = jpeg.index(START)
    return jpeg[:first] + jpeg[first:-2] * count + END


def segment(marker, body):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


HOSTILE = {
    "baseline": GOOD[:-2] + scans(2000) + END,
    "progressive": repeated(PROGRESSIVE, 200),
    "an end in a comment": GOOD[:-2] + segment(0xFE, END) + scans(2000) + END,
    "a marker that libjpeg skips": GOOD[:-2] + b"\xff\x02\xff\xff" + scans(2000) + END,
    "a length below two": GOOD[:-2] + b"\xff\xfe\0\0" + scans(2000) + END,
    "padding": GOOD[:-2] + b"\xff\xff\xff".join([scans(1)] * 200) + END,
    "more segments than are walked through": GOOD[:-2] + segment(0xFE, START) * 20_000 + END,
    "one too many": GOOD[:-2] + scans(image_cost.MOST_SCANS) + END,
}
HARMLESS = {
    "baseline": GOOD,
    "progressive": PROGRESSIVE,
    "the most": GOOD[:-2] + scans(image_cost.MOST_SCANS - 1) + END,
    "a video after the image": GOOD + START * 500,
    "metadata that looks like scans": with_exif(GOOD, exif("<", 1) + START * 5000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_jpeg_of_many_scans_is_refused(name):
    start = time.process_time()
    assert reason(HOSTILE[name]) == image_cost.MANY_SCANS
    assert time.process_time() - start < 2


@pytest.mark.parametrize("name", HARMLESS)
def test_a_jpeg_of_few_scans_is_not(name):
    assert reason(HARMLESS[name]) == ""


def test_scans_of_a_truncated_jpeg_are_counted():
    for end in range(len(GOOD), len(GOOD) + 2000, 97):
        assert reason(HOSTILE["baseline"][:end]) in ("", image_cost.MANY_SCANS)


def texts(name, count):
    packed = zlib.compress(bytes(1000))
    body = b"Comment\0\0" if name == b"zTXt" else b"Comment\0\1\0\0\0"
    return chunk(name, body + packed) * count


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt"])
def test_a_png_of_many_compressed_texts_is_refused(name):
    most = image_cost.MOST_TEXTS
    after = EXACT["png rgb"][:-12] + texts(name, most + 1) + EXACT["png rgb"][-12:]
    for data in (png(8, 8, 8, 0, bytes(72), texts(name, most + 1)), after):
        assert reason(data) == image_cost.MANY_TEXTS
    assert reason(png(8, 8, 8, 0, bytes(72), texts(name, most))) == ""


def test_other_texts_cost_nothing():
    assert reason(png(8, 8, 8, 0, bytes(72), chunk(b"tEXt", b"Comment\0abc") * 500)) == ""


def with_more_pixels(data, more, pieces=1):
    """A PNG with `more` bytes of packed pixels in all after its own."""
    return data[:-12] + chunk(b"IDAT", bytes(more // pieces)) * pieces + data[-12:]


@pytest.mark.parametrize("pieces", [1, 3, 20_000])
def test_a_png_whose_packed_pixels_are_too_long_is_refused(pieces):
    for data in (EXACT["png rgb"], EXACT["png palette"]):
        assert reason(with_more_pixels(data, 200_000, pieces)) == image_cost.LONG_PIXELS
        assert reason(with_more_pixels(data, 60_000, 3)) == ""


def test_a_png_that_does_not_pack_and_one_with_much_beside_its_pixels_are_read():
    random = np.random.default_rng(0).integers(0, 256, (300, 300, 4), np.uint8)
    for level in (0, 9):
        assert reason(image_bytes(Image.fromarray(random), "PNG", compress_level=level)) == ""
    beside = chunk(b"iCCP", b"a\0\0" + bytes(10**6))
    assert reason(EXACT["png rgb"][:33] + beside + EXACT["png rgb"][33:]) == ""
    # the least bits a pixel, and interlaced: one row for each pass
    for size in ((1, 500), (500, 1), (499, 501)):
        for interlaced in (0, 1):
            data = io.BytesIO()
            Image.new("1", size).save(data, "PNG", compress_level=0, interlace=interlaced)
            assert reason(data.getvalue()) == ""


@pytest.mark.slow
def test_what_follows_the_last_pixel_costs_little():
    packer = zlib.compressobj(9)
    tail = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1000)) + packer.flush()
    data = EXACT["png rgb"][:-12] + chunk(b"IDAT", tail) + EXACT["png rgb"][-12:]
    # the first call traces the graph
    assert reason(EXACT["png rgb"]) == ""
    start = time.process_time()
    assert reason(data) == image_cost.LONG_PIXELS
    assert time.process_time() - start < 1


def test_a_count_never_raises():
    for data in (b"", b"\xff", b"\xff\xda" * 300, b"\xff\xd8" + b"\xff\xfe\xff\xff" * 300):
        assert image_cost.has_many_scans(tf.constant(data)).dtype == tf.bool


def test_an_image_at_the_limit_of_pixels_is_still_read():
    assert reason(image_bytes(Image.new("L", (1000, 1000)), "PNG")) == ""
    assert reason(LOSSY["jpeg progressive"]) == ""
