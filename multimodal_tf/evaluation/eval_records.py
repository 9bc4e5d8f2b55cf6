"""The ingested records, and their table, that a model is evaluated on."""

import contextlib
import dataclasses
import os
import pathlib
from typing import TypeAlias

import tensorflow as tf

from multimodal_tf.data.ingest.record_settings import check_records
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.table import Table, read_table
from multimodal_tf.data.table_formats.choice import divided
from multimodal_tf.evaluation.eval_split import EvalSplit, load_eval_split
from multimodal_tf.evaluation.predictor import Predictor

# what was ingested
SourceTable: TypeAlias = Table


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
