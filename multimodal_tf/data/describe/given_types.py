"""The types and labels of columns that a caller names, checked."""

import difflib
from collections.abc import Iterable, Mapping

from multimodal_tf.data.describe.heads import HEADS, label_column
from multimodal_tf.data.describe.kinds import KINDS
from multimodal_tf.data.table import Table

# columns that neither are inputs nor labels
_OTHERS = ("split", "group", "ignored")


def given_types(
    table: Table, types: Mapping[str, str], label: str | int | Iterable[str | int] | None
) -> dict[str, str]:
    """The types that the caller gives, and "label" for the labels; by default the usual name's.

    Raises:
        ValueError: a column is not in the table, a type is unknown, or two columns are given as
            split or group.
    """
    # a column of a DataFrame may be called 0
    types = {str(name): kind for name, kind in types.items()}
    known = (*KINDS, *HEADS, "label", *_OTHERS)
    for column, kind in types.items():
        table.column(column)
        if kind not in known:
            similar = difflib.get_close_matches(str(kind), known, n=1)
            hint = f": did you mean {similar[0]!r}?" if similar else ""
            raise ValueError(
                f"the type of column {column!r} must be one of {', '.join(known)},"
                f" received {kind!r}{hint}"
            )
    for kind in ("split", "group"):
        several = [column for column in types if types[column] == kind]
        if len(several) > 1:
            raise ValueError(f"only one column can be the {kind}, received {several}")
    labels = [label] if isinstance(label, str | int) else list(label or [])
    if not labels and "label" not in types.values():
        # a second head, which `types` may name, does not make the first one's label an input
        usual = label_column([name for name in table.columns if name not in types])
        labels = [] if usual is None else [usual]
    for column in map(table.column, labels):
        if types.setdefault(column, "label") not in (*HEADS, "label"):
            raise ValueError(
                f"column {column!r} is the label, so its type must be one of {', '.join(HEADS)},"
                f" received {types[column]!r}"
            )
    return types
