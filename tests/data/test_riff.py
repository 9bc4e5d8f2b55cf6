"""WAV files to samples, compared with libsndfile, and invalid headers.

Every encoding is decoded eagerly, in tf.data and in a SavedModel.
"""

import struct

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from media import audio_bytes, samples_of

from multimodal_tf.data.codecs import riff

RATE, SAMPLES = 8000, 4000
ONE_FILE = [tf.TensorSpec([], tf.string)]

decode = tf.function(lambda data: riff.decode(data, RATE, SAMPLES), input_signature=ONE_FILE)
parse = tf.function(riff.parse, input_signature=ONE_FILE)
problem = tf.function(riff.problem, input_signature=ONE_FILE)
resample = tf.function(
    lambda waveform, rate: riff.resample(waveform, rate, 16_000, 3),
    input_signature=[tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.int64)],
)


def reason(data):
    return problem(data).numpy().decode()


def noise(frames=1001, channels=1):
    return np.random.default_rng(7).uniform(-1, 1, (frames, channels))


def written(waveform, rate=RATE, subtype="PCM_16", kind="WAV"):
    """The file that libsndfile writes."""
    return audio_bytes(waveform, rate, kind, subtype=subtype)


def by_soundfile(data):
    """What libsndfile reads: `(mean of the channels, rate)`."""
    waveform, rate = samples_of(data, always_2d=True)
    return waveform.mean(axis=1), rate


def wav(
    body,
    tag=1,
    channels=1,
    rate=RATE,
    bits=16,
    extra=b"",
    before=b"",
    data_size=None,
    riff_size=None,
):
    """A WAV written by hand, with any sizes.

    `extra` follows in the fmt chunk; `before` is between the fmt and the data chunk.
    """
    block = channels * ((bits + 7) // 8)
    form = (
        struct.pack("<HHIIHH", tag, channels, rate, rate * block % 2**32, block % 2**16, bits)
        + extra
    )
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + before
    chunks += b"data" + struct.pack("<I", len(body) if data_size is None else data_size) + body
    return b"RIFF" + struct.pack("<I", len(chunks) if riff_size is None else riff_size) + chunks


def shorts(*values):
    return struct.pack(f"<{len(values)}h", *values)


def samples(data):
    return parse(data)[0].numpy()


# --- reading


@pytest.mark.parametrize("channels", [1, 2, 3, 7])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_encoding_agrees_with_libsndfile(subtype, kind, channels):
    data = written(noise(channels=channels), 12_345, subtype, kind)
    expected, rate = by_soundfile(data)
    found, found_rate = parse(data)
    assert reason(data) == ""
    assert found.dtype == tf.float32
    assert found_rate.numpy() == rate
    # beyond, NumPy's mean may add in another order
    if channels <= 2:
        assert (found.numpy() == expected).all()
    np.testing.assert_allclose(found, expected, atol=1.2e-7, rtol=0)


def test_hand_worked_samples():
    assert samples(wav(bytes([0, 128, 255, 64]), bits=8)).tolist() == [-1, 0, 127 / 128, -0.5]
    assert samples(wav(shorts(-32768, 16384))).tolist() == [-1, 0.5]
    assert samples(wav(b"\0\0\x80\0\0\x40\xff\xff\xff", bits=24)).tolist() == [-1, 0.5, -(2.0**-23)]
    assert samples(wav(shorts(1000, 3000, -1000, -3000), channels=2)).tolist() == [
        2000 / 32768,
        -2000 / 32768,
    ]


def test_chunks_before_the_samples_are_stepped_over_with_the_padding_of_odd_ones():
    before = b"LIST\x05\0\0\0data1\0" + b"junk\0\0\0\0" + b"fact\x04\0\0\0\x02\0\0\0"
    data = wav(shorts(1, 2), before=before)
    assert samples(data).tolist() == by_soundfile(data)[0].tolist() == [1 / 32768, 2 / 32768]


@pytest.mark.parametrize(
    ("data_size", "riff_size"),
    [(2**32 - 1, 2**32 - 1), (0, 0), (0, 2**32 - 1), (0, 36), (0, 8), (2**31, 2**31 + 36)],
)
def test_a_stream_of_unknown_length_is_read_to_its_end(data_size, riff_size):
    data = wav(shorts(5, 6, 7), data_size=data_size, riff_size=riff_size)
    assert reason(data) == ""
    assert samples(data).tolist() == [5 / 32768, 6 / 32768, 7 / 32768]


def test_a_truncated_file_gives_what_is_there():
    whole = wav(shorts(*range(100)), channels=2)
    # the last frame lacks 3 bytes
    assert samples(whole[:-7]).tolist() == samples(whole).tolist()[:-2]


def test_bytes_after_the_samples_are_no_sound():
    assert len(samples(wav(shorts(1, 2)) + b"LIST\x04\0\0\0abcd")) == 2
    assert len(samples(wav(shorts(1, 2) + b"LIST", data_size=4))) == 2


def test_extensible_names_its_format_in_the_extension():
    def extension(tag):
        return (
            struct.pack("<HHI", 22, 16, 4)
            + struct.pack("<H", tag)
            + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
        )

    assert samples(wav(shorts(9), tag=0xFFFE, extra=extension(1))).tolist() == [9 / 32768]
    assert samples(
        wav(struct.pack("<f", 0.3), tag=0xFFFE, bits=32, extra=extension(3))
    ).tolist() == [np.float32(0.3)]
    assert "received format 7 (mu-law)" in reason(
        wav(b"abc", tag=0xFFFE, bits=8, extra=extension(7))
    )


def test_samples_that_are_no_numbers_are_silent_and_huge_ones_do_not_spread():
    values = np.array([np.nan, np.inf, -np.inf, 0.5, 3e38, -3e38], "<f4")
    data = wav(values.tobytes(), tag=3, bits=32, rate=RATE)
    assert samples(data).tolist() == [0, 0, 0, 0.5, 1e6, -1e6]
    assert decode(data).numpy()[:6].tolist() == [0, 0, 0, 16384, 32767, -32768]
    assert samples(wav(np.array([1e300, -0.25], "<f8").tobytes(), tag=3, bits=64)).tolist() == [
        0,
        -0.25,
    ]
    other_rate = wav(np.tile(values, 500).tobytes(), tag=3, bits=32, rate=12_000)
    # and no error
    assert np.abs(decode(other_rate).numpy().astype(int)).max() > 0


# --- decoding to one rate and length


def test_the_same_rate_is_cut_or_padded_and_otherwise_left_alone():
    long, short = wav(shorts(*range(5000))), wav(shorts(-32768, 32767, 3))
    assert decode(long).numpy().tolist() == list(range(4000))
    assert decode(short).numpy().tolist() == [-32768, 32767, 3] + [0] * 3997
    assert decode(short).dtype == tf.int16


def decibel(found, expected):
    """The signal's power over the error's."""
    return 10 * np.log10(np.square(expected).sum() / np.square(found - expected).sum())


@pytest.mark.parametrize("rate", [44_100, 48_000, 22_050, 8000, 11_025])
def test_resampling_agrees_with_a_long_filter(rate):
    """Compared with 128 zero crossings of a Kaiser-windowed sinc.

    The noise fades out below the lower Nyquist frequency.
    """
    low_pass = scipy.signal.butter(8, min(rate, 16_000) * 0.3, fs=rate, output="sos")
    waveform = scipy.signal.sosfilt(
        low_pass, np.random.default_rng(5).normal(0, 0.1, int(2.5 * rate))
    )
    up, down = 16_000 // np.gcd(16_000, rate), rate // np.gcd(16_000, rate)
    longer = max(up, down)
    sinc = scipy.signal.firwin(2 * 64 * longer + 1, 1 / longer, window=("kaiser", 14.77))
    expected = scipy.signal.resample_poly(waveform, up, down, window=sinc)[:40_000]
    found = resample(waveform.astype("float32"), rate).numpy()[:40_000]
    assert decibel(found, expected) > 58


@pytest.mark.parametrize("rate", [1000, 11_025, 16_001, 44_100, 768_000])
def test_a_tone_keeps_its_pitch_place_and_loudness(rate):
    tone = 0.5 * np.sin(2 * np.pi * 200 * np.arange(int(rate * 1.3)) / rate)
    found = resample(tone.astype("float32"), rate).numpy()
    expected = 0.5 * np.sin(2 * np.pi * 200 * np.arange(len(found)) / 16_000)
    # away from the ends, where a tone cut off rings in any resampler
    inner = slice(1600, 19_200)
    # begun seconds count
    assert len(found) == 32_000
    assert decibel(found[inner], expected[inner]) > 40
    # after its end, silence
    assert np.abs(found[22_400:]).max() < 0.01


def test_only_the_needed_part_of_a_long_sound_counts():
    beginning, later = noise(3 * 12_000)[:, 0] * 0.5, noise(12_000)[:, 0]
    cut = decode(written(beginning, 12_000)).numpy()
    long = decode(written(np.concatenate([beginning, later, later]), 12_000)).numpy()
    assert (cut == long).all()


def test_thirty_minutes():
    data = wav(bytes(30 * 60 * 44_100 * 2), rate=44_100)
    assert reason(data) == ""
    assert not decode(data).numpy().any()


def test_silence_one_sample_and_both_ends_of_the_rates():
    assert not decode(wav(bytes(2000), rate=11_025)).numpy().any()
    assert decode(wav(shorts(1234))).numpy().tolist() == [1234] + [0] * 3999
    for rate in (1000, 768_000):
        one = decode(wav(shorts(20_000), rate=rate)).numpy()
        assert one.shape == (SAMPLES,)
        assert np.abs(one).argmax() == 0


def test_a_high_rate_on_a_short_file_takes_little_memory():
    concrete = tf.function(
        lambda data: riff.decode(data, 16_000, 16_000 * 600), input_signature=ONE_FILE
    )
    # 600 s at 768 kHz would be 1.8 GB of floats
    assert concrete(wav(shorts(1, 2, 3), rate=768_000)).shape == (9_600_000,)


# --- what is refused

RULE = "PCM (1) of 1 to 32 bits and IEEE float (3) of 32 or 64 bits are read, received format "
REFUSED = {
    "empty": (b"", "an empty file: 0 bytes"),
    "html": (b"<!DOCTYPE html><html>", "not a WAV file"),
    "ogg": (written(noise(), subtype="VORBIS", kind="OGG"), "not a WAV file"),
    "webp": (b"RIFF\x04\0\0\0WEBPVP8 ", "not a WAV file"),
    "riff alone": (b"RIFF", "not a WAV file"),
    "header alone": (b"RIFF\0\0\0\0WAVE", "a WAV without a fmt chunk before the samples"),
    "data first": (
        b"RIFF\0\0\0\0WAVEdata\x02\0\0\0\x01\0",
        "a WAV without a fmt chunk before the samples",
    ),
    "no data": (wav(b"")[:36], "a WAV without a data chunk"),
    "chunk of 4 GB": (wav(shorts(1), before=b"LIST\xff\xff\xff\xff"), "a WAV without a data chunk"),
    "chunks without end": (
        wav(shorts(1), before=b"LIST\0\0\0\0" * 2000),
        "a WAV without a data chunk",
    ),
    "no samples": (wav(b""), "a WAV without samples"),
    "half a sample": (wav(b"\x01"), "a WAV without samples"),
    "closed and empty": (wav(b"", riff_size=48) + b"LIST\x04\0\0\0abcd", "a WAV without samples"),
    "0 channels": (wav(shorts(1), channels=0), "a WAV of 0 channels"),
    "65535 channels": (wav(shorts(1), channels=65_535), "a WAV without samples"),
    "0 Hz": (wav(shorts(1), rate=0), "a sample rate from 1000 to 768000 Hz is read, received 0"),
    "1 Hz": (wav(shorts(1), rate=1), "a sample rate from 1000 to 768000 Hz is read, received 1"),
    "999 Hz": (
        wav(shorts(1), rate=999),
        "a sample rate from 1000 to 768000 Hz is read, received 999",
    ),
    "768001 Hz": (
        wav(shorts(1), rate=768_001),
        "a sample rate from 1000 to 768000 Hz is read, received 768001",
    ),
    "4 GHz": (
        wav(shorts(1), rate=2**32 - 1),
        "a sample rate from 1000 to 768000 Hz is read, received 4294967295",
    ),
    "mu-law": (written(noise(), subtype="ULAW"), RULE + "7 (mu-law) of 8 bits"),
    "A-law": (written(noise(), subtype="ALAW"), RULE + "6 (A-law) of 8 bits"),
    "adpcm": (written(noise(), subtype="MS_ADPCM"), RULE + "2 (Microsoft ADPCM) of 4 bits"),
    "ima adpcm": (written(noise(), subtype="IMA_ADPCM"), RULE + "17 (IMA ADPCM) of 4 bits"),
    "unknown format": (wav(shorts(1), tag=4711), RULE + "4711 of 16 bits"),
    "64-bit pcm": (wav(bytes(8), bits=64), RULE + "1 of 64 bits"),
    "0 bits": (wav(bytes(8), bits=0), RULE + "1 of 0 bits"),
    "16-bit float": (wav(bytes(8), tag=3, bits=16), RULE + "3 of 16 bits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_file(name):
    data, expected = REFUSED[name]
    assert reason(data) == expected
    for read in (decode, parse):
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            read(data)
        assert expected in str(error.value)


# --- the same everywhere

FILES = [
    written(noise(channels=2), 22_050, "PCM_24"),
    written(noise(), RATE, "PCM_U8"),
    written(noise(9000), 16_000, "FLOAT", "WAVEX"),
    written(noise(30_000), 44_100, "DOUBLE"),
    written(noise(channels=3), 1000, "PCM_32", "RF64"),
    wav(shorts(5, 6, 7), data_size=2**32 - 1, riff_size=2**32 - 1),
]


def test_the_same_eagerly_in_tf_data_and_in_a_saved_model(tmp_path):
    module = tf.Module()
    module.decode, module.problem = decode, problem
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    mapped = tf.data.Dataset.from_tensor_slices(FILES).map(
        lambda data: (decode(data), problem(data))
    )
    for data, (waveform, reason) in zip(FILES, mapped, strict=True):
        eager = riff.decode(tf.constant(data), RATE, SAMPLES).numpy()
        assert eager.dtype == np.int16
        assert eager.any()
        assert (eager == waveform.numpy()).all()
        assert (eager == loaded.decode(data).numpy()).all()
        assert (
            reason.numpy()
            == loaded.problem(data).numpy()
            == riff.problem(tf.constant(data)).numpy()
            == b""
        )
    for data, expected in REFUSED.values():
        assert loaded.problem(data).numpy().decode() == expected


# --- random bytes


def ends_well(data):
    """`problem` never raises; `decode` returns samples where it has no reason, or else raises."""
    if reason(data) == "":
        assert decode(data).shape == (SAMPLES,)
        return
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(data)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(
        [
            b"",
            b"RIFF",
            b"RIFF\0\0\0\0WAVE",
            b"RF64\xff\xff\xff\xffWAVEds64",
            b"RIFF\0\0\0\0WAVEfmt ",
        ]
    ),
    st.binary(max_size=200),
)
def test_random_bytes_end_well(start, data):
    ends_well(start + data)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_files_end_well(data):
    damaged = bytearray(data.draw(st.sampled_from([file[:3000] for file in FILES])))
    near = st.integers(0, 47) | st.integers(0, len(damaged) - 1)
    for index, value in data.draw(
        st.lists(
            st.tuples(near, st.sampled_from([0, 1, 127, 128, 255]) | st.integers(0, 255)),
            max_size=6,
        )
    ):
        damaged[index] = value
    ends_well(bytes(damaged[: data.draw(st.just(len(damaged)) | st.integers(0, len(damaged)))]))


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 4),
    st.sampled_from([(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)]),
    st.integers(900, 60_000) | st.integers(0, 2**32 - 1),
    st.binary(max_size=100),
)
def test_lying_sizes_end_well(data_size, riff_size, channels, encoding, rate, body):
    tag, bits = encoding
    ends_well(wav(body, tag, channels, rate, bits, data_size=data_size, riff_size=riff_size))
