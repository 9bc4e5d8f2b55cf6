"""Prepares a worker process.

TensorFlow is imported after standard error is silenced, so that it does not write into the
progress bar.
"""

import multiprocessing
import multiprocessing.connection
import os
import threading
from multiprocessing.process import BaseProcess

from multimodal_tf.data.ingest.positions import Positions

# the file descriptor that C and C++ write to
_STDERR = 2


def start(positions: Positions) -> None:
    """Makes this worker silent, single-threaded and without GPU, and ends it with its parent.

    Args:
        positions: where it says what cell it is at.
    """
    positions.claim(os.getpid())
    parent = multiprocessing.parent_process()
    threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()
    # libmpg123, too, prints a warning for every odd MP3
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), _STDERR)
    # here, not above: see the module's docstring
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.set_visible_devices([], "GPU")


def _exit_with(parent: BaseProcess) -> None:
    """Ends this process when its parent ends, even by `kill -9`."""
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
