"""Augmentation of audio, alone and in a model."""

import re

import contract
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_input import refused
from small_towers import audio, patches, recurrent, waveform

from multimodal_tf.config import AudioAugmentation, Config
from multimodal_tf.models import build_model, build_towers, embeddings
from multimodal_tf.models.towers.augment_audio import RandomGain, SpecAugment, TimeShift, WhiteNoise


class TestTimeShift:
    def test_a_row_is_shifted_by_whole_samples_within_bounds_and_padded_with_silence(self):
        x = np.tile(np.pad(np.arange(1, 11, dtype="float32"), (10, 10)), (200, 1))
        moved = TimeShift(4, seed=0)(x, training=True).numpy()
        shifts = moved.argmax(axis=1) - 19
        assert set(shifts) == set(range(-4, 5))
        for row, shift in zip(moved, shifts):
            np.testing.assert_array_equal(row, np.roll(x[0], shift))

    def test_it_does_not_wrap_around(self):
        x = np.arange(1, 11, dtype="float32")
        for row in TimeShift(5, seed=0)(np.tile(x, (50, 1)), training=True).numpy():
            shift = 1 - int(row[0]) if row[0] else np.flatnonzero(row)[0]
            np.testing.assert_array_equal(row, np.pad(x, 10)[10 - shift : 20 - shift])

    def test_no_row_becomes_silent(self):
        x = np.zeros((100, 20), "float32")
        x[:, :2] = 1
        assert TimeShift(19, seed=0)(x, training=True).numpy().any(axis=1).all()
        assert not TimeShift(19, seed=0)(np.zeros_like(x), training=True).numpy().any()


def test_gain_is_uniform_in_decibels_and_constant_in_a_row():
    x = np.random.default_rng(0).normal(size=(2000, 4)).astype("float32")
    gain = RandomGain(6.0, seed=0)(x, training=True).numpy() / x
    np.testing.assert_allclose(gain, np.tile(gain[:, :1], 4), rtol=1e-5)
    decibels = 20 * np.log10(gain[:, 0])
    assert -6 <= decibels.min() < -5.9
    assert 5.9 < decibels.max() <= 6
    assert abs(decibels.mean()) < 0.3


def test_noise_has_its_level_and_ends_with_the_clip():
    x = np.zeros((4, 20_000), "float32")
    x[:3, 10_000:10_004] = 0.5
    noise = WhiteNoise(-40.0, seed=0)(x, training=True).numpy() - x
    assert not noise[:, 10_004:].any()
    assert not noise[3].any(), "a silent or missing row"
    loudness = 20 * np.log10(np.sqrt((noise[:3, :10_004] ** 2).mean(axis=1)))
    np.testing.assert_allclose(loudness, -40, atol=0.2)
    assert abs(np.corrcoef(noise[0, :10_000], noise[1, :10_000])[0, 1]) < 0.05


class TestSpecAugment:
    def test_masks_are_spans_and_bands_within_the_clip(self):
        x, valid = (
            np.zeros((500, 30, 12), "float32"),
            np.arange(30) < np.array([[20]] * 499 + [[3]]),
        )
        silent = SpecAugment(1, 5, 1, 4, seed=0)(x, valid, training=True).numpy() == -60
        assert set(np.unique(silent)) == {False, True}
        frames, bands = silent.all(axis=2), silent.all(axis=1)
        np.testing.assert_array_equal(silent, frames[:, :, None] | bands[:, None, :])
        assert not frames[~valid].any()
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
    def test_several_masks_cover_no_more_than_their_widths(self, times, width, bands, height, seed):
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


def augmented(input_config, **changes):
    return input_config.model_copy(update={"augmentation": AUGMENTATION.model_copy(update=changes)})


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
def test_augmentation_changes_training_only_and_is_reproducible_by_seed(make, changes):
    plain, input_config = (
        contract.with_input(make()),
        contract.with_input(augmented(make(), **changes)),
    )
    rows = contract.without(
        contract.rows_of(input_config, 4), "probe", np.array([False, True, False, False])
    )
    without, first, second = (
        embeddings(build_model(config, contract.schema_of(config)))
        for config in (plain, input_config, input_config)
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
        contract.save_and_load,
        contract.mixed_precision,
        contract.all_missing_is_finite,
    ):
        check(config, tmp_path)
    without = config.model_copy(
        update={"fusion": config.fusion.model_copy(update={"presence": False})}
    )
    contract.shape_and_dtype(without, tmp_path)
    contract.random_in_a_strategy(config, tmp_path)


def test_the_steps_are_in_order():
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
            r"^inputs\.probe\.augmentation\.shift_ms: must be less than the input's 0\.1 seconds,"
            r" received 100",
        ),
        (
            {"time_mask_ms": 100},
            r"^inputs\.probe\.augmentation\.time_mask_ms: .* less than all 10, received 100.*,"
            r" which is 10$",
        ),
        (
            {"time_mask_ms": 4},
            r"^inputs\.probe\.augmentation\.time_mask_ms: must span from 1 frame .* received 4.*,"
            r" which is 0$",
        ),
        (
            {"frequency_mask_bins": 8},
            r"^inputs\.probe\.augmentation\.frequency_mask_bins: .* tower\.mel_bins \(8\),"
            r" received 8$",
        ),
    ],
)
def test_an_impossible_augmentation_is_refused(changes, message):
    assert re.search(message, refused(augmented(audio(), **changes)))


def test_spectrogram_masks_are_refused_for_a_tower_without_a_spectrogram():
    fields = contract.with_input(waveform()).model_dump()
    fields["inputs"]["probe"]["augmentation"]["time_masks"] = 2
    with pytest.raises(
        ValueError,
        match=r"inputs\.probe.*: augmentation: time_masks and"
        r" .* received \{'time_masks': 2, .* for a waveform_cnn",
    ):
        Config.from_yaml(
            str(fields).replace("None", "null").replace("True", "true").replace("False", "false")
        )


def test_a_spectrogram_is_float32_under_mixed_precision():
    x = np.random.default_rng(0).uniform(-1, 1, (2, 400)).astype("float32")
    config, found = contract.with_input(augmented(audio())), []
    for policy in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        try:
            model = build_towers(config, contract.schema_of(config))
        finally:
            keras.config.set_dtype_policy("float32")
        inner = keras.Model(model.input, model.get_layer("probe_scale").output)
        rows = {"probe": x, "other": np.zeros(2, "float32")} | {
            f"{name}_present": np.ones(2, "float32") for name in ("probe", "other")
        }
        found.append(inner(rows))
    np.testing.assert_array_equal(*found)
