"""Orientation in the EXIF of a JPEG, PNG or WebP: found, applied, harmless where it is nonsense."""

import itertools
import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from image_formats import LOSSY, ONE_FILE, by_pillow, chunk, decode, exif, header, with_exif
from media import image_bytes, pixels_of
from PIL import Image

from multimodal_tf.config import ImageInput
from multimodal_tf.data.codecs import exif_orientation
from multimodal_tf.data.kinds import read_cell

orientation = tf.function(exif_orientation.read, input_signature=ONE_FILE)


@pytest.mark.parametrize(("order", "orientation"), itertools.product("<>", range(1, 9)))
def test_exif_orientation(order, orientation):
    data = with_exif(image_bytes(quarters(), "JPEG", quality=95), exif(order, orientation))
    assert np.abs(decode(data).numpy().astype(int) - by_pillow(data)).max() <= 12


def quarters():
    image = Image.new("RGB", (64, 48), (200, 30, 30))
    image.paste((30, 200, 30), (0, 0, 32, 24))
    image.paste((30, 30, 200), (48, 0, 64, 48))
    return image


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_of_a_png_and_a_webp(orientation):
    block = exif("<>"[orientation % 2], orientation)
    frames = {"save_all": True, "append_images": [Image.new("RGB", (64, 48), "red")]}
    files = [
        image_bytes(quarters(), "PNG", exif=block),
        image_bytes(quarters(), "WEBP", lossless=True, exif=block),
        image_bytes(quarters(), "WEBP", lossless=True, exif=block, **frames),
    ]
    for data in files:
        assert int(header(data).orientation) == orientation
        assert np.abs(decode(data).numpy().astype(int) - by_pillow(data)).max() <= 2
    # as some writers of WebP have it
    body = b"Exif\0\0" + block
    before = files[1][: files[1].index(b"EXIF") + 4]
    assert int(header(before + struct.pack("<I", len(body)) + body).orientation) == orientation


def test_exif_that_a_browser_does_not_read():
    block, whole = exif("<", 6), image_bytes(quarters(), "PNG")
    webp = image_bytes(quarters(), "WEBP", lossless=True, exif=block)
    ignored = [
        # after the pixels
        whole[:-12] + chunk(b"eXIf", block) + whole[-12:],
        # in a text, and cut
        whole[:33] + chunk(b"tEXt", b"Comment\0eXIf") + whole[33:],
        whole[:33] + chunk(b"eXIf", block[:9]) + whole[33:],
        # without the flag, and cut
        webp[:20] + bytes([webp[20] & ~0x08]) + webp[21:],
        webp[: webp.index(b"EXIF") + 12],
    ]
    for data in ignored:
        assert int(header(data).orientation) == 1


def test_an_avif_is_turned_once():
    data = image_bytes(quarters(), "AVIF", exif=exif("<", 6), quality=95)
    png = read_cell(data, ImageInput())
    assert int(header(png).orientation) == 1
    upright = np.rot90(np.asarray(quarters()).astype(int), -1)
    assert np.abs(pixels_of(png) - upright).mean() < 8


def test_exif_is_found_after_other_segments_and_the_first_counts():
    jpeg = LOSSY["jpeg"]
    other = b"\xff\xe1" + struct.pack(">H", 2 + 31) + b"http://ns.adobe.com/xap/1.0/\0ab"
    data = with_exif(
        with_exif(jpeg, exif("<", 3)), exif("<", 6), before=other + b"\xff\xfe\0\x05abc"
    )
    assert int(header(data).orientation) == 6


BROKEN_EXIF = {
    "nothing": b"",
    "no order": b"XX*\0" + exif("<", 6)[4:],
    "directory beyond the end": b"II*\0\xff\xff\xff\xff",
    "directory in the header": b"MM\0*\0\0\0\0",
    "orientation 0": exif("<", 0),
    "orientation 9": exif(">", 9),
    "another type": exif("<", 6, kind=2),
    "another tag": exif("<", 6, tag=0x0113),
    "cut before the entry": exif("<", 6)[:18],
    "no entries": exif("<", 6)[:8] + b"\0\0" + exif("<", 6)[10:],
    "65535 entries": exif("<", 1)[:8] + b"\xff\xff",
}


@pytest.mark.parametrize("name", BROKEN_EXIF)
def test_exif_that_says_nothing_or_nonsense_turns_nothing(name):
    assert int(orientation(BROKEN_EXIF[name])) == 1
    data = with_exif(LOSSY["jpeg"], BROKEN_EXIF[name])
    assert (decode(data).numpy() == decode(LOSSY["jpeg"]).numpy()).all()


def test_exif_longer_than_its_segment_reads_nothing_from_the_pixels():
    block = exif("<", 6)
    # the segment ends here, the rest of the block follows outside
    cut = b"Exif\0\0" + block[:12]
    data = (
        LOSSY["jpeg"][:2]
        + b"\xff\xe1"
        + struct.pack(">H", len(cut) + 2)
        + cut
        + block[12:]
        + LOSSY["jpeg"][2:]
    )
    assert int(header(data).orientation) == 1


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=64), st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]))
def test_an_orientation_is_from_1_to_8_whatever_the_bytes(block, start):
    assert 1 <= int(orientation(start + block)) <= 8
