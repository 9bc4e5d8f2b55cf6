"""TIFFs whose decoder would leave memory unwritten are refused; good ones keep their pixels."""

import io
import itertools
import struct

import numpy as np
import pytest
from media import image_bytes, pixels_of
from PIL import Image

from multimodal_tf.data.codecs import image_file
from multimodal_tf.data.codecs.cell import CellError

MAX_PIXELS = 100_000
WIDTH, HEIGHT, FILL_ORDER, ROWS, TILES = 256, 257, 266, 278, (322, 323)
STRIP_TABLES, TILE_TABLES = (273, 279), (324, 325)
SHORT = "a broken image: its compressed data ends before its last line"
SMALL = "a broken image: a JPEG in it is smaller than its strip or tile"
EVERY_STRIP = 2**32 - 1


def drawing(width, height):
    """Black and white: noise at the left, stripes at the right."""
    pixels = np.indices((height, width)).sum(0) // 3 % 2 == 1
    pixels[:, : width // 2] = np.random.default_rng(0).random((height, width // 2)) < 0.3
    return Image.fromarray(pixels)


def tiff(image, compression, rows):
    return image_bytes(image, "TIFF", compression=compression, tiffinfo={ROWS: rows})


def strip_of(image, compression="group4"):
    """The compressed data of an image in one strip."""
    data = tiff(image, compression, image.height)
    with Image.open(io.BytesIO(data)) as opened:
        ((start,), (size,)) = (opened.tag_v2[tag] for tag in STRIP_TABLES)
    return data[start : start + size]


def built(tags, pieces, tables=STRIP_TABLES):
    """A TIFF of any tags and pieces of compressed data."""
    start, count = 8 + 2 + 12 * (len(tags) + 2) + 4, len(pieces)
    sizes = [len(piece) for piece in pieces]
    places = [*itertools.accumulate(sizes[:-1], initial=start + 8 * count)]
    values = (start, start + 4 * count) if count > 1 else (places[0], sizes[0])
    every = {**tags, **dict(zip(tables, values, strict=True))}
    entries = [
        struct.pack("<HHII", tag, 4, count if tag in tables else 1, number)
        for tag, number in sorted(every.items())
    ]
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(every)) + b"".join(entries) + bytes(4)
    return head + struct.pack(f"<{2 * count}I", *places, *sizes) + b"".join(pieces)


def group4(width, height, **more):
    return {WIDTH: width, HEIGHT: height, 258: 1, 259: 4, 262: 1, 277: 1} | more


def tiled(image, side):
    """A Group 4 TIFF in tiles."""
    boxes = [
        (left, top, left + side, top + side)
        for top in range(0, image.height, side)
        for left in range(0, image.width, side)
    ]
    pieces = [strip_of(image.crop(box)) for box in boxes]
    tags = group4(*image.size) | dict.fromkeys(TILES, side)
    return built(tags, pieces, TILE_TABLES)


def with_tag(data, tag, number):
    """A TIFF of Pillow's with another number of one tag."""
    at = int.from_bytes(data[4:8], "little") + 2
    while int.from_bytes(data[at : at + 2], "little") != tag:
        at += 12
    return data[: at + 8] + struct.pack("<I", number) + data[at + 12 :]


def converted(data):
    return pixels_of(image_file.convert(data, MAX_PIXELS), "L")


def reason(data):
    with pytest.raises(CellError) as caught:
        image_file.convert(data, MAX_PIXELS)
    return str(caught.value)


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt", "packbits"])
@pytest.mark.parametrize("size", [(1, 1), (7, 1), (1, 50), (63, 40), (1728, 5), (2600, 3)])
def test_good_strips_keep_their_pixels(size, compression):
    image = drawing(*size)
    for rows in {1, min(7, size[1]), size[1], size[1] + 1, EVERY_STRIP}:
        data = tiff(image, compression, rows)
        np.testing.assert_array_equal(converted(data), 255 * np.asarray(image, int))


def test_good_tiles_and_mirrored_bytes_keep_their_pixels():
    image = drawing(50, 40)
    expected = 255 * np.asarray(image, int)
    np.testing.assert_array_equal(converted(tiled(image, 16)), expected)
    mirrored = bytes(int(f"{octet:08b}"[::-1], 2) for octet in strip_of(image))
    data = built(group4(50, 40) | {FILL_ORDER: 2}, [mirrored])
    np.testing.assert_array_equal(converted(data), expected)


def test_group_4_that_ends_early_is_refused():
    image, strip = drawing(50, 40), strip_of(drawing(50, 40))
    taller = group4(50, 45)
    mirrored = bytes(int(f"{octet:08b}"[::-1], 2) for octet in strip)
    two = [strip, strip_of(image.crop((0, 0, 50, 38)))]
    end = b"\0\x10\x01"
    refused = [
        built(taller, [strip]),
        built(taller | {ROWS: EVERY_STRIP}, [strip]),
        built(taller | {FILL_ORDER: 2}, [mirrored]),
        built(group4(50, 80) | {ROWS: 40}, two),
        built(group4(50, 80) | {ROWS: 40}, two[::-1]),
        built(group4(50, 40), [strip[: len(strip) // 2] + end]),
        built(group4(32, 32) | dict.fromkeys(TILES, 48), [strip_of(drawing(48, 40))], TILE_TABLES),
    ]
    assert [reason(data) for data in refused] == [SHORT] * len(refused)
    # the last strip may have fewer rows, and libtiff fills one row where the end stands
    for height in (78, 79):
        converted(built(group4(50, height) | {ROWS: 40}, two))


def test_of_damaged_group_4_the_pixels_are_the_same_each_time():
    image = drawing(64, 64)
    data, generator = tiff(image, "group4", 32), np.random.default_rng(1)
    refused = 0
    for _ in range(150):
        damaged = bytearray(data)
        damaged[generator.integers(8, len(data))] ^= 1 << generator.integers(8)
        results = []
        for filling in (b"\0", b"\xff"):
            # what a decoder is given next holds these bytes
            del [filling * size for size in range(64, 8192, 64)][:]
            try:
                results.append(image_file.convert(bytes(damaged), MAX_PIXELS))
            except CellError as error:
                results.append(str(error))
        assert results[0] == results[1]
        refused += results[0] == SHORT
    assert refused


def test_a_jpeg_that_is_smaller_than_its_strip_is_refused():
    data = tiff(Image.new("RGB", (48, 40), "red"), "jpeg", 16)
    assert (converted(data) == 76).all()
    for tag, number in ((WIDTH, 49), (HEIGHT, 41), (ROWS, 17), (ROWS, 40)):
        assert reason(with_tag(data, tag, number)) == SMALL
    # a decoder cuts off what the last strip has more
    assert (converted(with_tag(data, HEIGHT, 39)) == 76).all()


def test_tiles_may_not_have_many_more_pixels_than_the_image():
    data = built(group4(1, 1000) | dict.fromkeys(TILES, 1024), [b"\0"], TILE_TABLES)
    said = f"tiles of {1024 * 1024} pixels, more than 4 x max_pixels = {MAX_PIXELS}"
    assert reason(data) == said


def test_a_damaged_directory_is_a_reason():
    data = tiff(drawing(50, 40), "group4", 40)
    for tag in (WIDTH, HEIGHT, ROWS, *STRIP_TABLES):
        assert reason(with_tag(data, tag, 0)).startswith(("a broken image", "not an image"))
