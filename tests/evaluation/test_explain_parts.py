"""The parts of a cell, and images of saliency maps over them."""

import io

import numpy as np
import pytest
import soundfile
from explained_rows import CONFIG
from media import spotted_image, tones
from PIL import Image

from multimodal_tf.config import (
    AudioInput,
    BooleanInput,
    CategoryInput,
    DateInput,
    ImageInput,
    NumberInput,
    TextInput,
    VideoInput,
)
from multimodal_tf.corruptions import image_files, wav
from multimodal_tf.data.codecs import image as served_image
from multimodal_tf.data.codecs import riff as served_audio
from multimodal_tf.evaluation.explanations import (
    bands,
    over_image,
    over_spectrogram,
    over_words,
    parts_of,
)


@pytest.mark.parametrize(
    "input_config", [NumberInput(), CategoryInput(), BooleanInput(), DateInput()]
)
def test_columns_have_no_parts(input_config):
    assert parts_of(input_config, b"1") is None


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1", "I;16"])
def test_an_image_with_all_patches_is_unchanged_for_the_served_graph(mode):
    cell = spotted_image(mode)
    parts = parts_of(ImageInput(), cell)
    again = parts.keep(np.ones(parts.shape, bool))
    before, after = (served_image.decode(each, 32, 48, 3).numpy() for each in (cell, again))
    np.testing.assert_array_equal(before, after)
    assert (
        np.ptp(
            image_files.decode(parts.keep(np.zeros(parts.shape, bool))).reshape(32 * 48, -1), axis=0
        ).max()
        == 0
    )


def test_transparent_pixels_are_white_as_in_the_served_graph():
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:, :8, 3] = 255
    parts = parts_of(ImageInput(), image_files.encode_png(pixels))
    kept = image_files.decode(parts.keep(np.ones(parts.shape, bool)))
    assert (kept[:, :8] == 0).all()
    assert (kept[:, 8:] == 255).all()


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((1, 1), (1, 1)),
        ((3, 5), (5, 3)),
        ((400, 30), (1, 8)),
        ((30, 400), (8, 1)),
        ((99, 99), (8, 8)),
    ],
)
def test_patches_are_about_square_and_never_empty(size, shape):
    parts = parts_of(ImageInput(), image_files.encode_png(np.zeros((size[1], size[0]), np.uint8)))
    assert parts.shape == shape
    assert all((np.diff(edge) > 0).all() for edge in parts.edges)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a red shoe", ["a ", "red ", "shoe"]),
        ("红色的鞋", ["红", "色", "的", "鞋"]),
        ("die 红 shoe 鞋", ["die ", "红 ", "shoe ", "鞋"]),
        ("ดีที่นี่", ["ดี", "ที่", "นี่"]),
        ("cafe\u0301 noir", ["cafe\u0301 ", "noir"]),
        ("👨\u200d👩\u200d👧 ok", ["👨\u200d👩\u200d👧 ", "ok"]),
    ],
)
def test_words_of_scripts_with_and_without_spaces(text, pieces):
    parts = parts_of(TextInput(), text.encode())
    (edges,) = parts.edges
    cut = [text[start:end] for start, end in zip(edges, edges[1:])]
    assert cut == pieces
    assert parts.keep(np.ones(parts.shape, bool)).decode() == text
    assert parts.keep(np.zeros(parts.shape, bool)) == b""


def test_a_long_text_is_split_into_runs_of_words():
    text = " ".join(map(str, range(1000)))
    parts = parts_of(TextInput(), text.encode())
    # eleven at a time
    assert parts.size == 91
    assert parts.keep(np.arange(91) == 90).decode() == " ".join(map(str, range(990, 1000)))
    assert parts.keep(np.ones(91, bool)).decode() == text


def test_invalid_utf_8_is_read_as_in_the_served_graph():
    assert (
        parts_of(TextInput(), b"red \xff\xfe shoe").keep(np.array([False, True, False])).decode()
        == "\ufffd\ufffd"
    )


@pytest.mark.parametrize(
    ("channels", "rate", "seconds"),
    [(1, 8000, 0.5), (2, 44_100, 0.3), (1, 8000, 0.001), (2, 16_000, 5.0)],
)
def test_audio_with_all_parts_is_unchanged_and_without_any_is_silent(channels, rate, seconds):
    cell = tones(500, 900, channels=channels, seconds=seconds, rate=rate)
    input_config = CONFIG.inputs["sound"]
    parts = parts_of(input_config, cell)
    before, after, nothing = (
        served_audio.decode(each, input_config.sample_rate, input_config.samples)
        .numpy()
        .astype(int)
        for each in (
            cell,
            parts.keep(np.ones(parts.shape, bool)),
            parts.keep(np.zeros(parts.shape, bool)),
        )
    )
    np.testing.assert_allclose(after, before, atol=1)
    assert not nothing.any()
    _, back = soundfile.read(io.BytesIO(parts.keep(np.ones(parts.shape, bool))))
    assert back == rate


def test_bands_cover_what_the_model_reads():
    """Of 5 s at 44.1 kHz it reads 1 s at 8 kHz."""
    parts = parts_of(CONFIG.inputs["sound"], tones(1000, seconds=5.0, rate=44_100))
    assert parts.shape == (8, 8)
    assert (parts.edges[0][0], parts.edges[0][-1], parts.edges[1][-1]) == (0, 4000, 1)


def test_an_interval_left_out_is_silent_and_the_others_are_unchanged():
    cell = tones(1000)
    parts = parts_of(CONFIG.inputs["sound"], cell)
    kept = np.ones(parts.shape, bool)
    kept[:, 2] = False
    silenced = wav.decode(parts.keep(kept))[0][:, 0]
    waveform = wav.decode(cell)[0][:, 0]
    assert np.abs(silenced[2200:2800]).max() < 0.01
    np.testing.assert_allclose(silenced[:1800], waveform[:1800], atol=1e-4)
    np.testing.assert_allclose(silenced[3200:], waveform[3200:], atol=1e-4)


def test_an_animated_gif_has_its_frames():
    file = io.BytesIO()
    frames = [Image.new("L", (8, 8), level) for level in (0, 120, 250)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=100)
    parts = parts_of(VideoInput(), [file.getvalue(), b""])
    assert parts.shape == (3,)
    (left,) = parts.keep(np.array([False, True, False]))
    assert np.abs(image_files.decode(left).astype(int) - 120).max() <= 2
    assert parts.keep(np.zeros(3, bool)) == []


# --- images of maps


def test_the_map_of_an_image_is_red_for_positive_and_blue_for_negative_relevance():
    cell = spotted_image()
    parts = parts_of(ImageInput(), cell)
    saliency = np.zeros(parts.shape)
    saliency[1, 2], saliency[4, 7] = 0.5, -0.5
    drawn = np.asarray(
        Image.open(io.BytesIO(over_image(cell, parts, saliency))).convert("RGB")
    ).astype(int)
    assert drawn.shape[1] == 256
    redness = drawn[..., 0] - drawn[..., 2]
    for chosen, (row_, column) in ((redness.argmax(), (1, 2)), (redness.argmin(), (4, 7))):
        y, x = np.unravel_index(chosen, redness.shape)
        assert parts.edges[0][row_] <= (y + 0.5) * 32 / drawn.shape[0] < parts.edges[0][row_ + 1]
        assert parts.edges[1][column] <= (x + 0.5) * 48 / 256 < parts.edges[1][column + 1]


@pytest.mark.parametrize(
    "cell",
    [
        tones(500, 2000),
        tones(500, channels=2),
        wav.encode(np.zeros((400, 1)), 8000),
        tones(500, seconds=0.001),
    ],
    ids=["two tones", "stereo", "silence", "a millisecond"],
)
def test_the_spectrogram_of_a_map_can_be_drawn_and_twice_the_same(cell):
    parts = parts_of(CONFIG.inputs["sound"], cell)
    saliency = np.random.default_rng(0).normal(size=parts.shape)
    one, again = (over_spectrogram(cell, parts, saliency) for _ in range(2))
    assert one == again
    with Image.open(io.BytesIO(one)) as image:
        assert (image.format, image.size) == ("PNG", (256, 192))


def test_words_have_their_relevance():
    parts = parts_of(TextInput(), "红鞋 <b>".encode())
    assert (
        over_words("红鞋 <b>".encode(), parts, np.array([0.5, 0.001, -0.25]))
        == "红 [+0.5] 鞋 <b> [-0.25]"
    )


def test_bands_are_as_wide_as_the_mel_scale_says():
    hertz = parts_of(AudioInput(sample_rate=16_000), tones(500, rate=16_000)).edges[0]
    mel = 2595 * np.log10(1 + hertz / 700)
    assert np.diff(mel) == pytest.approx([mel[-1] / 8] * 8, rel=0.2)


@pytest.mark.parametrize(("rate", "length"), [(8000, 8001), (44_100, 5000), (8000, 40), (100, 16)])
@pytest.mark.parametrize("channels", [1, 2])
def test_all_windows_at_once_give_what_scipy_gives(rate, length, channels):
    random = np.random.default_rng(0)
    transform = bands.short_time_fft(rate, length)
    spectrum = transform.stft(random.normal(size=(length, channels)), axis=0)
    spectrum = spectrum * (random.random(spectrum.shape) < 0.5)
    expected = transform.istft(spectrum, k1=length, f_axis=0)
    np.testing.assert_allclose(bands.inverse(transform, spectrum, length), expected, atol=1e-12)
