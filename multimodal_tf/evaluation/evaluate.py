"""`evaluate`: every row of a split through a model once, and the figures of each head."""

import collections
import inspect
import os
import pathlib
from collections.abc import Callable, Mapping

import keras
import numpy as np
import pydantic
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from multimodal_tf.config import Config, labelled
from multimodal_tf.config.heads import with_loss
from multimodal_tf.data.ingest.record_settings import check_records
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_raw, load_split
from multimodal_tf.data.record_files import LABEL_SEPARATOR
from multimodal_tf.evaluation.by_head import head_metrics
from multimodal_tf.metrics import supervised
from multimodal_tf.metrics.bootstrap import LEVEL
from multimodal_tf.schema import Schema

Predict = Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]]

# rows a call of the model; how rows are batched changes no figure
BATCH = 256


class Evaluation(pydantic.BaseModel):
    """The figures of a model on one split, by head.

    Example:
        >>> head = supervised.regression([1.0, 3.0], [1.0, 2.0], resamples=0)
        >>> evaluation = Evaluation(split="test", rows=2, resamples=0, seed=0, heads={"price": head})
        >>> Evaluation.model_validate_json(evaluation.model_dump_json()) == evaluation
        True
    """

    split: str
    rows: int
    # of the intervals
    level: float = LEVEL
    resamples: int
    seed: int
    heads: dict[str, supervised.HeadMetrics]

    def save(self, path):
        """Writes JSON."""
        pathlib.Path(path).write_text(self.model_dump_json(indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path) -> "Evaluation":
        """Reads a JSON file written by `save`.

        Raises:
            ValueError: the file is not such a JSON.
        """
        try:
            return cls.model_validate_json(pathlib.Path(path).read_text(encoding="utf-8"))
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "document"
            raise ValueError(f"{path} is not an evaluation: {field}: {first['msg']}") from error

    def render(self) -> Group:
        """Tables for `rich.print`: the figures of each head with their intervals, then its classes."""
        tables: list[Table | Text] = []
        for name, head in self.heads.items():
            tables.append(_figure_table(name, head, self))
            if head.missing or head.unseen:
                tables.append(Text(_left_out_of(head)))
            if head.classes:
                tables.append(_class_table(name, head))
        return Group(*tables)


def evaluate(
    predict: Predict | keras.Model,
    directory: str | os.PathLike,
    config: Config,
    schema: Schema,
    split: str = "test",
    bootstrap: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Figures of a model on one split of an ingested table, each row counted once.

    Args:
        predict: a model, its `predict`, or any function that takes a batch of model inputs, a dict
            of NumPy arrays by name, and returns a dict by head: what `models.heads.output`
            says.
        directory: where ingest wrote the shards.
        config: `Config`.
        schema: `Schema`.
        split: "train", "validation" or "test".
        bootstrap: int. Resamples for the intervals; 0: no intervals.
        seed: int. Of the resamples.

    Returns:
        `Evaluation`. A row without a label for a head, or with none but labels that training never
        saw, does not count in that head's figures; its `missing` and `unseen` say how many these
        are. An embedding head has no figures.

    Raises:
        FileNotFoundError: ingest has not ended in `directory`.
        ValueError: `bootstrap` is negative, the table was ingested with other settings, the split
            has no rows, or an answer lacks a head, has another shape or holds NaN.
    """
    if bootstrap < 0:
        raise ValueError(f"bootstrap must be 0 or more, received {bootstrap}")
    check_records(config, directory)
    judged = with_loss(config.heads)
    answers = _answers(
        _per_batch(predict),
        load_split(config, schema, directory, split, batch_size=BATCH),
        list(judged),
    )
    labels = _labels(load_raw(config, directory, split, BATCH), list(labelled(judged)))
    heads = {}
    for name, head in judged.items():
        targets, said, known = answers[name]
        try:
            heads[name] = head_metrics(
                head,
                getattr(schema.heads.get(name), "names", ()),
                targets,
                said,
                known,
                bootstrap,
                seed,
            )
        except ValueError as error:
            raise ValueError(f"head {name!r}: {error}") from error
        if name in labels:
            heads[name].missing, heads[name].unseen = _left_out(
                head, schema.heads[name], labels[name]
            )
    rows = Manifest.load(directory).rows(split)
    return Evaluation(split=split, rows=rows, resamples=bootstrap, seed=seed, heads=heads)


def _per_batch(predict):
    """A function for one batch: `model.predict` would open a data set and a progress bar in every
    call.
    """
    if (
        inspect.ismethod(predict)
        and isinstance(predict.__self__, keras.Model)
        and predict.__name__ == "predict"
    ):
        return predict.__self__.predict_on_batch
    return predict.predict_on_batch if isinstance(predict, keras.Model) else predict


def _answers(predict, batches, heads):
    """By head: targets, predictions and weights of all rows, as arrays."""
    collected: dict[str, list[tuple]] = {name: [] for name in heads}
    for inputs, targets, weights in batches.as_numpy_iterator():
        outputs = predict(inputs)
        lacking = next((name for name in heads if name not in outputs), None)
        if lacking is not None:
            raise ValueError(
                f"predict must answer every head of the configuration, received {sorted(outputs)} without {lacking!r}"
            )
        for name in heads:
            collected[name].append((targets[name], np.asarray(outputs[name]), weights[name]))
    return {
        name: [np.concatenate(parts) for parts in zip(*rows)] for name, rows in collected.items()
    }


def _labels(batches, heads):
    """By head: the labels of all rows as they stand in the records, bytes, or floats for a
    regression.
    """
    collected: dict[str, list] = {name: [] for name in heads}
    for _, _, labels in batches.as_numpy_iterator():
        for name in heads:
            collected[name].extend(labels[name])
    return collected


def _left_out(head, stats, labels):
    """How many rows have no label, and how many bear each label that training never saw."""
    if head.target_type == "number":
        return int(np.isnan(labels).sum()), {}
    texts = [label.decode() for label in labels]
    if head.target_type == "classes":
        borne = collections.Counter(
            part for text in texts for part in set(text.split(LABEL_SEPARATOR))
        )
    else:
        borne = collections.Counter(text.strip() for text in texts)
    seen = {"", *stats.names}
    return texts.count(""), {
        label: rows for label, rows in sorted(borne.items()) if label not in seen
    }


def _figure_table(name, head, evaluation):
    table = Table(title=f"{evaluation.split}: {name}, n = {head.n}", title_justify="left")
    for column in ("figure", "value", f"{evaluation.level:.0%} interval"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for figure_name, figure in head.figures.items():
        interval = "" if figure.low is None else f"{figure.low:.3f} .. {figure.high:.3f}"
        table.add_row(
            figure_name, figure.reason if figure.value is None else f"{figure.value:.3f}", interval
        )
    return table


def _left_out_of(head):
    """The rows that do not count, in a sentence."""
    parts = [f"{head.missing} without label"] * bool(head.missing)
    if head.unseen:
        some = ", ".join(list(head.unseen)[:5]) + ", ..." * (len(head.unseen) > 5)
        parts.append(f"{sum(head.unseen.values())} with a class that training never saw: {some}")
    return f"rows left out: {'; '.join(parts)}"


def _class_table(name, head):
    table = Table(title=f"{name}: classes", title_justify="left")
    table.add_column("class")
    for column in ("n", "precision", "recall", "f1"):
        table.add_column(column, justify="right")
    for label, of_class in head.classes.items():
        table.add_row(
            escape(label),
            str(of_class.n),
            *(f"{value:.3f}" for value in (of_class.precision, of_class.recall, of_class.f1)),
        )
    return table
