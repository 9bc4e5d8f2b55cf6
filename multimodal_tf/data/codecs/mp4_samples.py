"""Counts the samples (frames, packets) that an MP4 or QuickTime file says it has.

FFmpeg makes an entry of its index for each of them when it opens the file, even where a file of a
thousand bytes says a billion.
"""

import struct
from typing import BinaryIO

from multimodal_tf.data.codecs.cell import CellError

# boxes that hold boxes on the way to a table of samples
_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}
# position of the number of samples in boxes that have one
_COUNTS = {b"stsz": 8, b"stz2": 8, b"trun": 4}
# of a film of ten hours in fragments of half a second
_MOST_BOXES = 1_000_000


def check(file: BinaryIO, most: int) -> None:
    """Refuses a file of more samples than `most`, by its boxes alone.

    Args:
        file: binary file, seekable; left at its start.

    Raises:
        CellError: it has more samples, or more than a million boxes.
    """
    end = file.seek(0, 2)
    position = samples = boxes = 0
    while position + 8 <= end:
        file.seek(position)
        head = file.read(32)
        size, name = struct.unpack(">I4s", head[:8])
        start = 8
        # the length follows
        if size == 1 and len(head) >= 16:
            size, start = struct.unpack(">Q", head[8:16])[0], 16
        if name in _COUNTS:
            first = start + _COUNTS[name]
            samples += int.from_bytes(head[first : first + 4], "big")
        boxes += 1
        if samples > most or boxes > _MOST_BOXES:
            raise CellError(f"a file of more than {most} frames or {_MOST_BOXES} boxes")
        # 0: up to the end of the file
        if name not in _CONTAINERS and size < start:
            break
        position += start if name in _CONTAINERS else size
    file.seek(0)
