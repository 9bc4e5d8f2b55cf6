"""`evaluate`: predicts every row of a split once, and computes the metrics of each head."""

import collections
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pydantic
import tensorflow as tf
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from multimodal_tf.config import Config
from multimodal_tf.config.heads import Head, LossHead, with_column, with_loss
from multimodal_tf.config.json_files import read_model
from multimodal_tf.config.spelling import spelling
from multimodal_tf.data.cache import started_after
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.ingest.record_settings import check_records
from multimodal_tf.data.ingest.whole_table import Source
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_raw, load_split
from multimodal_tf.data.record_files import LABEL_SEPARATOR
from multimodal_tf.evaluation.by_head import head_metrics
from multimodal_tf.evaluation.eval_records import SourceTable, evaluated_rows, source_table
from multimodal_tf.evaluation.eval_split import groups_of
from multimodal_tf.evaluation.predicted_images import image_scores
from multimodal_tf.evaluation.predicted_texts import predicted_texts
from multimodal_tf.evaluation.subject import (
    Predict,
    Subject,
    model_of,
    per_batch,
    subject,
)
from multimodal_tf.metrics.bootstrap import LEVEL
from multimodal_tf.metrics.metric import HeadMetrics
from multimodal_tf.schema import Schema, thresholds

# rows per call of the model; how rows are batched changes no metric
BATCH = 256


class Evaluation(pydantic.BaseModel):
    """The metrics of a model on one split, by head.

    Example:
        >>> from multimodal_tf.metrics.regression import regression
        >>> heads = {"price": regression([1.0, 3.0], [1.0, 2.0], resamples=0)}
        >>> evaluation = Evaluation(split="test", rows=2, resamples=0, seed=0, heads=heads)
        >>> Evaluation.model_validate_json(evaluation.model_dump_json()) == evaluation
        True
    """

    split: str
    rows: int
    # of the intervals
    level: float = LEVEL
    resamples: int
    seed: int
    # the column whose groups the resamples draw as a whole; null: they draw rows
    group: str | None = None
    # what the reader must know of the intervals
    note: str = ""
    # what the reader must know of the rows of a table
    notes: list[str] = []
    heads: dict[str, HeadMetrics]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes JSON."""
        pathlib.Path(path).write_text(self.model_dump_json(indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Evaluation":
        """Reads a JSON file written by `save`.

        Raises:
            ValueError: the file is not such a JSON.
        """
        return read_model(pathlib.Path(path), cls, "an evaluation")

    def render(self) -> Group:
        """Tables for `rich.print`: the metrics of each head with their intervals, and by class."""
        tables: list[Table | Text] = [Text(f"note: {note}") for note in self.notes]
        tables += [Text(_intervals_text(self))] * bool(self.resamples)
        for name, head in self.heads.items():
            tables.append(_metric_table(name, head, self))
            if head.missing or head.unseen:
                tables.append(Text(_left_out_text(head)))
            if head.classes:
                tables.append(_class_table(name, head))
        return Group(*tables)


def evaluate(
    predict: Subject,
    config: Config | None = None,
    schema: Schema | None = None,
    records: Source | None = None,
    split: str = "test",
    resamples: int = 1000,
    seed: int = 0,
    table: SourceTable | None = None,
    cache: bool | PathLike = True,
) -> Evaluation:
    """Metrics of a model on one split of ingested records, or on all rows of any labelled table.

    Each row counts once.

    Args:
        predict: what `load_run` gives; the folder of a SavedModel; or with `config` and `schema` a
            model, its `predict`, or any function of a batch of model inputs, a dict of NumPy
            arrays by name, that returns a dict by head. Texts and images are those of a
            model alone.
        config, schema: of the model; where thresholds are fitted, the run's schema. None: those of
            the run or SavedModel.
        records: folder of ingested records; or a table, as its path, a `Table` or a DataFrame,
            whose cells are checked as `ingest` checks them. What it lacks, and rows that are left
            out, are named in `notes`.
        split: "train", "validation" or "test", of records. Of a table all rows are evaluated.
        resamples: int. Bootstrap resamples for the intervals, of whole groups where the
            configuration has `split.group`; 0: no intervals.
        seed: int, of the resamples.
        table: what was ingested, for the groups; None: read from where ingest found it. If it is
            not there any more, resamples draw rows, and `note` says so.
        cache: as for `fit`; of a table nothing is kept.

    Returns:
        `Evaluation`. Rows without a label for a head (`missing`), or only with labels that training
        never saw (`unseen`), do not count for that head. An embedding head has no metrics.

    Raises:
        FileNotFoundError: `records` are not completely ingested, or there is no such table.
        ValueError: `resamples` is negative, the records were ingested with other settings, the
            split has no rows, `table` is another one, thresholds are fitted and not in the schema,
            or a prediction lacks a head, has another shape or holds NaN; a table lacks the columns
            of all inputs or of all labels, or no row of it can be read.

    Example:
        >>> evaluate(load_run("run"), records="new.csv").render()  # doctest: +SKIP
    """
    _check_resamples(resamples)
    if records is None:
        raise ValueError("records must be a folder of ingested records or a table, received None")
    model, config, schema = subject(predict, config, schema)
    with evaluated_rows(predict, config, records, split, table) as rows:
        where = rows.records, rows.split, rows.table, cache if rows.keeps else False
        found = _evaluate(model, config, schema, *where, resamples, seed)
        return found.model_copy(update={"split": rows.named, "notes": [*rows.notes]})


def _evaluate(
    predict: Predict | keras.Model,
    config: Config,
    schema: Schema,
    records: PathLike,
    split: str,
    table: SourceTable | None,
    cache: bool | PathLike,
    resamples: int,
    seed: int,
) -> Evaluation:
    check_records(config, records)
    evaluated, manifest = with_loss(config.heads), Manifest.load(records)
    least = {name: thresholds(name, one, schema.heads.get(name)) for name, one in evaluated.items()}
    grouped = config.split.group is not None and resamples > 0
    source = source_table(manifest, table) if grouped else None
    with started_after(model_of(predict), config, schema, records, [split], cache) as frozen:
        batches = load_split(config, schema, records, split, batch_size=BATCH, frozen=frozen)
        collected = _collect(per_batch(predict), batches, list(evaluated))
        images = image_scores(model_of(predict), config, schema, batches)
        generated = predicted_texts(
            model_of(predict), config, schema, (inputs for inputs, _, _ in batches)
        )
    rows, labels = _labels(load_raw(config, records, split, BATCH), _with_labels(evaluated))
    groups = None if source is None else groups_of(source, config, rows)
    texts = {name: (list(map(bytes.decode, labels[name])), one) for name, one in generated.items()}
    drawn, heads = (resamples, seed, groups), {}
    for name, head in evaluated.items():
        classes = getattr(schema.heads.get(name), "names", ())
        found = (drawn, least[name], texts.get(name), images.get(name))
        heads[name] = _of_head(name, head, classes, collected[name], *found)
        if name in labels:
            heads[name].missing, heads[name].unseen = _left_out(head, classes, labels[name])
        elif head.cell_input is not None:
            heads[name].missing = int((collected[name][2] == 0).sum())
    note = _ungrouped(manifest, config) if grouped and groups is None else ""
    settings: dict[str, Any] = {"split": split, "resamples": resamples, "seed": seed}
    settings["group"] = None if groups is None else config.split.group
    return Evaluation(rows=manifest.rows(split), note=note, heads=heads, **settings)


def _with_labels(heads: Mapping[str, LossHead]) -> list[str]:
    """The heads whose column holds labels; files of targets are too large to keep."""
    return [name for name, head in with_column(heads).items() if head.cell_input is None]


def _check_resamples(resamples: int) -> None:
    if resamples < 0:
        raise ValueError(f"resamples must be 0 or more, received {resamples}")


def _of_head(
    name: str,
    head: LossHead,
    classes: Sequence[str],
    collected: list[np.ndarray],
    drawn: tuple[int, int, np.ndarray | None],
    least: list[float],
    texts: tuple[list[str], list[str]] | None,
    images: np.ndarray | None,
) -> HeadMetrics:
    targets, predictions, known = collected
    try:
        return head_metrics(
            head, classes, targets, predictions, known, *drawn, least or None, texts, images
        )
    except ValueError as error:
        raise ValueError(f"head {name!r}: {error}") from error


def _ungrouped(manifest: Manifest, config: Config) -> str:
    """Why resamples draw rows although the split has groups."""
    return (
        f"intervals take rows as independent, and are too narrow: {manifest.table} with the groups "
        f"of {config.split.group!r} cannot be read, so give it as table"
    )


def _collect(
    predict: Predict, batches: tf.data.Dataset, heads: Sequence[str]
) -> dict[str, list[np.ndarray]]:
    """By head: targets, predictions and weights of all rows."""
    collected: dict[str, list[tuple[np.ndarray, ...]]] = {name: [] for name in heads}
    for inputs, targets, weights in batches.as_numpy_iterator():
        outputs = predict(inputs)
        lacking = next((name for name in heads if name not in outputs), None)
        if lacking is not None:
            raise ValueError(
                "predict must return every head of the configuration, "
                f"received {sorted(outputs)} without {lacking!r}"
            )
        for name in heads:
            collected[name].append((targets[name], np.asarray(outputs[name]), weights[name]))
    return {
        name: [np.concatenate(arrays) for arrays in zip(*rows)] for name, rows in collected.items()
    }


def _labels(
    batches: tf.data.Dataset, heads: Iterable[str]
) -> tuple[np.ndarray, dict[str, list[Any]]]:
    """The rows' numbers in the table, and by head their labels as in the records.

    These are bytes, or floats for numbers.
    """
    numbers: list[np.ndarray] = []
    collected: dict[str, list[Any]] = {name: [] for name in heads}
    for rows, _, labels in batches.as_numpy_iterator():
        numbers.append(rows)
        for name, of_head in collected.items():
            of_head.extend(labels[name])
    return np.concatenate(numbers), collected


def _left_out(head: Head, classes: Sequence[str], labels: list[Any]) -> tuple[int, dict[str, int]]:
    """The number of rows without a label, and of rows by label that training never saw."""
    if head.target_type == "number":
        return int(np.isnan(labels).sum()), {}
    texts = [label.decode() for label in labels]
    if head.target_type == "text":
        return texts.count(""), {}
    if head.target_type == "classes":
        counts = collections.Counter(
            label for text in texts for label in set(text.split(LABEL_SEPARATOR))
        )
    else:
        counts = collections.Counter(text.strip() for text in texts)
    seen = {"", *map(spelling, classes)}
    unseen = {label: rows for label, rows in sorted(counts.items()) if label not in seen}
    return texts.count(""), unseen


def _intervals_text(evaluation: Evaluation) -> str:
    """How the intervals were drawn, in a sentence."""
    drawn = "rows" if evaluation.group is None else f"groups of {evaluation.group!r}"
    text = f"{evaluation.level:.0%} intervals: {evaluation.resamples:,} resamples of {drawn}"
    return f"{text}; {evaluation.note}" if evaluation.note else text


def _metric_table(name: str, head: HeadMetrics, evaluation: Evaluation) -> Table:
    table = Table(title=f"{evaluation.split}: {name}, n = {head.n}", title_justify="left")
    for column in ("metric", "value", f"{evaluation.level:.0%} interval"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for key, metric in head.metrics.items():
        interval = "" if metric.low is None else f"{metric.low:.3f} .. {metric.high:.3f}"
        table.add_row(key, metric.reason if metric.value is None else metric.shown, interval)
    return table


def _left_out_text(head: HeadMetrics) -> str:
    """The rows that do not count, in a sentence."""
    counts = [f"{head.missing} without label"] * bool(head.missing)
    if head.unseen:
        some = ", ".join(list(head.unseen)[:5]) + ", ..." * (len(head.unseen) > 5)
        counts.append(f"{sum(head.unseen.values())} with a class that training never saw: {some}")
    return f"rows left out: {'; '.join(counts)}"


def _class_table(name: str, head: HeadMetrics) -> Table:
    table = Table(title=f"{name}: classes", title_justify="left")
    table.add_column("class")
    columns = ["precision", "recall", "f1"]
    # of multi-label heads alone
    columns += [
        column
        for column in ("average_precision", "auroc")
        if any(getattr(one, column) is not None for one in head.classes.values())
    ]
    for column in ("n", *columns):
        table.add_column(column.replace("_", " "), justify="right")
    for label, of_class in head.classes.items():
        values = [getattr(of_class, column) for column in columns]
        cells = ["–" if value is None else f"{value:.3f}" for value in values]
        table.add_row(escape(label), str(of_class.n), *cells)
    return table
