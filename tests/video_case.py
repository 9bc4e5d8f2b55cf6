"""Videos for tests: every frame shows its number in stripes that survive any codec."""

import fractions
import io

import av
import numpy as np
from PIL import Image

BITS = 8
# name: container, codec, pixel format, options
KINDS = {
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


def number(pixels):
    """The number that an image shows, whatever its size."""
    stripes = np.array_split(
        np.asarray(pixels, np.float64).reshape(len(pixels), pixels.shape[1], -1).mean(axis=(0, 2)),
        BITS,
    )
    return sum(1 << index for index, stripe in enumerate(reversed(stripes)) if stripe.mean() > 127)


def numbers(files):
    """The numbers that image files show."""
    return [number(np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))) for file in files]


def video(
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
    """Bytes of a video of `count` numbered frames.

    Args:
        count: int.
        kind: key of `KINDS`.
        rate: frames a second.
        times: list of int: when each frame is shown, in units of 1 / `rate` seconds; None: one
        after another.
        size: `(width, height)`.
        frames: list of pixels instead of the numbered ones.
        audio: seconds of silence on a second track.
        container_options: dict of str.
        options: of the codec, such as `g`, the number of frames from one keyframe to the next.
    """
    container_format, codec, pixels, defaults = KINDS[kind]
    file = io.BytesIO()
    with av.open(file, "w", format=container_format, options=container_options or {}) as container:
        stream = container.add_stream(
            codec,
            rate=rate,
            options=defaults | {name: str(value) for name, value in options.items()},
        )
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.codec_context.time_base = fractions.Fraction(1, rate)
        silence = (
            container.add_stream("aac" if kind in ("mp4", "mov") else "libopus", rate=48_000)
            if audio
            else None
        )
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(
                numbered(index, *size) if frames is None else frames[index], format="rgb24"
            )
            frame.pts, frame.time_base = (
                index if times is None else times[index],
                fractions.Fraction(1, rate),
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if silence is not None:
            _silence(container, silence, audio)
    return file.getvalue()


def _silence(container, stream, seconds):
    for start in range(0, round(seconds * 48_000), 960):
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 960), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = 48_000, start, fractions.Fraction(1, 48_000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def audio_only(kind="mp4", seconds=0.5):
    """Bytes of a file of the same kinds without a video stream."""
    file = io.BytesIO()
    with av.open(file, "w", format=KINDS[kind][0]) as container:
        _silence(
            container,
            container.add_stream("aac" if kind == "mp4" else "libopus", rate=48_000),
            seconds,
        )
    return file.getvalue()


def gif(count=6, delays=100, size=(64, 48), **more):
    """Bytes of an animated GIF of numbered frames; `delays` in milliseconds, one or a list."""
    images = [Image.fromarray(numbered(index, *size)).convert("P") for index in range(count)]
    file = io.BytesIO()
    images[0].save(
        file, "GIF", save_all=True, append_images=images[1:], duration=delays, loop=0, **more
    )
    return file.getvalue()


def image_file(index, kind="PNG", size=(64, 48)):
    """Bytes of an image file that shows a number."""
    file = io.BytesIO()
    Image.fromarray(numbered(index, *size)).save(file, kind)
    return file.getvalue()
