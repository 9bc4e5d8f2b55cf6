"""Videos that claim, hide or cost more than they show are refused soon, with a reason."""

import io
import struct
import time

import media
import pytest

from multimodal_tf.config import AudioInput, VideoInput
from multimodal_tf.data.codecs import mp4_samples, video_file
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.describe.kinds.video import KIND
from multimodal_tf.data.describe.sample import Cell

INPUT = VideoInput(frames=4, height=24, width=32)
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}


@pytest.fixture(scope="module")
def mp4():
    return media.video_bytes(20)


@pytest.mark.parametrize("count", [2**24, 2**31 - 1])
@pytest.mark.parametrize("config", [INPUT, AudioInput()])
def test_more_samples_than_any_film_has(mp4, reason, count, config):
    at = mp4.index(b"stsz")
    data = mp4[: at + 8] + struct.pack(">II", 1, count) + mp4[at + 16 :]
    start = time.process_time()
    assert "more than 4000000 frames" in reason(data, config)
    assert time.process_time() - start < 1


def test_fragments_of_more_samples(reason):
    data = media.video_bytes(20, container_options=FRAGMENTS)
    at = data.index(b"trun")
    data = data[: at + 8] + struct.pack(">I", 2**30) + data[at + 12 :]
    assert "more than 4000000 frames" in reason(data, INPUT)


@pytest.mark.parametrize("options", [None, FRAGMENTS], ids=["whole", "fragments"])
def test_as_many_samples_as_are_allowed(options):
    file = io.BytesIO(media.video_bytes(20, container_options=options))
    mp4_samples.check(file, 20)
    assert file.tell() == 0
    with pytest.raises(CellError, match="more than 19 frames"):
        mp4_samples.check(file, 19)


@pytest.mark.parametrize(("kind", "name"), [("mp4", b"avc1"), ("mkv", b"V_MPEG4/ISO/AVC")])
def test_an_unknown_codec(reason, kind, name):
    before, _, after = media.video_bytes(20, kind).rpartition(name)
    assert reason(before + name[:-4] + b"XXXX" + after, INPUT) == "a video of an unknown codec"


@pytest.mark.parametrize("kind", ["avi", "mkv"])
def test_zeros_without_end_after_the_frames(tmp_path, reason, kind):
    with open(tmp_path / "video", "wb") as file:
        file.write(media.video_bytes(8, kind))
        file.truncate(30 << 30)
    start = time.process_time()
    assert reason(tmp_path / "video", INPUT).startswith("too much of the file would have to be")
    assert time.process_time() - start < 5


def test_a_few_zeros_do_not_matter():
    for kind in ("mp4", "mkv", "avi"):
        data = media.video_bytes(16, kind) + bytes(100_000)
        assert media.numbers_of(video_file.to_frames(io.BytesIO(data), INPUT)) == [2, 6, 10, 14]


def test_too_much_to_decode(monkeypatch, reason):
    data = media.video_bytes(200, "mkv", g=1000, bf=0, sc_threshold=0)
    monkeypatch.setattr(video_file, "_DECODED", 10 * 64 * 48)
    monkeypatch.setattr(video_file, "_MOST_DECODED", 100 * video_file._SMALL)
    assert reason(data, INPUT).startswith("more than 819200 pixels would have to be decoded")


def test_too_many_packets(monkeypatch, reason, mp4):
    # and one at the end
    monkeypatch.setattr(video_file, "_PACKETS", 21)
    assert len(video_file.to_frames(io.BytesIO(mp4), INPUT)) == 4
    monkeypatch.setattr(video_file, "_PACKETS", 10)
    assert "more than 10" in reason(media.video_bytes(20, "mkv"), INPUT)


def test_whatever_a_decoder_raises(monkeypatch, reason, mp4):
    def fail(*_arguments, **_options):
        raise RuntimeError("cannot\ngo on")

    monkeypatch.setattr("av.open", fail)
    assert reason(mp4, INPUT) == "a broken video: cannot go on"


class FailingDisk(io.BytesIO):
    """A file that cannot be read beyond its middle."""

    def readinto(self, buffer):
        if self.tell() + len(buffer) > len(self.getvalue()) // 2 + 2**15:
            raise OSError(5, "Input/output error")
        return super().readinto(buffer)


def test_a_disk_that_fails():
    data = media.video_bytes(200, "mkv", size=(320, 240), g=2)
    with pytest.raises(CellError, match="^the file cannot be read: Input/output error"):
        video_file.to_frames(FailingDisk(data), INPUT)


def test_describe_measures_no_file_that_has_changed(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"changed")
    cell = Cell(0, "video")
    KIND.measure(cell, [b"a frame"], "a.mp4", tmp_path)
    assert cell.seconds is None
