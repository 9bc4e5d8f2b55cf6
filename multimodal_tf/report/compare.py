"""`compare`: several runs on the same rows, as one page."""

import dataclasses
import datetime
import os
from collections.abc import Mapping

from multimodal_tf.evaluation.comparison import Run, RunComparison, SourceTable, compare_runs
from multimodal_tf.evaluation.paired import HeadComparison
from multimodal_tf.report import page
from multimodal_tf.report.comparison_page import comparison_page


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Several runs: the page, and the metrics by head."""

    page: page.Page
    heads: dict[str, HeadComparison]


def compare(
    runs: Mapping[str, Run],
    records: str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
    split: str = "test",
    table: SourceTable | None = None,
    group: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compares runs on the same rows, and writes a page.

    The page has every metric of every head with its interval, its difference from the first run
    with the interval of a paired bootstrap, the metrics by class, and the rows on which runs
    disagree.

    Args:
        runs: by name, from `load_run`, the folder of a SavedModel that `export_model` wrote, or
            predictions as arrays, `Predicted`. The others are compared with the first.
        records: folder of the ingested records; None if all runs are predictions.
        out: folder for `index.html`, `report.json` and `data/`; an earlier page is replaced.
        split: "train", "validation" or "test".
        table: what was ingested. Its columns are then shown beside rows, and resamples can draw
            groups.
        group: a column of `table` whose values are drawn as a whole; None: the `split.group` of
            the first run that has one.
        resamples: int. Bootstrap resamples; 0: no intervals.
        seed: int, for the resamples.

    Raises:
        FileNotFoundError: ingest has not ended in `records`, or there is no such SavedModel.
        FileExistsError: `out` holds other files.
        ValueError: there are fewer than two runs; their heads, classes, rows or labels differ; one
            was made for other records; `table` is another or lacks the column; no row has a known
            label; or a prediction is NaN. Nothing is written then.

    Example:
        >>> runs = {"plain": "models/plain/1", "gated": "models/gated/1"}
        >>> compare(runs, "records", "compare")  # doctest: +SKIP
    """
    folder = page.check_out(out)
    found = compare_runs(runs, records, split, table, group, resamples, seed)
    source = {} if records is None else {"records": str(records), "split": split}
    written = comparison_page(found, source | _drawn(found, resamples, seed))
    page.save(written, folder)
    return Comparison(written, found.heads)


def _drawn(found: RunComparison, resamples: int, seed: int) -> dict[str, str]:
    drawn = "rows" if found.groups is None else f"groups, {found.groups:,}"
    return {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "rows": f"{len(found.rows):,}",
        "resamples": f"{resamples:,} of {drawn}, seed {seed}",
    }
