"""Corruptions of images: damage grows with severity, for every file format, size and mode."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from media import image_bytes
from PIL import Image

from multimodal_tf.config import ImageInput
from multimodal_tf.corruptions import SEVERITIES, corrupted, image, image_files
from multimodal_tf.data.codecs import gif as in_graph_gif
from multimodal_tf.data.codecs import image as in_graph
from multimodal_tf.data.kinds import kind_of

BY_NAME = pytest.mark.parametrize("corruption", image.ALL, ids=lambda corruption: corruption.name)


def photo(height=64, width=64, seed=0):
    """Colours that vary from coarse to fine, as in photographs, far from black and white."""
    random = np.random.default_rng(seed)
    layers = (
        Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8))
        for side in (3, 6, 12, 24, 48)
    )
    spread = [
        np.asarray(layer.resize((width, height), Image.Resampling.BICUBIC), float) / 2**octave
        for octave, layer in enumerate(layers)
    ]
    grain = random.normal(0, 4, (height, width, 1))
    return np.clip(40 + 0.35 * sum(spread) + grain, 0, 255).astype(np.uint8)


def distance(changed, original):
    """Mean squared error; PSNR falls as it grows."""
    return np.mean((image_files.decode(changed).astype(float) - original) ** 2)


def damage(corruption, severity, height=64, width=64, photos=12):
    originals = [photo(height, width, seed) for seed in range(photos)]
    changed = corrupted(
        [image_files.encode_png(one) for one in originals],
        "photo",
        corruption,
        severity,
        0,
        range(len(originals)),
    )
    return np.mean([distance(one, original) for one, original in zip(changed, originals)])


@BY_NAME
def test_damage_grows_with_severity(corruption):
    found = [damage(corruption, severity) for severity in SEVERITIES]
    assert found[0] > 0
    assert all(after > before for before, after in zip(found, found[1:])), found


@BY_NAME
def test_damage_grows_in_larger_images_too(corruption):
    assert 0 < damage(corruption, 1, 250, 300, photos=2) < damage(corruption, 5, 250, 300, photos=2)


def odd_images():
    """Files of every mode that records may contain."""
    colours = Image.fromarray(photo(24, 40))
    grey, alpha = colours.convert("L"), Image.linear_gradient("L").resize((40, 24))
    see_through = colours.copy()
    see_through.putalpha(alpha)
    exif = Image.Exif()
    # to be turned by 90 degrees
    exif[0x0112] = 6
    return {
        "RGB": image_bytes(colours),
        "grey": image_bytes(grey),
        "black and white": image_bytes(grey.convert("1")),
        "grey of 16 bits": image_bytes(Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)),
        "grey and alpha": image_bytes(Image.merge("LA", (grey, alpha))),
        "RGBA": image_bytes(see_through),
        "palette": image_bytes(colours.quantize(200)),
        "palette with transparency": image_bytes(colours.quantize(16), transparency=3),
        "RGB with a transparent colour": image_bytes(colours, transparency=(200, 10, 10)),
        "JPEG": image_bytes(colours, "JPEG", quality=95),
        "grey JPEG": image_bytes(grey, "JPEG", quality=95),
        "CMYK JPEG": image_bytes(colours.convert("CMYK"), "JPEG", quality=95),
        "turned JPEG": image_bytes(colours, "JPEG", quality=95, exif=exif),
        "turned PNG": image_bytes(colours, "PNG", exif=exif),
        "turned WebP": image_bytes(colours, "WEBP", lossless=True, exif=exif),
        "GIF": image_bytes(colours.quantize(32), "GIF"),
        "BMP": image_bytes(colours, "BMP"),
        "WebP with alpha": image_bytes(see_through, "WEBP", lossless=True, exact=True),
    }


ODD = odd_images()
SINGLE = {
    "1 x 1": image_files.encode_png(np.full([1, 1, 3], 90, np.uint8)),
    "1 x 9": image_files.encode_png(photo(1, 9)),
    "700 x 2": image_files.encode_png(photo(700, 2)),
    "1 x 1 grey": image_files.encode_png(np.zeros([1, 1], np.uint8)),
}


@pytest.mark.parametrize("kind", list(ODD))
def test_pixels_are_those_that_the_graph_sees(kind):
    shown = image_files.decode(ODD[kind])
    height, width = shown.shape[:2]
    seen = in_graph.decode(tf.constant(ODD[kind]), height, width, 3).numpy()
    shown = np.broadcast_to(np.atleast_3d(shown), seen.shape)
    # decoders differ by a little: chroma of JPEG, rounding of alpha
    assert np.abs(shown.astype(int) - seen).max() <= (6 if "JPEG" in kind else 1)


@BY_NAME
def test_every_mode_and_size_gives_an_image_of_the_same_size(corruption):
    input_config = ImageInput(height=8, width=8)
    for kind, data in (ODD | SINGLE).items():
        for severity in (1, 5):
            (changed,) = corrupted([data], "photo", corruption, severity, 0, [0])
            assert kind_of(input_config).problem(changed) == "", kind
            assert image_files.decode(changed).shape == image_files.decode(data).shape, kind
            assert (changed[:4] == b"\x89PNG") == (corruption is not image.JPEG)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from(image.ALL),
    st.sampled_from(SEVERITIES),
    st.booleans(),
)
def test_any_size_is_kept(height, width, corruption, severity, grey):
    original = photo(height, width)[..., 0] if grey else photo(height, width)
    (changed,) = corrupted(
        [image_files.encode_png(original)], "photo", corruption, severity, 0, [1]
    )
    assert image_files.decode(changed).shape == original.shape


def test_noise_has_the_configured_standard_deviation():
    flat = image_files.encode_png(np.full([200, 200, 3], 128, np.uint8))
    # stronger noise is clipped
    for severity in (1, 2):
        changed = image_files.decode(
            corrupted([flat], "x", image.GAUSSIAN_NOISE, severity, 0, [0])[0]
        )
        assert np.std(changed / 255) == pytest.approx(
            image.GAUSSIAN_NOISE.strengths[severity - 1], rel=0.03
        )
    changed = image_files.decode(corrupted([flat], "x", image.SHOT_NOISE, 1, 0, [0])[0])
    assert np.std(changed / 255) == pytest.approx(np.sqrt(128 / 255 / 60), rel=0.03)


@pytest.mark.parametrize(
    "corruption",
    [
        image.GAUSSIAN_NOISE,
        image.SHOT_NOISE,
        image.DEFOCUS_BLUR,
        image.DOWN_SCALING,
        image.MOTION_BLUR,
    ],
)
def test_damage_after_resizing_does_not_depend_on_the_size_of_the_photo(corruption):
    def seen(height):
        large = Image.fromarray(photo(80, 80)).resize((height, height), Image.Resampling.BICUBIC)
        changed = corrupted([image_bytes(large)] * 2, "x", corruption, 5, 0, range(2))
        clean, *damaged = (
            np.asarray(in_graph.decode(tf.constant(one), 80, 80, 3), float)
            for one in (image_bytes(large), *changed)
        )
        return np.mean([np.abs(one - clean).mean() for one in damaged])

    assert seen(720) == pytest.approx(seen(240), rel=0.2)


def test_blur_keeps_flat_images_flat_and_in_position():
    flat = image_files.encode_png(np.full([40, 50, 3], (10, 200, 255), np.uint8))
    for corruption in (
        image.GAUSSIAN_BLUR,
        image.DEFOCUS_BLUR,
        image.MOTION_BLUR,
        image.ROTATION,
        image.DOWN_SCALING,
    ):
        assert (
            image_files.decode(corrupted([flat], "x", corruption, 5, 0, [0])[0]) == (10, 200, 255)
        ).all(), corruption.name
    dot = np.zeros([101, 101], np.uint8)
    dot[50, 50] = 255
    for corruption in (image.DEFOCUS_BLUR, image.MOTION_BLUR):
        changed = image_files.decode(
            corrupted([image_files.encode_png(dot)], "x", corruption, 3, 0, [0])[0]
        ).astype(float)
        centre = [(changed.sum(axis=axis) @ np.arange(101)) / changed.sum() for axis in (1, 0)]
        assert centre == pytest.approx([50, 50], abs=0.5)


def test_brightness_by_hand():
    """Value 100 becomes 151 (+ 0.2 x 255); hue and saturation stay, black becomes grey."""
    original = np.array([[[100, 50, 0], [0, 0, 0], [250, 125, 0]]], np.uint8)
    changed = image_files.decode(
        corrupted([image_files.encode_png(original)], "x", image.BRIGHTNESS, 2, 0, [0])[0]
    )
    assert changed.tolist() == [[[151, 76, 0], [51, 51, 51], [255, 128, 0]]]


def test_contrast_by_hand():
    """Mean 100: 0 becomes 100 - 0.3 x 100, and 200 becomes 100 + 0.3 x 100."""
    changed = image_files.decode(
        corrupted(
            [image_files.encode_png(np.array([[0, 200]], np.uint8))], "x", image.CONTRAST, 2, 0, [0]
        )[0]
    )
    assert changed.tolist() == [[70, 130]]


def test_occlusion_covers_the_configured_fraction():
    white = image_files.encode_png(np.full([100, 200], 255, np.uint8))
    for severity, share in zip(SEVERITIES, image.OCCLUSION.strengths):
        changed = image_files.decode(corrupted([white], "x", image.OCCLUSION, severity, 0, [0])[0])
        assert np.mean(changed == 128) == pytest.approx(share, rel=0.05)


def test_rotation_turns_in_both_directions():
    changed = corrupted(
        [image_files.encode_png(photo())] * 20, "x", image.ROTATION, 3, 0, range(20)
    )
    assert len(set(changed)) == 2


def test_a_gif_as_a_video_keeps_its_time():
    """Delays of 100, 300 and 0 ms (read as 100): three of five steps show the second frame."""
    shades = [Image.fromarray(np.full([8, 8], shade, np.uint8)) for shade in (0, 120, 240)]
    gif = image_bytes(
        shades[0], "GIF", save_all=True, append_images=shades[1:], duration=[100, 300, 0]
    )
    (changed,) = corrupted([[gif]], "clip", image.JPEG, 1, 0, [0])
    assert [round(float(image_files.decode(frame).mean()) / 120) for frame in changed] == [
        0,
        1,
        1,
        1,
        2,
    ]
    before = in_graph_gif.decode(tf.constant(gif), 4, 8, 8, 1).numpy().astype(int)
    chosen = in_graph_gif.choose(tf.constant(len(changed), tf.int64), 4).numpy()
    after = [in_graph.decode(tf.constant(changed[frame]), 8, 8, 1).numpy() for frame in chosen]
    assert np.abs(before - np.array(after, int)).max() <= 6


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n",
        image_files.encode_png(photo())[:-400],
        b"\xff\xd8\xff\xe0 no more",
        b"GIF89a",
    ],
)
def test_a_broken_image_is_refused(data):
    with pytest.raises(
        ValueError, match="row 4 of the input 'photo': an image must be one that can be decoded"
    ):
        corrupted([data], "photo", image.CONTRAST, 1, 0, [4])
