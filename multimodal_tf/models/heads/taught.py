"""Losses and metrics of heads that a teacher teaches, for the targets of `data.taught`."""

from collections.abc import Collection, Mapping
from typing import Any, Self

import keras

from multimodal_tf.config import Config, Head
from multimodal_tf.config.teacher import Teacher
from multimodal_tf.losses import (
    CosineDistance,
    DistillationLoss,
    ScaledMeanSquaredError,
    TaughtLoss,
)
from multimodal_tf.models import heads
from multimodal_tf.models.heads import Stats
from multimodal_tf.schema import Classes, Moments, Schema


def compile_arguments(config: Config, schema: Schema, taught: Collection[str]) -> dict[str, Any]:
    """`models.heads.compile_arguments` where a teacher teaches some of the heads.

    The loss of a head's labels keeps its weight; beside it stands the teacher's, times
    `config.teacher.weight`, as a mean over the rows that are taught.

    Args:
        config: with a teacher.
        schema: `Schema`.
        taught: names of the heads that are taught.
    """
    arguments = heads.compile_arguments(config.heads, schema)
    for name in taught:
        head, stats = config.heads[name], schema.heads.get(name)
        width, share = label_width(head, stats), 1.0
        if stats is not None and stats.rows:
            # a loss of labels is a mean over the labelled rows
            share = schema.rows / stats.rows
        arguments["loss"][name] = TaughtLoss(
            heads.loss(head, stats),
            _loss(head, stats, config.teacher),
            width,
            share,
            1.0 if config.teacher is None else config.teacher.weight,
        )
        arguments["loss_weights"][name] = getattr(head, "weight", 1.0)
        arguments["weighted_metrics"][name] = [
            LabelMetric(metric, width) for metric in heads.metrics(head)
        ]
    return arguments


def label_width(head: Head, stats: Stats) -> int:
    """Numbers of one label of a head, as `data.targets` gives it."""
    several = head.target_type == "classes"
    return len(stats.names) if several and isinstance(stats, Classes) else 1


def _loss(head: Head, stats: Stats, teacher: Teacher | None) -> keras.losses.Loss:
    """The loss of a teacher's predictions: by what they are."""
    if isinstance(stats, Moments):
        if stats.centre:
            raise ValueError(
                f"teacher: labels must not be more than 1,000 standard deviations from 0, received"
                f" a mean of {stats.mean:.10g} and a deviation of {stats.std:.3g}: subtract it from"
                " the labels"
            )
        return ScaledMeanSquaredError(stats.std**2)
    if head.target_type is None or teacher is None:
        return CosineDistance()
    return DistillationLoss(teacher.temperature, independent=head.target_type == "classes")


@keras.saving.register_keras_serializable("multimodal_tf")
class LabelMetric(keras.metrics.Metric):
    """A metric of the labels alone, for targets that hold a teacher's predictions, too.

    Args:
        metric: of the labels; its name is this one's.
        label_width: numbers of a label.

    Example:
        >>> metric = LabelMetric(keras.metrics.MeanAbsoluteError(name="mae"), 1)
        >>> metric.update_state([[3.0, 1.0, 1.0, 9.0], [0.0, 0.0, 1.0, 9.0]], [[4.0], [4.0]])
        >>> metric.name, float(metric.result())
        ('mae', 1.0)
    """

    def __init__(self, metric: keras.metrics.Metric, label_width: int, name: str = "") -> None:
        super().__init__(name=name or metric.name, dtype=metric.dtype)
        self.metric, self.label_width = metric, int(label_width)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds rows; targets as `losses.TaughtLoss` takes them, whose weights of labels count."""
        y_true, width = keras.ops.convert_to_tensor(y_true), self.label_width
        self.metric.update_state(y_true[:, :width], y_pred, y_true[:, width])

    def result(self) -> Any:
        """The metric of the labels."""
        return self.metric.result()

    def reset_state(self) -> None:
        """Begins anew."""
        self.metric.reset_state()

    def get_config(self) -> dict[str, Any]:
        metric = keras.saving.serialize_keras_object(self.metric)
        return {"metric": metric, "label_width": self.label_width, "name": self.name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        metric = keras.saving.deserialize_keras_object(config["metric"])
        return cls(metric, config["label_width"], config["name"])
