"""Videos in `describe`."""

import re
from typing import Any

from multimodal_tf.config import FramesAverage, FramesLSTM, FramesTower, Input, VideoInput
from multimodal_tf.data.codecs import video_file
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.codecs.decoder_file import readable
from multimodal_tf.data.describe.column_description import ColumnDescription
from multimodal_tf.data.describe.kinds.image import (
    default_size,
    image_measures,
    image_values,
    measure_image,
)
from multimodal_tf.data.describe.kinds.kind import (
    ARRAYS,
    RECURRENT_ROWS,
    Default,
    Kind,
    Measures,
    from_to,
    nested,
    pays,
    time_measures,
)
from multimodal_tf.data.describe.kinds.preset_towers import frozen_tower, sides
from multimodal_tf.data.describe.sample import Cell
from multimodal_tf.data.describe.shown import Shown, moving, whole
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.kinds.files import open_file
from multimodal_tf.data.presets.folder import PresetFolder

# containers that browsers play, by their first bytes
_BY_HEAD = {b"\x1aE\xdf\xa3": "video/webm"}


def _measure_video(cell: Cell, frames: list[bytes], value: Any, root: PathLike) -> None:
    if isinstance(value, ARRAYS) or frames[0].startswith(video_file.GIF):
        measure_image(cell, frames[0], value, root)
        return
    try:
        with open_file(value, root, video_file.MAGIC) as file, readable():
            measures = video_file.measure(file, VideoInput().max_pixels)
    except CellError:
        # the frames were read a moment ago: the file has changed, or its disk fails
        return
    width, height, cell.seconds, cell.rate = measures
    cell.size = width, height


def _video_measures(cells: list[Cell]) -> Measures:
    return image_measures(cells) | time_measures(cells, "frame_rate")


def _video_values(column: ColumnDescription) -> str:
    seconds = f", {from_to(column.seconds, '.1f')} s" if column.seconds else ""
    return image_values(column) + seconds


def _default_video(column: ColumnDescription, rows: int) -> Default:
    height, width = default_size(column)
    small = rows < RECURRENT_ROWS
    over = FramesAverage() if small else FramesLSTM()
    config = VideoInput(height=height, width=width, tower=FramesTower(over=over))
    why = (
        "CNN on each frame, averaged: an LSTM over them"
        if small
        else "CNN on each frame, LSTM over them: it"
    )
    return config, f"{why} {pays(RECURRENT_ROWS, rows)}"


def _show_video(frames: list[bytes], value: Any, root: PathLike) -> Shown | None:
    """The file where a browser plays it and it is small, else its frames."""
    if not isinstance(value, ARRAYS) and not frames[0].startswith(video_file.GIF):
        with open_file(value, root, video_file.MAGIC) as file:
            head = file.read(12)
            file.seek(0)
            mime = "video/mp4" if head[4:8] == b"ftyp" else _BY_HEAD.get(head[:4])
            player = None if mime is None else whole(file, "video", mime)
        if player is not None:
            return player
    return moving(frames)


def _from_preset(preset: PresetFolder, given: Input) -> Input:
    """The network of images, on each frame."""
    height, width = sides(preset)
    return VideoInput(height=height, width=width, tower=FramesTower(frame=frozen_tower(preset)))


KIND = Kind(
    VideoInput(),
    _default_video,
    noun="videos",
    suffixes=re.compile(r"\.(mp4|m4v|mov|webm|mkv|avi|3gp)", re.IGNORECASE),
    holds=nested,
    frames_of="image",
    measure=_measure_video,
    summarize=_video_measures,
    render=_video_values,
    shows=_show_video,
    preset_kind="image",
    of_preset=_from_preset,
)
