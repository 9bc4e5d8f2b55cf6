"""What a model predicts for the validation rows: scores that choose an epoch, and thresholds."""

from collections.abc import Collection
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from multimodal_tf.config import AlignmentHead, Config, ViewsHead
from multimodal_tf.config.heads import Head
from multimodal_tf.data.cache import FrozenCells
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.schema import Classes, Schema
from multimodal_tf.scoring import monitored
from multimodal_tf.scoring.thresholds import DEFAULT, fit_thresholds

# rows in a call of the model; predictions do not depend on it
_BATCH = 256


class HeadRows(NamedTuple):
    """The validation rows whose label is known: as `data.targets` and `models.heads.output`."""

    targets: np.ndarray
    predictions: np.ndarray


class ValidationRows:
    """The validation rows of some heads, predicted again and again while a model is trained.

    Every process of a strategy predicts all of them, so that all get the same.

    Args:
        model: functional `keras.Model`.
        config, schema: of the model.
        records: folder of ingested records.
        heads: names of heads with scores that choose an epoch.
        frozen: as for `load_split`.
    """

    def __init__(
        self,
        model: keras.Model,
        config: Config,
        schema: Schema,
        records: PathLike,
        heads: Collection[str],
        frozen: FrozenCells | None = None,
    ) -> None:
        self._heads = list(heads)
        self._batches: tf.data.Dataset | None = None
        if Manifest.load(records).rows("validation"):
            self._batches = load_split(
                config, schema, records, "validation", batch_size=_BATCH, frozen=frozen
            )
        outputs_of = getattr(model, "outputs_of", model)
        self._call = tf.function(
            lambda inputs: outputs_of(inputs, training=False),
            reduce_retracing=True,
            autograph=False,
        )

    def targets(self) -> dict[str, np.ndarray]:
        """By head the targets of the rows whose label is known; none without validation rows."""
        return {name: rows.targets for name, rows in self._collected(predict=False).items()}

    def predicted(self) -> dict[str, HeadRows]:
        """By head the rows whose label is known, with the model's predictions as it is now."""
        return self._collected(predict=True)

    def known(self) -> dict[str, np.ndarray]:
        """By head whether the label of each validation row is known, bool `(rows,)`."""
        found: dict[str, list[np.ndarray]] = {name: [] for name in self._heads}
        for _, _, weights in () if self._batches is None else self._batches:
            for name, of_head in found.items():
                of_head.append(weights[name].numpy() > 0)
        return {name: np.concatenate(of_head) for name, of_head in found.items() if of_head}

    def _collected(self, predict: bool) -> dict[str, HeadRows]:
        if self._batches is None:
            return {}
        found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in self._heads}
        for inputs, targets, weights in self._batches:
            outputs = self._call(inputs) if predict else targets
            for name, of_head in found.items():
                known = weights[name].numpy() > 0
                of_head.append((targets[name].numpy()[known], outputs[name].numpy()[known]))
        return {
            name: HeadRows(*map(np.concatenate, zip(*of_head))) for name, of_head in found.items()
        }


def score(name: str, head: Head, rows: HeadRows) -> float:
    """A score of a head on its rows; NaN where it is not defined.

    Args:
        name: one of `head.monitors`.
        head: its configuration.
        rows: `HeadRows`.
    """
    targets, predictions = rows
    if isinstance(head, AlignmentHead | ViewsHead):
        return monitored.alignment_score(name, targets, predictions[:, :, : head.vector_end])
    match head.target_type:
        case "class":
            return monitored.class_score(name, targets.astype(int), predictions)
        case "classes":
            positive = targets > 0
            threshold = getattr(head, "threshold", DEFAULT)
            if threshold == "fitted":
                threshold = fit_thresholds(positive, predictions)
            return monitored.label_score(name, positive, predictions, predictions >= threshold)
        case _:
            return monitored.number_score(name, targets[:, 0], predictions[:, head.point_index])


def with_thresholds(
    model: keras.Model,
    config: Config,
    schema: Schema,
    records: PathLike,
    frozen: FrozenCells | None = None,
) -> tuple[Schema, str]:
    """The schema with the thresholds of heads with `threshold: fitted`, and what is amiss.

    Args:
        model: trained.
        config, schema: of the model.
        records: folder of ingested records.
        frozen: as for `load_split`.

    Returns:
        The schema, and "" or a sentence on heads without known validation rows, which get 0.5.
    """
    fitted = [
        name for name, head in config.heads.items() if getattr(head, "threshold", None) == "fitted"
    ]
    if not fitted:
        return schema, ""
    heads, lacking = dict(schema.heads), []
    predicted = ValidationRows(model, config, schema, records, fitted, frozen).predicted()
    for name in fitted:
        stats, rows = heads[name], predicted.get(name)
        if not isinstance(stats, Classes):
            continue
        found = [DEFAULT] * len(stats.names)
        if rows is not None and len(rows.targets):
            found = fit_thresholds(rows.targets > 0, rows.predictions).tolist()
        else:
            lacking.append(name)
        heads[name] = stats.model_copy(update={"thresholds": found})
    note = f"without validation rows of known labels the thresholds of {', '.join(lacking)} are 0.5"
    return schema.model_copy(update={"heads": heads}), note if lacking else ""
