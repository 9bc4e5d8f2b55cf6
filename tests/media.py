"""Bytes of image, audio and video files, and what such bytes show."""

import fractions
import io
import struct
import zlib

import av
import numpy as np
import soundfile
from PIL import Image

# ---------------------------------------------------------------------------------------- images


def image_bytes(pixels, kind="PNG", mode=None, **options):
    """The file of pixels, an array or a Pillow image; `options` are Pillow's."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels))
    file = io.BytesIO()
    (image if mode is None else image.convert(mode)).save(file, kind, **options)
    return file.getvalue()


def random_image(seed=0, size=(40, 30), kind="PNG", mode=None, **options):
    """Coloured noise; `size` is `(width, height)`."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return image_bytes(pixels, kind, mode, **options)


def spotted_image(mode="RGB", size=(48, 32), spot=(slice(8, 12), slice(36, 42))):
    """A PNG of dim grey noise with one bright spot."""
    pixels = np.random.default_rng(0).integers(60, 90, (size[1], size[0]), dtype=np.uint8)
    pixels[spot] = 250
    return image_bytes(pixels, mode=mode)


def huge_png():
    """A PNG of 20000 x 20000 pixels in 49 KB."""

    def chunk(name, body):
        size, checksum = struct.pack(">I", len(body)), struct.pack(">I", zlib.crc32(name + body))
        return size + name + body + checksum

    packer = zlib.compressobj(9)
    black = bytes(1 + 20_000 // 8) * 1000
    rows = b"".join(packer.compress(black) for _ in range(20)) + packer.flush()
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def pixels_of(data, mode="RGB"):
    """The pixels of an image file, int; `mode` None keeps the file's own."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image if mode is None else image.convert(mode)).astype(int)


# ----------------------------------------------------------------------------------------- audio


def audio_bytes(samples, rate=8000, kind="WAV", **options):
    """The file of samples `(time,)` or `(time, channels)`; `options` are soundfile's."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, **options)
    return file.getvalue()


def random_audio(seed=0, seconds=0.3, rate=4000, kind="WAV", **options):
    """Noise on one channel."""
    samples = np.random.default_rng(seed).normal(0, 0.2, round(seconds * rate))
    return audio_bytes(samples, rate, kind, **options)


def tones(*hertz, seconds=1.0, channels=1, rate=8000):
    """A WAV of tones one after the other."""
    length = round(seconds * rate / len(hertz))
    waveform = np.concatenate(
        [0.3 * np.sin(2 * np.pi * each * np.arange(length) / rate) for each in hertz]
    )
    return audio_bytes(np.repeat(waveform[:, None], channels, axis=1), rate)


def samples_of(data, **options):
    """`(samples, rate)` of an audio file, the samples in [-1, 1]."""
    return soundfile.read(io.BytesIO(data), **({"dtype": "float32"} | options))


# ---------------------------------------------------------------------------------------- videos

# every frame shows its number in stripes, one a bit, which survive any codec
BITS = 8
# name: container, codec, pixel format, options
VIDEO_KINDS = {
    "mp4": ("mp4", "libx264", "yuv420p", {"bf": "2", "g": "12"}),
    "mov": ("mov", "mpeg4", "yuv420p", {"g": "12"}),
    "webm": ("webm", "libvpx", "yuv420p", {"g": "12", "deadline": "realtime"}),
    "mkv": ("matroska", "libx264", "yuv420p", {"bf": "2", "g": "12"}),
    "avi": ("avi", "mpeg4", "yuv420p", {"bf": "2", "g": "12"}),
}


def numbered(number, width=64, height=48):
    """Pixels `(height, width, 3)`: the bits of a number as stripes, the highest bit on the left."""
    bits = [255 * (number >> bit & 1) for bit in reversed(range(BITS))]
    row = np.repeat(np.array(bits, np.uint8), width // BITS)
    return np.repeat(np.broadcast_to(row, (height, width))[..., np.newaxis], 3, axis=2)


def numbered_image(number, kind="PNG", size=(64, 48)):
    """The image file of `numbered`."""
    return image_bytes(numbered(number, *size), kind)


def number_of(pixels):
    """The number that `numbered` pixels show, whatever their size."""
    pixels = np.asarray(pixels, np.float64)
    columns = pixels.reshape(len(pixels), pixels.shape[1], -1).mean(axis=(0, 2))
    stripes = np.array_split(columns, BITS)
    return sum(1 << index for index, stripe in enumerate(reversed(stripes)) if stripe.mean() > 127)


def numbers_of(files):
    """The numbers that image files show."""
    return [number_of(pixels_of(file)) for file in files]


def video_bytes(
    count=20,
    kind="mp4",
    rate=10,
    times=None,
    size=(64, 48),
    frames=None,
    audio=0.0,
    container_options=None,
    **options,
):
    """A video of `count` numbered frames.

    Args:
        count: int.
        kind: key of `VIDEO_KINDS`.
        rate: frames a second.
        times: list of int: when each frame is shown, in units of 1 / `rate` seconds; None: one
        after another.
        size: `(width, height)`.
        frames: list of pixels instead of the numbered ones.
        audio: seconds of silence on a second track.
        container_options: dict of str.
        options: of the codec, such as `g`, the number of frames from one keyframe to the next.
    """
    container_format, codec, pixels, defaults = VIDEO_KINDS[kind]
    file = io.BytesIO()
    with av.open(file, "w", format=container_format, options=container_options or {}) as container:
        stream = container.add_stream(
            codec,
            rate=rate,
            options=defaults | {name: str(value) for name, value in options.items()},
        )
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.codec_context.time_base = fractions.Fraction(1, rate)
        silence = container.add_stream(_audio_codec(kind), rate=48_000) if audio else None
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(
                numbered(index, *size) if frames is None else frames[index], format="rgb24"
            )
            frame.pts = index if times is None else times[index]
            frame.time_base = fractions.Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if silence is not None:
            write_audio(container, silence, np.zeros(round(audio * 48_000), np.float32))
    return file.getvalue()


def video_without_frames(kind="mp4", seconds=0.5):
    """A file of the kinds of `video_bytes` that has only silence in it."""
    file = io.BytesIO()
    with av.open(file, "w", format=VIDEO_KINDS[kind][0]) as container:
        stream = container.add_stream(_audio_codec(kind), rate=48_000)
        write_audio(container, stream, np.zeros(round(seconds * 48_000), np.float32))
    return file.getvalue()


def write_audio(container, stream, samples, rate=48_000):
    """Writes samples of one channel to a stream of a PyAV container."""
    for start in range(0, len(samples), 960):
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[start : start + 960])[np.newaxis],
            format="fltp",
            layout="mono",
        )
        frame.sample_rate, frame.pts = rate, start
        frame.time_base = fractions.Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def _audio_codec(kind):
    return "aac" if kind in ("mp4", "mov") else "libopus"


def gif_bytes(count=6, delays=100, size=(64, 48), **options):
    """An animated GIF of numbered frames; `delays` in milliseconds, one or a list."""
    first, *others = [
        Image.fromarray(numbered(index, *size)).convert("P") for index in range(count)
    ]
    return image_bytes(
        first, "GIF", save_all=True, append_images=others, duration=delays, loop=0, **options
    )
