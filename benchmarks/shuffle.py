"""A global shuffle of a billion rows in 1,000 shards by 64 workers, calculated and simulated.

The calculation, with `n` rows of `b` bytes, `w` workers, and a batch of `B` rows over all workers:

- reads: a worker reads each of its `n / w` rows of an epoch once, from any position: `n / w` reads
  of `b` bytes (and 16 of TFRecord's). Nothing is read twice or discarded. A shuffle buffer would
  read as much, but shuffle less.
- order: a row's position is computed, `B / w` positions per step; it takes no memory.
- memory: 8 bytes per row, its offset; 8 GB for a billion rows, in each process.
- start: 4 bytes per row are read, the lengths that ingest wrote (4 GB), and added up. Without them,
  each record's header would have to be read.
- resuming after a crash: the same as a start, at any step; no batch is drawn and discarded.

The simulation uses the package's own functions: the order for a billion rows, and the index for a
tenth of them, whose time and memory grow with the rows. Run it with `python -m benchmarks.shuffle`
(some minutes, 2 GB of memory, 500 MB of disk).
"""

import os
import pathlib
import resource
import tempfile
import time

import numpy as np
import tensorflow as tf

from multimodal_tf.data import record_files, shuffle
from multimodal_tf.data.manifest import Manifest, Shard

ROWS, SHARDS, WORKERS, BATCH = 10**9, 1000, 64, 64 * 32
INDEXED = ROWS // 10
# of 488,282 in an epoch
STEPS = 500


def main():
    print(f"{ROWS:,} rows, {SHARDS:,} shards, {WORKERS} workers, {BATCH} rows per batch")
    print(
        f"reads by each worker in an epoch, calculated: {ROWS / WORKERS:,.0f} rows,"
        f" from each shard {ROWS / WORKERS / SHARDS:,.0f}"
    )
    drawn()
    complete()
    index()


def drawn():
    """Counts the rows that some workers read in their first steps."""
    counts, times = [], []
    for worker in (0, 1, WORKERS - 1):
        batches = shuffle.batches(ROWS, BATCH, seed=0, worker=(worker, WORKERS)).take(STEPS)
        list(batches.take(2))
        begin = time.perf_counter()
        rows = np.concatenate(list(batches.as_numpy_iterator()))
        times.append((time.perf_counter() - begin) / STEPS)
        counts.append(np.bincount(rows // (ROWS // SHARDS), minlength=SHARDS))
        assert len(np.unique(rows)) == len(rows)
    expected = STEPS * BATCH / WORKERS / SHARDS
    chi = [float(((count - expected) ** 2 / expected).sum() / (SHARDS - 1)) for count in counts]
    print(
        f"{STEPS} steps of three workers: reads per shard, mean {expected:.1f},"
        f" chi-square over {SHARDS - 1} shards (1 is chance): {chi}"
    )
    print(f"order: {1e6 * float(np.median(times)):.0f} microseconds per step and worker")


def complete():
    """At a thousandth of the size, all workers together read every row once."""
    rows = ROWS // 1000
    parts = [
        shuffle.batches(rows, BATCH, seed=0, worker=(worker, WORKERS)) for worker in range(WORKERS)
    ]
    counts = np.bincount(
        np.concatenate([np.concatenate(list(part.as_numpy_iterator())) for part in parts]),
        minlength=rows,
    )
    print(f"{rows:,} rows: read once by one of {WORKERS} workers: {bool((counts == 1).all())}")


def index():
    """Memory and time of a start, for a tenth of the rows; it needs no shards."""
    each = INDEXED // SHARDS
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder)
        (directory / record_files.PARTS).mkdir()
        lengths = np.random.default_rng(0).integers(2_000, 20_000, each).astype("<u4")
        first, listed = None, []
        for number in range(SHARDS):
            file = f"train-{number:05}.tfrecord"
            path = record_files.lengths_path(directory / file)
            if first is None:
                path.write_bytes(lengths.tobytes())
                first = path
            else:
                os.link(first, path)
            listed.append(
                Shard(
                    file=file,
                    rows=each,
                    bytes=int(lengths.sum(dtype=np.int64)) + record_files.FRAME * each,
                    sha256="",
                )
            )
        manifest = Manifest(
            table="",
            config_hash="",
            splits={"train": listed},
            table_rows=0,
            kept=0,
            rejected=0,
            hash="",
        )
        manifest.save(directory)
        tf.constant(0)
        before, begin = _memory(), time.perf_counter()
        record_files.reader(Manifest.load(directory), "train")
        seconds, bytes_per_row = time.perf_counter() - begin, (_memory() - before) / INDEXED
    print(
        f"index of {INDEXED:,} rows: {seconds:.1f} s with the lengths in the page cache,"
        f" at most {bytes_per_row:.1f} bytes per row"
    )
    print(
        f"so for {ROWS:,}: about {seconds * ROWS / INDEXED:.0f} s,"
        f" {8 * ROWS / 1e9:.0f} GB of memory and {4 * ROWS / 1e9:.0f} GB of reads"
    )


def _memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
