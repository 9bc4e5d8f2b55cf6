"""The rows that a report is about, as they stand in the shards, and what the model says of them:
read and predicted once.
"""

import dataclasses
import os
from collections.abc import Callable

import numpy as np
import pandas as pd
import tensorflow as tf

from multimodal_tf.config import PRESENT, Config
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_raw
from multimodal_tf.data.table import Table
from multimodal_tf.data.targets import Targets
from multimodal_tf.evaluation.predictor import BATCH, Arrays, Predictor
from multimodal_tf.schema import Classes, Schema


@dataclasses.dataclass(frozen=True)
class EvalSplit:
    """What a report knows of one split.

    Args:
        config, schema: the model's.
        split: "train", "validation" or "test".
        head: the head that is examined.
        rows: int `(rows,)`, each row's number in the table.
        raw: by input, undecoded cells as `pipeline.load_raw` yields them.
        present: bool `(rows, inputs)`, in the order of `config.inputs`: whether there is something
        that can be read.
        groups: int `(rows,)`, the groups of `config.split.group`; None without.
        labels: int `(rows,)` class numbers for a head that chooses one class, -1 unknown; else what
        `Targets` gives, float.
        known: bool `(rows,)`: the row has a label of this head that training saw.
        answers: by head, the model's outputs as `models.heads.output` says.
        embeddings: by input (`Config.vectors`) and by fusion (`fused`, `fused_of_{head}`), float32
        `(rows, dim)`.
        table: the table's columns for these rows; None where the table cannot be read.
        answer, embed: functions of raw cells, the same that gave `answers` and `embeddings`.
        train, validation: the other splits, for scores that are fitted and limits that are chosen;
        None where they have no rows.
    """

    config: Config
    schema: Schema
    split: str
    head: str
    rows: np.ndarray
    raw: Arrays
    present: np.ndarray
    groups: np.ndarray | None
    labels: np.ndarray
    known: np.ndarray
    predictions: Arrays
    embeddings: Arrays
    table: pd.DataFrame | None
    predict: Callable[[Arrays], Arrays]
    embed: Callable[[Arrays], Arrays]
    train: "EvalSplit | None" = None
    validation: "EvalSplit | None" = None


def examine(
    predictor: Predictor,
    directory: str | os.PathLike,
    split: str,
    head: str,
    table: Table | None = None,
    most: int | None = None,
    seed: int = 0,
) -> tuple[EvalSplit, dict[str, tf.Tensor]]:
    """Reads and predicts the rows of a split.

    Args:
        subject: `Predictor`.
        directory: where ingest wrote the shards.
        split: "train", "validation" or "test".
        head: a head with a label.
        table: what was ingested, for its other columns and the groups.
        most: int. So many rows at most, drawn by `seed`; None: all.
        seed: int.

    Returns:
        `(Examined, features)`, the second the rows in their decoded form.

    Raises:
        ValueError: the split has no rows, or an answer holds NaN.
    """
    config, schema = predictor.config, predictor.schema
    rows, raw, labels, known = _read(
        directory,
        split,
        config,
        schema,
        head,
        drawn(Manifest.load(directory).rows(split), most, seed),
    )
    features = predictor.features(raw)
    answers = predictor.predict_features(features)
    columns = None if table is None else columns_of(table, rows)
    found = EvalSplit(
        config=config,
        schema=schema,
        split=split,
        head=head,
        rows=rows,
        raw=raw,
        present=np.stack(
            [features[name + PRESENT].numpy() > 0.5 for name in config.inputs], axis=1
        ),
        groups=_groups(columns, config),
        labels=labels,
        known=known,
        predictions=answers,
        embeddings=predictor.embed(raw),
        table=columns,
        predict=predictor.predict,
        embed=predictor.embed,
    )
    return found, features


def drawn(rows: int, most: int | None, seed: int) -> np.ndarray:
    """Places of all rows, or of `most` that are drawn, in order.

    Example:
        >>> drawn(3, None, 0), len(drawn(100, 7, 0))
        (array([0, 1, 2]), 7)
    """
    if most is None or rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _read(directory, split, config, schema, head, places):
    """Numbers, raw cells, labels of one head, and whether these are known, of the rows at some
    places of a split.
    """
    targets, numbers, cells, labels, known, start = Targets(config, schema), [], [], [], [], 0
    for of_rows, inputs, answers in load_raw(config, directory, split, BATCH):
        wanted = places[(places >= start) & (places < start + len(of_rows))] - start
        start += len(of_rows)
        target, weight = targets(answers)
        numbers.append(of_rows.numpy()[wanted])
        cells.append({name: inputs[name].numpy()[wanted] for name in config.inputs})
        labels.append(target[head].numpy()[wanted])
        known.append(weight[head].numpy()[wanted] > 0)
    label, there = np.concatenate(labels), np.concatenate(known)
    if config.heads[head].target_type == "class":
        label = np.where(there, label, -1).astype(int)
    return (
        np.concatenate(numbers),
        {name: _stacked([part[name] for part in cells]) for name in config.inputs},
        label,
        there,
    )


def _stacked(parts):
    """Cells of several batches; a video's batches have as many frames as their longest."""
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    longest = max(part.shape[1] for part in parts)
    return np.concatenate(
        [
            np.pad(part, [(0, 0), (0, longest - part.shape[1])], constant_values=b"")
            for part in parts
        ]
    )


def columns_of(table: Table, rows: np.ndarray) -> pd.DataFrame:
    """The table's own columns of some of its rows, in their order."""
    wanted, parts, start = set(rows.tolist()), [], 0
    for chunk in table.chunks():
        numbers = np.arange(start, start + len(chunk))
        start += len(chunk)
        inside = np.array([number in wanted for number in numbers], bool)
        parts.append(chunk[inside].assign(**{_ROW: numbers[inside]}))
    return pd.concat(parts).set_index(_ROW).loc[rows].reset_index(drop=True)


_ROW = "row of the table"


def _groups(columns, config):
    group = config.split.group
    if columns is None or group is None or group not in columns:
        return None
    codes = pd.factorize(columns[group])[0]
    # a row without one is a group of its own
    return np.where(codes < 0, len(codes) + np.arange(len(codes)), codes)


def check_labels(eval_split: EvalSplit):
    """Refuses rows that no figure can be had of.

    Raises:
        ValueError: fewer than two have a label, or these are all of one class.
    """
    known = int(eval_split.known.sum())
    if known < 2:
        raise ValueError(
            f"the split {eval_split.split!r} must have two rows or more with a label of {eval_split.head!r}, received {known}"
        )
    stats = eval_split.schema.heads[eval_split.head]
    if (
        not isinstance(stats, Classes)
        or eval_split.config.heads[eval_split.head].target_type != "class"
    ):
        return
    classes = np.unique(eval_split.labels[eval_split.known])
    if len(classes) < 2:
        only = stats.names[classes[0]]
        raise ValueError(
            f"the split {eval_split.split!r} must have rows of two classes of {eval_split.head!r} or more, received {only!r} only"
        )
