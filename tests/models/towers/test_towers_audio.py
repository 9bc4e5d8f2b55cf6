"""Audio towers: spectrograms, masks, and the effect of padding with silence."""

import re

import contract
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from one_input import refused, vector
from small_towers import audio, patches, recurrent, waveform

from multimodal_tf.config import AudioInput
from multimodal_tf.models import build_towers
from multimodal_tf.models.towers.audio_mask import AudioMask, clip_length
from multimodal_tf.models.towers.spectrogram import FLOOR, LOWEST, LogMelSpectrogram, fft_length

# Hz, of the towers in `test_towers`
RATE = 4000


@pytest.fixture(scope="module")
def noise():
    """A second of noise, as a batch of one."""
    return np.random.default_rng(0).uniform(-1, 1, (1, RATE)).astype("float32")


class TestSpectrogram:
    def test_it_agrees_with_that_of_keras(self):
        random = np.random.default_rng(0)
        x = random.normal(size=(2, 4000)).astype("float32")
        ours = LogMelSpectrogram(sample_rate=4000, window=256, hop=64, fft_length=256, mel_bins=16)(
            x
        ).numpy()
        reference = keras.layers.MelSpectrogram(
            fft_length=256,
            sequence_stride=64,
            sampling_rate=4000,
            num_mel_bins=16,
            min_freq=LOWEST,
            min_power=FLOOR,
            top_db=1000,
        )(x).numpy()
        # Keras' windows are centred, so that ours at index i is its at i + 2. The ends differ by
        # their padding.
        middle = slice(2, 50)
        np.testing.assert_allclose(ours[:, middle], reference.swapaxes(1, 2)[:, 4:52], atol=1e-3)

    def test_a_tone_is_loudest_in_its_own_band(self):
        tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000).astype("float32")[None]
        decibels = LogMelSpectrogram(
            sample_rate=8000, window=200, hop=80, fft_length=256, mel_bins=16
        )(tone).numpy()[0, 10:-10]
        edges = 700 * np.expm1(
            np.linspace(1127 * np.log1p(LOWEST / 700), 1127 * np.log1p(4000 / 700), 18) / 1127
        )
        assert set(decibels.argmax(-1)) == {np.abs(edges[1:-1] - 1000).argmin()}

    @pytest.mark.parametrize(
        ("seconds", "frames"), [(0.0003, 1), (0.01, 1), (0.0103, 2), (0.1, 10)]
    )
    def test_it_has_its_static_shape_at_any_length(self, seconds, frames):
        input_config = audio(seconds)
        layer = LogMelSpectrogram(sample_rate=4000, window=100, hop=40, fft_length=128, mel_bins=8)
        assert (
            layer(np.zeros((2, input_config.samples), "float32")).shape
            == (2, frames, 8)
            == layer.compute_output_shape((2, input_config.samples))
        )
        assert np.isfinite(
            vector(input_config, contract.rows_of(contract.with_input(input_config), 2))
        ).all()

    def test_silence_and_its_gradient_are_finite(self):
        silence = tf.zeros((1, 400))
        layer = LogMelSpectrogram(sample_rate=4000, window=100, hop=40, fft_length=128, mel_bins=8)
        with tf.GradientTape() as tape:
            tape.watch(silence)
            decibels = layer(silence)
        np.testing.assert_allclose(decibels, -60)
        assert np.isfinite(tape.gradient(decibels, silence)).all()

    @pytest.mark.parametrize(
        ("rate", "window", "bins"),
        [
            (16000, 400, 64),
            (16000, 400, 128),
            (1000, 25, 64),
            (44100, 1102, 128),
            (192000, 4800, 8),
        ],
    )
    def test_no_mel_band_is_empty(self, rate, window, bins):
        length = fft_length(rate, window, bins)
        assert length >= window
        assert (
            tf.signal.linear_to_mel_weight_matrix(bins, length // 2 + 1, rate, LOWEST, rate / 2)
            .numpy()
            .any(0)
            .all()
        )


class TestAudioMask:
    @given(st.integers(1, 7), st.integers(1, 3), st.integers(0, 40))
    @settings(max_examples=30, deadline=None)
    def test_a_step_is_valid_if_one_of_its_samples_is(self, stride, per_step, length):
        x = np.zeros((1, 40), "float32")
        x[0, :length:2] = 0.1
        steps = -(-40 // stride)
        filled = np.pad(x[0], (0, steps * stride - 40)).reshape(steps, stride)
        # Silence within a clip is input_config of it.
        last = max(np.flatnonzero(filled.any(axis=1)), default=0)
        expected = np.repeat(np.arange(steps) <= last, per_step)
        np.testing.assert_array_equal(AudioMask(stride, steps, per_step)(x)[0], expected)
        assert clip_length(x)[0] == max(np.flatnonzero(x[0]) + 1, default=0)

    def test_every_tower_masks_the_padding(self):
        # 1 s at 4000 Hz, 0.25 s of which are the clip: samples per step, steps, tokens per step
        steps = {
            "cnn": (audio(1, filters=[4, 4]), 160, 25, 2),
            "crnn": (recurrent(1, filters=[4, 4, 4]), 160, 25, 1),
            "patches": (patches(1), 120, 34, 2),
            "waveform": (waveform(1), 27, 149, 1),
        }
        for name, (input_config, stride, count, per_step) in steps.items():
            tokens, mask, _ = encoded(
                input_config, np.pad(np.ones((1, 1000), "float32"), [(0, 0), (0, 3000)])
            )
            assert tokens.shape[:2] == mask.shape == (1, count * per_step), name
            np.testing.assert_array_equal(
                mask[0], np.repeat(np.arange(count) * stride < 1000, per_step), err_msg=name
            )

    def test_a_silent_clip_has_one_valid_step_and_a_missing_one_none(self):
        for input_config, per_step in (
            (audio(), 4),
            (recurrent(), 1),
            (patches(), 2),
            (waveform(), 1),
        ):
            for present in (1, 0):
                _, mask, found = encoded(
                    input_config, np.zeros((1, input_config.samples), "float32"), present
                )
                assert mask.sum() == per_step * present
                assert np.isfinite(found).all()


def towers_of(input_config):
    config = contract.with_input(input_config)
    return build_towers(config, contract.schema_of(config))


def with_equal_weights(make):
    """A tower over half a second and one over a second, with the same weights."""
    short, long = towers_of(make(0.5)), towers_of(make(1))
    # The longer one may have more position embeddings.
    for one, other in zip(short.weights, long.weights):
        other.assign(
            np.pad(one, [(0, long - short) for short, long in zip(one.shape, other.shape)])
        )
    return short, long


def encoded(input_config, x, present=1, model=None):
    """Tokens, mask and vector as arrays."""
    model = model or towers_of(input_config)
    rows = {"probe": x, "probe_present": np.full(len(x), present, "float32")}
    rows |= {"other": np.zeros(len(x), "float32"), "other_present": np.ones(len(x), "float32")}
    return [tensor.numpy() for tensor in model(rows)["probe"].values()]


@pytest.mark.parametrize(
    "make",
    [
        audio,
        lambda seconds: audio(seconds, filters=[4, 4], mel_bins=16, pooling="max", padding="valid"),
        recurrent,
        lambda seconds: recurrent(seconds, bidirectional=False, pooling="max"),
        lambda seconds: recurrent(seconds, depth=2, pooling="last"),
        patches,
        lambda seconds: patches(seconds, pooling="max"),
        waveform,
        lambda seconds: waveform(seconds, pooling="max"),
    ],
    ids=[
        "cnn",
        "cnn's largest",
        "crnn",
        "crnn one way",
        "crnn's ends",
        "patches",
        "patches' largest",
        "waveform",
        "waveform's largest",
    ],
)
def test_padding_with_silence_does_not_matter(make, noise):
    short, long = with_equal_weights(make)
    clip = noise[:, : RATE // 4]
    first = encoded(None, np.pad(clip, [(0, 0), (0, RATE // 4)]), model=short)
    second = encoded(None, np.pad(clip, [(0, 0), (0, 3 * RATE // 4)]), model=long)
    assert first[1].sum() == second[1].sum() < first[1].size
    np.testing.assert_allclose(first[2], second[2], rtol=1e-4)
    another = encoded(None, np.pad(clip / 10, [(0, 0), (0, RATE // 4)]), model=short)
    assert not np.allclose(first[2], another[2], rtol=1e-2)


def test_to_a_transformer_it_does_not_matter_for_a_clip_of_full_length_either(noise):
    short, long = with_equal_weights(patches)
    clip = noise[:, : RATE // 2]
    first, second = (
        encoded(None, x, model=model)[2]
        for x, model in ((clip, short), (np.pad(clip, [(0, 0), (0, RATE // 2)]), long))
    )
    np.testing.assert_allclose(first, second, rtol=1e-4)


def test_a_recurrent_tower_keeps_the_order_of_time(noise):
    """The second half of a clip changes the states of a forward GRU there, and none before."""
    input_config = recurrent(1, bidirectional=False)
    model, changed = towers_of(input_config), noise.copy()
    changed[:, RATE // 2 :] *= 0.1
    (tokens, _, _), (others, _, _) = (
        encoded(input_config, x, model=model) for x in (noise, changed)
    )
    # A step is 40 ms; convolutions see two steps ahead.
    halves = tokens.shape[1] // 2 - 2
    np.testing.assert_array_equal(tokens[:, :halves], others[:, :halves])
    assert (np.abs(tokens - others)[0, halves + 4 :] > 1e-4).any(axis=1).all()


def test_time_pools_set_the_number_of_steps():
    for pools, steps in ((0, 100), (1, 50), (2, 25), (9, 25)):
        model = towers_of(recurrent(1, time_pools=pools))
        assert model.output["probe"]["tokens"].shape == (None, steps, 10)


@pytest.mark.parametrize(
    ("samples", "stride", "blocks"), [(400, 3, 2), (405, 3, 2), (64, 4, 2), (65, 2, 3)]
)
def test_a_waveform_tower_has_a_last_step_that_is_padded(samples, stride, blocks):
    input_config = AudioInput(
        sample_rate=1000,
        seconds=samples / 1000,
        tower=waveform(filters=[4] * blocks, stride=stride, window_ms=9).tower,
    )
    model = towers_of(input_config)
    steps = -(-samples // stride ** (blocks + 1))
    assert (
        model.output["probe"]["tokens"].shape
        == model.output["probe"]["mask"].shape + (4,)
        == (None, steps, 4)
    )
    assert ("probe_fill" in {layer.name for layer in model.layers}) == (
        samples % stride ** (blocks + 1) > 0
    )


@pytest.mark.parametrize(
    ("input_config", "message"),
    [
        (
            audio(window_ms=0.1),
            r"^inputs\.probe\.tower: at 4000 Hz window_ms must span 2 samples"
            r" .* received 0\.1 and 10",
        ),
        (audio(hop_ms=0.01), r"^inputs\.probe\.tower: at 4000 Hz .* received 25\.0 and 0\.01"),
        (
            audio(hop_ms=30),
            r"^inputs\.probe\.tower\.hop_ms: must be at most window_ms \(25\.0\), received 30",
        ),
        (
            audio(filters=[4] * 5, padding="valid"),
            r"^inputs\.probe\.tower\.filters: .* of 10 x 8 in block 2",
        ),
        (
            recurrent(hop_ms=30),
            r"^inputs\.probe\.tower\.hop_ms: must be at most window_ms \(25\.0\), received 30",
        ),
        (
            recurrent(filters=[4] * 3, padding="valid"),
            r"^inputs\.probe\.tower\.filters: .* of 10 x 8 in block 2",
        ),
        (
            patches(patch_ms=110),
            r"^inputs\.probe\.tower\.patch_ms: .* to all 10 .* received 110\.0, which is 11$",
        ),
        (
            patches(patch_ms=4),
            r"^inputs\.probe\.tower\.patch_ms: .* from 1 frame .* received 4\.0, which is 0$",
        ),
        (
            patches(patch_bins=9),
            r"^inputs\.probe\.tower\.patch_bins: must be at most mel_bins \(8\), received 9$",
        ),
        (
            waveform(filters=[4] * 5),
            r"^inputs\.probe\.tower: a stride of 3 in 5 blocks .* 729 samples,"
            r" more than the input's 400: ",
        ),
        (
            waveform(window_ms=0.5),
            r"^inputs\.probe\.tower\.window_ms: at 4000 Hz must span 3 samples"
            r" .* received 0\.5, which is 2$",
        ),
    ],
)
def test_an_impossible_tower_is_refused(input_config, message):
    assert re.search(message, refused(input_config))


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match=r"heads must divide units \(8\), received 3"):
        patches(heads=3)
