"""Corruptions of audio: exact ratios, damage that grows with severity, a WAV of the same format."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media import audio_bytes

from multimodal_tf.config import AudioInput
from multimodal_tf.corruptions import SEVERITIES, audio, corrupted, wav
from multimodal_tf.data.kinds import kind_of

RATE = 16_000
INPUT = AudioInput(sample_rate=RATE, seconds=0.5)


def voice(seconds=0.5, rate=RATE, seed=0, channels=1):
    """Harmonics with a varying envelope, as in speech, up to above 4 kHz, far from full scale.

    float32 `(samples, channels)`.
    """
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate))[:, None] / rate
    tones = sum(
        np.sin(2 * np.pi * k * (110 + 30 * seed) * time + random.uniform(0, 6, channels))
        / np.sqrt(k)
        for k in range(1, 50)
    )
    return (0.01 * tones * (1.1 + np.sin(2 * np.pi * 4 * time))).astype(np.float32)


POOL = [wav.encode(voice(seed=seed), RATE) for seed in range(8)]
BABBLE = audio.babble(POOL)
ALL = (*audio.ALL, BABBLE)
NOISES = (audio.WHITE_NOISE, audio.PINK_NOISE, BABBLE)
BY_NAME = pytest.mark.parametrize("corruption", ALL, ids=lambda corruption: corruption.name)


def one(data, corruption, severity, row=0):
    (cell,) = corrupted([data], "sound", corruption, severity, 0, [row])
    return cell


def ratio(changed, original):
    """Signal-to-noise ratio in dB, for a signal that may have been scaled."""
    changed, original = changed.astype(float), original.astype(float)
    signal = original * np.sum(changed * original) / np.sum(original**2)
    return 10 * np.log10(np.sum(signal**2) / np.sum((changed - signal) ** 2))


@pytest.mark.parametrize("corruption", NOISES, ids=lambda corruption: corruption.name)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_noise_has_the_configured_ratio(corruption, severity):
    waveform = voice(seed=9, channels=2)
    # 16 bits could not represent the noise of the second
    for loudness in (1, 1e-3):
        changed, _ = wav.decode(one(wav.encode(waveform * loudness, RATE), corruption, severity))
        noise = changed.astype(float) - waveform * loudness
        found = 10 * np.log10(np.mean((waveform * loudness).astype(float) ** 2) / np.mean(noise**2))
        assert found == pytest.approx(corruption.strengths[severity - 1], abs=0.1)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_clipping_has_the_configured_ratio(severity):
    waveform = voice(channels=2)
    changed, _ = wav.decode(one(wav.encode(waveform, RATE), audio.CLIPPING, severity))
    found = 10 * np.log10(
        np.mean(waveform.astype(float) ** 2) / np.mean((changed.astype(float) - waveform) ** 2)
    )
    assert found == pytest.approx(audio.CLIPPING.strengths[severity - 1], abs=0.1)
    threshold = np.abs(changed).max()
    assert np.clip(waveform, -threshold, threshold) == pytest.approx(changed, abs=1e-6)


@pytest.mark.parametrize(
    "corruption",
    [each for each in ALL if each is not audio.SPEED],
    ids=lambda corruption: corruption.name,
)
def test_the_ratio_of_signal_to_damage_falls_with_severity(corruption):
    waveform = voice(seed=9)
    found = [
        np.mean(
            [
                ratio(
                    wav.decode(one(wav.encode(waveform, RATE), corruption, severity, row))[0],
                    waveform,
                )
                for row in range(8)
            ]
        )
        for severity in SEVERITIES
    ]
    assert all(after < before for before, after in zip(found, found[1:])), found


def test_speed_changes_length_and_pitch_both_ways():
    time = np.arange(RATE)[:, None] / RATE
    tone = wav.encode(0.5 * np.sin(2 * np.pi * 1000 * time), RATE)
    for severity, percent in zip(SEVERITIES, audio.SPEED.strengths):
        lengths = set()
        for row in range(12):
            changed, rate = wav.decode(one(tone, audio.SPEED, severity, row))
            pitch = np.abs(np.fft.rfft(changed[:, 0])).argmax() * RATE / len(changed)
            assert pitch * len(changed) == pytest.approx(1000 * RATE, rel=0.01)
            lengths.add(len(changed))
        assert sorted(lengths) == pytest.approx(
            [RATE / (1 + percent / 100), RATE * (1 + percent / 100)], abs=1
        )


@BY_NAME
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_rate_channels_and_length_of_every_encoding_stay(corruption, subtype):
    data = audio_bytes(voice(0.1, 22_050, channels=2), 22_050, subtype=subtype)
    changed, rate = wav.decode(one(data, corruption, 3))
    assert (rate, changed.shape[1]) == (22_050, 2)
    assert changed.shape[0] == 2205 or corruption is audio.SPEED


@BY_NAME
def test_unusual_waveforms(corruption):
    rough = np.array([[np.nan], [np.inf], [-np.inf], [1e30], [0.1]], np.float32)
    for waveform in (
        np.zeros([800, 1]),
        np.full([1, 1], 0.5),
        np.zeros([1, 2]),
        np.full([2, 1], -1.0),
        rough,
        voice(0.5) * 50,
    ):
        for severity in (1, 5):
            cell = one(wav.encode(waveform, RATE), corruption, severity)
            changed, _ = wav.decode(cell)
            assert kind_of(INPUT).problem(cell) == ""
            assert np.abs(changed).max() <= 1
            assert changed.shape == waveform.shape or corruption is audio.SPEED
            if not waveform.any():
                assert not changed.any()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3000),
    st.integers(1, 2),
    st.sampled_from(ALL),
    st.sampled_from(SEVERITIES),
    st.sampled_from([8000, 11_025, 44_100]),
)
def test_any_length_is_kept(length, channels, corruption, severity, rate):
    waveform = np.random.default_rng(length).uniform(-0.2, 0.2, [length, channels])
    changed, found = wav.decode(one(wav.encode(waveform, rate), corruption, severity))
    assert (found, changed.shape[1]) == (rate, channels)
    assert len(changed) == length or corruption is audio.SPEED


def test_noise_above_full_scale_scales_all_down_and_keeps_the_ratio():
    loud = 0.99 * np.sign(voice(seed=9))
    changed, _ = wav.decode(one(wav.encode(loud, RATE), audio.WHITE_NOISE, 5))
    assert np.abs(changed).max() == pytest.approx(1)
    # the noise is not quite orthogonal to the waveform
    assert ratio(changed, loud) == pytest.approx(0, abs=0.3)


def test_pink_noise_has_as_much_power_in_each_octave():
    waveform = voice(8)
    changed, _ = wav.decode(one(wav.encode(waveform, RATE), audio.PINK_NOISE, 5))
    power = np.abs(np.fft.rfft((changed - waveform)[:, 0])) ** 2
    frequency = np.fft.rfftfreq(len(waveform), 1 / RATE)
    octaves = [
        power[(frequency >= low) & (frequency < 2 * low)].sum() for low in (250, 500, 1000, 2000)
    ]
    assert octaves == pytest.approx([np.mean(octaves)] * 4, rel=0.15)


def test_low_pass_removes_high_and_keeps_low_frequencies():
    time = np.arange(RATE)[:, None] / RATE
    low, high = (0.3 * np.sin(2 * np.pi * frequency * time) for frequency in (500, 4000))
    changed, _ = wav.decode(one(wav.encode(low + high, RATE), audio.LOW_PASS, 3))
    # an octave above the cut-off, order 8
    assert np.abs(changed - low)[1000:-1000].max() == pytest.approx(0.3 / 2**8, rel=0.02)


def test_masked_time_and_lost_packets_are_silent_and_the_rest_is_unchanged():
    waveform = voice(10, seed=9)
    for corruption in (audio.TIME_MASKING, audio.DROPOUT):
        changed, _ = wav.decode(one(wav.encode(waveform, RATE), corruption, 4))
        gone = (changed == 0) & (waveform != 0)
        assert np.mean(gone) == pytest.approx(corruption.strengths[3], abs=0.05)
        assert (changed[~gone] == waveform[~gone]).all()
    starts_and_ends = np.count_nonzero(
        np.diff(
            (wav.decode(one(wav.encode(waveform, RATE), audio.TIME_MASKING, 4))[0] == 0)[
                :, 0
            ].astype(int)
        )
    )
    assert starts_and_ends <= 2


def test_reverberation_has_the_configured_decay_and_keeps_the_power():
    click = np.zeros([2 * RATE, 1], np.float32)
    click[0] = 0.5
    seconds, direct = audio.REVERBERATION.strengths[2]
    changed, _ = wav.decode(one(wav.encode(click, RATE), audio.REVERBERATION, 3))
    changed = changed[:, 0].astype(float)
    assert 10 * np.log10(changed[0] ** 2 / np.sum(changed[1:] ** 2)) == pytest.approx(
        direct, abs=0.1
    )
    early, late = (
        np.mean(changed[start : start + 800] ** 2) for start in (800, 800 + int(0.5 * RATE))
    )
    assert 10 * np.log10(early / late) == pytest.approx(60 * 0.5 / seconds, abs=1.5)
    loud = voice(1)
    changed, _ = wav.decode(one(wav.encode(loud, RATE), audio.REVERBERATION, 3))
    assert np.sum(changed.astype(float) ** 2) == pytest.approx(
        np.sum(loud.astype(float) ** 2), rel=1e-3
    )


def test_babble_excludes_the_cell_s_own_file():
    two = audio.babble(POOL[:2])
    changed, _ = wav.decode(one(POOL[0], two, 5))
    own, other = (wav.decode(data)[0][:, 0].astype(float) for data in POOL[:2])
    spectra = [np.abs(np.fft.rfft(waveform)) for waveform in (changed[:, 0] - own, own, other)]
    likeness = [np.corrcoef(spectra[0], spectrum)[0, 1] for spectrum in spectra[1:]]
    assert likeness[1] > 0.95 > likeness[0]


def test_babble_takes_files_of_another_rate_and_length():
    pool = [wav.encode(voice(0.05, 8000, seed), 8000) for seed in range(3)]
    changed, rate = wav.decode(one(POOL[0], audio.babble(pool), 5))
    assert (changed.shape, rate) == ((RATE // 2, 1), RATE)


@pytest.mark.parametrize(
    "pool", [[], POOL[:1] * 3, [POOL[0], wav.encode(np.zeros([9, 1]), RATE), b""]]
)
def test_babble_of_fewer_than_two_files_is_refused(pool):
    with pytest.raises(
        ValueError, match="at least 2 different files that are not silent, received"
    ):
        audio.babble(pool)


@pytest.mark.parametrize(
    "data", [b"RIFF no more", wav.encode(voice(), RATE)[:30], wav.encode(np.zeros([0, 1]), RATE)]
)
def test_a_broken_audio_file_is_refused(data):
    with pytest.raises(ValueError, match="row 4 of the input 'sound': a file must"):
        corrupted([data], "sound", audio.LOW_PASS, 1, 0, [4])
