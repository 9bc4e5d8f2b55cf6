"""`perception_report`: what a model takes from each input, what breaks it, and where it errs, as one page."""

import dataclasses
import datetime
import importlib.metadata
import os
import pathlib
from collections.abc import Mapping
from typing import TypeAlias

import keras
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from multimodal_tf.config import Config
from multimodal_tf.data import shards
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.table import Table, read_table
from multimodal_tf.evaluation import page
from multimodal_tf.evaluation.groups import group_codes, weighted_figures
from multimodal_tf.evaluation.perception import damage, inputs, value
from multimodal_tf.evaluation.perception.belonging import consistency_section
from multimodal_tf.evaluation.perception.examined import Examined, examine
from multimodal_tf.evaluation.perception.strangers import novelty_section
from multimodal_tf.evaluation.perception.subject import Subject, of_model, of_saved_model
from multimodal_tf.evaluation.shares import Shares, coalitions
from multimodal_tf.schema import Schema

FITTED_ON = 5000  # training rows at most, on which scores of strangeness are fitted
_SECTIONS = (consistency_section, novelty_section)  # after shares and damage

Model: TypeAlias = keras.Model | Subject | str | os.PathLike


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
        model: a Keras model of `build_model`, or the folder of a SavedModel that `export_model` wrote.
        directory: where ingest wrote the shards.
        out: folder for `index.html`, `report.json` and `data/`; an earlier report there is replaced.
        config, schema: of a Keras model. A SavedModel brings its own.
        split: "train", "validation" or "test".
        head: which one is examined; None: the first that has a label.
        table: what was ingested, for slices by its other columns, and for intervals over groups; None: read from where ingest found it, if
            it is still there.
        alone: by input, a model that was trained with this input only, of the same head: its figure stands beside.
        baseline: another model of the same inputs and head, which effective robustness is measured against.
        rows: int. So many rows at most, drawn by `seed`; None: all.
        damaged: int. So many of these at most for each corruption; None: all.
        resamples: int. Bootstrap resamples for the intervals; 0: no intervals.
        seed: int. Of draws, damage and resamples.
        progress: shows a bar.

    Returns:
        `Perception`.

    Raises:
        FileNotFoundError: ingest has not ended in `directory`, or there is no such SavedModel.
        FileExistsError: `out` holds something else than an earlier report.
        ValueError: the SavedModel is not ours, a Keras model comes without its configuration, the table was ingested with other settings,
            there is no such head or it has no label, the split has fewer than two rows with labels or these are of one class, or an answer
            is NaN. Nothing has been written then.

    Example:
        >>> perception_report("saved_models/shop/1", "runs/shop/records", "runs/shop/report")  # doctest: +SKIP
    """
    place = page.check_place(out)
    subject = subject_of(model, config, schema)
    head = _head(subject.config, head)
    manifest = Manifest.load(directory)
    shards.check_settings(subject.config, pathlib.Path(directory), manifest)
    others = {name: subject_of(one, config, schema) for name, one in (alone or {}).items()}
    table = _table(table, manifest, subject.config)
    with _bar(progress) as bar:
        task = bar.add_task("reading rows", total=None)
        examined, features = examine(subject, directory, split, head, table, rows, seed)
        _check(examined)
        examined = dataclasses.replace(
            examined,
            train=_other(subject, directory, "train", split, head, table, manifest, seed),
            validation=_other(subject, directory, "validation", split, head, table, manifest, seed),
        )
        total = len(coalitions(list(subject.config.inputs)).present) + damage.count(damage.kinds_of(examined)) + len(_SECTIONS)

        def say(what):
            bar.update(task, description=what, total=total)

        def step():
            bar.advance(task)

        say("subsets of inputs")
        found = inputs.shares_of(subject, examined, features, resamples, seed, step)
        say("damaged rows")
        broken = damage.damage_of(examined, damaged, seed, step)
        other = None if baseline is None else _baseline(subject_of(baseline, config, schema), examined, damaged, seed)
        told = [
            inputs.shares_section(found, examined, {name: _alone(one, examined, resamples, seed) for name, one in others.items()}),
            damage.damage_section(broken, examined, resamples, seed, other),
        ]
        for section in _SECTIONS:
            say(section.__name__.replace("_section", "").replace("_", " "))
            said = section(examined, resamples, seed)
            told += [] if said is None else [said]
            step()
    sentences = [sentence for one in told for sentence in one.sentences]
    written = page.Page(
        f"What {head} takes from each input",
        [*_left_out(examined), *sentences],
        [one.section for one in told],
        _made(examined, manifest, seed),
    )
    page.save(written, place)
    return Perception(written, found, broken)


def subject_of(model: Model, config: Config | None = None, schema: Schema | None = None) -> Subject:
    """A `Subject` of a Keras model with its configuration and schema, or of the folder of a SavedModel.

    Raises:
        FileNotFoundError, ValueError: as `perception_report`.
    """
    if isinstance(model, Subject):
        return model
    if not isinstance(model, keras.Model):
        return of_saved_model(model)
    if config is None or schema is None:
        raise ValueError("a Keras model must come with its config and its schema, received it without")
    return of_model(model, config, schema)


def _head(config, head):
    there = value.labelled_heads(config)
    if not there:
        raise ValueError(f"the model must have a head with a label, received {sorted(config.heads)}")
    if head is not None and head not in config.heads:
        raise ValueError(f"head must be one of {there}, received {head!r}")
    head = there[0] if head is None else head
    value.unit_of(config, head)
    return head


def _check(examined):
    known = int(examined.known.sum())
    if known < 2:
        raise ValueError(f"the split {examined.split!r} must have two rows or more with a label of {examined.head!r}, received {known}")
    if examined.config.heads[examined.head].label == "class":
        classes = np.unique(examined.labels[examined.known])
        if len(classes) < 2:
            only = examined.schema.heads[examined.head].names[classes[0]]
            raise ValueError(
                f"the split {examined.split!r} must have rows of two classes of {examined.head!r} or more, received {only!r} only"
            )


def _table(table, manifest, config):
    """The table that was ingested, if it can still be read; whether it is the same one is told by its rows."""
    if table is None:
        if not os.path.exists(manifest.table):
            return None
        table = read_table(manifest.table)
    rows = sum(len(chunk) for chunk in table.chunks())
    if rows != manifest.table_rows:
        raise ValueError(f"table: must be the one that was ingested, of {manifest.table_rows} rows, received {table.name} of {rows}")
    return table


def _other(subject, directory, split, examined, head, table, manifest, seed) -> Examined | None:
    if split == examined or not manifest.rows(split):
        return None
    return examine(subject, directory, split, head, table, FITTED_ON, seed)[0]


def _alone(subject, examined, resamples, seed):
    """The figure of a model with fewer inputs on the same rows."""
    raw = {name: examined.raw[name] for name in subject.config.inputs}
    hits = value.values(examined, subject.answer(raw))[examined.known]
    codes = group_codes(None if examined.groups is None else examined.groups[examined.known], len(hits))
    found = weighted_figures(lambda weights: {"mean": weights @ hits / weights.sum()}, codes, resamples, seed)["mean"]
    return inputs.page_figure(found, len(hits), value.unit_of(examined.config, examined.head))


def _baseline(subject, examined, damaged, seed):
    raw = {name: examined.raw[name] for name in subject.config.inputs}
    other = dataclasses.replace(examined, answers=subject.answer(raw), answer=subject.answer, embed=subject.embed)
    return damage.damage_of(other, damaged, seed)


def _left_out(examined):
    """Inputs of which nothing can be said."""
    empty = [name for place, name in enumerate(examined.config.inputs) if not examined.present[:, place].any()]
    return [f"No row of the {examined.split} split has {name}, so nothing can be said of it." for name in empty]


def _made(examined, manifest, seed):
    return {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "table": manifest.table,
        "split": f"{examined.split}, {len(examined.rows):,} of {manifest.rows(examined.split):,} rows",
        "head": examined.head,
        "seed": str(seed),
        **{name: importlib.metadata.version(name) for name in ("tensorflow", "keras")},
    }


def _bar(shown):
    return Progress(TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), disable=not shown)
