"""Towers over sounds: spectrograms, masks, what silence may change, augmentation."""

import contract
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from test_towers import audio, patches, recurrent, vector, waveform

from multimodal_tf.config import AudioAugmentation, AudioInput, Config
from multimodal_tf.models import build_model, build_towers, embeddings
from multimodal_tf.models.towers.audio_mask import AudioMask, clip_length
from multimodal_tf.models.towers.augment_audio import RandomGain, SpecAugment, TimeShift, WhiteNoise
from multimodal_tf.models.towers.spectrogram import FLOOR, LOWEST, LogMelSpectrogram, fft_length

# Hz, of the towers in `test_towers`
RATE = 4000


def refused(part, message):
    config = contract.with_input(part)
    with pytest.raises(ValueError, match=message) as error:
        build_model(config, contract.schema_of(config))
    assert "\n" not in str(error.value)


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
        # Keras' windows are centred: ours number i is its number i + 2; the ends differ by what
        # they are filled with
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
    def test_that_of_any_length_has_its_static_shape(self, seconds, frames):
        part = audio(seconds)
        layer = LogMelSpectrogram(sample_rate=4000, window=100, hop=40, fft_length=128, mel_bins=8)
        assert (
            layer(np.zeros((2, part.samples), "float32")).shape
            == (2, frames, 8)
            == layer.compute_output_shape((2, part.samples))
        )
        assert np.isfinite(vector(part, contract.rows_of(contract.with_input(part), 2))).all()

    def test_silence_is_finite_and_so_is_its_gradient(self):
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
    def test_a_step_is_there_if_a_sample_of_it_is(self, stride, places, length):
        x = np.zeros((1, 40), "float32")
        x[0, :length:2] = 0.1
        steps = -(-40 // stride)
        filled = np.pad(x[0], (0, steps * stride - 40)).reshape(steps, stride)
        # silence within the sound is part of it
        last = max(np.flatnonzero(filled.any(axis=1)), default=0)
        expected = np.repeat(np.arange(steps) <= last, places)
        np.testing.assert_array_equal(AudioMask(stride, steps, places)(x)[0], expected)
        assert clip_length(x)[0] == max(np.flatnonzero(x[0]) + 1, default=0)

    def test_every_tower_masks_what_lies_behind_the_sound(self):
        # 1 s at 4000 Hz; the sound is the first 0.25 s; samples a step, steps and places
        steps = {
            "cnn": (audio(1, filters=[4, 4]), 160, 25, 2),
            "crnn": (recurrent(1, filters=[4, 4, 4]), 160, 25, 1),
            "patches": (patches(1), 120, 34, 2),
            "waveform": (waveform(1), 27, 149, 1),
        }
        for name, (part, stride, count, places) in steps.items():
            tokens, mask, _ = encoded(
                part, np.pad(np.ones((1, 1000), "float32"), [(0, 0), (0, 3000)])
            )
            assert tokens.shape[:2] == mask.shape == (1, count * places), name
            np.testing.assert_array_equal(
                mask[0], np.repeat(np.arange(count) * stride < 1000, places), err_msg=name
            )

    def test_silence_alone_has_its_first_moment_and_an_absent_sound_none(self):
        for part, places in ((audio(), 4), (recurrent(), 1), (patches(), 2), (waveform(), 1)):
            for present in (1, 0):
                _, mask, found = encoded(part, np.zeros((1, part.samples), "float32"), present)
                assert mask.sum() == places * present
                assert np.isfinite(found).all()


def towers_of(part):
    config = contract.with_input(part)
    return build_towers(config, contract.schema_of(config))


def alike(make):
    """A tower over one second and one over two, with the same weights."""
    short, long = towers_of(make(1)), towers_of(make(2))
    # the longer may have more positions
    for one, other in zip(short.weights, long.weights):
        other.assign(
            np.pad(one, [(0, more - there) for there, more in zip(one.shape, other.shape)])
        )
    return short, long


def encoded(part, x, present=1, model=None):
    """Tokens, mask and vector as arrays."""
    model = model or towers_of(part)
    rows = {"probe": x, "probe_present": np.full(len(x), present, "float32")}
    rows |= {"other": np.zeros(len(x), "float32"), "other_present": np.ones(len(x), "float32")}
    return [part.numpy() for part in model(rows)["probe"].values()]


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
def test_the_silence_behind_a_sound_does_not_matter(make, noise):
    short, long = alike(make)
    clip = noise[:, : RATE // 2]
    first = encoded(make(1), np.pad(clip, [(0, 0), (0, RATE // 2)]), model=short)
    second = encoded(make(2), np.pad(clip, [(0, 0), (0, 3 * RATE // 2)]), model=long)
    assert first[1].sum() == second[1].sum() < first[1].size
    np.testing.assert_allclose(first[2], second[2], rtol=1e-4)
    another = encoded(make(1), np.pad(clip / 10, [(0, 0), (0, RATE // 2)]), model=short)
    assert not np.allclose(first[2], another[2], rtol=1e-2)


def test_to_a_transformer_it_does_not_matter_either_where_the_sound_ends_with_the_input(noise):
    short, long = alike(patches)
    first, second = (
        encoded(None, x, model=model)[2]
        for x, model in ((noise, short), (np.pad(noise, [(0, 0), (0, RATE)]), long))
    )
    np.testing.assert_allclose(first, second, rtol=1e-4)


def test_a_recurrent_tower_keeps_the_order_of_time(noise):
    """The second half of a sound changes what a GRU forwards in time says there, and not what it
    said before.
    """
    part = recurrent(1, bidirectional=False)
    model, changed = towers_of(part), noise.copy()
    changed[:, RATE // 2 :] *= 0.1
    (tokens, _, _), (others, _, _) = (encoded(part, x, model=model) for x in (noise, changed))
    # a step is 40 ms, convolutions see two steps ahead
    halves = tokens.shape[1] // 2 - 2
    np.testing.assert_array_equal(tokens[:, :halves], others[:, :halves])
    assert (np.abs(tokens - others)[0, halves + 4 :] > 1e-4).any(axis=1).all()


def test_time_pools_say_how_much_time_is_kept():
    for pools, steps in ((0, 100), (1, 50), (2, 25), (9, 25)):
        model = towers_of(recurrent(1, time_pools=pools))
        assert model.output["probe"]["tokens"].shape == (None, steps, 10)


@pytest.mark.parametrize(
    ("samples", "stride", "blocks"), [(400, 3, 2), (405, 3, 2), (64, 4, 2), (65, 2, 3)]
)
def test_a_waveform_tower_has_a_step_for_every_begun_one(samples, stride, blocks):
    part = AudioInput(
        sample_rate=1000,
        seconds=samples / 1000,
        tower=waveform(filters=[4] * blocks, stride=stride, window_ms=9).tower,
    )
    model = towers_of(part)
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
    ("part", "message"),
    [
        (
            audio(window_ms=0.1),
            r"^inputs\.probe\.tower: at 4000 Hz window_ms must span 2 samples .* received 0\.1 and 10",
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
            r"^inputs\.probe\.tower: a stride of 3 in 5 blocks .* 729 samples, more than the input's 400: ",
        ),
        (
            waveform(window_ms=0.5),
            r"^inputs\.probe\.tower\.window_ms: at 4000 Hz must span 3 samples .* received 0\.5, which is 2$",
        ),
    ],
)
def test_a_tower_that_cannot_be_is_refused(part, message):
    refused(part, message)


class TestTimeShift:
    def test_a_row_is_moved_by_whole_samples_within_bounds_and_filled_with_silence(self):
        x = np.tile(np.pad(np.arange(1, 11, dtype="float32"), (10, 10)), (200, 1))
        moved = TimeShift(4, seed=0)(x, training=True).numpy()
        shifts = moved.argmax(axis=1) - 19
        assert set(shifts) == set(range(-4, 5))
        for row, shift in zip(moved, shifts):
            np.testing.assert_array_equal(row, np.roll(x[0], shift))

    def test_what_leaves_is_cut_off_and_does_not_come_back_at_the_other_end(self):
        x = np.arange(1, 11, dtype="float32")
        for row in TimeShift(5, seed=0)(np.tile(x, (50, 1)), training=True).numpy():
            shift = 1 - int(row[0]) if row[0] else np.flatnonzero(row)[0]
            np.testing.assert_array_equal(row, np.pad(x, 10)[10 - shift : 20 - shift])

    def test_nothing_falls_silent(self):
        x = np.zeros((100, 20), "float32")
        x[:, :2] = 1
        assert TimeShift(19, seed=0)(x, training=True).numpy().any(axis=1).all()
        assert not TimeShift(19, seed=0)(np.zeros_like(x), training=True).numpy().any()


def test_gain_is_even_in_decibels_and_one_a_row():
    x = np.random.default_rng(0).normal(size=(2000, 4)).astype("float32")
    gain = RandomGain(6.0, seed=0)(x, training=True).numpy() / x
    np.testing.assert_allclose(gain, np.tile(gain[:, :1], 4), rtol=1e-5)
    decibels = 20 * np.log10(gain[:, 0])
    assert -6 <= decibels.min() < -5.9
    assert 5.9 < decibels.max() <= 6
    assert abs(decibels.mean()) < 0.3


def test_noise_has_its_level_and_ends_with_the_sound():
    x = np.zeros((4, 20_000), "float32")
    x[:3, 10_000:10_004] = 0.5
    noise = WhiteNoise(-40.0, seed=0)(x, training=True).numpy() - x
    assert not noise[:, 10_004:].any()
    assert not noise[3].any(), "a row of silence, or an absent one"
    loudness = 20 * np.log10(np.sqrt((noise[:3, :10_004] ** 2).mean(axis=1)))
    np.testing.assert_allclose(loudness, -40, atol=0.2)
    assert abs(np.corrcoef(noise[0, :10_000], noise[1, :10_000])[0, 1]) < 0.05


class TestSpecAugment:
    def test_masks_are_whole_stretches_and_bands_within_the_sound(self):
        x, there = (
            np.zeros((500, 30, 12), "float32"),
            np.arange(30) < np.array([[20]] * 499 + [[3]]),
        )
        silent = SpecAugment(1, 5, 1, 4, seed=0)(x, there, training=True).numpy() == -60
        assert set(np.unique(silent)) == {False, True}
        frames, bands = silent.all(axis=2), silent.all(axis=1)
        np.testing.assert_array_equal(silent, frames[:, :, None] | bands[:, None, :])
        assert not frames[~there].any()
        for masks, widest in ((frames, 5), (bands, 4)):
            widths = masks.sum(axis=1)
            assert set(widths[:499]) == set(range(widest + 1))
            begins_and_ends = np.diff(np.pad(masks, [(0, 0), (1, 1)]).astype(int), axis=1)
            assert (np.abs(begins_and_ends).sum(axis=1) == 2 * (widths > 0)).all(), "one stretch"
        assert frames[:, 0].any()
        assert frames[:, 19].any()

    @given(
        st.integers(0, 2),
        st.integers(1, 9),
        st.integers(0, 2),
        st.integers(1, 4),
        st.integers(0, 2**31 - 1),
    )
    @settings(max_examples=20, deadline=None)
    def test_several_masks_silence_no_more_than_their_widths(
        self, times, width, bands, height, seed
    ):
        x = np.zeros((8, 20, 10), "float32")
        layer = SpecAugment(times, width, bands, height, seed=seed)
        silent = layer(x, np.ones((8, 20), bool), training=True).numpy() == -60
        frames, bins = silent.all(axis=2), silent.all(axis=1)
        assert frames.sum(axis=1).max() <= times * width
        assert bins.sum(axis=1).max() <= bands * height
        np.testing.assert_array_equal(silent, frames[:, :, None] | bins[:, None, :])


AUGMENTATION = AudioAugmentation(
    shift_ms=10,
    gain_db=6,
    noise_db=-30,
    time_masks=1,
    time_mask_ms=30,
    frequency_masks=1,
    frequency_mask_bins=2,
)


def augmented(part, **changes):
    return part.model_copy(update={"augmentation": AUGMENTATION.model_copy(update=changes)})


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (audio, {}),
        (recurrent, {}),
        (patches, {}),
        (waveform, {"time_masks": 0, "frequency_masks": 0}),
    ],
    ids=["cnn", "crnn", "patches", "waveform"],
)
def test_augmentation_changes_training_alone_and_a_seed_repeats_it(make, changes):
    plain, part = contract.with_input(make()), contract.with_input(augmented(make(), **changes))
    rows = contract.without(
        contract.rows_of(part, 4), "probe", np.array([False, True, False, False])
    )
    without, first, second = (
        embeddings(build_model(config, contract.schema_of(config)))
        for config in (plain, part, part)
    )
    first.set_weights(without.get_weights())
    second.set_weights(without.get_weights())
    np.testing.assert_array_equal(without(rows)["probe"], first(rows)["probe"])
    one, other, later = (
        model(rows, training=True)["probe"].numpy() for model in (first, second, first)
    )
    np.testing.assert_array_equal(one, other)
    assert not np.allclose(one, later)
    assert not np.allclose(one, without(rows, training=True)["probe"])
    assert not one[1].any()


def test_an_augmented_model_keeps_the_contract(tmp_path):
    config = contract.with_input(augmented(audio()))
    for check in (
        contract.config_round_trip,
        contract.save_and_load,
        contract.mixed_precision,
        contract.all_absent_is_finite,
    ):
        check(config, tmp_path)
    without = config.model_copy(
        update={"fusion": config.fusion.model_copy(update={"presence": False})}
    )
    contract.shape_and_dtype(without, tmp_path)
    contract.in_a_strategy(config, tmp_path)


def test_the_steps_of_augmentation_come_in_order():
    config = contract.with_input(augmented(audio()))
    names = [layer.name for layer in build_model(config, contract.schema_of(config)).layers]
    order = [
        "probe_value",
        "probe_shift",
        "probe_gain",
        "probe_noise",
        "probe_spectrogram",
        "probe_spec_augment",
        "probe_scale",
    ]
    assert [name for name in names if name in order] == order


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"shift_ms": 100},
            r"^inputs\.probe\.augmentation\.shift_ms: must be less than the input's 0\.1 seconds, received 100",
        ),
        (
            {"time_mask_ms": 100},
            r"^inputs\.probe\.augmentation\.time_mask_ms: .* less than all 10, received 100.*, which is 10$",
        ),
        (
            {"time_mask_ms": 4},
            r"^inputs\.probe\.augmentation\.time_mask_ms: must span from 1 frame .* received 4.*, which is 0$",
        ),
        (
            {"frequency_mask_bins": 8},
            r"^inputs\.probe\.augmentation\.frequency_mask_bins: .* tower\.mel_bins \(8\), received 8$",
        ),
    ],
)
def test_an_augmentation_that_cannot_be_is_refused(changes, message):
    refused(augmented(audio(), **changes), message)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match=r"heads must divide units \(8\), received 3"):
        patches(heads=3)


def test_masks_of_a_spectrogram_are_refused_where_there_is_none():
    fields = contract.with_input(waveform()).model_dump()
    fields["inputs"]["probe"]["augmentation"]["time_masks"] = 2
    with pytest.raises(
        ValueError,
        match=r"inputs\.probe.*: augmentation: time_masks and .* received \{'time_masks': 2, .* for a waveform_cnn",
    ):
        Config.from_yaml(
            str(fields).replace("None", "null").replace("True", "true").replace("False", "false")
        )


def test_under_mixed_precision_a_spectrogram_is_as_exact_as_without():
    x = np.random.default_rng(0).uniform(-1, 1, (2, 400)).astype("float32")
    found = []
    for policy in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        try:
            model = towers_of(augmented(audio()))
        finally:
            keras.config.set_dtype_policy("float32")
        inner = keras.Model(model.input, model.get_layer("probe_scale").output)
        rows = {"probe": x, "other": np.zeros(2, "float32")} | {
            f"{name}_present": np.ones(2, "float32") for name in ("probe", "other")
        }
        found.append(inner(rows))
    np.testing.assert_array_equal(*found)
