"""Audio in `describe`."""

import io
import math
import re
from typing import Any

import soundfile

from multimodal_tf.config import AudioInput, CRNNTower, Input, SpectrogramTower
from multimodal_tf.data.describe.column_description import ColumnDescription
from multimodal_tf.data.describe.kinds.kind import (
    RECURRENT_ROWS,
    Default,
    Kind,
    Measures,
    from_to,
    nested,
    pays,
    time_measures,
)
from multimodal_tf.data.describe.kinds.preset_towers import frozen_tower
from multimodal_tf.data.describe.sample import Cell
from multimodal_tf.data.describe.shown import waveform
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.presets.folder import PresetFolder

# seconds of sound that are decoded; a longer clip counts as this long
LISTEN = 30.0

# numbers in a row that count as sound: 25 ms at 16 kHz, one window of the spectrogram
_SHORTEST_SOUND = 400


def _measure_audio(cell: Cell, wav: bytes, value: Any, root: PathLike) -> None:
    try:
        info = soundfile.info(io.BytesIO(wav))
    except soundfile.SoundFileError:
        # a WAV that libsndfile refuses but the graph reads
        return
    cell.seconds, cell.rate = min(info.duration, LISTEN), info.samplerate


def _audio_measures(cells: list[Cell]) -> Measures:
    return time_measures(cells, "sample_rate")


def _audio_values(column: ColumnDescription) -> str:
    if not (column.seconds and column.sample_rate):
        return ""
    more = " or more" if column.seconds.max >= LISTEN else ""
    return f"{from_to(column.seconds, '.2f')}{more} s, {from_to(column.sample_rate)} Hz"


def _default_audio(column: ColumnDescription, rows: int) -> Default:
    small = rows < RECURRENT_ROWS
    seconds = min(10.0, math.ceil(column.seconds.p95 * 2) / 2) if column.seconds else 2.0
    rate = min(16_000, int(column.sample_rate.max)) if column.sample_rate else 16_000
    config = AudioInput(
        seconds=max(0.5, seconds),
        sample_rate=max(1000, rate),
        tower=SpectrogramTower(wide=True) if small else CRNNTower(),
    )
    why = (
        "CNN on a spectrogram: a recurrent layer behind it"
        if small
        else "CNN on a spectrogram, then a GRU: it"
    )
    return config, f"{why} {pays(RECURRENT_ROWS, rows)}"


def _from_preset(preset: PresetFolder, given: Input) -> Input:
    """The clip's length stays; the sample rate is that of the preset."""
    seconds, rate = (getattr(given, name) for name in ("seconds", "sample_rate"))
    return AudioInput(
        seconds=min(seconds, preset.beside.get("max_audio_length") or seconds),
        sample_rate=preset.beside.get("sampling_rate") or rate,
        tower=frozen_tower(preset),
    )


KIND = Kind(
    AudioInput(seconds=LISTEN),
    _default_audio,
    noun="audio clips",
    suffixes=re.compile(r"\.(wav|flac|ogg|oga|opus|mp3|m4a|aac|aiff?|wma|mka)", re.IGNORECASE),
    holds=lambda cell: not nested(cell) and len(cell) >= _SHORTEST_SOUND,
    # what the graph finds broken shows in the first second
    check=AudioInput(seconds=1.0),
    measure=_measure_audio,
    summarize=_audio_measures,
    render=_audio_values,
    shows=lambda wav, value, root: waveform(wav, "audio", "audio/wav"),
    # a short clip among longer ones
    also_reads=("vector",),
    preset_kind="sound",
    of_preset=_from_preset,
)
