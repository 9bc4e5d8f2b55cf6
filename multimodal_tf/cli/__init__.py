"""The command line: each command calls the public functions that a notebook calls, and says where
the outcome lies.

The functions are imported inside the commands because TensorFlow takes seconds to import, and
`--help` must not wait for it.
"""

import os
import sys

from multimodal_tf.cli.app import app, err

# isort: off
# The order is that in which `--help` lists the commands.
from multimodal_tf.cli import comparison, data, demo, evaluation, serving, training  # noqa: F401
# isort: on


def main():
    """Entry point: what the user can put right is one sentence and exit code 1; wrong usage is 2,
    as typer has it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        app()
    except (ValueError, OSError) as error:
        err.print(f"error: {_sentence(error)}", markup=False, highlight=False)
        sys.exit(1)


def _sentence(error):
    # as Python words it: «[Errno 2] No such file or directory: ...»
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
