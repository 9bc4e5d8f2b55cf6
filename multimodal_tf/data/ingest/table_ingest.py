"""Ingest: a table -> checked records in shards, resumable, and the list of rejected cells."""

import collections
import functools
import hashlib
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas
from numpy.typing import NDArray

from multimodal_tf.config import Config
from multimodal_tf.config.model import check_config
from multimodal_tf.data import atomic, filesystem, manifest, record_files
from multimodal_tf.data.filesystem import Path, PathLike
from multimodal_tf.data.ingest import positions, rejected, schema_cache, shards
from multimodal_tf.data.ingest import processes as local
from multimodal_tf.data.ingest.beam import BeamPipeline
from multimodal_tf.data.ingest.checks import check_arguments
from multimodal_tf.data.ingest.jobs import Job, columns_of, jobs_of
from multimodal_tf.data.ingest.record_settings import CONFIG, recorded_config, settings_hash
from multimodal_tf.data.ingest.unreadable import check_readable
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.progress import progress_bar
from multimodal_tf.data.split import SPLITS, assign_splits
from multimodal_tf.data.table import Table, as_table
from multimodal_tf.data.teacher_files import with_teacher_inputs

# a worker process takes some ten seconds to start: for fewer rows it does not pay
_ROWS_PER_PROCESS = 2000
_SHARD = re.compile(rf"({'|'.join(SPLITS)})-\d{{5,}}\.tfrecord")

# runs a function on jobs, and yields the rows of each when it ends
Run = Callable[[Callable[[Job], int], Iterator[Job]], Iterator[int]]
Files = Mapping[str, Sequence[str]]


def ingest(
    table: Table | str | os.PathLike[str] | pandas.DataFrame,
    config: Config,
    out: PathLike,
    processes: int | None = None,
    rows_per_shard: int = 1000,
    progress: bool | None = None,
    beam: Sequence[str] | None = None,
) -> Manifest:
    """Writes a table's rows as checked records, split into train, validation and test.

    A broken cell is listed in `rejected.csv` (row, column, path, reason), and its row is kept
    without it. A row with a broken label, no label or no input is left out and listed; its column
    is "" where no single cell is the reason. Call it again with the same arguments to resume: the
    files are byte-identical to those of an uninterrupted run. Shards are written again only if
    their cells, the files that these name (by size and modification time) or the configuration
    changed. Memory use does not depend on the number of rows. With a `teacher`, the inputs that it
    reads are written, too, and rows without labels are kept.

    Args:
        table: `Table`, or what `read_table` opens: a path or a DataFrame.
        out: the folder to write, or an address such as `gs://bucket/records`, which is not locked
            against a second writer. It gets `manifest.json`, `rejected.csv`, `config.yaml`,
            `schema.json`, `train-00000.tfrecord` etc., and in `parts` small files for each shard.
        processes: None: one per CPU, fewer for a small table; 1: this process. Others import the
            calling script, which needs `if __name__ == "__main__":`.
        rows_per_shard: fewer where cells hold whole files.
        progress: show a progress bar; None: where standard error is a terminal.
        beam: options of an Apache Beam pipeline that writes the shards, such as
            `["--runner=FlinkRunner", "--flink_master=host:8081"]`. Its workers need this package,
            and `out` and the files of the table under the same paths. The table is read here.

    Raises:
        ValueError: the table lacks a column, or it holds labels of another type than its head's;
            more than `config.max_unreadable` of an input's cells cannot be
            read; no row is left to train on; Beam is not installed or does not know an option.
        OSError: `out` cannot be written, another process writes there, the disk is full, a worker
            process died, or the pipeline failed.
    """
    table = as_table(table)
    check_config(config)
    config = with_teacher_inputs(config)
    recorded = recorded_config(config)
    check_arguments(table, recorded, processes, rows_per_shard)
    table = table.with_missing(config.missing)
    records, run = filesystem.to_path(out), None
    if beam is not None:
        # workers may run in another folder
        records = records.absolute()
        run = _on_beam(beam, records, processes)
    with atomic.full_disk_explained(records), atomic.locked(records):
        _take_over(records, recorded)
        splits = assign_splits(table, config)
        run = run or functools.partial(
            local.results, processes=processes or _default_processes(len(splits))
        )
        files = write_shards(table, recorded, records, splits, run, rows_per_shard, progress)
        filesystem.forget_listings(records)
        _remove_other_shards(records, files)
        return _conclude(table, config, records, files, len(splits))


def _take_over(records: Path, config: Config) -> None:
    """Makes the folders, and clears what an ingest that was killed has left in them."""
    filesystem.make_directory(records / record_files.PARTS)
    atomic.remove_temporaries(records)
    atomic.remove_temporaries(records / record_files.PARTS)
    _warn_of_deaths(records, config)


def _warn_of_deaths(records: Path, config: Config) -> None:
    """Says at which cells an earlier ingest died, where no other process could say so."""
    if not filesystem.is_local(records):
        return
    columns = columns_of(config)
    for row, column in positions.left(records / record_files.PARTS):
        named = f", column {columns[column]!r}" if column < len(columns) else ""
        warnings.warn(
            f"an earlier ingest into {records} ended without an error at row {row}{named}: if this"
            " one ends, too, make that cell empty, or replace its file",
            stacklevel=3,
        )


def _on_beam(options: Sequence[str], records: Path, processes: int | None) -> Run:
    if processes is not None:
        raise ValueError(
            f"processes must be None where Beam has workers of its own, received {processes}"
        )
    return BeamPipeline(options, records).results


def _default_processes(rows: int) -> int:
    return max(1, min(os.cpu_count() or 1, rows // _ROWS_PER_PROCESS))


def write_shards(
    table: Table,
    config: Config,
    records: Path,
    splits: NDArray[np.int8],
    run: Run,
    rows_per_shard: int,
    progress: bool | None,
) -> Files:
    """Brings all shards up to date; returns their file names by split."""
    files = collections.defaultdict(list)
    started, done = time.monotonic(), 0
    with progress_bar("ingest", "rows", len(splits), progress) as update:

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            rate = done / max(time.monotonic() - started, 1e-3)
            update(completed=done, note=f", {rate:.0f}/s")

        def outdated() -> Iterator[Job]:
            for split, job in jobs_of(table, config, splits, rows_per_shard):
                files[split].append(job.file)
                if shards.is_done(job, records):
                    advance(len(job.rows))
                else:
                    _invalidate(records)
                    yield job

        work = functools.partial(shards.write, config=config, root=table.root, records=records)
        for rows in run(work, outdated()):
            advance(rows)
    return files


def _invalidate(records: Path) -> None:
    """Removes what describes all shards before one of them changes.

    A folder without a manifest is not taken for a complete ingest.
    """
    for name in (manifest.FILE, schema_cache.FILE):
        (records / name).unlink(missing_ok=True)


def _remove_other_shards(records: Path, files: Files) -> None:
    """Removes shards of an earlier ingest that this one does not have."""
    ours = {file for several in files.values() for file in several}
    for path in records.glob("*.tfrecord"):
        if path.name not in ours and _SHARD.fullmatch(path.name):
            _invalidate(records)
            path.unlink()
            shards.part_path(records, path.name).unlink(missing_ok=True)
            record_files.lengths_path(path).unlink(missing_ok=True)


def _conclude(
    table: Table, config: Config, records: Path, files: Files, table_rows: int
) -> Manifest:
    """Writes the files that describe all shards."""
    content = write_manifest(table, config, records, files, table_rows)
    schema_cache.refresh(config, records, content.hash)
    return Manifest.load(records)


def write_manifest(
    table: Table, config: Config, records: Path, files: Files, table_rows: int, trains: bool = True
) -> Manifest:
    """Writes configuration, rejected cells and manifest.

    Args:
        trains: whether rows to train on are needed.
    """
    atomic.write_text(records / CONFIG, config.to_yaml())
    count = rejected.write_rejected(
        records,
        [
            (one for file in files[split] for one in shards.load_part(records, file).rejected)
            for split in SPLITS
        ],
    )
    parts = (shards.load_part(records, file) for split in SPLITS for file in files[split])
    check_readable(config, parts, table.root, table.name, records)
    listed = {
        split: [shards.load_part(records, file).shard for file in files[split]] for split in SPLITS
    }
    every = [shard for several in listed.values() for shard in several]
    hashes = "".join(f"{shard.file} {shard.sha256}\n" for shard in every)
    content = Manifest(
        table=table.name,
        table_options=dict(table.given),
        config_hash=settings_hash(config),
        splits=listed,
        table_rows=table_rows,
        kept=sum(shard.rows for shard in every),
        rejected=count,
        hash=hashlib.sha256(hashes.encode()).hexdigest(),
    )
    if trains and not content.rows("train"):
        raise ValueError(
            f"no row of {table.name} is left to train on: see {records / rejected.FILE}"
        )
    atomic.write_text(records / manifest.FILE, content.model_dump_json(indent=1))
    return content
