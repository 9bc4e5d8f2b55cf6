"""Default towers and sizes of a column, and why: a small table gets a small tower.

A tower with more parameters than the table can train takes longer and is no better. Towers that
need more rows than nearly any table has, or are no better from scratch, are never chosen:
transformers over patches of images and spectrograms (Dosovitskiy et al. 2021, arXiv:2010.11929;
Gong et al. 2021, arXiv:2104.01778) and over columns (Zabergja et al. 2024, arXiv:2402.03970).
"""

from multimodal_tf.config import Input, MLPTower, TabularTower
from multimodal_tf.data.describe.column_description import ColumnDescription
from multimodal_tf.data.describe.kinds import KINDS

# an MLP: the least in the comparison of Grinsztajn et al. 2022, arXiv:2207.08815
TABULAR_ROWS, TABULAR_COLUMNS = 3_000, 4


def default_input(column: ColumnDescription, rows: int) -> tuple[Input, str]:
    """The configuration of a column's input, and why it has this tower.

    Args:
        column: of an input, with its measures.
        rows: rows of the table with a value in this column.

    Returns:
        `(input, why)`: the input without `column`, and a phrase that begins with the tower's name.

    Example:
        >>> from multimodal_tf.data.describe.column_description import ColumnDescription
        >>> photo = ColumnDescription(
        ...     name="photo", column="photo", type="image", why="given", missing=0, distinct=785)
        >>> default_input(photo, rows=785)[1]
        'plain CNN: a ResNet pays from 10,000 rows, here are 785'
    """
    return KINDS[column.type].default(column, rows)


def default_tabular(columns: int, rows: int) -> tuple[TabularTower | None, str]:
    """The tower over all numbers, categories, dates and booleans of a table, and why.

    Args:
        columns: number of such columns.
        rows: rows of the table.

    Returns:
        `(tower, why)`; None where each column has a Dense layer of its own.

    Example:
        >>> default_tabular(columns=2, rows=785)
        (None, 'a Dense layer: an MLP over all such columns pays from 4 columns and 3,000 rows,
        here are 2 and 785')
    """
    bounds = (
        f"from {TABULAR_COLUMNS} columns and {TABULAR_ROWS:,} rows, here are {columns} and {rows:,}"
    )
    if columns >= TABULAR_COLUMNS and rows >= TABULAR_ROWS:
        return MLPTower(wide=True), f"MLP over all such columns: it pays {bounds}"
    return None, f"a Dense layer: an MLP over all such columns pays {bounds}"
