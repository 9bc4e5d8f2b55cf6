"""Image files to pixels, compared with Pillow."""

import io
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from image_formats import (
    EXACT,
    FILES,
    HEIGHT,
    LOSSY,
    WIDTH,
    by_pillow,
    chunk,
    decode,
    gif,
    header,
    on_white,
    photo,
    png,
    reason,
)
from media import image_bytes
from PIL import Image

from multimodal_tf.data.codecs import image

STAMPS = pathlib.Path("/usr/share/tuxpaint/stamps")


@pytest.mark.parametrize("name", EXACT)
def test_exact_formats_agree_with_pillow(name):
    data = EXACT[name]
    assert reason(data) == ""
    # compositing rounds; resizing rounds, in Pillow twice
    most = 1 if on_white(data).size == (WIDTH, HEIGHT) else 2
    assert np.abs(decode(data).numpy().astype(int) - by_pillow(data)).max() <= most


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_formats_agree_with_pillow(name):
    assert reason(LOSSY[name]) == ""
    difference = np.abs(decode(LOSSY[name]).numpy().astype(int) - by_pillow(LOSSY[name]))
    assert difference.mean() < 1.5
    assert difference.max() <= 6


def test_real_stamps_agree_with_pillow():
    if not STAMPS.is_dir():
        pytest.skip(f"no real images here: {STAMPS} comes with Debian's tuxpaint-stamps-default")
    files = sorted(STAMPS.rglob("*.png"))[::16]
    for data in (path.read_bytes() for path in files):
        assert np.abs(decode(data).numpy().astype(int) - by_pillow(data)).max() <= 2
    assert len(files) > 20


@pytest.mark.parametrize(
    "size", [(1600, 1200), (699, 901), (195, 163), (48, 40), (41, 3000), (3000, 41)]
)
def test_a_large_jpeg_is_decoded_small_and_looks_the_same(size):
    data = image_bytes(photo(*size).convert("RGB"), "JPEG", quality=92)
    difference = np.abs(decode(data).numpy().astype(int) - by_pillow(data))
    assert difference.mean() < 1
    # where a JPEG's last block is cut, its halving takes in what lies outside
    assert difference.max() <= 12


def test_grey_is_luma():
    data = EXACT["png rgb"]
    expected = np.asarray(
        on_white(data).convert("L").resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    ).astype(int)
    found = image.decode(tf.constant(data), HEIGHT, WIDTH, 1).numpy()
    assert found.shape == (HEIGHT, WIDTH, 1)
    assert np.abs(found[..., 0] - expected).max() <= 2


def test_enlarging_from_one_pixel_gives_its_colour_everywhere():
    assert (decode(EXACT["one pixel"]).numpy() == [9, 99, 199]).all()


def test_grey_of_4_bits_with_a_transparent_level():
    # Pillow compares the level with 8 bits, and shows 85
    data = png(4, 1, 4, 0, b"\0\x05\xaf", chunk(b"tRNS", b"\0\5"))
    assert image.decode(tf.constant(data), 1, 4, 1).numpy().ravel().tolist() == [0, 255, 170, 255]


def test_a_gif_frame_smaller_than_the_screen_lies_on_white():
    data = gif((4, 3), (1, 1), (2, 1), [(255, 0, 0), (0, 0, 255)], [0, 1])
    found = image.decode(tf.constant(data), 3, 4, 3).numpy()
    assert (found[1, 1:3] == [[255, 0, 0], [0, 0, 255]]).all()
    found[1, 1:3] = 255
    assert (found == 255).all()


@pytest.mark.parametrize("own", [False, True])
def test_a_gif_shows_white_where_it_is_transparent(own):
    colours = [(9, 9, 9), (10, 20, 30), (40, 50, 60), (70, 80, 90)]
    data = gif((3, 1), (0, 0), (3, 1), colours, [1, 0, 3], transparent=0, own=own)
    assert image.decode(tf.constant(data), 1, 3, 3).numpy().tolist() == [
        [[10, 20, 30], [255] * 3, [70, 80, 90]]
    ]


def test_a_gif_index_beyond_the_palette_reads_no_foreign_memory():
    data = gif((2, 1), (0, 0), (2, 1), [(1, 2, 3), (4, 5, 6)], [1, 200])
    assert image.decode(tf.constant(data), 1, 2, 3).numpy().tolist() == [[[4, 5, 6], [0, 0, 0]]]


@pytest.mark.parametrize("name", FILES)
def test_the_header_gives_the_size_that_pillow_gives(name):
    found = header(FILES[name])
    assert (int(found.width), int(found.height)) == Image.open(io.BytesIO(FILES[name])).size
