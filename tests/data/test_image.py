"""Image files to pixels, compared with Pillow, and invalid headers.

Every format is decoded eagerly, in tf.data and in a SavedModel.
"""

import contextlib
import io
import itertools
import pathlib
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from multimodal_tf.data.codecs import image, image_header

HEIGHT, WIDTH = 24, 20
MAX_PIXELS = 1_000_000
STAMPS = pathlib.Path("/usr/share/tuxpaint/stamps")
ONE_FILE = [tf.TensorSpec([], tf.string)]

decode = tf.function(lambda data: image.decode(data, HEIGHT, WIDTH, 3), input_signature=ONE_FILE)
problem = tf.function(lambda data: image.problem(data, MAX_PIXELS), input_signature=ONE_FILE)
header = tf.function(image_header.read, input_signature=ONE_FILE)
orientation = tf.function(image_header.orientation, input_signature=ONE_FILE)


@pytest.fixture(autouse=True)
def _seed():
    """Replaces the seed of all tests, which would make TensorFlow compile every function again."""


def reason(data):
    return problem(data).numpy().decode()


def encode(pil_image, kind, **options):
    buffer = io.BytesIO()
    pil_image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(height=HEIGHT, width=WIDTH):
    """A smooth image with alpha, from 0 to 255 in every channel."""
    coarse = np.random.default_rng(3).integers(0, 256, (6, 5, 4), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def on_white(data):
    """What Pillow makes of the file: oriented, composited, RGB."""
    pil_image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if pil_image.mode.startswith("I;16"):
        pil_image = pil_image.point(lambda value: value / 256).convert("L")
    pil_image = pil_image.convert("RGBA")
    white = Image.new("RGBA", pil_image.size, "white")
    white.alpha_composite(pil_image)
    return white.convert("RGB")


def by_pillow(data, height=HEIGHT, width=WIDTH):
    return np.asarray(on_white(data).resize((width, height), Image.Resampling.BILINEAR)).astype(int)


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width, height, depth, colour_type, rows, *chunks):
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + b"".join(chunks)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def huge_png():
    """20000 x 20000 pixels in 49 KB."""
    packer = zlib.compressobj(9)
    rows = (
        b"".join(packer.compress(bytes(1 + 20_000 // 8) * 1000) for _ in range(20)) + packer.flush()
    )
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def exif(order, orientation, count=1, kind=3, tag=0x0112):
    """A TIFF block with a first entry of another tag, then the orientation."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    other = struct.pack(order + "HHII", 0x010F, 2, 4, 0x41424344)
    entry = struct.pack(order + "HHIHH", tag, kind, count, orientation, 0)
    return mark + struct.pack(order + "IH", 8, 2) + other + entry + bytes(4)


def with_exif(jpeg, block, before=b""):
    body = b"Exif\0\0" + block
    return jpeg[:2] + before + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def gif(screen, offset, size, colours, indices, transparent=None, own=False):
    """A GIF that Pillow would not write, with any `offset` and `size`.

    Its pixels are not compressed: every code has 9 bits, and the table is cleared every 100.
    """
    bits, packed, filled = [256], 0, 0
    for number, index in enumerate(indices):
        bits += [index] if number % 100 else [256, index]
    for code in [*bits, 257]:
        packed |= code << filled
        filled += 9
    stream = packed.to_bytes((filled + 7) // 8, "little")
    blocks = b"".join(
        bytes([len(stream[at : at + 255])]) + stream[at : at + 255]
        for at in range(0, len(stream), 255)
    )
    table = b"".join(bytes(colour) for colour in colours)
    exponent = len(colours).bit_length() - 2
    control = b"" if transparent is None else b"\x21\xf9\x04\x01\0\0" + bytes([transparent]) + b"\0"
    shown = struct.pack("<BHHHHB", 0x2C, *offset, *size, 0x80 | exponent if own else 0) + (
        table if own else b""
    )
    head = (
        b"GIF89a"
        + struct.pack("<HHBBB", *screen, 0 if own else 0x80 | exponent, 0, 0)
        + (b"" if own else table)
    )
    return head + b"\x21\xfe\x03abc\0" + control + shown + b"\x08" + blocks + b"\0;"


def bmp(pil_image, bits, compression=0, masks=b""):
    """A BMP with a header of 124 bytes, rows from the top down."""
    stored = np.asarray(pil_image)[..., [2, 1, 0, 3]].tobytes()
    width, height = pil_image.size
    info = (
        struct.pack("<IiiHHIIiiII", 124, width, -height, 1, bits, compression, 0, 0, 0, 0, 0)
        + masks
    )
    info = info.ljust(124, b"\0")
    return (
        b"BM"
        + struct.pack("<IHHI", 14 + len(info) + len(stored), 0, 0, 14 + len(info))
        + info
        + stored
    )


def old_bmp(width, height, rows):
    """The header of 12 bytes, 24 bits a pixel."""
    return (
        b"BM"
        + struct.pack("<IHHI", 26 + len(rows), 0, 0, 26)
        + struct.pack("<IHHHH", 12, width, height, 1, 24)
        + rows
    )


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


# nothing is lost: the pixels are Pillow's
EXACT = {
    "png rgba": encode(photo(), "PNG"),
    "png rgba of another size": encode(photo(61, 47), "PNG"),
    "gif of another size": encode(photo(61, 47).convert("RGB"), "GIF"),
    "png rgb": encode(photo().convert("RGB"), "PNG"),
    "png palette": encode(photo().convert("RGB").convert("P"), "PNG"),
    "png palette, transparent colour": encode(
        photo().convert("RGB").convert("P"), "PNG", transparency=15
    ),
    **{
        f"png palette of {colours}": encode(photo().convert("RGB").quantize(colours), "PNG")
        for colours in (2, 4, 16)
    },
    **{
        f"png palette of {colours}, one transparent": encode(
            photo().convert("RGB").quantize(colours), "PNG", transparency=1
        )
        for colours in (2, 16)
    },
    "png palette of 16, all of it half transparent": encode(
        photo().convert("RGB").quantize(16), "PNG", transparency=b"\x80" * 16
    ),
    "png grey": encode(photo().convert("L"), "PNG"),
    "png grey and alpha": encode(photo().convert("LA"), "PNG"),
    "png 1 bit": encode(photo().convert("1"), "PNG"),
    "png 2 bits": png(5, 2, 2, 0, b"\0\x1b\x00\0\xe4\xc0"),
    "png 16 bits": encode(photo().convert("L").convert("I;16"), "PNG"),
    "png 16 bits, colours": png(
        2, 1, 16, 2, b"\0" + struct.pack(">6H", 0xFF00, 0x8000, 0, 0, 0x1200, 0xFE00)
    ),
    "gif": encode(photo().convert("RGB"), "GIF"),
    "gif grey": encode(photo().convert("L"), "GIF"),
    "gif transparent": encode(photo(), "GIF"),
    "gif interlaced": encode(photo(), "GIF", interlace=1),
    "gif animated": encode(
        photo(), "GIF", save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT), "red")] * 3
    ),
    "bmp": encode(photo().convert("RGB"), "BMP"),
    "bmp grey": encode(photo().convert("L"), "BMP"),
    "bmp palette": encode(photo().convert("RGB").convert("P"), "BMP"),
    "bmp 1 bit": encode(photo().convert("1"), "BMP"),
    "bmp 32 bits": encode(photo(), "BMP"),
    "bmp top down, alpha": bmp(
        photo(), 32, 3, struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    ),
    "bmp top down, no alpha": bmp(photo(), 32),
    "bmp old": old_bmp(3, 2, bytes(range(9)) + b"\0\0\0" + bytes(range(100, 109)) + b"\0\0\0"),
    "bmp with bytes after the pixels": encode(photo().convert("RGB"), "BMP") + b"\0\0",
    "webp lossless": encode(photo().convert("RGB"), "WEBP", lossless=True),
    "webp lossless alpha": encode(photo(), "WEBP", lossless=True),
    "webp animated": encode(
        photo(),
        "WEBP",
        save_all=True,
        append_images=[Image.new("RGBA", (WIDTH, HEIGHT), "red")],
        lossless=True,
    ),
    "one pixel": encode(Image.new("RGB", (1, 1), (9, 99, 199)), "PNG"),
    "one pixel gif": encode(Image.new("RGB", (1, 1), (9, 99, 199)), "GIF"),
}
# decoders may round differently
LOSSY = {
    "jpeg": encode(photo(61, 47).convert("RGB"), "JPEG", quality=90),
    "jpeg progressive": encode(photo().convert("RGB"), "JPEG", progressive=True),
    "jpeg grey": encode(photo().convert("L"), "JPEG"),
    "jpeg cmyk": encode(photo().convert("CMYK"), "JPEG"),
    "jpeg with a profile": encode(photo().convert("RGB"), "JPEG", icc_profile=bytes(150_000)),
    "jpeg with a comment": encode(
        photo().convert("RGB"), "JPEG", comment="\xff\xc0 no size " * 100
    ),
    "webp lossy": encode(photo(), "WEBP"),
    "one pixel jpeg": encode(Image.new("RGB", (1, 1), (9, 99, 199)), "JPEG"),
}
LOSSY["jpeg with filling"] = LOSSY["jpeg"][:2] + b"\xff\xff\xff" + LOSSY["jpeg"][2:]
FILES = EXACT | LOSSY


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
    data = encode(photo(*size).convert("RGB"), "JPEG", quality=92)
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


# --- EXIF


@pytest.mark.parametrize(("order", "orientation"), itertools.product("<>", range(1, 9)))
def test_exif_orientation(order, orientation):
    quarters = Image.new("RGB", (64, 48), (200, 30, 30))
    quarters.paste((30, 200, 30), (0, 0, 32, 24))
    quarters.paste((30, 30, 200), (48, 0, 64, 48))
    data = with_exif(encode(quarters, "JPEG", quality=95), exif(order, orientation))
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


# --- what ends well


def lying_webp():
    """VP8X says 10 x 10, the image inside is larger."""
    inner = encode(photo(200, 300), "WEBP")
    assert inner[12:16] == b"VP8X"
    return inner[:24] + b"\x09\0\0\x09\0\0" + inner[30:]


def many_frames():
    """400 frames of 2000 x 2000 pixels, in 1 MB."""
    one = encode(Image.new("P", (2000, 2000)), "GIF")
    start = int(image_header.gif_frame(tf.constant(one)).position)
    return one[:start] + one[start:-1] * 400 + b";"


REFUSED = {
    "empty": (b"", "an empty file: 0 bytes"),
    "html": (
        b"<!DOCTYPE html><html><body>404</body></html>",
        "not a JPEG, PNG, GIF, BMP or WebP image",
    ),
    "tiff": (encode(photo(), "TIFF"), "not a JPEG, PNG, GIF, BMP or WebP image"),
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


@pytest.mark.parametrize("name", FILES)
def test_the_header_gives_the_size_that_pillow_gives(name):
    found = header(FILES[name])
    assert (int(found.width), int(found.height)) == Image.open(io.BytesIO(FILES[name])).size


def test_only_the_first_frame_of_a_gif_is_decoded():
    data = many_frames()
    assert len(data) < 3_000_000
    decode(EXACT["gif"])
    # all of them: 1.6 GB
    with at_most(200):
        assert decode(data).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("size", [(400_000, 1), (1, 400_000)])
def test_a_thin_picture_takes_little_memory(size):
    data = encode(Image.new("L", size), "PNG")
    # rows first: 24 x 400000 x 3 floats are 115 MB
    with at_most(60):
        assert (decode(data).numpy() == 0).all()


# --- the same everywhere


def test_the_same_eagerly_in_tf_data_and_in_a_saved_model(tmp_path):
    module = tf.Module()
    module.decode, module.problem = decode, problem
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    files = [*FILES.values(), with_exif(LOSSY["jpeg"], exif(">", 6))]
    mapped = tf.data.Dataset.from_tensor_slices(files).map(
        lambda data: (decode(data), problem(data)), tf.data.AUTOTUNE
    )
    for number, (data, (pixels, reason)) in enumerate(zip(files, mapped, strict=True)):
        assert (pixels.numpy() == loaded.decode(data).numpy()).all()
        assert reason.numpy() == loaded.problem(data).numpy() == b""
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


# --- random bytes


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


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=64), st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]))
def test_an_orientation_is_from_1_to_8_whatever_the_bytes(block, start):
    assert 1 <= int(orientation(start + block)) <= 8
