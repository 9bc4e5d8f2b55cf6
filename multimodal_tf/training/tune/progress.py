"""What is shown of a search while it runs."""

import contextlib
import io
import logging
import pathlib
import sys
import threading
import warnings
from collections.abc import Iterator

from sklearn.exceptions import ConvergenceWarning

from multimodal_tf.data.progress import progress_bar
from multimodal_tf.training.tune import report

# seconds between two updates
_INTERVAL = 0.5


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides messages that are usual in a search, and would break its progress bar.

    These are: a loss is NaN, the model of each trial is traced, and the tuner's own Gaussian
    process does not fit well.
    """
    logger = logging.getLogger("tensorflow")
    level = logger.level
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


@contextlib.contextmanager
def search_progress(
    project: pathlib.Path, total: int | None, direction: str, shown: bool | None
) -> Iterator[None]:
    """Shows how many trials have ended and the best objective, while the block runs.

    It reads the trials' files, whichever process writes them. Where standard error is a file or a
    pipe, it is a line a trial.

    Args:
        project: folder of Keras Tuner's files.
        total: number of trials; None: not known.
        direction: of the objective, "min" or "max".
        shown: None: if standard error is a terminal.
    """
    done = threading.Event()
    best_of = max if direction == "max" else min
    lines, said = bool(shown) and not sys.stderr.isatty(), 0
    with progress_bar("tune", "trials", total, shown) as update:

        def show() -> None:
            nonlocal said
            ended, objectives = report.ended_trials(project)
            note = f", best {best_of(objectives):.4g}" if objectives else ""
            update(completed=ended, note=note)
            if lines and ended > said:
                of_all = "" if total is None else f" of {total}"
                print(f"tune: {ended}{of_all} trials{note}", file=sys.stderr, flush=True)
                said = ended

        def follow() -> None:
            while not done.wait(_INTERVAL):
                show()

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            show()
