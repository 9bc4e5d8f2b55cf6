"""Image files that are refused or broken: one reason, little memory, the same in every graph."""

import contextlib
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from image_formats import (
    EXACT,
    FILES,
    HEIGHT,
    LOSSY,
    MAX_PIXELS,
    WIDTH,
    bmp,
    chunk,
    decode,
    exif,
    gif,
    old_bmp,
    photo,
    png,
    problem,
    reason,
    with_exif,
)
from media import huge_png, image_bytes
from PIL import Image

from multimodal_tf.data.codecs import image, image_header


@contextlib.contextmanager
def at_most(megabytes):
    """Fails if the process's peak memory rises by more inside; Linux only."""

    def status(field):
        return (
            next(
                int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field)
            )
            / 1024
        )

    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("the peak memory cannot be reset here: /proc/self/clear_refs is not writable")
    before = status("VmRSS")
    yield
    assert status("VmHWM") - before < megabytes


def lying_webp():
    """VP8X says 10 x 10, the image inside is larger."""
    inner = image_bytes(photo(200, 300), "WEBP")
    assert inner[12:16] == b"VP8X"
    return inner[:24] + b"\x09\0\0\x09\0\0" + inner[30:]


def many_frames():
    """400 frames of 2000 x 2000 pixels, in 1 MB."""
    one = image_bytes(Image.new("P", (2000, 2000)), "GIF")
    start = int(image_header.gif_frame(tf.constant(one)).position)
    return one[:start] + one[start:-1] * 400 + b";"


REFUSED = {
    "empty": (b"", "an empty file: 0 bytes"),
    "html": (
        b"<!DOCTYPE html><html><body>404</body></html>",
        "not a JPEG, PNG, GIF, BMP or WebP image",
    ),
    "tiff": (image_bytes(photo(), "TIFF"), "not a JPEG, PNG, GIF, BMP or WebP image"),
    "wav": (b"RIFF\x24\0\0\0WAVEfmt ", "not a JPEG, PNG, GIF, BMP or WebP image"),
    "huge png": (huge_png(), "20000 x 20000 pixels, more than the limit of 1000000 in all"),
    "jpeg magic alone": (b"\xff\xd8\xff", "a JPEG whose header gives no width and height"),
    "jpeg without size": (
        b"\xff\xd8\xff\xe0\0\x04ab\xff\xda\0\x02",
        "a JPEG whose header gives no width and height",
    ),
    "jpeg of 0 rows": (
        b"\xff\xd8\xff\xc0\0\x0b\x08\0\0\0\x10\x01\x01\x11\0",
        "a JPEG whose header gives no width and height",
    ),
    "jpeg with bytes between": (
        LOSSY["jpeg"][:2] + b"\0" + LOSSY["jpeg"][2:],
        "not a JPEG, PNG, GIF, BMP or WebP image",
    ),
    "jpeg with bytes later": (
        LOSSY["jpeg"][:20] + b"\0" + LOSSY["jpeg"][20:],
        "a JPEG whose header gives no width and height",
    ),
    "jpeg size": (
        b"\xff\xd8\xff\xc2\0\x0b\x08\xff\xff\xff\xff\x01\x01\x11\0",
        "65535 x 65535 pixels, more than the limit of 1000000 in all",
    ),
    "jpeg segments without end": (
        b"\xff\xd8" + b"\xff\xe0\0\x02" * 9000,
        "a JPEG whose header gives no width and height",
    ),
    "png without size": (
        b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"a" * 13),
        "a PNG whose header gives no width and height",
    ),
    "png of 0 columns": (png(0, 9, 8, 0, b""), "a PNG whose header gives no width and height"),
    "png of 2^64 pixels": (
        png(2**32 - 1, 2**32 - 1, 8, 0, b""),
        "4294967295 x 4294967295 pixels, more than the limit of 1000000 in all",
    ),
    "gif magic alone": (b"GIF89a", "a GIF without a frame, or without colors"),
    "gif without colours": (
        b"GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0;",
        "a GIF without a frame, or without colors",
    ),
    "gif screen": (
        gif((9000, 9000), (0, 0), (1, 1), [(0, 0, 0)] * 2, [0]),
        "9000 x 9000 pixels, more than the limit of 1000000 in all",
    ),
    "gif frame": (
        gif((1, 1), (5, 5), (9000, 9000), [(0, 0, 0)] * 2, [0]),
        "9005 x 9005 pixels, more than the limit of 1000000 in all",
    ),
    "gif blocks without end": (
        b"GIF89a\1\0\1\0\0\0\0" + b"\x21\xfe\1a\0" * 9000,
        "a GIF without a frame, or without colors",
    ),
    "bmp size": (
        bmp(photo(2, 2), 32)[:18] + b"\xff\xff\xff\x7f\0\0\0\x80" + bmp(photo(2, 2), 32)[26:],
        "2147483647 x 2147483648 pixels, more than the limit of 1000000 in all",
    ),
    "old bmp size": (
        old_bmp(65535, 65535, b""),
        "65535 x 65535 pixels, more than the limit of 1000000 in all",
    ),
    "bmp run length": (
        bmp(photo(2, 2), 8, 1),
        "a BMP without pixels, or not uncompressed with 1, 4, 8, 24 or 32 bits per pixel",
    ),
    "bmp 16 bits": (
        bmp(photo(2, 2), 16),
        "a BMP without pixels, or not uncompressed with 1, 4, 8, 24 or 32 bits per pixel",
    ),
    "webp magic alone": (b"RIFF\0\0\0\0WEBP", "a WebP whose header gives no width and height"),
    "webp size": (
        b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6,
        "16777216 x 16777216 pixels, more than the limit of 1000000 in all",
    ),
}
# the header is valid
BROKEN = {
    "truncated jpeg": LOSSY["jpeg"][: len(LOSSY["jpeg"]) // 2],
    "truncated png": EXACT["png rgba"][:-200],
    "truncated gif": EXACT["gif"][:-400],
    "truncated bmp": EXACT["bmp"][:-9],
    "truncated old bmp": old_bmp(900, 900, b"abc"),
    "truncated webp": LOSSY["webp lossy"][:-200],
    "webp of two sizes": lying_webp(),
    "bmp pixels beyond the end": EXACT["bmp"][:10] + b"\xff\xff\xff\xff" + EXACT["bmp"][14:],
    "png header alone": EXACT["png rgba"][:40],
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_refused_by_its_header(name):
    data, expected = REFUSED[name]
    assert reason(data) == expected
    # where the size is known, only `problem` knows the limit
    if "more than the limit" not in expected:
        with pytest.raises(
            tf.errors.InvalidArgumentError, match="not a JPEG|empty|a JPEG|a PNG|a GIF|a BMP|a WebP"
        ):
            decode(data)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_with_a_sound_header(name):
    assert reason(BROKEN[name]) == ""
    with pytest.raises(tf.errors.InvalidArgumentError), at_most(100):
        decode(BROKEN[name])


def test_the_limit_itself_is_allowed():
    data = EXACT["png rgb"]
    assert image.problem(tf.constant(data), HEIGHT * WIDTH).numpy() == b""
    assert (
        image.problem(tf.constant(data), HEIGHT * WIDTH - 1).numpy()
        == b"20 x 24 pixels, more than the limit of 479 in all"
    )


def test_only_the_first_frame_of_a_gif_is_decoded():
    data = many_frames()
    assert len(data) < 3_000_000
    decode(EXACT["gif"])
    # all of them: 1.6 GB
    with at_most(200):
        assert decode(data).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("size", [(400_000, 1), (1, 400_000)])
def test_a_thin_picture_takes_little_memory(size):
    data = image_bytes(Image.new("L", size), "PNG")
    # rows first: 24 x 400000 x 3 floats are 115 MB
    with at_most(60):
        assert (decode(data).numpy() == 0).all()


@pytest.mark.slow
def test_the_same_eagerly_in_tf_data_and_in_a_saved_model(tmp_path):
    module = tf.Module()
    module.decode, module.problem = decode, problem
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    files = [*FILES.values(), with_exif(LOSSY["jpeg"], exif(">", 6))]
    mapped = tf.data.Dataset.from_tensor_slices(files).map(
        lambda data: (decode(data), problem(data)), tf.data.AUTOTUNE
    )
    for number, (data, (pixels, why)) in enumerate(zip(files, mapped, strict=True)):
        assert (pixels.numpy() == loaded.decode(data).numpy()).all()
        assert why.numpy() == loaded.problem(data).numpy() == b""
        # eagerly every op is a call of its own, which is slow
        if number % 4 == 0:
            eager = image.decode(tf.constant(data), HEIGHT, WIDTH, 3).numpy()
            assert eager.dtype == np.uint8
            assert (eager == pixels.numpy()).all()
            assert image.problem(tf.constant(data), MAX_PIXELS).numpy() == b""
    for data, expected in REFUSED.values():
        assert loaded.problem(data).numpy().decode() == expected


def test_broken_files_fall_out_of_a_data_set_and_leave_the_others():
    valid, broken = EXACT["png rgb"], LOSSY["jpeg"][:200]
    files = tf.data.Dataset.from_tensor_slices([valid, broken, b"<html>", valid])
    kept = list(files.map(decode, tf.data.AUTOTUNE).ignore_errors())
    assert len(kept) == 2
    assert (kept[0].numpy() == decode(valid).numpy()).all()


def ends_well(data):
    """`problem` never raises; `decode` returns an image or raises, always where it has a reason."""
    found = reason(data)
    if "more than the limit" in found:
        return
    try:
        pixels = decode(data)
    except tf.errors.InvalidArgumentError:
        return
    assert found == ""
    assert pixels.shape == (HEIGHT, WIDTH, 3)


MAGIC = [
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR",
    b"GIF89a",
    b"BM",
    b"RIFF\0\0\0\0WEBPVP8 ",
    b"RIFF\0\0\0\0WEBPVP8X",
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(MAGIC), st.binary(max_size=300))
def test_random_bytes_end_well(magic, data):
    ends_well(magic + data)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_files_end_well(data):
    damaged = bytearray(
        FILES[data.draw(st.sampled_from(sorted(set(FILES) - {"jpeg with a profile"})))]
    )
    near = st.integers(0, min(len(damaged), 120) - 1) | st.integers(0, len(damaged) - 1)
    for index, value in data.draw(
        st.lists(
            st.tuples(near, st.sampled_from([0, 1, 127, 128, 255]) | st.integers(0, 255)),
            max_size=6,
        )
    ):
        damaged[index] = value
    start = data.draw(st.integers(0, len(damaged)))
    ends_well(bytes(damaged[: data.draw(st.just(len(damaged)) | st.just(start))]))
