"""Ingests `ingest_table.many_rows` into a folder with two workers, and soon waits to be killed."""

import sys
import time

from ingest_table import MANY_CONFIG, many_rows

from multimodal_tf.data import table
from multimodal_tf.data.ingest import table_ingest


def first_rows(read):
    """Reads as `read` does, then waits."""
    seen = 0

    def slow(rows, columns):
        nonlocal seen
        for count, cells in read(1, columns):
            if len(columns) > 1 and seen > 25:
                time.sleep(1000)
            seen += len(columns) > 1
            yield count, cells

    return slow


if __name__ == "__main__":
    whole = table.read_table(many_rows())
    slow = table.Table(whole.name, whole.root, whole.columns, first_rows(whole.read))
    table_ingest.ingest(slow, MANY_CONFIG, sys.argv[1], processes=2, rows_per_shard=5)
