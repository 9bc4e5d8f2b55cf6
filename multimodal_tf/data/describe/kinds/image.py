"""Images in `describe`."""

import re
from typing import Any

from multimodal_tf.config import ConvTower, ImageInput, Input, ResNetTower
from multimodal_tf.data.codecs import image_file
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.describe.column_description import ColumnDescription, Spread
from multimodal_tf.data.describe.kinds.kind import Default, Kind, Measures, from_to, nested, pays
from multimodal_tf.data.describe.kinds.preset_towers import frozen_tower, sides
from multimodal_tf.data.describe.sample import Cell
from multimodal_tf.data.describe.shown import picture
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.presets.folder import PresetFolder

# residual blocks (rule of thumb; with few rows plain CNNs are as good: Brigato, Iocchi 2020,
# arXiv:2003.12843)
RESIDUAL_ROWS = 10_000

# pixels
_SMALL = 32


def measure_image(cell: Cell, data: bytes, value: Any, root: PathLike) -> None:
    try:
        with image_file.opened(data, ImageInput().max_pixels) as image:
            cell.size, cell.grey = image.size, image.mode in ("1", "L", "LA", "I;16")
    except CellError:
        cell.reason = cell.reason or "not an image"


def image_measures(cells: list[Cell]) -> Measures:
    sizes = [cell.size for cell in cells if cell.size]
    grey = bool(sizes) and all(cell.grey for cell in cells if cell.size)
    return {
        "width": Spread.of([width for width, _ in sizes]),
        "height": Spread.of([height for _, height in sizes]),
        "grey": grey,
    }


def image_values(column: ColumnDescription) -> str:
    if not (column.width and column.height):
        return ""
    grey = ", grey" if column.grey else ""
    return f"{from_to(column.width)} x {from_to(column.height)} pixels{grey}"


def _default_image(column: ColumnDescription, rows: int) -> Default:
    height, width = default_size(column)
    small = rows < RESIDUAL_ROWS
    config = ImageInput(
        height=height,
        width=width,
        channels=1 if column.grey else 3,
        tower=ConvTower(wide=True) if small else ResNetTower(),
    )
    why = "plain CNN: a ResNet" if small else "ResNet 18: it"
    return config, f"{why} {pays(RESIDUAL_ROWS, rows)}"


def default_size(column: ColumnDescription) -> tuple[int, int]:
    return (_SMALL, _SMALL) if is_small(column) else (96, 96)


def is_small(column: ColumnDescription) -> bool:
    """Whether a column's median picture is an icon or a digit rather than a photo."""
    return (
        column.width is not None
        and column.height is not None
        and max(column.width.median, column.height.median) <= _SMALL
    )


def _from_preset(preset: PresetFolder, given: Input) -> Input:
    height, width = sides(preset)
    return ImageInput(height=height, width=width, tower=frozen_tower(preset))


KIND = Kind(
    ImageInput(),
    _default_image,
    noun="images",
    suffixes=re.compile(
        r"\.(jpe?g|png|gif|bmp|webp|tiff?|jp2|avif|ppm|pgm|ico|svg|heic)", re.IGNORECASE
    ),
    holds=nested,
    measure=measure_image,
    summarize=image_measures,
    render=image_values,
    shows=lambda content, value, root: picture(content),
    preset_kind="image",
    of_preset=_from_preset,
)
