"""Image files of every format, some of them written byte by byte, and their graphs.

The graphs are traced once for all tests.
"""

import io
import struct
import zlib

import numpy as np
import tensorflow as tf
from media import image_bytes
from PIL import Image, ImageOps

from multimodal_tf.data.codecs import image, image_header

HEIGHT, WIDTH = 24, 20
MAX_PIXELS = 1_000_000
ONE_FILE = [tf.TensorSpec([], tf.string)]

decode = tf.function(lambda data: image.decode(data, HEIGHT, WIDTH, 3), input_signature=ONE_FILE)
problem = tf.function(lambda data: image.problem(data, MAX_PIXELS), input_signature=ONE_FILE)
header = tf.function(image_header.read, input_signature=ONE_FILE)


def reason(data):
    return problem(data).numpy().decode()


def photo(height=HEIGHT, width=WIDTH):
    """A smooth image with alpha, from 0 to 255 in every channel."""
    coarse = np.random.default_rng(3).integers(0, 256, (6, 5, 4), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


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


# nothing is lost: the pixels are Pillow's
EXACT = {
    "png rgba": image_bytes(photo(), "PNG"),
    "png rgba of another size": image_bytes(photo(61, 47), "PNG"),
    "gif of another size": image_bytes(photo(61, 47).convert("RGB"), "GIF"),
    "png rgb": image_bytes(photo().convert("RGB"), "PNG"),
    "png palette": image_bytes(photo().convert("RGB").convert("P"), "PNG"),
    "png palette, transparent colour": image_bytes(
        photo().convert("RGB").convert("P"), "PNG", transparency=15
    ),
    **{
        f"png palette of {colours}": image_bytes(photo().convert("RGB").quantize(colours), "PNG")
        for colours in (2, 4, 16)
    },
    **{
        f"png palette of {colours}, one transparent": image_bytes(
            photo().convert("RGB").quantize(colours), "PNG", transparency=1
        )
        for colours in (2, 16)
    },
    "png palette of 16, all of it half transparent": image_bytes(
        photo().convert("RGB").quantize(16), "PNG", transparency=b"\x80" * 16
    ),
    "png grey": image_bytes(photo().convert("L"), "PNG"),
    "png grey and alpha": image_bytes(photo().convert("LA"), "PNG"),
    "png 1 bit": image_bytes(photo().convert("1"), "PNG"),
    "png 2 bits": png(5, 2, 2, 0, b"\0\x1b\x00\0\xe4\xc0"),
    "png 16 bits": image_bytes(photo().convert("L").convert("I;16"), "PNG"),
    "png 16 bits, colours": png(
        2, 1, 16, 2, b"\0" + struct.pack(">6H", 0xFF00, 0x8000, 0, 0, 0x1200, 0xFE00)
    ),
    "gif": image_bytes(photo().convert("RGB"), "GIF"),
    "gif grey": image_bytes(photo().convert("L"), "GIF"),
    "gif transparent": image_bytes(photo(), "GIF"),
    "gif interlaced": image_bytes(photo(), "GIF", interlace=1),
    "gif animated": image_bytes(
        photo(), "GIF", save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT), "red")] * 3
    ),
    "bmp": image_bytes(photo().convert("RGB"), "BMP"),
    "bmp grey": image_bytes(photo().convert("L"), "BMP"),
    "bmp palette": image_bytes(photo().convert("RGB").convert("P"), "BMP"),
    "bmp 1 bit": image_bytes(photo().convert("1"), "BMP"),
    "bmp 32 bits": image_bytes(photo(), "BMP"),
    "bmp top down, alpha": bmp(
        photo(), 32, 3, struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    ),
    "bmp top down, no alpha": bmp(photo(), 32),
    "bmp old": old_bmp(3, 2, bytes(range(9)) + b"\0\0\0" + bytes(range(100, 109)) + b"\0\0\0"),
    "bmp with bytes after the pixels": image_bytes(photo().convert("RGB"), "BMP") + b"\0\0",
    "webp lossless": image_bytes(photo().convert("RGB"), "WEBP", lossless=True),
    "webp lossless alpha": image_bytes(photo(), "WEBP", lossless=True),
    "webp animated": image_bytes(
        photo(),
        "WEBP",
        save_all=True,
        append_images=[Image.new("RGBA", (WIDTH, HEIGHT), "red")],
        lossless=True,
    ),
    "one pixel": image_bytes(Image.new("RGB", (1, 1), (9, 99, 199)), "PNG"),
    "one pixel gif": image_bytes(Image.new("RGB", (1, 1), (9, 99, 199)), "GIF"),
}
# decoders may round differently
LOSSY = {
    "jpeg": image_bytes(photo(61, 47).convert("RGB"), "JPEG", quality=90),
    "jpeg progressive": image_bytes(photo().convert("RGB"), "JPEG", progressive=True),
    "jpeg grey": image_bytes(photo().convert("L"), "JPEG"),
    "jpeg cmyk": image_bytes(photo().convert("CMYK"), "JPEG"),
    "jpeg with a profile": image_bytes(photo().convert("RGB"), "JPEG", icc_profile=bytes(150_000)),
    "jpeg with a comment": image_bytes(
        photo().convert("RGB"), "JPEG", comment="\xff\xc0 no size " * 100
    ),
    "webp lossy": image_bytes(photo(), "WEBP"),
    "one pixel jpeg": image_bytes(Image.new("RGB", (1, 1), (9, 99, 199)), "JPEG"),
}
LOSSY["jpeg with filling"] = LOSSY["jpeg"][:2] + b"\xff\xff\xff" + LOSSY["jpeg"][2:]
FILES = EXACT | LOSSY


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
