"""Which frames of a video file are chosen, in any container, and why other files are refused."""

import contextlib
import functools
import io
import time
import tracemalloc

import media
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from multimodal_tf.config import ImageInput, VideoInput
from multimodal_tf.data.codecs import video_file
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.kinds import kind_of, read_cell

# an MP4 as it is streamed
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}
INPUT = VideoInput(frames=4, height=24, width=32)


def frames(data, input_config=INPUT):
    return video_file.to_frames(io.BytesIO(data), input_config)


def chosen(data, input_config=INPUT):
    return media.numbers_of(frames(data, input_config))


@pytest.mark.parametrize(
    ("count", "expected"),
    [(16, [2, 6, 10, 14]), (8, [1, 3, 5, 7]), (4, [0, 1, 2, 3]), (3, [0, 1, 1, 2]), (1, [0] * 4)],
)
def test_the_frames_at_the_centres_of_equal_stretches_are_chosen(count, expected):
    assert video_file.choose(count, 4) == expected
    assert chosen(media.video_bytes(count)) == expected


@pytest.mark.parametrize("kind", media.VIDEO_KINDS)
@pytest.mark.parametrize("count", [1, 5, 40])
def test_every_container_gives_the_same_frames(kind, count):
    data = media.video_bytes(count, kind)
    input_config = VideoInput(frames=7, height=24, width=32)
    assert chosen(data, input_config) == video_file.choose(count, 7)
    assert video_file.measure(io.BytesIO(data), 48 * 64) == pytest.approx(
        (64, 48, count / 10, 10.0)
    )


@given(
    st.integers(1, 30),
    st.integers(1, 12),
    st.sampled_from(list(media.VIDEO_KINDS)),
    st.integers(1, 9),
    st.integers(0, 3),
)
@settings(max_examples=15, deadline=None)
def test_keyframes_and_reordered_frames_do_not_matter(count, wanted, kind, keyframes, reordered):
    options = {} if kind == "webm" else {"bf": reordered}
    data = media.video_bytes(count, kind, g=keyframes, **options)
    assert chosen(data, VideoInput(frames=wanted, height=24, width=32)) == video_file.choose(
        count, wanted
    )


@pytest.mark.parametrize("kind", ["mp4", "webm", "mkv"])
def test_time_counts_and_not_the_number_of_frames(kind):
    # 40 tenths of a second: the centres are at 5, 15, 25 and 35
    times = [0, 1, 2, 3, 4, 5, 20, 39]
    assert chosen(media.video_bytes(8, kind, times=times)) == [5, 5, 6, 6]


def test_a_video_that_begins_late_is_read_from_its_first_frame():
    assert chosen(media.video_bytes(4, "mkv", times=[50, 51, 52, 53])) == [0, 1, 2, 3]


def test_a_stream_that_knows_no_duration_is_measured():
    data = media.video_bytes(16, container_options=FRAGMENTS)
    assert chosen(data) == [2, 6, 10, 14]
    assert video_file.measure(io.BytesIO(data), INPUT.max_pixels).seconds == pytest.approx(1.6)


def test_a_second_track_does_not_matter():
    assert chosen(media.video_bytes(8, audio=3.0)) == [1, 3, 5, 7]
    assert chosen(media.video_bytes(8, "webm", audio=3.0)) == [1, 3, 5, 7]


def test_frames_are_as_small_as_the_model_allows():
    data = media.video_bytes(4, size=(160, 120))
    for file, size in zip(frames(data), [(64, 48)] * 4):
        assert Image.open(io.BytesIO(file)).size == size
        assert Image.open(io.BytesIO(file)).format == "JPEG"
    assert media.pixels_of(frames(data, VideoInput(frames=1, height=200, width=32))[0]).shape == (
        120,
        64,
        3,
    )


def test_pixels_survive():
    ramp = np.tile(np.arange(40, 168, 2, dtype=np.uint8)[np.newaxis, :, np.newaxis], (48, 1, 3))
    data = media.video_bytes(1, frames=[ramp], qp=0)
    assert np.abs(media.pixels_of(frames(data)[0]) - ramp).mean() < 3


def turned(data, degrees):
    """An MP4 whose header says that its frames are to be rotated clockwise."""
    one = 1 << 16
    cosine, sine = {90: (0, one), 180: (-one, 0), 270: (0, -one)}[degrees]
    matrix = [cosine, sine, 0, -sine, cosine, 0, 0, 0, 1 << 30]
    offset = data.index(b"tkhd") + 4 + 40
    return (
        data[:offset]
        + b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
        + data[offset + 36 :]
    )


@pytest.mark.parametrize(("degrees", "turns"), [(90, 3), (180, 2), (270, 1)])
def test_a_video_taken_sideways_is_turned(degrees, turns):
    data = media.video_bytes(16, size=(128, 96))
    upright, shown = frames(data, INPUT)[0], frames(turned(data, degrees), INPUT)[0]
    assert Image.open(io.BytesIO(shown)).size == (64, 48)
    expected = np.rot90(media.numbered(2, 128, 96), turns)
    expected = np.asarray(Image.fromarray(expected).resize((64, 48), Image.Resampling.BOX)).astype(
        int
    )
    assert np.abs(media.pixels_of(shown) - expected).mean() < 8
    assert np.abs(media.pixels_of(upright) - expected).mean() > 8


@pytest.mark.parametrize("kind", ["webm", "mkv", "avi", "mp4"])
def test_a_file_that_breaks_off_is_read_as_far_as_it_goes(kind):
    data = media.video_bytes(60, kind, container_options=FRAGMENTS if kind == "mp4" else None)
    found = chosen(data[: len(data) * 2 // 3])
    assert found == sorted(found)
    assert found[-1] < 55


def test_a_damaged_stretch_costs_no_more_than_its_frames():
    data = bytearray(media.video_bytes(60, "mkv"))
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    found = chosen(bytes(data))
    assert found[0] == 7
    assert len(found) == 4


@functools.cache
def bad():
    return {
        "nothing": (b"", "not a video"),
        "text": (b"<!DOCTYPE html>", "not a video"),
        "audio": (media.video_without_frames(), "a file without a video stream"),
        "audio in WebM": (media.video_without_frames("webm"), "a file without a video stream"),
        "no index": (media.video_bytes(20)[:-900], "a broken video|without a video stream"),
        "only a header": (
            media.video_bytes(20, "webm")[:450],
            "a video without frames|a broken video",
        ),
        "cut short": (media.video_bytes(20, "avi")[:40], "a broken video"),
        "large": (
            media.video_bytes(2, size=(320, 240)),
            "320 x 240 pixels, more than max_pixels = 9999",
        ),
        "a playlist": (b"#EXTM3U\n#EXTINF:1\nfile:///etc/passwd\n", "not a video"),
    }


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "text",
        "audio",
        "audio in WebM",
        "no index",
        "only a header",
        "cut short",
        "large",
        "a playlist",
    ],
)
def test_a_file_that_is_no_video_has_one_reason(name):
    data, reason = bad()[name]
    for function, limit in (
        (video_file.to_frames, VideoInput(max_pixels=9999)),
        (video_file.measure, 9999),
    ):
        with pytest.raises(CellError, match=reason) as error:
            function(io.BytesIO(data), limit)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", media.VIDEO_KINDS)
def test_a_video_of_just_as_many_pixels_as_are_allowed_is_read(kind):
    assert len(frames(media.video_bytes(3, kind), VideoInput(frames=4, max_pixels=64 * 48))) == 4


def test_the_cover_of_a_song_is_no_video():
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        silence = container.add_stream("aac", rate=48_000)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(media.numbered(1), format="rgb24")
        media.write_audio(container, silence, np.zeros(9600, np.float32))
        container.mux(cover.encode(frame))
        container.mux(cover.encode())
    with pytest.raises(CellError, match="a file without a video stream"):
        frames(file.getvalue())


def test_far_keyframes_stand_for_frames_where_exact_ones_would_take_too_long(monkeypatch):
    data = media.video_bytes(200, "mkv", g=10, bf=0, sc_threshold=0)
    exact = chosen(data)
    assert exact == [25, 75, 125, 175]
    monkeypatch.setattr(video_file, "_DECODED", 10 * 64 * 48)
    assert chosen(data) == [20, 70, 120, 170]
    only_one = media.video_bytes(60, "mkv", g=1000, bf=0, sc_threshold=0)
    assert chosen(only_one) == [0, 22, 37, 52], (
        "where no keyframe is in the stretch, all is decoded"
    )


def test_a_long_video_takes_neither_memory_nor_time():
    data = media.video_bytes(
        3000, "mkv", size=(16, 16), frames=[media.numbered(0, 16, 16)] * 3000, g=50
    )
    tracemalloc.start()
    start = time.process_time()
    assert len(frames(data)) == 4
    assert time.process_time() - start < 5
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"\0\0\0\x18ftypmp42", b"\x1aE\xdf\xa3", b"RIFF\0\1\0\0AVI LIST"]),
)
@settings(max_examples=50, deadline=None)
def test_any_bytes_are_frames_or_a_reason(noise, start):
    assert_frames_or_reason(start + noise)


@given(st.sampled_from(list(media.VIDEO_KINDS)), st.data())
@settings(max_examples=50, deadline=None)
def test_a_file_with_any_bytes_changed_is_frames_or_a_reason(kind, draw):
    data = bytearray(valid(kind))
    for _ in range(draw.draw(st.integers(1, 8))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    assert_frames_or_reason(bytes(data))


@functools.cache
def valid(kind):
    return media.video_bytes(6, kind)


def assert_frames_or_reason(data):
    with contextlib.suppress(CellError):
        found = read_cell(data, INPUT)
        frame = kind_of(ImageInput(height=INPUT.height, width=INPUT.width))
        # a GIF stays whole: the graph takes its frames
        if found is not None and not data.startswith(video_file.GIF):
            assert len(found) == INPUT.frames
            assert not any(map(frame.problem, found))
