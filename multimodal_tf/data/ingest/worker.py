"""How a worker process begins. TensorFlow is imported after the worker is silent, so that it writes
into no progress bar.
"""

import multiprocessing
import multiprocessing.connection
import os
import threading

# the file descriptor, which C and C++ write to
_STDERR = 2


def start():
    """Prepares a worker process: silent, on one thread, without GPU, and gone when its parent is
    gone, even by `kill -9`.
    """
    threading.Thread(
        target=_die_with, args=(multiprocessing.parent_process(),), daemon=True
    ).start()
    # libmpg123, too, tells its opinion of every MP3
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), _STDERR)
    # here, not above: see the module's docstring
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.set_visible_devices([], "GPU")


def _die_with(parent):
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
