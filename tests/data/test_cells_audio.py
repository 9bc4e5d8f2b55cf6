"""Audio cells: every format, and every way to be broken."""

import base64
import contextlib
import fractions
import io
import struct

import av
import numpy as np
import pytest
import soundfile
from media import audio_bytes, random_image, samples_of

from multimodal_tf.config import AudioInput
from multimodal_tf.data.codecs import audio_file
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.kinds import read_cell

AUDIO = AudioInput(seconds=2.0)
RATE = 8000
WAVE = (0.4 * np.sin(np.arange(RATE) * 0.05)).astype(np.float32)
STEREO = np.stack([WAVE, -0.3 * WAVE[::-1]], axis=1)


def m4a_bytes(samples=STEREO, rate=RATE):
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T), format="fltp", layout="stereo"
        )
        frame.sample_rate = rate
        # so that the file says which samples are the encoder's run-up
        frame.pts, frame.time_base = 0, fractions.Fraction(1, rate)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return file.getvalue()


class TestSoundFormats:
    MONO = STEREO.mean(axis=1)

    @pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
    @pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
    @pytest.mark.parametrize("samples", [WAVE, STEREO], ids=["mono", "stereo"])
    def test_lossless_wav_loses_nothing(self, subtype, kind, samples):
        data = audio_bytes(samples, kind=kind, subtype=subtype)
        expected = samples_of(data, always_2d=True)[0].mean(axis=1)
        actual, rate = samples_of(read_cell(data, AUDIO))
        assert rate == RATE
        np.testing.assert_array_equal(actual, expected)

    def test_16_bits_where_they_suffice(self):
        def subtype_of(data):
            return soundfile.info(io.BytesIO(read_cell(data, AUDIO))).subtype

        assert subtype_of(audio_bytes(WAVE, subtype="PCM_16")) == "PCM_16"
        assert subtype_of(audio_bytes(WAVE, kind="FLAC", subtype="PCM_24")) == "FLOAT"
        assert subtype_of(audio_bytes(STEREO, kind="OGG", subtype="VORBIS")) == "PCM_16"

    @pytest.mark.parametrize(
        ("kind", "subtype"),
        [
            ("FLAC", "PCM_16"),
            ("FLAC", "PCM_24"),
            ("AIFF", "PCM_16"),
            ("CAF", "PCM_16"),
            ("AU", "PCM_16"),
            ("WAV", "ULAW"),
            ("WAV", "IMA_ADPCM"),
        ],
    )
    def test_other_lossless_formats_and_telephone(self, kind, subtype):
        data = audio_bytes(STEREO, kind=kind, subtype=subtype)
        actual, _ = samples_of(read_cell(data, AUDIO))
        np.testing.assert_array_equal(actual, samples_of(data)[0].mean(axis=1))

    @pytest.mark.parametrize(
        ("kind", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]
    )
    def test_lossy_formats(self, kind, subtype):
        actual, rate = samples_of(read_cell(audio_bytes(STEREO, kind=kind, subtype=subtype), AUDIO))
        assert rate == RATE
        assert len(actual) == len(WAVE)
        assert np.corrcoef(actual, self.MONO)[0, 1] > 0.98

    def test_m4a(self):
        actual, rate = samples_of(read_cell(m4a_bytes(), AUDIO))
        assert rate == RATE
        assert np.corrcoef(actual[: len(WAVE)], self.MONO)[0, 1] > 0.98

    def test_m4a_by_path_and_base64(self, tmp_path):
        data = m4a_bytes()
        (tmp_path / "a.m4a").write_bytes(data)
        assert (
            read_cell("a.m4a", AUDIO, tmp_path)
            == read_cell(base64.b64encode(data).decode(), AUDIO)
            == read_cell(data, AUDIO)
        )

    def test_a_video_without_sound(self, reason):
        file = io.BytesIO()
        with av.open(file, "w", format="mp4") as container:
            stream = container.add_stream("mpeg4", rate=5)
            stream.width = stream.height = 32
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)
        assert reason(file.getvalue(), AUDIO) == "a file without sound"

    def test_what_the_model_cannot_hear_is_left_out(self):
        long = np.tile(WAVE, 120)
        for data in (
            audio_bytes(long, kind="WAV", subtype="PCM_16"),
            audio_bytes(long, kind="FLAC"),
        ):
            actual, _ = samples_of(read_cell(data, AUDIO))
            assert len(actual) == 4 * RATE
            np.testing.assert_allclose(actual, long[: 4 * RATE], atol=1 / 32768)

    def test_arrays(self):
        for value in (WAVE, WAVE.astype(np.float64), WAVE.tolist()):
            actual, rate = samples_of(read_cell(value, AUDIO))
            assert rate == AUDIO.sample_rate
            np.testing.assert_array_equal(actual, WAVE)
        whole = np.array([-32768, 0, 32767])
        np.testing.assert_array_equal(
            samples_of(read_cell(whole.astype(np.int16), AUDIO))[0] * 32768, whole
        )

    @pytest.mark.parametrize(
        "value",
        [
            np.zeros((2, 5)),
            np.array([0, 2.0]),
            np.array([np.nan]),
            np.array([40000]),
            np.array([], np.float32),
            ["a"],
        ],
    )
    def test_bad_arrays(self, reason, value):
        assert reason(value, AUDIO)

    def test_bytes_do_not_depend_on_the_clock(self):
        header = struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            b"RIFF",
            44,
            b"WAVE",
            b"fmt ",
            16,
            3,
            1,
            8000,
            32000,
            4,
            32,
            b"data",
            8,
        )
        assert (
            audio_file.wav(np.array([0.1, -0.2], np.float32), 8000, lossy=False)
            == header + np.array([0.1, -0.2], "<f4").tobytes()
        )

    def test_lossy_sounds_are_rounded_and_clipped(self):
        data = audio_file.wav(np.array([1.5, -1.5, 0.6 / 32768], np.float32), 8000, lossy=True)
        assert np.frombuffer(data[44:], "<i2").tolist() == [32767, -32768, 1]


def with_data_size(data, size):
    return data[:40] + struct.pack("<I", size) + data[44:]


class TestBrokenSounds:
    PLAIN = audio_bytes(WAVE, kind="WAV", subtype="PCM_16")

    @pytest.mark.parametrize("size", [0xFFFFFFFF, 10**6, 2 * RATE])
    def test_a_header_that_promises_more(self, size):
        np.testing.assert_array_equal(
            samples_of(read_cell(with_data_size(self.PLAIN, size), AUDIO))[0],
            samples_of(self.PLAIN)[0],
        )

    @pytest.mark.parametrize(
        ("samples", "kind"), [(np.zeros(100), "WAV"), (WAVE[:1], "WAV"), (WAVE[:1], "FLAC")]
    )
    def test_silence_and_one_sample_are_sounds(self, samples, kind):
        assert len(samples_of(read_cell(audio_bytes(samples, kind=kind), AUDIO))[0]) == len(samples)

    def test_no_samples(self, reason):
        for data in (audio_bytes(WAVE[:0], kind="WAV"), with_data_size(self.PLAIN, 0)):
            assert reason(data, AUDIO) == "an audio file without samples"

    @pytest.mark.parametrize("rate", [0, 2**31])
    def test_impossible_rates(self, reason, rate):
        assert "sample rate" in reason(
            self.PLAIN[:24] + struct.pack("<I", rate) + self.PLAIN[28:], AUDIO
        )

    @pytest.mark.parametrize("rate", [1, 768_000])
    def test_strange_rates_are_kept_for_the_graph_to_judge(self, rate):
        data = self.PLAIN[:24] + struct.pack("<I", rate) + self.PLAIN[28:]
        assert samples_of(read_cell(data, AUDIO))[1] == rate

    @pytest.mark.parametrize("kind", ["FLAC", "MP3", "OGG"])
    def test_truncated_in_the_header(self, reason, kind):
        assert reason(audio_bytes(STEREO, kind=kind)[:60], AUDIO).startswith(
            "a broken audio file: "
        )

    def test_truncated_flac_and_m4a(self, reason):
        for data in (
            audio_bytes(np.tile(STEREO, (9, 1)), kind="FLAC")[:5000],
            m4a_bytes()[:4000],
        ):
            assert reason(data, AUDIO).startswith("a broken audio file: ")

    def test_not_a_sound(self, reason, tmp_path):
        assert reason(b"<html>", AUDIO) == "not an audio file"
        assert reason(random_image(), AUDIO).startswith("not an audio file")
        (tmp_path / "a.wav").touch()
        assert reason("a.wav", AUDIO, tmp_path) == "an empty file (0 bytes)"

    def test_a_playlist_opens_nothing(self, reason, tmp_path):
        (tmp_path / "a.m4a").write_bytes(m4a_bytes())
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{tmp_path}/a.m4a\n#EXT-X-ENDLIST\n"
        assert reason(playlist.encode(), AUDIO).startswith("not an audio file")

    @pytest.mark.parametrize(
        "data",
        [
            audio_bytes(STEREO, kind="FLAC"),
            audio_bytes(STEREO, kind="OGG", subtype="OPUS"),
            audio_bytes(STEREO, kind="MP3"),
            m4a_bytes(),
            PLAIN,
        ],
        ids=str.split("flac opus mp3 m4a wav"),
    )
    def test_random_bytes_after_a_good_start(self, data):
        generator = np.random.default_rng(0)
        for _ in range(30):
            broken = bytearray(data)
            for index in generator.integers(0, len(data), 20):
                broken[index] = generator.integers(256)
            with contextlib.suppress(CellError):
                assert read_cell(bytes(broken), AUDIO)[:4] == b"RIFF"
