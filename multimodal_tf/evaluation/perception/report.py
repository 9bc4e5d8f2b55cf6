"""`perception_report`: what a model takes from each input, what breaks it, and where it errs, as one page."""

import dataclasses
import datetime
import importlib.metadata
import os
import pathlib
from collections.abc import Callable, Mapping

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from multimodal_tf.config import Config
from multimodal_tf.data import shards
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.table import Table, read_table
from multimodal_tf.evaluation import page
from multimodal_tf.evaluation.perception import damage, inputs, others, value
from multimodal_tf.evaluation.perception.belonging import consistency_section
from multimodal_tf.evaluation.perception.errors import errors_section
from multimodal_tf.evaluation.perception.examined import Examined, Told, check_labels, examine
from multimodal_tf.evaluation.perception.pairs import retrieval_section
from multimodal_tf.evaluation.perception.rows import explained_section
from multimodal_tf.evaluation.perception.strangers import novelty_section
from multimodal_tf.evaluation.perception.subject import Model, subject_of
from multimodal_tf.evaluation.perception.trust import calibration_section
from multimodal_tf.evaluation.shares import Shares, coalitions
from multimodal_tf.schema import Schema

FITTED_ON = 5000  # training rows at most, on which scores of strangeness are fitted
_SECTIONS: tuple[Callable[[Examined, int, int], Told | None], ...] = (
    consistency_section,
    novelty_section,
    retrieval_section,
    calibration_section,
    errors_section,
    explained_section,
)


@dataclasses.dataclass(frozen=True)
class Perception:
    """A report: its page, and what its first two sections are made of."""

    page: page.Page
    shares: Shares
    damage: damage.Damage


def perception_report(
    model: Model,
    directory: str | os.PathLike,
    out: str | pathlib.Path,
    config: Config | None = None,
    schema: Schema | None = None,
    split: str = "test",
    head: str | None = None,
    table: Table | None = None,
    alone: Mapping[str, Model] | None = None,
    baseline: Model | None = None,
    rows: int | None = 2000,
    damaged: int | None = 500,
    resamples: int = 1000,
    seed: int = 0,
    progress: bool = False,
) -> Perception:
    """Examines a model on one split of an ingested table, and writes one HTML page, its figures beside it as JSON and CSV.

    Clean rows are decoded and predicted once. An input that is left out is absent, as an empty cell is.

    Args:
        model: what `load_run` gives, a Keras model of `build_model`, or the folder of a SavedModel that `export_model` wrote.
        directory: where ingest wrote the shards.
        out: folder for `index.html`, `report.json` and `data/`; an earlier report there is replaced.
        config, schema: of a Keras model. A run and a SavedModel bring their own.
        split: "train", "validation" or "test".
        head: which one is examined; None: the first that has a label.
        table: what was ingested, for slices by its other columns, and for intervals over groups; None: read from where ingest found it, if
            it is still there.
        alone: by input, a run or a SavedModel that was trained with this input only, of the same head: its figure stands beside.
        baseline: another model of the same head, which effective robustness is measured against.
        rows: int. So many rows at most, drawn by `seed`; None: all.
        damaged: int. So many of these at most for each corruption; None: all.
        resamples: int. Bootstrap resamples for the intervals; 0: no intervals.
        seed: int, not negative. Of draws, damage and resamples.
        progress: shows a bar.

    Returns:
        `Perception`.

    Raises:
        FileNotFoundError: ingest has not ended in `directory`, or there is no such SavedModel.
        FileExistsError: `out` holds something else than an earlier report.
        ValueError: the SavedModel is not ours, a Keras model comes without its configuration, the table was ingested with other settings,
            there is no such head or it has no label, another model does not answer it, a number is out of range, the split has fewer than
            two rows with labels or these are of one class, or an answer is NaN. Nothing has been written then.

    Example:
        >>> perception_report("saved_models/shop/1", "runs/shop/records", "runs/shop/report")  # doctest: +SKIP
    """
    place = page.check_place(out)
    _check_numbers(rows=rows, damaged=damaged, resamples=resamples, seed=seed)
    subject = subject_of(model, config, schema)
    head = _head(subject.config, head)
    manifest = Manifest.load(directory)
    shards.check_settings(subject.config, directory, manifest)
    singles = others.singles(alone or {}, subject, head)
    rival = None if baseline is None else others.rival(baseline, subject, head)
    table = _table(table, manifest)
    with _bar(progress) as bar:
        task = bar.add_task("reading rows", total=None)
        examined, features = examine(subject, directory, split, head, table, rows, seed)
        check_labels(examined)
        kinds = damage.kinds_of(examined)
        runs = len(coalitions(list(subject.config.inputs)).present) + damage.count(kinds) * (1 if rival is None else 2)

        def say(what):
            bar.update(task, description=what, total=runs + len(_SECTIONS))

        def step():
            bar.advance(task)

        train, validation = (_other(subject, directory, name, examined, table, manifest, seed) for name in ("train", "validation"))
        examined = dataclasses.replace(examined, train=train, validation=validation)
        say("subsets of inputs")
        found = inputs.shares_of(subject, examined, features, resamples, seed, step)
        figures = {name: others.figure(one, examined, resamples, seed) for name, one in singles.items()}
        say("damaged rows")
        broken = damage.damage_of(subject, examined, features, damaged, seed, step)
        against = None if rival is None else others.damage_of_rival(rival, examined, damaged, seed, step)
        told: list[Told | None] = [
            inputs.shares_section(found, examined, figures),
            damage.damage_section(broken, examined, resamples, seed, against),
        ]
        for section in _SECTIONS:
            say(section.__name__.removesuffix("_section").replace("_", " "))
            told.append(section(examined, resamples, seed))
            step()
    written = _page(examined, [one for one in told if one is not None], manifest, resamples, seed)
    page.save(written, place)
    return Perception(written, found, broken)


def _check_numbers(**numbers):
    for name, number in numbers.items():
        least = 0 if name in ("resamples", "seed") else 2
        if number is not None and number < least:
            raise ValueError(f"{name} must be {least} or more, received {number}")


def _head(config, head):
    there = value.labelled_heads(config)
    if not there:
        raise ValueError(f"the model must have a head with a label, received {sorted(config.heads)}")
    if head is not None and head not in config.heads:
        raise ValueError(f"head must be one of {there}, received {head!r}")
    head = there[0] if head is None else head
    value.unit_of(config, head)
    return head


def _table(table, manifest):
    """The table that was ingested, if it can be read; whether it is the same one is told by its rows."""
    given = table is not None
    if not given:
        if not os.path.exists(manifest.table):
            return None
        table = read_table(manifest.table)
    rows = sum(len(chunk) for chunk in table.chunks())
    if rows == manifest.table_rows:
        return table
    if given:
        raise ValueError(f"table: must be the one that was ingested, of {manifest.table_rows} rows, received {table.name} of {rows}")
    return None


def _other(subject, directory, split, examined, table, manifest, seed) -> Examined | None:
    if split == examined.split or not manifest.rows(split):
        return None
    return examine(subject, directory, split, examined.head, table, FITTED_ON, seed)[0]


def _page(examined, told, manifest, resamples, seed):
    sentences = [sentence for one in told for sentence in one.sentences]
    return page.Page(
        f"What the model takes from each input to answer {examined.head}",
        [*_left_out(examined), *sentences],
        [one.section for one in told],
        _made(examined, manifest, resamples, seed),
    )


def _left_out(examined):
    """Inputs of which nothing can be said."""
    empty = [name for place, name in enumerate(examined.config.inputs) if not examined.present[:, place].any()]
    return [f"No row of the {examined.split} split has {name}, so nothing can be said of it." for name in empty]


def _made(examined, manifest, resamples, seed):
    drawn = "rows" if examined.groups is None else f"groups of {examined.config.split.group}"
    return {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "table": manifest.table if examined.table is not None else f"{manifest.table}, which could not be read",
        "split": f"{examined.split}, {len(examined.rows):,} of {manifest.rows(examined.split):,} rows",
        "head": examined.head,
        "intervals": f"95 %, {resamples:,} bootstrap resamples of {drawn}" if resamples else "none",
        "seed": str(seed),
        **{name: importlib.metadata.version(name) for name in ("tensorflow", "keras")},
    }


def _bar(shown):
    return Progress(TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), disable=not shown)
