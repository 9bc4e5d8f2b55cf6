"""Sounds that FFmpeg decodes, and what libsndfile and FFmpeg do with files that never end well."""

import errno
import io
import os
import struct
import time

import av
import numpy as np
import pytest
import tensorflow as tf
from flac_files import flac_bytes
from media import audio_bytes, samples_of

from multimodal_tf.config import AudioInput
from multimodal_tf.data.codecs import audio_file, decoder_file, riff
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.kinds import kind_of, read_cell

AUDIO = AudioInput(seconds=2.0)
RATE = 8000
WAVE = 0.4 * np.sin(np.arange(3000) * 0.05)
STEREO = np.stack([WAVE, -0.3 * WAVE[::-1]], axis=1)


def encoded(samples, container, codec, layout, rate=RATE):
    """The file that FFmpeg writes of `(time, channels)`."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        context = stream.codec_context
        packed = np.ascontiguousarray(samples.reshape(1, -1), np.float32)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(
            context.format.name, layout, rate, frame_size=context.frame_size or 1024
        )
        for even in resampler.resample(frame) + resampler.resample(None):
            output.mux(stream.encode(even))
        output.mux(stream.encode())
    return file.getvalue()


def remuxed(data, container):
    """The same packets in another container."""
    file = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(file, "w", format=container) as output:
        stream = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    return file.getvalue()


MANY_CHANNELS = """
import numpy as np
from test_foreign_audio import AUDIO, encoded
from media import samples_of
from multimodal_tf.data.kinds import read_cell

def waves(channels):
    steps = np.arange(2000)[:, None] * (np.arange(channels) + 1) * 0.01
    return np.rint(np.sin(steps) * 3000).astype(np.float32) / 32768

files = [("matroska", "pcm_s16le", f"{count} channels", count) for count in range(1, 17)]
files += [("matroska", "pcm_s16le", name, count) for name, count in
    (("5.1", 6), ("7.1", 8), ("7.1.4", 12), ("hexadecagonal", 16), ("22.2", 24))]
files += [("matroska", "flac", "7.1", 8), ("matroska", "flac", "5.1", 6)]
files += [("ipod", "aac", name, count) for name, count in
    (("5.1", 6), ("7.1", 8), ("hexadecagonal", 16))]
for container, codec, layout, count in files:
    print(container, codec, layout, flush=True)
    samples = waves(count)
    expected = samples.mean(axis=1, dtype=np.float32)
    found, rate = samples_of(read_cell(encoded(samples, container, codec, layout), AUDIO))
    assert rate == 8000
    if codec == "aac":
        assert np.corrcoef(found[: len(expected)], expected)[0, 1] > 0.9, layout
    else:
        np.testing.assert_allclose(found, expected, atol=1e-7, err_msg=layout)
"""


@pytest.mark.slow
def test_any_number_of_channels_is_averaged(new_process):
    """In a process of its own: planar floats of eight channels once ended it."""
    program = f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n{MANY_CHANNELS}"
    assert len(new_process(program).splitlines()) == 26


def test_frames_that_change_in_mid_stream_are_read_at_the_first_rate():
    steps = np.arange(16_000)
    mono = encoded(np.sin(steps * 0.05)[:, None] * 0.4, "adts", "aac", "mono", 16_000)
    stereo = encoded(np.sin(steps * 0.05)[:, None] * [0.4, 0.4], "adts", "aac", "stereo", 16_000)
    slower = encoded(np.sin(steps[:8000] * 0.1)[:, None] * 0.4, "adts", "aac", "mono", 8000)
    found, rate = samples_of(read_cell(mono + stereo + slower, AudioInput(seconds=9.0)))
    assert rate == 16_000
    assert len(found) == pytest.approx(3 * 16_000, abs=6000)
    # one tone all along
    spectrum = np.abs(np.fft.rfft(found))
    found_tone = spectrum.argmax() * rate / len(found)
    assert found_tone == pytest.approx(0.05 * rate / (2 * np.pi), abs=1)


class TestWhatLibsndfileDoesNotKnow:
    @pytest.mark.parametrize("bits", [4, 8, 12, 15, 16, 20, 24, 28, 32])
    @pytest.mark.parametrize("total", [None, 0], ids=["counted", "piped"])
    def test_flac(self, bits, total):
        samples = np.rint(STEREO * 2 ** (bits - 1)).astype(np.int64)
        found, rate = samples_of(read_cell(flac_bytes(samples, bits, total=total), AUDIO))
        assert rate == RATE
        np.testing.assert_allclose(found, (samples / 2.0 ** (bits - 1)).mean(axis=1), atol=3e-8)

    def test_flac_in_ogg(self):
        flac = audio_bytes(STEREO, kind="FLAC")
        assert read_cell(remuxed(flac, "ogg"), AUDIO) == read_cell(flac, AUDIO)

    @pytest.mark.parametrize("container", ["matroska", "mp4"])
    def test_what_loses_nothing_is_kept_whole(self, container):
        flac = audio_bytes(STEREO, kind="FLAC", subtype="PCM_24")
        assert read_cell(remuxed(flac, container), AUDIO) == read_cell(flac, AUDIO)

    TAGS = {
        "padding beyond the tag": b"ID3\x04\0\0\0\0\0\x0a" + bytes(500),
        "a tag of no length": b"ID3\x04\0\0\0\0\0\0" + bytes(10),
        "a tag with a footer": b"ID3\x04\0\x10\0\0\0\x0a" + bytes(10) + b"3DI\x04\0\x10\0\0\0\x0a",
        "junk after the tag": b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + b"0123456789" * 30,
        "zeros": bytes(3000),
        "an old tag": b"TAG" + bytes(125),
        "a tag of APE": b"APETAGEX" + bytes(24),
    }

    @pytest.mark.parametrize("name", TAGS)
    def test_mp3_after_odd_tags(self, name):
        mp3 = audio_bytes(np.tile(STEREO, (9, 1)), kind="MP3")
        expected, found = (
            samples_of(read_cell(data, AUDIO))[0] for data in (mp3, self.TAGS[name] + mp3)
        )
        assert abs(len(found) - len(expected)) < 3000
        # decoders keep or leave out the encoder's run-up
        both = np.correlate(found[:20_000], expected[:16_000], "valid")
        assert both.max() > 0.95 * (expected[:16_000] ** 2).sum()

    @pytest.mark.parametrize("container", ["adts", "flac"])
    def test_a_tag_before_other_formats(self, container):
        samples = np.rint(STEREO * 2**11).astype(int)
        data = (
            flac_bytes(samples, 12)
            if container == "flac"
            else encoded(STEREO, "adts", "aac", "stereo", 16_000)
        )
        assert read_cell(b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + data, AUDIO) == read_cell(
            data, AUDIO
        )

    def test_damaged_and_truncated_flac_stays_broken(self, reason):
        samples = np.rint(STEREO * 2**15).astype(int)
        for total in (None, 0, 10**6):
            data = bytearray(flac_bytes(samples, 16, total=total))
            assert reason(bytes(data[:9000]), AUDIO).startswith("a broken audio file: ")
            data[5000] ^= 255
            assert reason(bytes(data), AUDIO).startswith("a broken audio file: ")

    @pytest.mark.parametrize("head", [b"\0", b"TAG", b"ID3"], ids=["zeros", "TAG", "ID3"])
    def test_tags_alone_are_no_sound(self, reason, head):
        assert reason(head + bytes(200), AUDIO).startswith(
            ("not an audio file", "a broken audio file: ")
        )


class TestWhateverADecoderRaises:
    @pytest.mark.parametrize(
        ("container", "codec", "name", "other"),
        [
            ("matroska", "flac", b"A_FLAC", b"A_XXXX"),
            ("matroska", "aac", b"A_AAC", b"A_XYZ"),
            ("mp4", "flac", b"fLaC", b"xxxx"),
        ],
    )
    def test_an_unknown_codec(self, reason, container, codec, name, other):
        data = encoded(STEREO, container, codec, "stereo", 16_000)
        assert name in data
        assert reason(data.replace(name, other), AUDIO) == "sound of an unknown codec"

    @pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "M4A", "MKA"])
    @pytest.mark.parametrize("share", [0, 0.0001, 0.5])
    def test_a_disk_that_fails(self, kind, share, tmp_path, monkeypatch, reason):
        noise = np.random.default_rng(0).normal(0, 0.1, (80_000, 2))
        data = (
            encoded(noise, {"M4A": "mp4", "MKA": "matroska"}[kind], "aac", "stereo")
            if kind.startswith("M") and kind != "MP3"
            else audio_bytes(noise, kind=kind)
        )
        file = FailingFile(data, int(len(data) * share))
        monkeypatch.setattr("multimodal_tf.data.kinds.audio.open_file", lambda *_: file)
        found = reason("a", AudioInput(seconds=9.0))
        assert found == "the file cannot be read: Input/output error"

    def test_an_error_of_another_kind(self, reason, monkeypatch):
        def fail(*_arguments, **_options):
            raise AttributeError("no such thing\nat all")

        data = audio_bytes(STEREO, kind="FLAC")
        monkeypatch.setattr("soundfile.SoundFile", fail)
        monkeypatch.setattr("av.open", fail)
        assert reason(data, AUDIO) == "a broken audio file: no such thing at all"


class FailingFile(io.BytesIO):
    """A file of a disk that cannot be read from a position on."""

    def __init__(self, data, end):
        super().__init__(data)
        self.end = end

    def _check(self, size):
        position = self.tell()
        if position >= self.end or size < 0 or position + size > self.end + 2**16:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def read(self, size=-1):
        self._check(size)
        return super().read(size)

    def readinto(self, buffer):
        self._check(len(buffer))
        return super().readinto(buffer)


class TestBounds:
    @pytest.fixture
    def sparse(self, tmp_path):
        """`sparse(head, size)`: the path of a file that is zeros after its head."""

        def made(head, size):
            with open(tmp_path / "sparse", "wb") as file:
                file.write(head)
                file.truncate(size)
            return tmp_path / "sparse"

        return made

    @staticmethod
    def form(channels, rate, bits, tag=1):
        fields = struct.pack("<HHIIHH", tag, channels, rate, 0, 0, bits)
        return b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + fields + b"data\xff\xff\xff\xff"

    @pytest.mark.parametrize("size", [200 << 20, 30 << 30])
    @pytest.mark.parametrize(
        "head", [b"RIFF\0\0\0\0WAVE", b"RF64\xff\xff\xff\xffWAVEds64", b"FORM\x7f\0\0\0AIFF"]
    )
    def test_chunks_without_end(self, sparse, reason, head, size):
        start = time.process_time()
        assert reason(sparse(head, size), AUDIO)
        assert time.process_time() - start < 1

    @pytest.mark.parametrize(
        ("channels", "rate", "bits", "tag"),
        [(65535, 768_000, 32, 1), (2, 2**31 - 1, 32, 3), (1000, 700_000, 8, 7)],
    )
    def test_a_wav_of_which_too_much_would_be_read(self, sparse, reason, channels, rate, bits, tag):
        start = time.process_time()
        found = reason(sparse(self.form(channels, rate, bits, tag), 30 << 30), AUDIO)
        assert "bytes" in found or "Hz" in found
        assert time.process_time() - start < 1

    def test_a_long_wav_is_read_up_to_what_the_model_hears(self, sparse):
        found = read_cell(sparse(self.form(2, RATE, 16), 30 << 30), AUDIO)
        assert len(samples_of(found)[0]) == 4 * RATE

    @pytest.mark.parametrize("head", [b"\xff\xfb\x90\0", b"fLaC", b"OggS", b"\x1aE\xdf\xa3"])
    def test_a_decoder_that_finds_nothing_ends_soon(self, sparse, reason, head):
        start = time.process_time()
        assert reason(sparse(head, 30 << 30), AUDIO)
        assert time.process_time() - start < 5

    def test_a_decoder_may_not_read_small_pieces_for_ever(self, monkeypatch, reason):
        monkeypatch.setattr(decoder_file, "_CALLS", 3)
        assert reason(audio_bytes(STEREO, kind="MP3"), AUDIO).startswith("too much of the file")

    def test_pieces_make_the_whole(self, monkeypatch):
        monkeypatch.setattr(riff, "PIECE", 1000)
        parse = tf.function(
            riff.parse, input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int64)]
        )
        data = audio_bytes(STEREO, subtype="PCM_24")
        pieces = [parse(data, piece)[0] for piece in range(20)]
        assert [len(piece) for piece in pieces] == [166] * 18 + [12, 0]
        np.testing.assert_array_equal(
            np.concatenate(pieces), samples_of(data)[0].mean(axis=1, dtype=np.float32)
        )

    def test_rates_that_the_graph_does_not_read(self, reason):
        assert "768000 Hz is read, received 800000" in reason(
            audio_bytes(STEREO, 800_000, "AU"), AUDIO
        )


class TestNoNumbers:
    ODD = np.array([[np.nan, 0.5], [np.inf, 0.5], [-np.inf, 0.5], [1e30, 0.0], [-1e30, 1e30]])

    @pytest.mark.parametrize("kind", ["WAV", "AIFF", "AU", "CAF"])
    @pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
    def test_every_format_has_the_same_samples(self, kind, subtype):
        cell = read_cell(audio_bytes(self.ODD, kind=kind, subtype=subtype), AUDIO)
        assert np.frombuffer(cell[44:], "<f4").tolist() == [0.25, 0.25, 0.25, 5e5, 0]

    def test_the_model_gets_numbers(self):
        cell = read_cell(audio_bytes(self.ODD, kind="AIFF", subtype="FLOAT"), AUDIO)
        reader = kind_of(AUDIO).reader(None)
        samples, present, reasons = reader.read(tf.constant([cell]))
        assert present.numpy().all()
        assert not any(reasons.numpy())
        assert np.isfinite(reader.model_input(samples)).all()


def test_what_is_read_is_what_the_graph_reads():
    """No sound that `read_cell` takes is refused afterwards, but for its rate."""
    kind = kind_of(AUDIO)
    files = [
        audio_bytes(STEREO, kind="FLAC"),
        encoded(STEREO, "matroska", "flac", "stereo"),
        flac_bytes(np.rint(STEREO * 2**11).astype(int), 12, total=0),
        audio_bytes(TestNoNumbers.ODD, kind="CAF", subtype="FLOAT"),
        audio_bytes(STEREO, kind="WAV", subtype="ULAW"),
    ]
    for data in files:
        assert kind.read(data, ".") == kind.read_checked(data, ".")
    with pytest.raises(CellError, match="from 1000 to 768000 Hz"):
        kind.read_checked(audio_file.wav(WAVE.astype(np.float32), 500, lossy=True), ".")
