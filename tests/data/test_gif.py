"""Rows of frames or GIFs to tensors: chosen frames, missing and broken ones, drawn as in Pillow."""

import functools
import io
import time

import media
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from multimodal_tf.config import VideoInput
from multimodal_tf.data.codecs import gif, image, video_file
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.data.kinds.kind import batch_spec
from multimodal_tf.data.kinds.video import VideoReader

INPUT = VideoInput(frames=4, height=12, width=16, max_pixels=20_000)


@functools.cache
def reader():
    video_reader = VideoReader(INPUT)
    return tf.function(video_reader.read, input_signature=[batch_spec(INPUT)], autograph=False)


def read(rows):
    """`(pixels, present, reasons)` of rows of files, filled up with ""."""
    longest = max(map(len, rows), default=0)
    cells = tf.constant(
        [[*row, *[b""] * (longest - len(row))] for row in rows], tf.string, [len(rows), longest]
    )
    pixels, present, reasons = reader()(cells)
    return pixels.numpy(), present.numpy().tolist(), [reason.decode() for reason in reasons.numpy()]


def shown(pixels):
    return [media.number_of(frame) for frame in pixels]


def image_files(count, kind="PNG"):
    return [media.numbered_image(index, kind) for index in range(count)]


@given(st.integers(1, 40), st.integers(1, 20))
def test_ingest_and_the_graph_choose_alike(count, frames):
    assert gif.choose(tf.constant(count, tf.int64), frames).numpy().tolist() == video_file.choose(
        count, frames
    )


def test_evenly_spaced_frames_are_decoded_as_images():
    rows = [image_files(9, "JPEG"), image_files(4), image_files(3), image_files(1)]
    pixels, present, reasons = read(rows)
    assert pixels.shape == (4, 4, 12, 16, 3)
    assert pixels.dtype == np.uint8
    assert [shown(row) for row in pixels] == [[1, 3, 5, 7], [0, 1, 2, 3], [0, 1, 1, 2], [0] * 4]
    assert present == [True] * 4
    assert reasons == [""] * 4
    np.testing.assert_array_equal(pixels[0, 1], image.decode(tf.constant(rows[0][3]), 12, 16, 3))


def test_the_model_sees_0_to_1():
    seen = VideoReader(INPUT).model_input(tf.constant([[[[[0, 255, 51]]]]], tf.uint8))
    np.testing.assert_allclose(seen, [[[[[0, 1, 0.2]]]]], rtol=1e-6)


@pytest.mark.parametrize("rows", [[[]], [[], []], [[b"", b""]], []])
def test_a_video_without_frames_is_missing(rows):
    pixels, present, reasons = read(rows)
    assert pixels.shape == (len(rows), 4, 12, 16, 3)
    assert not pixels.any()
    assert not any(present)
    assert not any(reasons)


def test_an_empty_cell_among_frames_is_no_frame():
    assert shown(read([[b"", *image_files(4), b"", b""]])[0][0]) == [0, 1, 2, 3]


def test_one_broken_frame_breaks_its_row_and_no_other():
    good, other = image_files(4), image_files(2)
    broken = [*good[:2], good[2][:60], b"<html>"]
    pixels, present, reasons = read([good, broken, other, [b"<html>"]])
    assert present == [True, False, True, False]
    assert reasons == [
        "",
        "frame 3: damaged image",
        "",
        "frame 1: not a JPEG, PNG, GIF, BMP or WebP image",
    ]
    assert not pixels[[1, 3]].any()
    np.testing.assert_array_equal(pixels[[0, 2]], read([good, other])[0])


def test_a_frame_that_is_not_chosen_does_not_matter():
    assert read([[b"<html>", *image_files(8)]])[1:] == ([True], [""])


def test_a_frame_too_large_is_refused_from_its_header():
    assert read([[*image_files(1), media.huge_png()]])[2] == [
        "frame 2: 20000 x 20000 pixels, more than the limit of 20000 in all"
    ]


@pytest.mark.slow
def test_ingest_is_told_what_the_graph_says():
    """Also of grey frames, whose graph ensures that they have one channel."""
    grey = kind_of(INPUT.model_copy(update={"channels": 1}))
    for row in (
        image_files(3),
        [b"<html>"],
        [media.gif_bytes(3)],
        [media.gif_bytes(3)[:40]],
        [*image_files(2), image_files(1)[0][:50]],
    ):
        assert grey.problem(row) == read([row])[2][0]
    assert grey.problem([]) == ""


def test_grey_frames_of_a_gif_are_those_of_images():
    found = gif.decode(tf.constant(media.gif_bytes(2)), 2, 12, 16, 1)
    expected = [image.decode(tf.constant(file), 12, 16, 1) for file in image_files(2)]
    np.testing.assert_array_equal(found, expected)


# --- animated GIFs


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [0] * 4), (3, [0, 1, 1, 2]), (8, [1, 3, 5, 7])]
)
def test_frames_of_a_gif_are_chosen_as_files_are(count, expected):
    pixels, present, reasons = read([[media.gif_bytes(count)], image_files(count)])
    assert shown(pixels[0]) == expected
    assert (present, reasons) == ([True, True], ["", ""])
    np.testing.assert_array_equal(pixels[0], pixels[1])


def test_the_delays_of_a_gif_count():
    # centres at 0.2, 0.6, 1.0 and 1.4 of 1.6 s
    assert shown(read([[media.gif_bytes(3, [1000, 200, 400])]])[0][0]) == [0, 0, 1, 2]
    # less than 20 ms counts as 100: centres at 0.125 and so on
    assert shown(read([[media.gif_bytes(4, [0, 10, 0, 700])]])[0][0]) == [1, 3, 3, 3]


def test_a_gif_among_other_files_is_its_first_frame():
    assert shown(read([[media.gif_bytes(3), *image_files(3)]])[0][0]) == [0, 0, 1, 2]


def test_a_gif_that_breaks_off_is_read_as_far_as_it_goes():
    whole = media.gif_bytes(6)
    assert shown(read([[whole[:-300]]])[0][0]) == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GIF89a", "a GIF without a frame, or without colors"),
        (
            media.gif_bytes(2, size=(200, 160)),
            "200 x 160 pixels, more than the limit of 20000 in all",
        ),
        (media.gif_bytes(60), "a GIF of 60 frames of 64 x 48 pixels, more than can be read"),
    ],
    ids=["a header alone", "large", "long"],
)
def test_a_gif_that_cannot_be_read_has_one_reason(data, reason):
    assert read([[data]])[1:] == ([False], [reason])


def test_a_gif_that_breaks_off_in_its_first_frame_has_none():
    assert read([[_small()[:50]]])[2] == ["a GIF that is truncated in its first frame"]


def test_a_gif_that_promises_enormous_frames_is_refused_from_its_headers():
    # of the size, behind left and top, of the second frame
    offset = _small().index(b"\x2c\2\0\1\0") + 5
    data = _small()[:offset] + b"\xff\xff\xff\xff" + _small()[offset + 4 :]
    assert read([[data]])[2] == ["a GIF of 2 frames of 8 x 6 pixels, more than can be read"]


def drawn(frames, disposals, transparent, offsets, size=(24, 18)):
    """A GIF of frames, smaller than the screen or beyond it, which Pillow would change."""
    data = (
        b"GIF89a"
        + size[0].to_bytes(2, "little")
        + size[1].to_bytes(2, "little")
        + b"\x81\0\0"
        + bytes(range(12))
    )
    for pixels, disposal, (left, top) in zip(frames, disposals, offsets):
        data += b"\x21\xf9\x04" + bytes(
            [disposal << 2 | (transparent is not None), 10, 0, transparent or 0, 0]
        )
        area = b"".join(
            number.to_bytes(2, "little") for number in (left, top, pixels.shape[1], pixels.shape[0])
        )
        data += b"\x2c" + area + b"\0" + compressed(pixels)
    return data + b";"


def compressed(pixels):
    """LZW of 2-bit pixels that never uses its table: a clear code before every second pixel."""
    codes, bits, value, count, out = [4], 3, 0, 0, bytearray()
    for index, pixel in enumerate(pixels.ravel().tolist()):
        codes += [4, pixel] if index and index % 2 == 0 else [pixel]
    for code in [*codes, 5]:
        value |= code << count
        count += bits
        while count >= 8:
            out.append(value & 255)
            value, count = value >> 8, count - 8
    out.append(value & 255)
    blocks = [bytes(out[start : start + 255]) for start in range(0, len(out), 255)]
    return b"\x02" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_a_gif_is_drawn_as_pillow_draws_it(draw):
    count = draw.draw(st.sampled_from([1, 5]))
    random = np.random.default_rng(draw.draw(st.integers(0, 2**32)))
    # where nothing is transparent, Pillow clears to a colour, and browsers do not
    transparent = draw.draw(st.sampled_from([0, 3]))
    sizes = [(18, 24)] + [
        (int(random.integers(1, 18)), int(random.integers(1, 24))) for _ in range(count - 1)
    ]
    offsets = [(0, 0)] + [
        (int(random.integers(0, 24 - width + 1)), int(random.integers(0, 18 - height + 1)))
        for height, width in sizes[1:]
    ]
    frames = [random.integers(0, 4, size) for size in sizes]
    # 0 is for Pillow the one before
    disposals = [draw.draw(st.sampled_from([1, 2, 3])) for _ in frames]
    data = drawn(frames, disposals, transparent, offsets)
    found = decoder(count)(data).numpy()
    with Image.open(io.BytesIO(data)) as pillow:
        expected = [on_white(frame.convert("RGBA")) for frame in ImageSequence.Iterator(pillow)]
    np.testing.assert_array_equal(found, expected)


@functools.cache
def decoder(count):
    spec = [tf.TensorSpec([], tf.string)]
    return tf.function(
        lambda data: gif.decode(data, count, 18, 24, 3), input_signature=spec, autograph=False
    )


def test_what_a_frame_leaves():
    whole, patch = np.full((18, 24), 1), np.full((2, 3), 2)
    for disposal, left in ((0, 2), (1, 2), (2, 255), (3, 1)):
        data = drawn([whole, patch, patch], [1, disposal, 1], None, [(0, 0), (4, 5), (20, 5)])
        colour = 3 * left if left != 255 else 255
        frames = decoder(3)(data).numpy()
        assert (frames[1, 5:7, 4:7, 0] == 6).all()
        assert (frames[2, 5:7, 4:7, 0] == colour).all()
        assert (frames[2, :5, :, 0] == 3).all()


def on_white(pil_image):
    white = Image.new("RGBA", pil_image.size, "white")
    return np.asarray(Image.alpha_composite(white, pil_image).convert("RGB"))


def test_a_frame_beyond_the_screen_is_cut_off():
    frames = [np.zeros((18, 24), int), np.full((10, 10), 2)]
    for offset, area in (((20, 12), (6, 4)), ((30, 30), (0, 0))):
        found = decoder(2)(drawn(frames, [1, 1], None, [(0, 0), offset])).numpy()
        assert (found[1] != found[0]).any(axis=-1).sum() == area[0] * area[1]


def test_a_long_gif_takes_no_memory_for_frames_that_are_not_shown():
    data = media.gif_bytes(400, size=(16, 12))
    start = time.process_time()
    # 350 % 256
    assert shown(read([[data]])[0][0]) == [50, 150, 250, 94]
    assert time.process_time() - start < 10


@given(
    st.lists(
        st.binary(max_size=80).map(lambda noise: [noise])
        | st.lists(st.binary(max_size=20), max_size=3),
        max_size=3,
    )
)
@settings(max_examples=25, deadline=None)
def test_any_bytes_fail_no_batch(rows):
    pixels, present, _ = read([image_files(2), *rows])
    assert present[0]
    assert shown(pixels[0]) == [0, 0, 1, 1]


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_gif_with_any_bytes_changed_fails_no_batch(draw):
    data = bytearray(_small())
    for _ in range(draw.draw(st.integers(1, 6))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    _, present, reasons = read([image_files(2), [bytes(data)]])
    assert present == [True, not reasons[1]]


@functools.cache
def _small():
    frames = [np.arange(48).reshape(6, 8) % 4, np.ones((3, 4), int)]
    return drawn(frames, [2, 1], 3, [(0, 0), (2, 1)], size=(8, 6))


def test_one_file_is_one_frame_whatever_its_kind():
    for kind in ("JPEG", "PNG", "BMP", "WEBP"):
        file = media.numbered_image(5, kind)
        pixels = read([[file]])[0][0]
        assert shown(pixels) == [5] * 4
        np.testing.assert_array_equal(pixels[0], image.decode(tf.constant(file), 12, 16, 3))


def test_frames_hidden_by_an_opaque_one_are_not_drawn():
    # noise in the first frame would fail the batch if it were decoded
    whole = [np.full((18, 24), number) for number in (1, 2, 3)]
    data = bytearray(drawn(whole, [1, 1, 1], None, [(0, 0)] * 3))
    assert (decoder(1)(bytes(data)).numpy()[..., 0] == 3 * 2).all()
    first = data.index(b"\x2c") + 12
    data[first : first + 6] = b"\x06\xff\xff\xff\xff\xff"
    assert (decoder(1)(bytes(data)).numpy()[..., 0] == 3 * 2).all()


def test_the_frames_to_be_drawn_are_bounded():
    def why(frames, transparent, pixels, size=(18, 24)):
        data = drawn([np.full(size, 1)] * 20, [1] * 20, transparent, [(0, 0)] * 20)
        return gif.problem(tf.constant(data), pixels, frames).numpy()

    # every frame hides the others, so that five are drawn, or eleven
    assert why(5, None, 2 * 432) == b""
    assert b"more than can be read" in why(11, None, 2 * 432)
    # the last of these needs all before it, and each is unpacked twice
    assert b"more than can be read" in why(5, 0, 7 * 432)
    assert why(5, 0, 8 * 432) == b""
    # small ones leave the canvas to be copied
    assert why(5, 0, 2 * 432, (4, 4)) == b""
    assert b"more than can be read" in why(5, 0, 432, (4, 4))
