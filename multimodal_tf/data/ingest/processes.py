"""Runs the jobs of an ingest in this process or in several."""

import concurrent.futures
import contextlib
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor

from multimodal_tf.data.ingest import worker
from multimodal_tf.data.ingest.jobs import Job


def results(work: Callable[[Job], int], jobs: Iterator[Job], processes: int) -> Iterator[int]:
    """Yields `work(job)` of every job, in the order in which they end.

    Few jobs are in memory at a time.

    Raises:
        OSError: a worker process died.
    """
    if processes == 1:
        yield from map(work, jobs)
        return
    pending: set[Future[int]] = set()
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
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    # TensorFlow's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, worker.start)
    try:
        yield pool
    except concurrent.futures.BrokenExecutor as error:
        raise ChildProcessError(
            "a worker process died, perhaps for want of memory, or because the script lacks"
            " `if __name__ == '__main__':`; finished shards are kept: run it again, with fewer"
            " processes (1 starts none)"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
