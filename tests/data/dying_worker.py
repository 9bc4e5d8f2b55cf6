"""What the workers of `test_dead_worker` do. It imports little, so that they start soon."""

import os
from typing import NamedTuple

from multimodal_tf.data.ingest import positions


class Rows(NamedTuple):
    """What a worker reads of `ingest.jobs.Job`, without TensorFlow."""

    columns: tuple
    rows: list


def start(shared):
    """Of a worker that need not wait for TensorFlow."""
    shared.claim(os.getpid())


class Work:
    """Reads all cells of a job, and dies of one of them."""

    def __init__(self, file, end):
        self.file, self.end = file, end

    def __call__(self, job):
        for row, values in job.rows:
            for number, value in enumerate(values):
                positions.at(row, number)
                if value == self.file:
                    self.end()
        positions.leave()
        return len(job.rows)


class Kill:
    """Ends its process by a signal."""

    def __init__(self, number):
        self.number = number

    def __call__(self):
        os.kill(os.getpid(), self.number)
