"""The progress bar of everything that takes long."""

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


@contextlib.contextmanager
def progress_bar(
    description: str, unit: str, total: int | None = None, shown: bool | None = None
) -> Iterator[Callable[..., None]]:
    """Shows a bar on standard error, and yields the function that updates it.

    Args:
        description: what is going on.
        unit: what is counted, such as "rows".
        total: number of units; None: not known yet.
        shown: None: where standard error is a terminal.

    Returns:
        Context manager of `update(advance=, completed=, total=, description=, note=)`, all
        optional: `rich`'s own `Progress.update`; `note` is a text behind the unit.

    Example:
        >>> with progress_bar("ingest", "rows", total=2, shown=False) as update:
        ...     update(advance=2, note=", 5/s")
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit + "{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    visible = sys.stderr.isatty() if shown is None else shown
    with Progress(*columns, console=Console(stderr=True), disable=not visible) as bar:
        yield functools.partial(bar.update, bar.add_task(description, total=total, note=""))
