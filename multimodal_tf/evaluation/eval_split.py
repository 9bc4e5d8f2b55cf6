"""`EvalSplit`: the rows of a split as in the records, with a model's predictions for them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from multimodal_tf.config import PRESENT, Config
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_raw
from multimodal_tf.data.split import column_codes
from multimodal_tf.data.table import Table
from multimodal_tf.data.targets import Targets
from multimodal_tf.evaluation.predictor import BATCH, Arrays, Predictor
from multimodal_tf.schema import Classes, Schema, thresholds

_ROW = "row of the table"


@dataclasses.dataclass(frozen=True)
class EvalSplit:
    """Rows of one split with their labels, predictions and embeddings.

    Args:
        config, schema: the model's.
        split: "train", "validation" or "test".
        head: the evaluated head.
        rows: int `(rows,)`, each row's number in the table.
        raw: by input, undecoded cells as `pipeline.load_raw` yields them.
        present: bool `(rows, inputs)`, in the order of `config.inputs`: whether the cell can be
            read.
        groups: int `(rows,)`, the groups of `config.split.group`; None without.
        labels: int `(rows,)` class indices for a head that chooses one class, -1 unknown; else
            what `Targets` gives, float.
        known: bool `(rows,)`: the row has a label of this head that training saw.
        predictions: by head, the model's outputs as `models.heads.output`.
        embeddings: by input (`Config.vectors`) and by fusion (`fused`, `fused_of_{head}`), float32
            `(rows, dim)`.
        table: the table's columns for these rows; None where the table cannot be read.
        predict, embed: functions of raw cells, which gave `predictions` and `embeddings`.
        train, validation: the other splits, to fit scores and to choose thresholds; None where
            they have no rows.
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

    @property
    def thresholds(self) -> np.ndarray:
        """From which probability on a multi-label head predicts each label, float `(classes,)`.

        Raises:
            ValueError: as `schema.thresholds`.
        """
        head = self.config.heads[self.head]
        return np.array(thresholds(self.head, head, self.schema.heads.get(self.head)))


def load_eval_split(
    predictor: Predictor,
    records: PathLike,
    split: str,
    head: str,
    table: Table | None = None,
    max_rows: int | None = None,
    seed: int = 0,
    cache: bool = True,
) -> tuple[EvalSplit, dict[str, tf.Tensor]]:
    """Reads and predicts the rows of a split.

    Args:
        predictor: the model.
        records: folder of ingested records.
        split: "train", "validation" or "test".
        head: a head with a label.
        table: the ingested table, for its other columns and the groups.
        max_rows: int. At most this number of rows, drawn by `seed`; None: all.
        seed: int.
        cache: whether the outputs of frozen towers are read from beside the records, and those of
            a whole split are kept there.

    Returns:
        `(EvalSplit, features)`, the second the rows in their decoded form.

    Raises:
        ValueError: the split has no rows, or a prediction holds NaN.
    """
    config, schema = predictor.config, predictor.schema
    count = Manifest.load(records).rows(split)
    indices = drawn(count, max_rows, seed)
    rows, raw, labels, known = _read(config, schema, records, split, head, indices)
    # of rows that are drawn, what training kept; a whole split may as well be kept
    kept = predictor.kept_outputs(records, split, indices, fill=len(indices) == count, cache=cache)
    features = predictor.features(raw, kept)
    columns = None if table is None else columns_of(table, rows)
    flags = [features[name + PRESENT].numpy() > 0.5 for name in config.inputs]
    found = EvalSplit(
        config=config,
        schema=schema,
        split=split,
        head=head,
        rows=rows,
        raw=raw,
        present=np.stack(flags, axis=1),
        groups=None if table is None else groups_of(table, config, rows),
        labels=labels,
        known=known,
        predictions=predictor.predict_features(features),
        embeddings=predictor.embed_features(raw, features),
        table=columns,
        predict=predictor.predict,
        embed=predictor.embed,
    )
    return found, features


def drawn(rows: int, max_rows: int | None, seed: int) -> np.ndarray:
    """Indices of all rows, or of `max_rows` that are drawn, in order.

    Example:
        >>> drawn(3, None, 0), len(drawn(100, 7, 0))
        (array([0, 1, 2]), 7)
    """
    if max_rows is None or rows <= max_rows:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, max_rows, replace=False))


def columns_of(table: Table, rows: np.ndarray) -> pd.DataFrame:
    """The table's own columns for some of its rows, in the order of `rows`."""
    wanted, parts, start = set(rows.tolist()), [], 0
    for chunk in table.chunks():
        numbers = np.arange(start, start + len(chunk))
        start += len(chunk)
        inside = np.array([number in wanted for number in numbers], bool)
        parts.append(chunk[inside].assign(**{_ROW: numbers[inside]}))
    return pd.concat(parts).set_index(_ROW).loc[rows].reset_index(drop=True)


def check_labels(eval_split: EvalSplit) -> None:
    """Checks that metrics can be computed.

    Raises:
        ValueError: fewer than two rows have a label, or all labels are of one class.
    """
    known, head = int(eval_split.known.sum()), eval_split.head
    if known < 2:
        raise ValueError(
            f"the split {eval_split.split!r} must have two rows or more with a label of {head!r}, "
            f"received {known}"
        )
    stats = eval_split.schema.heads[head]
    if not isinstance(stats, Classes) or eval_split.config.heads[head].target_type != "class":
        return
    classes = np.unique(eval_split.labels[eval_split.known])
    if len(classes) < 2:
        raise ValueError(
            f"the split {eval_split.split!r} must have rows of two classes of {head!r} or more, "
            f"received {stats.names[classes[0]]!r} only"
        )


def _read(
    config: Config,
    schema: Schema,
    records: PathLike,
    split: str,
    head: str,
    indices: np.ndarray,
) -> tuple[np.ndarray, Arrays, np.ndarray, np.ndarray]:
    """Row numbers, raw cells, labels of one head and whether they are known, of some rows."""
    targets, start = Targets(config, schema, is_centred=False), 0
    numbers, labels, known = [], [], []
    cells: dict[str, list[np.ndarray]] = {name: [] for name in config.inputs}
    for of_rows, inputs, texts in load_raw(config, records, split, BATCH):
        chosen = indices[(indices >= start) & (indices < start + len(of_rows))] - start
        start += len(of_rows)
        target, weight = targets(texts)
        numbers.append(of_rows.numpy()[chosen])
        labels.append(target[head].numpy()[chosen])
        known.append(weight[head].numpy()[chosen] > 0)
        for name, batches in cells.items():
            batches.append(inputs[name].numpy()[chosen])
    label, is_known = np.concatenate(labels), np.concatenate(known)
    if config.heads[head].target_type == "class":
        label = np.where(is_known, label, -1).astype(int)
    raw = {name: _joined(batches) for name, batches in cells.items()}
    return np.concatenate(numbers), raw, label, is_known


def _joined(batches: list[np.ndarray]) -> np.ndarray:
    """Cells of several batches; lists of files are padded to the longest."""
    if batches[0].ndim == 1 or batches[0].dtype != object:
        return np.concatenate(batches)
    longest = max(batch.shape[1] for batch in batches)
    fill: Any = b""
    padded = [
        np.pad(batch, [(0, 0), (0, longest - batch.shape[1])], constant_values=fill)
        for batch in batches
    ]
    return np.concatenate(padded)


def groups_of(table: Table, config: Config, rows: np.ndarray) -> np.ndarray | None:
    """The groups of `config.split.group`, which resamples draw as a whole: those of the split.

    Args:
        table: that was ingested.
        config: of the model.
        rows: int `(rows,)`, each row's number in the table.

    Returns:
        int `(rows,)`, a row without a group one of its own; None where the configuration names no
        group, or the table has no such column.
    """
    group = config.split.group
    if group is None or group not in table.columns:
        return None
    return np.asarray(column_codes(table, group, missing_alone=True)[rows])
