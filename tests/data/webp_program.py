"""Decodes WebP files of many sizes and flags, in a process whose heap is checked."""

import io
import struct

import numpy as np
import tensorflow as tf
from media import image_bytes
from PIL import Image

from multimodal_tf.data.codecs import image

HEIGHT, WIDTH = 9, 8


def animation(width, height, frame=None, offset=(0, 0), **options):
    """Two frames of noise, without loss; the first is smaller than the canvas if `frame` is."""
    random = np.random.default_rng(width * 1000 + height)
    size = frame or (width, height)
    frames = [
        Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), np.uint8)) for _ in range(2)
    ]
    data = image_bytes(
        frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True, **options
    )
    at = data.index(b"ANMF") + 8
    packed = b"".join(struct.pack("<I", number)[:3] for number in (offset[0] // 2, offset[1] // 2))
    canvas = b"".join(struct.pack("<I", number - 1)[:3] for number in (width, height))
    return data[:24] + canvas + data[30:at] + packed + data[at + 6 :]


def flagged(data, flags):
    return data[:20] + bytes([flags]) + data[21:]


def on_white(data):
    one = Image.open(io.BytesIO(data)).convert("RGBA")
    white = Image.new("RGBA", one.size, "white")
    white.alpha_composite(one)
    return np.asarray(white.convert("RGB")).astype(int)


ONE_FILE = [tf.TensorSpec([], tf.string)]


@tf.function(input_signature=ONE_FILE)
def whole(data):
    return image._webp(data)


decode = tf.function(
    lambda data: image.decode(data, HEIGHT, WIDTH, 3),
    input_signature=ONE_FILE,
)
for width in (*range(1, 24, 2), 64, 127, 300):
    for height in (1, 33, 128):
        data = animation(width, height)
        assert data[12:21] == b"VP8X\x0a\0\0\0\x02"
        found = whole(data).numpy()
        np.testing.assert_array_equal(found, on_white(data))
smaller = animation(40, 30, frame=(10, 12), offset=(20, 8))
# what no frame covers is white, as in a GIF
np.testing.assert_array_equal(whole(smaller).numpy(), on_white(flagged(smaller, 0x12)))

# none of these may write beyond its pixels; whether they can be read is the decoder's to say
still = image_bytes(Image.new("RGB", (33, 21), "red"), "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0")
beyond = animation(40, 30, frame=(10, 12), offset=(38, 28))
hostile = [
    *(flagged(one, flags) for one in (smaller, still, beyond) for flags in range(0, 256, 2)),
    *(smaller[:end] for end in range(20, len(smaller), 61)),
    smaller[: smaller.index(b"ANMF")],
    still[:12] + still[30:] + still[12:30],
]
read = 0
for data in hostile:
    try:
        decode(data)
        read += 1
    except tf.errors.InvalidArgumentError:
        pass
print("read", read, "of", len(hostile))
