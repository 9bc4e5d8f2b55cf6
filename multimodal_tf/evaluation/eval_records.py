"""The ingested records, and their table, that a model is evaluated on."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator
from typing import TypeAlias

import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.data.ingest.record_settings import check_records
from multimodal_tf.data.ingest.whole_table import SPLIT, Source, opened_rows
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.table import Table, read_table
from multimodal_tf.data.table_formats.choice import divided
from multimodal_tf.data.trained import check_own_records
from multimodal_tf.evaluation.eval_split import EvalSplit, load_eval_split
from multimodal_tf.evaluation.predictor import Predictor

# what was ingested
SourceTable: TypeAlias = Table
# what is evaluated: a folder of records, or a table
EvalSource: TypeAlias = Source


@dataclasses.dataclass(frozen=True)
class EvalRows:
    """The rows that a model is evaluated on.

    Attributes:
        records: folder of ingested records.
        split: of the records.
        table: what was ingested, if it was given.
        named: what they are, for people.
        notes: what of a table is missing or left out, one sentence each.
        keeps: whether the records are the user's, and results may be kept beside them.
    """

    records: str | os.PathLike[str]
    split: str
    table: Table | None
    named: str
    notes: tuple[str, ...] = ()
    keeps: bool = True


@contextlib.contextmanager
def evaluated_rows(
    model: object, config: Config, source: Source, split: str, table: Table | None
) -> Iterator[EvalRows]:
    """A split of the records of a run, or all rows of a table for as long as the block lasts.

    Args:
        model: what `load_run` gives; others do not know their records.
        config: of the model.
        source: a folder of records, the path of a table, a `Table` or a DataFrame.
        split: "train", "validation" or "test", of records.
        table: what was ingested; None: it is not given.

    Raises:
        FileNotFoundError: there is no such table or no such records.
        ValueError: the records are not those of the run; the table has not the columns of the
            model, or no row that can be read, or comes with a split or another table.
    """
    with opened_rows(source, config) as rows:
        if rows.table is None:
            check_own_records(model, rows.records, "give the table itself to evaluate all its rows")
            yield EvalRows(rows.records, split, table, split)
            return
        if split != SPLIT:
            raise ValueError(
                f"split is of records: of a table all rows are evaluated, received {split!r}"
            )
        if table is not None:
            raise ValueError(
                "table is of records: a table that is evaluated has its own columns, received both"
            )
        named = f"all rows of {rows.table.name}"
        yield EvalRows(rows.records, SPLIT, rows.table, named, rows.notes, keeps=False)


@dataclasses.dataclass(frozen=True)
class EvalRecords:
    """Records that fit a model's configuration, and the table they were made of, if it is readable.

    Args:
        folder: of the ingested records.
        manifest: of the records.
        table: the ingested table; None where it cannot be read.
    """

    folder: str | os.PathLike[str]
    manifest: Manifest
    table: Table | None

    @classmethod
    def open(
        cls, predictor: Predictor, records: str | os.PathLike[str], table: Table | None = None
    ) -> "EvalRecords":
        """Opens records, and their table.

        Args:
            predictor: `Predictor`.
            records: folder of the ingested records.
            table: the ingested table; None: read from where ingest found it, if it is still there.

        Raises:
            FileNotFoundError: ingest has not ended in `records`.
            ValueError: the records were ingested with other settings, or `table` is another one.
        """
        manifest = Manifest.load(records)
        check_records(predictor.config, records)
        return cls(records, manifest, source_table(manifest, table))

    def read(
        self, predictor: Predictor, split: str, head: str, max_rows: int | None, seed: int
    ) -> tuple[EvalSplit, dict[str, tf.Tensor]]:
        """The rows of a split and their decoded features, as `load_eval_split`."""
        return load_eval_split(predictor, self.folder, split, head, self.table, max_rows, seed)

    def other(
        self, predictor: Predictor, name: str, than: EvalSplit, max_rows: int, seed: int
    ) -> EvalSplit | None:
        """Another split; None where it has no rows, or is the same."""
        if name == than.split or not self.manifest.rows(name):
            return None
        return self.read(predictor, name, than.head, max_rows, seed)[0]

    def described(self, eval_split: EvalSplit) -> dict[str, str]:
        """Table, split and number of rows, for a page."""
        rows, split = f"{len(eval_split.rows):,}", eval_split.split
        unread = "" if eval_split.table is not None else ", which could not be read"
        return {
            "table": f"{self.manifest.table}{unread}",
            "split": f"{split}, {rows} of {self.manifest.rows(split):,} rows",
        }


def source_table(manifest: Manifest, table: Table | None) -> Table | None:
    """The ingested table, recognised by its number of rows; None where it cannot be found.

    Args:
        manifest: of the records.
        table: what was ingested; None: read from where ingest found it.

    Raises:
        ValueError: `table` is another one.
    """
    if table is None:
        # it may have been moved, or be another file by now
        with contextlib.suppress(OSError, ValueError):
            if divided(pathlib.Path(manifest.table))[0].exists():
                found = read_table(manifest.table, **manifest.table_options)
                return found if _rows(found) == manifest.table_rows else None
        return None
    rows = _rows(table)
    if rows == manifest.table_rows:
        return table
    raise ValueError(
        f"table: must be the one that was ingested, of {manifest.table_rows} rows, "
        f"received {table.name} of {rows}"
    )


def _rows(table: Table) -> int:
    return sum(len(chunk) for chunk in table.chunks(columns=[]))
