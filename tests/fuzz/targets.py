"""What is fuzzed: functions that take a file's bytes through every way that reads it.

A target returns "" where the file is good and the reason where it is refused. Whatever else it
raises is a finding, and so is a `DisagreementError` between the ways.
"""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from fuzz import files
from fuzz.child import Attempt
from fuzz.outcomes import DisagreementError
from multimodal_tf.config import (
    AudioInput,
    BooleanInput,
    CategoryInput,
    Config,
    DateInput,
    ImageInput,
    NumberInput,
    TextInput,
    VectorInput,
    VideoInput,
)
from multimodal_tf.config.inputs import Input
from multimodal_tf.data.codecs.cell import Cell, CellError
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.kinds import kind_of, read_cell
from multimodal_tf.data.kinds.kind import batch_spec
from multimodal_tf.data.table import read_table


class Media:
    """A file as ingest reads it, as `Client` does, and as its bytes in a request.

    Args:
        config: of the input.
        raw: whether the graph reads the file's own bytes.
    """

    def __init__(self, config: Input, raw: bool) -> None:
        self._config, self._raw = config, raw
        self._kind: Any = kind_of(config)
        reader = self._kind.reader(None)
        self._graph = tf.function(
            reader.read, input_signature=[batch_spec(config)], autograph=False
        )
        example = self._kind.example(None).numpy()
        self._neighbour = example.tolist() if self._is_list else example
        self._alone = self._decoded(None)[2]

    def __call__(self, data: bytes, path: pathlib.Path) -> str:
        """As an `Attempt`."""
        if not data:
            return "missing"
        ingested, refusal = _read(self._kind.read_checked, data)
        sent, reason = _read(lambda value, root: read_cell(value, self._config, root), data)
        ways: dict[str, np.ndarray] = {}
        if sent is not None:
            reason, ways["Client"], _ = self._decoded(sent)
            checked = getattr(self._kind, "checked", None)
            if reason and checked is not None:
                # as `Client`, which sends what the graph refuses and Pillow reads once more
                sent, problem = checked(sent)
                if not problem:
                    reason, ways["Client"], _ = self._decoded(sent)
        if bool(reason) != bool(refusal):
            raise DisagreementError(f"ingest: {refusal!r}; Client: {reason!r}")
        if ingested is not None:
            problem, ways["ingest"], _ = self._decoded(ingested)
            if problem:
                raise DisagreementError(f"ingest: ''; the graph on its record: {problem!r}")
        if self._raw:
            problem, pixels, _ = self._decoded([data] if self._is_list else data)
            if not problem:
                ways["request"] = pixels
                if refusal:
                    raise DisagreementError(
                        f"ingest: {refusal!r}; a request with the same bytes: ''"
                    )
        if not refusal and any(
            not np.array_equal(ways["ingest"], decoded) for decoded in ways.values()
        ):
            raise DisagreementError(f"other values by {', '.join(ways)}")
        return refusal

    def record(self, data: bytes) -> Any:
        """What ingest writes of a good file."""
        return self._kind.read_checked(data, ".")

    def decoded(self, cell: Cell) -> np.ndarray:
        """What the graph makes of a record."""
        return self._decoded(cell)[1]

    @property
    def _is_list(self) -> bool:
        return bool(self._config.cell_shape)

    def _decoded(self, cell: Any) -> tuple[str, np.ndarray, np.ndarray]:
        """The graph's reason, the decoded cell, and the neighbours of it in a batch."""
        missing: Any = [] if self._is_list else b""
        cell = missing if cell is None else cell
        cells = [self._neighbour, cell, cell, self._neighbour]
        if self._is_list:
            longest = max(1, *map(len, cells))
            cells = [[*one, *[b""] * (longest - len(one))] for one in cells]
        tensor, present, reasons = (one.numpy() for one in self._graph(tf.constant(cells)))
        neighbours = tensor[[0, 3]]
        if cell == missing:
            return "", tensor[1], neighbours
        if not (present[0] and present[3] and np.array_equal(neighbours, self._alone)):
            raise DisagreementError("the neighbours of the cell in a batch changed")
        if not np.array_equal(tensor[1], tensor[2]) or present[1] != present[2]:
            raise DisagreementError("the same cell twice in a batch gave other values")
        if present[1] == bool(reasons[1]):
            raise DisagreementError(f"present is {present[1]} and the reason {reasons[1]!r}")
        return reasons[1].decode(), tensor[1], neighbours


def _read(read: Callable[[Any, Any], Cell | None], data: Any) -> tuple[Cell | None, str]:
    """The cell, or the reason why there is none."""
    try:
        cell = read(data, ".")
    except CellError as error:
        return None, str(error) or "no reason"
    return cell, "" if cell is not None else "missing"


def table(data: bytes, path: pathlib.Path) -> str:
    """Reads all of a table, each cell as every kind would, and describes it."""
    try:
        opened = read_table(path)
        for chunk in opened.chunks(100):
            for cell in chunk.to_numpy().ravel()[:_CELLS]:
                for one in _KINDS:
                    _read(kind_of(one).read_checked, cell)
        describe(opened)
    except ValueError as error:
        return str(error) or "no reason"
    return ""


def configuration(data: bytes, path: pathlib.Path) -> str:
    """Reads a configuration, writes it, and reads that."""
    try:
        config = Config.load(path)
    except ValueError as error:
        return str(error) or "no reason"
    if Config.from_yaml(config.to_yaml()) != config:
        raise DisagreementError("the configuration changes when it is written")
    return ""


def served(of_texts: bool) -> Attempt:
    """Cells of all other kinds through `Client` and the served signature of an exported model."""
    # imports Keras, which takes its time
    from fuzz.served import TEXTS, VALUES, Served

    return Served(os.environ["FUZZ_MODEL"], TEXTS if of_texts else VALUES)


def hostile_rows() -> Attempt:
    """Rows of hostile cells through the served signature of an exported model."""
    from fuzz.hostile_rows import HostileRows

    return HostileRows(os.environ["FUZZ_MODEL"])


def _reference() -> Any:
    # it imports this module
    from fuzz import reference

    return reference


def _foreign(name: str) -> Attempt:
    attempt: Attempt = getattr(_reference(), name)()
    return attempt


# cells of a table that are read as every kind
_CELLS = 500
_KINDS: list[Input] = [
    TextInput(),
    NumberInput(),
    CategoryInput(),
    BooleanInput(),
    DateInput(),
    VectorInput(dim=8),
]
_IMAGE = ImageInput(height=24, width=32)
_SOUND = AudioInput(sample_rate=8000, seconds=0.5)
_VIDEO = VideoInput(frames=4, height=24, width=32)
# as `fuzz.child.main` takes them
TARGETS: dict[str, Callable[[], Attempt]] = {
    "image": lambda: Media(_IMAGE, raw=True),
    "gif": lambda: Media(_VIDEO, raw=True),
    "wave": lambda: Media(_SOUND, raw=True),
    "sound": lambda: Media(_SOUND, raw=False),
    "video": lambda: Media(_VIDEO, raw=False),
    "table": lambda: table,
    "configuration": lambda: configuration,
    "text": lambda: served(True),
    "value": lambda: served(False),
    "hostile": hostile_rows,
    "foreign_image": lambda: _foreign("ForeignImage"),
    "foreign_sound": lambda: _foreign("ForeignSound"),
    "foreign_video": lambda: _foreign("ForeignVideo"),
    "foreign_table": lambda: _reference().foreign_table,
    **files.TARGETS,
}
