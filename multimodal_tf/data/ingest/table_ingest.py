"""A table -> checked records in shards, over several processes, resumable; and the list of rejected
cells.
"""

import collections
import concurrent.futures
import contextlib
import csv
import difflib
import functools
import hashlib
import heapq
import itertools
import multiprocessing
import os
import pathlib
import re
import time

import numpy as np

from multimodal_tf.config import labelled
from multimodal_tf.data import atomic, filesystem, manifest, record_files
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.ingest import shards, worker
from multimodal_tf.data.ingest.beam import BeamPipeline
from multimodal_tf.data.kinds.label import read_label
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.progress import progress_bar
from multimodal_tf.data.split import SPLITS, assign_splits
from multimodal_tf.schema import Schema

REJECTED = "rejected.csv"
CONFIG = "config.yaml"
SCHEMA = "schema.json"
# among the parts: a hash of what the schema was learned from
_LEARNT_FROM = "schema.txt"
# a worker needs some ten seconds to start: for fewer rows it does not pay
_ROWS_PER_PROCESS = 2000
_ROWS_PER_CHUNK = 256
# for labels of another kind
_ROWS_LOOKED_AT = 256
# labels to tell classes from numbers
_ENOUGH = 20
# of a table's cells: where they hold whole files, a shard is full before it has `rows_per_shard`
_BYTES_PER_SHARD = 64 << 20
_SHARD = re.compile(rf"({'|'.join(SPLITS)})-\d{{5,}}\.tfrecord")


def ingest(table, config, directory, processes=None, rows_per_shard=1000, progress=None, beam=None):
    """Writes a table's rows as checked records into `directory`, split into train, validation and
    test, and learns the schema.

    A broken cell goes to `rejected.csv` (row, column, path, reason) and its row goes on without it.
    A row with a bad label, without any label or without any input left is left out and listed;
    where no single cell is to blame, its column is "". Killed and started again, it goes on, and
    ends with the same files, byte for byte; what is done is not done again while the cells, the
    files that they name (by size and time of change) and the configuration stay the same. Memory
    does not grow with the number of rows.

    Args:
        table: from `data.table.read_table`.
        config: `Config`.
        directory: is made where it is not there. Holds afterwards `manifest.json`, `rejected.csv`,
            `config.yaml`, `schema.json`, `train-00000.tfrecord` and so on, and in `parts` small
            files of each. Shards of another ingest there are replaced. May be an address on any
            file system that fsspec knows (`gs://bucket/records`); there are no locks there: let one
            ingest at a time write.
        processes: None: one per CPU, fewer for a small table. 1: in this process. More start by
            importing the calling script, which therefore needs `if __name__ == "__main__":`.
        rows_per_shard: rows of the table, before some are left out; fewer where the cells hold
        whole files.
        progress: whether to show a progress bar; None: where standard error is a terminal.
        beam: options of an Apache Beam pipeline whose workers are to write the shards, instead of
            processes of this machine, such as `["--runner=FlinkRunner",
            "--flink_master=host:8081"]`. They need this package, and see `directory` and the files
            that the table names under the same paths. The table itself is read here.

    Returns:
        `Manifest` of what `directory` holds.

    Raises:
        ValueError: a column of the configuration is not in the table, or holds labels of another
            kind than its head's, no row to train on is left, Apache Beam is not installed, or it
            does not know the runner or an option.
        OSError: `directory` cannot be used, another process writes there, the disk is full, a
        worker process died, or the pipeline failed.
    """
    _check_arguments(table, config, processes, rows_per_shard)
    # workers may stand elsewhere
    directory = (
        filesystem.to_path(directory) if beam is None else filesystem.to_path(directory).absolute()
    )
    pipeline = None if beam is None else _pipeline(beam, directory, processes)
    with atomic.full_disk_explained(directory), atomic.locked(directory):
        filesystem.make_directory(directory / shards.PARTS)
        atomic.remove_temporaries(directory)
        atomic.remove_temporaries(directory / shards.PARTS)
        splits = assign_splits(table, config)
        results = (
            pipeline.results
            if pipeline
            else functools.partial(_results, processes=processes or _processes(len(splits)))
        )
        files = _write_shards(table, config, directory, splits, results, rows_per_shard, progress)
        filesystem.forget_listings(directory)
        _remove_others(directory, files)
        return _conclude(table, config, directory, files, len(splits))


def _check_arguments(table, config, processes, rows_per_shard):
    if rows_per_shard < 1:
        raise ValueError(f"rows_per_shard must be at least 1, received {rows_per_shard}")
    if processes is not None and processes < 1:
        raise ValueError(f"processes must be at least 1 or None, received {processes}")
    split = {
        f"split.{field}": getattr(config.split, field) for field in ("column", "group", "stratify")
    }
    named = {
        name: config.column(name) for name in [*config.inputs, *labelled(config.heads)]
    } | split
    for name, column in named.items():
        if column is not None and column not in table.columns:
            close = difflib.get_close_matches(column, table.columns, n=1, cutoff=0.5)
            hint = (
                f"did you mean {close[0]!r}?"
                if close
                else f"it has {', '.join(map(repr, table.columns[:20]))}"
            )
            raise ValueError(f"{table.name} has no column {column!r}, which {name} reads: {hint}")
    _check_labels(table, config)


def _check_labels(table, config):
    """Refuses a column of another kind than its head's, as far as its first rows tell."""
    heads = labelled(config.heads)
    if not heads:
        return
    first = next(table.chunks(_ROWS_LOOKED_AT, list({config.column(name) for name in heads})))
    for name, head in heads.items():
        labels, broken = [], []
        for cell in first[config.column(name)]:
            try:
                labels.append(read_label(cell, head))
            except CellError as error:
                broken.append(error)
        found, where = (
            [label for label in labels if label is not None],
            f"heads.{name}: the column {config.column(name)!r}",
        )
        if not found and 2 * len(broken) > len(first):
            raise ValueError(
                f"{where} must hold what a {head.type} learns from, received {len(broken)} broken labels, such as {broken[0]}"
            )
        if (
            head.target_type == "class"
            and len(found) >= _ENOUGH
            and 2 * len({*found}) > len(found)
            and all(map(_is_fraction, found))
        ):
            raise ValueError(
                f"{where} must hold classes, received numbers that are nearly all different, such as {found[0]}"
            )


def _is_fraction(label):
    try:
        return not float(label).is_integer()
    except ValueError:
        return False


def _pipeline(options, directory, processes):
    if processes is not None:
        raise ValueError(
            f"processes must be None where Beam has workers of its own, received {processes}"
        )
    return BeamPipeline(options, directory)


def _processes(rows):
    return max(1, min(os.cpu_count() or 1, rows // _ROWS_PER_PROCESS))


def _write_shards(table, config, directory, splits, results, rows_per_shard, progress):
    """Brings all shards up to date; returns their file names by split."""
    files = collections.defaultdict(list)
    started, done = time.monotonic(), 0
    with progress_bar("ingest", "rows", len(splits), progress) as update:

        def advance(rows):
            nonlocal done
            done += rows
            rate = done / max(time.monotonic() - started, 1e-3)
            update(completed=done, note=f", {rate:.0f}/s")

        def to_do():
            for split, job in _jobs(table, config, splits, rows_per_shard):
                files[split].append(job.file)
                if shards.is_done(job, directory):
                    advance(len(job.rows))
                else:
                    _outdate(directory)
                    yield job

        work = functools.partial(shards.write, config=config, root=table.root, directory=directory)
        for rows in results(work, to_do()):
            advance(rows)
    return files


def _jobs(table, config, splits, rows_per_shard):
    """The table's rows, gathered by split into shards."""
    columns = tuple(
        dict.fromkeys(config.column(name) for name in [*config.inputs, *labelled(config.heads)])
    )
    gathered: list[list] = [[] for _ in SPLITS]
    sizes = [0 for _ in SPLITS]
    counts = [itertools.count() for _ in SPLITS]

    def job(code):
        rows, gathered[code], sizes[code] = gathered[code], [], 0
        file = f"{SPLITS[code]}-{next(counts[code]):05d}.tfrecord"
        return SPLITS[code], shards.Job(
            file, columns, rows, shards.fingerprint(columns, rows, config, table.root)
        )

    for row, values in enumerate(_rows(table, columns, len(splits))):
        code = splits[row]
        gathered[code].append((row, values))
        sizes[code] += sum(map(_size, values))
        if len(gathered[code]) == rows_per_shard or sizes[code] >= _BYTES_PER_SHARD:
            yield job(code)
    for code, rows in enumerate(gathered):
        if rows:
            yield job(code)


def _size(value):
    """Bytes of memory, about, of a cell that holds a whole file."""
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    if isinstance(value, (list, tuple)) or (
        isinstance(value, np.ndarray) and value.dtype == object
    ):
        return sum(map(_size, value))
    return (
        value.nbytes
        if isinstance(value, np.ndarray)
        else len(value)
        if isinstance(value, (bytes, str))
        else 0
    )


def _rows(table, columns, expected):
    rows = 0
    for chunk in table.chunks(rows=_ROWS_PER_CHUNK, columns=list(columns)):
        rows += len(chunk)
        if rows > expected:
            break
        yield from zip(*(chunk[column].tolist() for column in columns))
    if rows != expected:
        raise ValueError(f"{table.name} changed while it was read: it had {expected} rows")


def _results(work, jobs, processes):
    """`work(job)` of every job, as they end, in this process or in several; few jobs are in memory
    at a time.
    """
    if processes == 1:
        yield from map(work, jobs)
        return
    pending: set = set()
    with _pool(processes) as pool:
        for job in jobs:
            pending.add(pool.submit(work, job))
            if len(pending) > processes:
                ended, pending = concurrent.futures.wait(
                    pending, return_when=concurrent.futures.FIRST_COMPLETED
                )
                yield from (future.result() for future in ended)
        yield from (future.result() for future in concurrent.futures.as_completed(pending))


@contextlib.contextmanager
def _pool(processes):
    # TensorFlow's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(processes, context, worker.start)
    try:
        yield pool
    except concurrent.futures.BrokenExecutor as error:
        raise ChildProcessError(
            "a worker process died, perhaps for want of memory, or because the script lacks `if __name__ == '__main__':`; finished shards "
            "are kept: run it again, with fewer processes (1 starts none)"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _outdate(directory):
    """Removes what speaks of the shards as a whole before one of them changes, so that nobody takes
    half an ingest for a whole one.
    """
    for name in (manifest.FILE, SCHEMA):
        (directory / name).unlink(missing_ok=True)


def _remove_others(directory, files):
    """Removes shards that an earlier ingest left and this one has not."""
    ours = {file for several in files.values() for file in several}
    for path in directory.glob("*.tfrecord"):
        if path.name not in ours and _SHARD.fullmatch(path.name):
            _outdate(directory)
            path.unlink()
            shards.part_path(directory, path.name).unlink(missing_ok=True)
            record_files.lengths_path(path).unlink(missing_ok=True)


def _conclude(table, config, directory, files, table_rows):
    """Writes what stands beside the shards."""
    atomic.write_text(directory / CONFIG, config.to_yaml())
    rejected = _write_rejected(directory, files)
    listed = {
        split: [shards.load(directory, file).shard for file in files[split]] for split in SPLITS
    }
    every = [shard for several in listed.values() for shard in several]
    content = Manifest(
        table=table.name,
        config_hash=shards.settings_hash(config),
        splits=listed,
        table_rows=table_rows,
        kept=sum(shard.rows for shard in every),
        rejected=rejected,
        hash=hashlib.sha256(
            "".join(f"{shard.file} {shard.sha256}\n" for shard in every).encode()
        ).hexdigest(),
    )
    if not content.rows("train"):
        raise ValueError(f"no row of {table.name} is left to train on: see {directory / REJECTED}")
    atomic.write_text(directory / manifest.FILE, content.model_dump_json(indent=1))
    _learn(directory, config, content.hash)
    return Manifest.load(directory)


def schema_for(config, directory) -> Schema:
    """What the training split teaches about a configuration: the schema that `ingest` left, or
    where that was learned for other tokenizers, vectors or columns, another, which is not kept.

    Raises:
        FileNotFoundError: there is no manifest or shard.
        ValueError: as `fit_schema`; the shards do not hold what the configuration reads.
    """
    directory = filesystem.to_path(directory)
    content = Manifest.load(directory)
    shards.check_settings(config, directory, content)
    if _is_fitted(directory, _source(config, content.hash)):
        return Schema.load(directory / SCHEMA)
    return fit_schema(config, directory)


def _learn(directory, config, content_hash):
    """Writes the schema, unless the one that is there was learned from the same."""
    source = _source(config, content_hash)
    if not _is_fitted(directory, source):
        atomic.write_text(
            directory / SCHEMA, fit_schema(config, directory).model_dump_json(indent=1)
        )
        atomic.write_text(directory / shards.PARTS / _LEARNT_FROM, source)


def _is_fitted(directory, source):
    mark = directory / shards.PARTS / _LEARNT_FROM
    return (directory / SCHEMA).is_file() and mark.is_file() and mark.read_text() == source


def _source(config, content_hash):
    """A hash of all that a schema depends on."""
    parts = [
        (name, *_text_source(config, part))
        for name, part in config.inputs.items()
        if part.type == "text"
    ]
    parts += [(name, head.declared_classes) for name, head in config.heads.items() if head.ordered]
    return hashlib.sha256(f"{content_hash} {shards.settings(config)} {parts}".encode()).hexdigest()


def _text_source(config, part):
    """A tokenizer with its preset's files, and vectors with their file."""
    yield part.tokenizer
    yield _state(getattr(part.tokenizer, "preset", None))
    if part.vectors is not None:
        yield from (
            part.vectors,
            part.tower.embedding_dim,
            config.seed,
            _state(getattr(part.vectors, "path", None)),
        )


def _state(path):
    """Names, sizes and times of change of a file or of a folder's files; nothing for what is
    neither, such as a handle.
    """
    if path is None:
        return []
    files = (
        sorted(pathlib.Path(path).rglob("*"))
        if pathlib.Path(path).is_dir()
        else [pathlib.Path(path)]
    )
    return [
        (str(file), file.stat().st_size, file.stat().st_mtime_ns)
        for file in files
        if file.is_file()
    ]


def _write_rejected(directory, files):
    """Writes the list of rejected cells, sorted by row, a part file at a time; returns how many
    there are.
    """
    by_split = [
        (one for file in files[split] for one in shards.load(directory, file).rejected)
        for split in SPLITS
    ]
    with (
        atomic.replacing(directory / REJECTED) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(shards.Rejected.model_fields)
        count = 0
        for one in heapq.merge(*by_split, key=lambda one: one.row):
            writer.writerow(one.model_dump().values())
            count += 1
    return count
