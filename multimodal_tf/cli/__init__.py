"""The command line: each command calls the public functions that a notebook calls.

The functions are imported inside the commands, because TensorFlow takes seconds to import and
`--help` must not wait for it.
"""

import io
import sys

from multimodal_tf.cli.app import app, error_console

# isort: off
# The order is that in which `--help` lists the commands.
from multimodal_tf.cli import data, presets, training, evaluation, comparison  # noqa: F401
from multimodal_tf.cli import serving, retrieval, demo  # noqa: F401
# isort: on


def main() -> None:
    """Entry point: an error is one sentence and exit code 1; wrong usage is exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        # what a terminal or pipe of another encoding cannot show ends no command
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except (ValueError, OSError) as error:
        error_console.print(f"error: {_message(error)}", markup=False, highlight=False)
        sys.exit(1)


def _message(error: Exception) -> str:
    # Python's own is «[Errno 2] No such file or directory: ...»
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
