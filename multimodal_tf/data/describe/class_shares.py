"""The shares of a label's classes: how unequal they are, and what that asks of its head."""

import collections
from collections.abc import Mapping, Sequence

import pydantic

from multimodal_tf.config.heads import LabelledHead
from multimodal_tf.data import record_files
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.describe.alike import alike
from multimodal_tf.data.describe.sample import COUNTED
from multimodal_tf.data.kinds.label import read_label
from multimodal_tf.data.table import Table

# the commonest class over the rarest from which on weights are proposed, if the commonest is on at
# least this share of the rows: of many classes some are always rare, and weights would cost most
# rows their accuracy for a few
UNEQUAL, DOMINANT = 10.0, 0.5
# a class of fewer rows may be a slip of the pen, and would get an enormous weight
FEWEST = 5


class ClassShares(pydantic.BaseModel):
    """How many rows bear the commonest and the rarest class, of all labelled rows of the table.

    Example:
        >>> shares = ClassShares.of({"no": 99, "yes": 1}, 100)
        >>> shares.text("class")
        "commonest class 'no' on 99.0 % of 100 rows, rarest 'yes' on 1.0 %"
    """

    # labelled rows
    rows: int
    # of these, rows to which no class applies
    without: int = 0
    classes: int
    commonest: str
    commonest_rows: int
    rarest: str
    rarest_rows: int
    # classes of one row
    singles: int = 0
    # groups of classes that differ only in case or spaces
    alike: list[list[str]] = []

    @classmethod
    def of(cls, counts: Mapping[str, int], rows: int, without: int = 0) -> "ClassShares":
        """From the rows of each class; of equally frequent ones the first by name."""
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return cls(
            rows=rows,
            without=without,
            classes=len(ordered),
            commonest=ordered[0][0],
            commonest_rows=ordered[0][1],
            rarest=ordered[-1][0],
            rarest_rows=ordered[-1][1],
            singles=sum(count == 1 for count in counts.values()),
            alike=alike(counts),
        )

    @property
    def is_unequal(self) -> bool:
        """Whether a head that chooses one class should weigh its classes."""
        return (
            self.rarest_rows >= FEWEST
            and self.commonest_rows >= UNEQUAL * self.rarest_rows
            and self.commonest_rows >= DOMINANT * self.rows
        )

    def text(self, noun: str) -> str:
        """The two shares, in words."""
        common, rare = (
            f"{count / self.rows:.1%}".replace("%", " %")
            for count in (self.commonest_rows, self.rarest_rows)
        )
        found = f"commonest {noun} {self.commonest!r} on {common} of {self.rows} rows"
        return found if self.classes == 1 else f"{found}, rarest {self.rarest!r} on {rare}"


def class_shares(table: Table, heads: Mapping[str, LabelledHead]) -> dict[str, ClassShares]:
    """Counts the classes of labels over the whole table.

    Args:
        table: `Table`.
        heads: by column; those of numbers are left out.

    Returns:
        By column; without columns that hold no class, or more than 10,000.
    """
    counted = {name: head for name, head in heads.items() if head.target_type != "number"}
    if not counted:
        return {}
    counts: dict[str, collections.Counter[str]] = {name: collections.Counter() for name in counted}
    rows, without = dict.fromkeys(counted, 0), dict.fromkeys(counted, 0)
    for chunk in table.chunks(columns=list(counted)):
        for name, head in counted.items():
            if len(counts[name]) <= COUNTED:
                labels = [_classes(cell, head) for cell in chunk[name]]
                known = [each for each in labels if each is not None]
                rows[name] += len(known)
                without[name] += sum(not each for each in known)
                counts[name].update(one for each in known for one in each)
    return {
        name: ClassShares.of(found, rows[name], without[name])
        for name, found in counts.items()
        if 0 < len(found) <= COUNTED
    }


def _classes(cell: object, head: LabelledHead) -> Sequence[str] | None:
    """The classes of a cell; None where it is missing or broken."""
    try:
        label = read_label(cell, head)
    except CellError:
        return None
    if not isinstance(label, str):
        return None
    return [one for one in label.split(record_files.LABEL_SEPARATOR) if one]
