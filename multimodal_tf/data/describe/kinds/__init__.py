"""What `describe` knows of each kind of input: its cells, its measures, its default tower.

`KINDS` alone lists the kinds. A larger tower is the default from a bound on, in rows with a value.
The bounds are those of published comparisons where there are some, rules of thumb elsewhere.
"""

from collections.abc import Callable

from multimodal_tf.config import (
    BooleanInput,
    CategoryInput,
    DateInput,
    DenseTower,
    Input,
    NumberInput,
)
from multimodal_tf.data.describe.column_description import ColumnDescription
from multimodal_tf.data.describe.kinds import audio, image, text, vector, video
from multimodal_tf.data.describe.kinds.audio import LISTEN
from multimodal_tf.data.describe.kinds.kind import Default, Kind, from_to

__all__ = ["FILES", "KINDS", "LISTEN", "OPENED", "Kind"]


def _range(column: ColumnDescription) -> str:
    return from_to(column.range, ".6g") if column.range else ""


def _tabular(
    config: Input,
    *also_reads: str,
    render: Callable[[ColumnDescription], str] = lambda column: "",
) -> Kind:
    """A kind without sizes; `defaults.default_tabular` explains the tower of all such columns."""

    def default(column: ColumnDescription, rows: int) -> Default:
        return config.model_copy(update={"tower": DenseTower(wide=True)}), ""

    return Kind(config, default, also_reads=also_reads, render=render)


# Kinds of files are tried in this order: a moving GIF is an image unless its column's type is
# given, and a video has sound as well.
KINDS: dict[str, Kind] = {
    "image": image.KIND,
    "video": video.KIND,
    "audio": audio.KIND,
    "text": text.KIND,
    "number": _tabular(NumberInput(), render=_range),
    "category": _tabular(CategoryInput(), "text", "number", "date"),
    "boolean": _tabular(BooleanInput()),
    "date": _tabular(DateInput()),
    "vector": vector.KIND,
}
# kinds that a cell shows by itself, and those of them that are files
OPENED = {name: kind for name, kind in KINDS.items() if kind.noun}
FILES = {name: kind for name, kind in OPENED.items() if kind.config.is_media}
