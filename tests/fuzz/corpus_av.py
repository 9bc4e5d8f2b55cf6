"""Small sounds and videos by PyAV: codecs in the containers that the package reads."""

import fractions
import io
import os
from typing import Any

import av
import numpy as np

_RATE = 48_000
# the encoder of AV1 writes only errors
os.environ.setdefault("SVT_LOG", "1")
# name: container, codec, layout
_SOUNDS = {
    "aac.m4a": ("mp4", "aac", "mono"),
    "aac_stereo.m4a": ("mp4", "aac", "stereo"),
    "aac_5_1.m4a": ("mp4", "aac", "5.1"),
    "aac_7_1.m4a": ("mp4", "aac", "7.1"),
    "alac.m4a": ("mp4", "alac", "stereo"),
    "flac.mp4": ("mp4", "flac", "stereo"),
    "mp3.mp4": ("mp4", "libmp3lame", "stereo"),
    "opus.mp4": ("mp4", "libopus", "mono"),
    "ac3.mp4": ("mp4", "ac3", "5.1"),
    "aac.aac": ("adts", "aac", "stereo"),
    "opus.mka": ("matroska", "libopus", "stereo"),
    "flac.mka": ("matroska", "flac", "mono"),
    "flac_7_1.mka": ("matroska", "flac", "7.1"),
    "pcm_7_1.mka": ("matroska", "pcm_s16le", "7.1"),
    "vorbis.mka": ("matroska", "vorbis", "stereo"),
    "mp3.mka": ("matroska", "libmp3lame", "mono"),
    "opus.ogg": ("ogg", "libopus", "mono"),
    "flac.oga": ("ogg", "flac", "mono"),
    "opus.webm": ("webm", "libopus", "mono"),
    "mp3.mp3": ("mp3", "libmp3lame", "mono"),
    "flac.flac": ("flac", "flac", "mono"),
}
# name: container, codec, pixel format, options
_VIDEOS = {
    "h264.mp4": ("mp4", "libx264", "yuv420p", {"bf": "2", "g": "4"}),
    "hevc.mp4": ("mp4", "libx265", "yuv420p", {"x265-params": "log-level=none"}),
    "fragments.mp4": ("mp4", "libx264", "yuv420p", {}),
    "mpeg4.mov": ("mov", "mpeg4", "yuv420p", {}),
    "mjpeg.mov": ("mov", "mjpeg", "yuvj420p", {}),
    "vp8.webm": ("webm", "libvpx", "yuv420p", {"deadline": "realtime"}),
    "vp9.webm": ("webm", "libvpx-vp9", "yuv420p", {"deadline": "realtime"}),
    "av1.mkv": ("matroska", "libsvtav1", "yuv420p", {"preset": "13", "svtav1-params": "lp=1"}),
    "h264.mkv": ("matroska", "libx264", "yuv420p", {}),
    "ffv1.mkv": ("matroska", "ffv1", "yuv420p", {}),
    "mpeg4.avi": ("avi", "mpeg4", "yuv420p", {}),
    "mjpeg.avi": ("avi", "mjpeg", "yuvj420p", {}),
    "raw.avi": ("avi", "rawvideo", "bgr24", {}),
    "png.mov": ("mov", "png", "rgb24", {}),
}


def sounds() -> dict[str, bytes]:
    """A fifth of a second of a tone, one to eight channels."""
    return _made(_SOUNDS, _sound)


def videos() -> dict[str, bytes]:
    """Ten frames of 64 x 48."""
    return _made(_VIDEOS, _video)


def _made(kinds: dict[str, Any], make: Any) -> dict[str, bytes]:
    files = {}
    for name, settings in kinds.items():
        try:
            files[name] = make(name, *settings)
        except (av.FFmpegError, ValueError, TypeError):
            # a build of FFmpeg without the codec
            continue
    return files


def _sound(name: str, kind: str, codec: str, layout: str) -> bytes:
    file = io.BytesIO()
    # names that do not change from run to run
    options = {"fflags": "+bitexact"}
    with av.open(file, "w", format=kind, options=options) as container:
        stream: Any = container.add_stream(codec, rate=_RATE, options={"strict": "experimental"})
        stream.layout = layout
        form = stream.format.name if stream.format else "fltp"
        channels, total = stream.layout.nb_channels, _RATE // 5
        resampler = av.AudioResampler(format=form, layout=layout, rate=_RATE)
        size = 960
        for start in range(0, total, size):
            times = np.arange(start, start + size)
            tone = 0.4 * np.sin(times[None] * np.linspace(0.02, 0.1, channels)[:, None])
            packed = np.ascontiguousarray(tone.T.reshape(1, -1), np.float32)
            frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
            frame.sample_rate, frame.pts = _RATE, start
            frame.time_base = fractions.Fraction(1, _RATE)
            for even in resampler.resample(frame):
                container.mux(stream.encode(even))
        container.mux(stream.encode())
    return file.getvalue()


def _video(name: str, kind: str, codec: str, pixels: str, options: dict[str, str]) -> bytes:
    file = io.BytesIO()
    container_options = {"fflags": "+bitexact"}
    if name.startswith("fragments"):
        container_options["movflags"] = "frag_keyframe+empty_moov"
    with av.open(file, "w", format=kind, options=container_options) as container:
        stream: Any = container.add_stream(codec, rate=10, options=options | {"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        for number in range(10):
            picture = np.full((48, 64, 3), 25 * number, np.uint8)
            picture[number * 4 : number * 4 + 6] = 200
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, fractions.Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()
