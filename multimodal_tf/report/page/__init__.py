"""A page of figures, tables, charts and examples: one HTML file that works from disk without a
network, its data beside it.

The page knows nothing of models: it shows what it is given. Every text is data and never markup.
"""

from multimodal_tf.report.page.blocks import (
    Bars,
    Block,
    Cell,
    Column,
    Example,
    Examples,
    Figure,
    Figures,
    HeatMap,
    Line,
    Lines,
    Note,
    Page,
    Picture,
    Reference,
    Section,
    Sound,
    Table,
)
from multimodal_tf.report.page.folder import check_place, save

__all__ = [
    "Bars",
    "Block",
    "Cell",
    "Column",
    "Example",
    "Examples",
    "Figure",
    "Figures",
    "HeatMap",
    "Line",
    "Lines",
    "Note",
    "Page",
    "Picture",
    "Reference",
    "Section",
    "Sound",
    "Table",
    "check_place",
    "save",
]
