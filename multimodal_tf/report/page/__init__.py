"""A page of metrics, tables, charts and examples: one HTML file with its data beside it.

The file works from disk without a network. The page knows nothing of models. Text of the data is
always escaped, never markup.
"""

from multimodal_tf.report.page.blocks import (
    AudioClip,
    Bars,
    Block,
    Cell,
    Column,
    Example,
    Examples,
    HeatMap,
    Image,
    Line,
    Lines,
    Metrics,
    Note,
    Page,
    Reference,
    Section,
    Table,
    Tile,
)
from multimodal_tf.report.page.folder import check_out, save

__all__ = [
    "AudioClip",
    "Bars",
    "Block",
    "Cell",
    "Column",
    "Example",
    "Examples",
    "HeatMap",
    "Image",
    "Line",
    "Lines",
    "Metrics",
    "Note",
    "Page",
    "Reference",
    "Section",
    "Table",
    "Tile",
    "check_out",
    "save",
]
