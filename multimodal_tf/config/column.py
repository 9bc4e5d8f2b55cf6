"""What inputs and heads have in common: a column of the table."""

from typing import ClassVar

from pydantic import Field

from multimodal_tf.config.names import ColumnName, Strict


class Column(Strict):
    """What inputs and heads have in common."""

    # names of the fields, besides `type` and `column`, that the bytes of a cell in a record depend
    # on
    cell_settings: ClassVar[tuple[str, ...]] = ()

    type: str
    column: ColumnName | None = Field(
        None, description="the table's column, where it differs from the name"
    )
