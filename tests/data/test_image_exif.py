"""The orientation in a JPEG's EXIF: found, applied, and harmless where it is nonsense."""

import itertools
import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from image_formats import LOSSY, ONE_FILE, by_pillow, decode, exif, header, with_exif
from media import image_bytes
from PIL import Image

from multimodal_tf.data.codecs import image_header

orientation = tf.function(image_header.orientation, input_signature=ONE_FILE)


@pytest.mark.parametrize(("order", "orientation"), itertools.product("<>", range(1, 9)))
def test_exif_orientation(order, orientation):
    quarters = Image.new("RGB", (64, 48), (200, 30, 30))
    quarters.paste((30, 200, 30), (0, 0, 32, 24))
    quarters.paste((30, 30, 200), (48, 0, 64, 48))
    data = with_exif(image_bytes(quarters, "JPEG", quality=95), exif(order, orientation))
    assert np.abs(decode(data).numpy().astype(int) - by_pillow(data)).max() <= 12


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
