"""Views of cells: what is changed, by how much, and that only cell, step and seed decide it."""

import keras
import numpy as np
import pytest

from multimodal_tf.config import (
    AudioAugmentation,
    AudioInput,
    ImageAugmentation,
    ImageInput,
    NumberInput,
)
from multimodal_tf.models import views
from multimodal_tf.models.towers.encoding import TowerInput
from multimodal_tf.models.views.audio import AudioView
from multimodal_tf.models.views.image import ImageView
from multimodal_tf.models.views.text import TextView

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((40, 12, 10, 3)).astype("float32")
CLIPS = RANDOM.uniform(-0.5, 0.5, (40, 200)).astype("float32")
CLIPS[:, 150:] = 0
TEXTS = np.where(np.arange(9) < np.arange(40)[:, None] % 10, RANDOM.integers(2, 99, (40, 9)), 0)
TEXTS = TEXTS.astype("int32")
LAYERS = {
    "image": (ImageView(0.5, 0.5, True, True, 0.2, seed=1), IMAGES),
    "audio": (AudioView(20, 6.0, 0.01, 2, 20, seed=1), CLIPS),
    "text": (TextView(0.4, seed=1), TEXTS),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_draws_depend_on_the_cell_the_step_and_the_seed_alone(kind):
    layer, cells = LAYERS[kind]
    whole = layer(cells).numpy()
    assert whole.shape == cells.shape
    assert whole.dtype == cells.dtype
    np.testing.assert_array_equal(layer(cells), whole)
    np.testing.assert_allclose(layer(cells[[7, 3]]), whole[[7, 3]], atol=1e-6)
    begun = int(layer.steps.numpy())
    trained = [layer(cells, training=True).numpy() for _ in range(2)]
    assert int(layer.steps.numpy()) == begun + 2
    different = type(layer).from_config({**layer.get_config(), "seed": 2})
    for one in (*trained, different(cells).numpy()):
        assert (one != whole).any()
    assert (trained[0] != trained[1]).any()
    # as a resumed training does
    layer.steps.assign(begun)
    np.testing.assert_array_equal(layer(cells, training=True), trained[0])


def test_an_image_without_changes_is_the_image():
    np.testing.assert_allclose(ImageView()(IMAGES), IMAGES, atol=1e-5)


@pytest.mark.parametrize("axis", [1, 2])
def test_flips_are_of_half_of_the_rows(axis):
    view = ImageView(vertical=axis == 1, horizontal=axis == 2, seed=0)(IMAGES).numpy()
    mirrored = np.flip(IMAGES, axis)
    same, flipped = (np.abs(view - one).max(axis=(1, 2, 3)) < 1e-5 for one in (IMAGES, mirrored))
    assert (same ^ flipped).all()
    assert 10 < flipped.sum() < 30


def test_a_crop_lies_within_the_image():
    # rows of pixels rise downwards, columns to the right: a crop has a part of each
    height, width = 21, 31
    down, right = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    image = np.stack([down / (height - 1), right / (width - 1)], axis=2)
    # rows differ by a third channel
    cells = np.stack([np.dstack([image, np.full_like(image[:, :, 0], n / 50)]) for n in range(50)])
    view = ImageView(crop=0.5, seed=0)(cells.astype("float32")).numpy()
    for channel, axis in ((0, 0), (1, 1)):
        low, high = (one(axis=(1, 2)) for one in (view[..., channel].min, view[..., channel].max))
        assert low.min() >= -1e-5
        assert high.max() <= 1 + 1e-5
        spans = high - low
        assert 0.45 < spans.min() < 0.6
        assert spans.max() > 0.9
        assert (low < 0.05).any()
        assert (high > 0.95).any()
        assert (np.diff(view[..., channel], axis=axis + 1) > 0).all()


def test_strength_changes_angle_and_colours_within_range():
    view = ImageView(strength=1.0, seed=0)(IMAGES).numpy()
    assert view.min() >= 0
    assert view.max() <= 1
    brightness = view.mean(axis=(1, 2, 3)) - IMAGES.mean(axis=(1, 2, 3))
    assert brightness.min() < -0.1
    assert brightness.max() > 0.1
    # a line to the right of the centre turns up and down, by 30 degrees at most
    line = np.zeros((30, 41, 41, 1), "float32")
    line[:, 20, 21:] = 1
    line[:, 0, 0, 0] = np.arange(30) / 100
    view = ImageView(strength=1.0, seed=0)(line).numpy()[..., 0]
    ends = view[:, :, 35].argmax(axis=1) - 20
    assert np.abs(ends).max() <= np.ceil(15 * np.tan(np.radians(30)))
    assert ends.min() < -2
    assert ends.max() > 2


def test_erased_squares_have_the_mean():
    view = ImageView(erasing=0.25, seed=0)(IMAGES).numpy()
    gone = (np.abs(view - IMAGES) > 1e-5).all(axis=3).mean(axis=(1, 2))
    assert gone.max() <= 0.25 + 0.1
    assert gone.max() > 0.1


def test_shifts_of_a_clip():
    ramp = (np.arange(1, 41) + np.arange(30)[:, None] / 100).astype("float32")
    view = AudioView(shift=5, seed=0)(ramp).numpy()
    offsets = set()
    for own, shifted in zip(ramp, view):
        fits = [n for n in range(-5, 6) if np.allclose(shifted, _shifted(own, n))]
        offsets.update(fits)
        assert fits
    assert len(offsets) > 5
    late = np.zeros((20, 30), "float32")
    late[:, -1] = np.arange(1, 21)
    assert AudioView(shift=5, seed=0)(late).numpy().any(axis=1).all()


def _shifted(own, offset):
    shifted = np.zeros_like(own)
    begin, end = max(offset, 0), len(own) + min(offset, 0)
    shifted[begin:end] = own[begin - offset : end - offset]
    return shifted


def test_loudness_noise_and_spans():
    louder = AudioView(decibels=6, seed=0)(CLIPS).numpy()[:, :150] / CLIPS[:, :150]
    np.testing.assert_allclose(louder, louder[:, :1] + np.zeros_like(louder), rtol=1e-4)
    assert 10 ** (-6 / 20) <= louder.min() < 0.7
    assert 1.5 < louder.max() <= 10 ** (6 / 20)
    noise = AudioView(noise=0.05, seed=0)(CLIPS).numpy() - CLIPS
    assert not noise[:, 150:].any()
    assert 0.04 < noise[:, :150].std() < 0.06
    assert np.abs(np.corrcoef(noise[:8, :150]) - np.eye(8)).max() < 0.5
    silent = AudioView(spans=1, span=30, seed=0)(CLIPS).numpy()
    gone = (silent[:, :150] == 0).sum(axis=1)
    assert gone.max() <= 31
    assert gone.max() > 20
    assert gone.min() < 10
    assert not AudioView(20, 6.0, 0.01, 2, 20)(np.zeros((2, 200), "float32")).numpy().any()


def test_texts_lose_tokens_and_keep_their_order():
    view = TextView(0.3, seed=0)(TEXTS).numpy()
    lost = total = 0
    for own, left in zip(TEXTS, view):
        own, left = own[own > 0].tolist(), left.tolist()
        end = left.index(0) if 0 in left else len(left)
        assert not any(left[end:]), "padding stands behind the tokens"
        rest = iter(own)
        assert all(token in rest for token in left[:end]), "in their order"
        assert end >= min(len(own), 1)
        lost, total = lost + len(own) - end, total + len(own)
    assert 0.2 < lost / total < 0.4


def test_frames_of_a_text_stay():
    # start 1, end 2, padding 2, as GPT's
    tokens = np.array([[1, 5, 6, 7, 2, 2], [1, 9, 2, 2, 2, 2], [1, 2, 2, 2, 2, 2]], "int32")
    layer = TextView(0.9, padding=2, ends_with_padding=True, starts=1, ends=1, seed=0)
    view = layer(tokens).numpy()
    assert (view[:, 0] == 1).all()
    assert view[1:].tolist() == tokens[1:].tolist(), "one token stays"
    assert 1 < (view[0] != 2).sum() < 4


def test_the_inputs_augmentation_says_what_is_changed():
    def layer(config, x, name):
        given = TowerInput("photo", config, None, keras.Input(x.shape[1:]), None)
        return views.view(given, name)._keras_history.operation

    strong = layer(ImageInput(height=12, width=10), IMAGES, "a")
    assert strong.crop > 0
    assert strong.strength > 0
    # a flipped digit is another one
    assert (strong.horizontal, strong.vertical) == (False, False)
    own = ImageAugmentation(flip="horizontal", erasing=0.1)
    mild = layer(ImageInput(height=12, width=10, augmentation=own), IMAGES, "b")
    settings = (mild.crop, mild.strength, mild.horizontal, mild.vertical, mild.erasing)
    assert settings == (0, 0, True, False, 0.1)
    sound = AudioInput(sample_rate=1000, seconds=0.2)
    assert layer(sound, CLIPS, "c").shift == 50, "a quarter of the clip at most"
    own = AudioAugmentation(gain_db=3, time_masks=1)
    quiet = layer(sound.model_copy(update={"augmentation": own}), CLIPS, "d")
    assert (quiet.shift, quiet.decibels, quiet.noise, quiet.spans) == (0, 3, None, 0)
    with pytest.raises(TypeError, match="number has no views"):
        views.view(TowerInput("price", NumberInput(), None, None, None), "e")
