"""Runs the jobs of an ingest in this process or in several."""

import concurrent.futures
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.process import BaseProcess

from multimodal_tf.data.ingest import shards, worker
from multimodal_tf.data.ingest.jobs import Job
from multimodal_tf.data.ingest.positions import Positions

_UNKNOWN = (
    "a worker process died{how} outside of a cell, perhaps for want of memory, or because the"
    " script lacks `if __name__ == '__main__':`; finished shards are kept: run it again, with fewer"
    " processes (1 starts none)"
)


def results(work: Callable[[Job], int], jobs: Iterator[Job], processes: int) -> Iterator[int]:
    """Yields `work(job)` of every job, in the order in which they end.

    Few jobs are in memory at a time.

    Raises:
        OSError: a worker process died; the message names the cell that it was at.
    """
    if processes == 1:
        yield from map(work, jobs)
        return
    # TensorFlow's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    positions = Positions(context, processes)
    pool = ProcessPoolExecutor(processes, context, worker.start, (positions,))
    pending: dict[Future[int], Job] = {}
    others, workers = set(multiprocessing.active_children()), set[BaseProcess]()
    try:
        for job in jobs:
            pending[pool.submit(work, job)] = job
            workers |= {*multiprocessing.active_children()} - others
            if len(pending) > processes:
                yield from _ended(pending)
        while pending:
            yield from _ended(pending)
    except concurrent.futures.BrokenExecutor as error:
        pool.shutdown()
        raise ChildProcessError(_death(workers, positions, pending.values())) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _ended(pending: dict[Future[int], Job]) -> Iterator[int]:
    """Waits for some of the pending jobs, and takes them out."""
    ended, _ = concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED)
    for future in ended:
        yield future.result()
        del pending[future]


def _death(workers: Iterable[BaseProcess], positions: Positions, jobs: Iterable[Job]) -> str:
    """Tells which worker died, how, and of which cell.

    The pool ends the other workers by SIGTERM.
    """
    dead = [one for one in workers if one.exitcode not in (None, 0, -signal.SIGTERM)]
    how = _how(dead[0].exitcode) if dead else ""
    cells = [_cell(one, positions, jobs) for one in dead or workers]
    named = " or ".join(sorted(cell for cell in cells if cell))
    if not named:
        return _UNKNOWN.format(how=how)
    return (
        f"a worker process died{how} at {named}: make that cell empty, or replace its file, and run"
        " it again, with fewer processes if memory is short; finished shards are kept"
    )


def _how(exitcode: int | None) -> str:
    if exitcode is None or exitcode >= 0:
        return f" (exit status {exitcode})"
    name = signal.Signals(-exitcode).name
    return f" ({name}, as where memory is short)" if name == "SIGKILL" else f" ({name})"


def _cell(process: BaseProcess, positions: Positions, jobs: Iterable[Job]) -> str:
    """The cell that a worker was at, as it is shown to people; "" if at none."""
    position = positions.of(process.pid)
    if position is None:
        return ""
    for job in jobs:
        for row, values in job.rows:
            if row == position.row:
                path = shards.shown_path(values[position.column])
                column = job.columns[position.column]
                return f"row {row}, column {column!r}{path and f', {path!r}'}"
    return f"row {position.row}"
