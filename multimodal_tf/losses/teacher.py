"""The losses of a model's predictions and its teacher's: knowledge distillation."""

from collections.abc import Mapping
from typing import Any, Self

import keras
from keras import ops

from multimodal_tf.losses.labels import MEAN

# floors of a probability, and of one less it, before the logarithm: the second has no more digits
_LEAST, _LEAST_REST = 1e-30, 1e-7


@keras.saving.register_keras_serializable("multimodal_tf")
class DistillationLoss(keras.losses.Loss):
    """Kullback-Leibler divergence of a model's class probabilities from its teacher's, softened.

    Both are softened by the temperature: the softmax of their log probabilities divided by it. The
    divergence is multiplied by its square, so that gradients keep their size.

    Args:
        temperature: float > 0.
        independent: whether classes are labels that are independent of each other: then binary
            divergences, their mean over the labels.

    Call:
        `y_true` and `y_pred` are float `(batch, classes)`, probabilities: the teacher's and the
        model's. `call` returns float `(batch,)`, nats, 0 where they are equal.

    Raises:
        ValueError: `temperature` is not above 0 and finite.

    Example:
        >>> loss = DistillationLoss(temperature=1.0)
        >>> round(float(loss([[0.5, 0.5]], [[0.25, 0.75]])), 4)  # log(2)/2 + log(2/3)/2
        0.1438

    Source: Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2.
    """

    def __init__(
        self,
        temperature: float,
        independent: bool = False,
        name: str = "distillation",
        reduction: str = MEAN,
    ) -> None:
        super().__init__(name=name, reduction=reduction)
        if not 0 < temperature < float("inf"):
            raise ValueError(f"`temperature` must be above 0 and finite, received {temperature!r}")
        self.temperature, self.independent = float(temperature), bool(independent)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(y_true, y_pred.dtype)
        if self.independent:
            teacher, own = (_logit(one) / self.temperature for one in (y_true, y_pred))
            # each label's two classes: that it applies, and that it does not
            teachers = (ops.log_sigmoid(teacher), ops.log_sigmoid(-teacher))
            owns = (ops.log_sigmoid(own), ops.log_sigmoid(-own))
            parts = [ops.exp(one) * (one - other) for one, other in zip(teachers, owns)]
            divergence = ops.mean(parts[0] + parts[1], axis=-1)
        else:
            teacher, own = (
                ops.log_softmax(ops.log(ops.maximum(one, _LEAST)) / self.temperature, axis=-1)
                for one in (y_true, y_pred)
            )
            divergence = ops.sum(ops.exp(teacher) * (teacher - own), axis=-1)
        return divergence * self.temperature**2

    def get_config(self) -> dict[str, Any]:
        own = {"temperature": self.temperature, "independent": self.independent}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("multimodal_tf")
class CosineDistance(keras.losses.Loss):
    """One less the cosine between two vectors; 0 where one of them is zeros.

    Call:
        `y_true` and `y_pred` are float `(batch, dim)`. `call` returns float `(batch,)`, 0 to 2.

    Example:
        >>> float(CosineDistance()([[3.0, 0.0]], [[0.0, 2.0]]))
        1.0
    """

    def __init__(self, name: str = "cosine_distance", reduction: str = MEAN) -> None:
        super().__init__(name=name, reduction=reduction)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(y_true, y_pred.dtype)
        known = ops.logical_and(ops.any(y_true != 0, axis=-1), ops.any(y_pred != 0, axis=-1))
        cosine = ops.sum(ops.normalize(y_true, axis=-1) * ops.normalize(y_pred, axis=-1), axis=-1)
        return ops.where(known, 1 - cosine, 0.0)


@keras.saving.register_keras_serializable("multimodal_tf")
class TaughtLoss(keras.losses.Loss):
    """The loss of a label, and `weight` times that of the teacher's prediction.

    Args:
        label: the loss of the label; None: there is none.
        teacher: the loss of the teacher's prediction.
        label_width: numbers of a label.
        label_weight: of the loss of the label.
        weight: of the loss of the teacher's prediction.

    Call:
        `y_true` is float `(batch, label_width + 2 + width)`: the label, the weights of the label
        and of the teacher in this row, the teacher's prediction. `y_pred` is what `label` and
        `teacher` take. `call` returns float `(batch,)`.

    Example:
        >>> own, teacher = keras.losses.BinaryCrossentropy(), DistillationLoss(1.0, True)
        >>> loss = TaughtLoss(own, teacher, label_width=1)
        >>> y_true, y_pred = ops.array([[1.0, 1.0, 1.0, 0.5]]), ops.array([[0.5]])
        >>> round(float(loss(y_true, y_pred)), 4)  # log 2 of the label alone
        0.6931
    """

    def __init__(
        self,
        label: keras.losses.Loss | None,
        teacher: keras.losses.Loss,
        label_width: int,
        label_weight: float = 1.0,
        weight: float = 1.0,
        name: str = "taught",
        reduction: str = MEAN,
    ) -> None:
        super().__init__(name=name, reduction=reduction)
        self.label, self.teacher, self.label_width = label, teacher, int(label_width)
        self.label_weight, self.weight = float(label_weight), float(weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_true, width = ops.convert_to_tensor(y_true), self.label_width
        taught = self.teacher.call(y_true[:, width + 2 :], y_pred)
        loss = self.weight * y_true[:, width + 1] * taught
        if self.label is None:
            return loss
        own = self.label.call(y_true[:, :width], y_pred)
        return loss + self.label_weight * y_true[:, width] * own

    def get_config(self) -> dict[str, Any]:
        losses = {
            name: None if one is None else keras.saving.serialize_keras_object(one)
            for name, one in (("label", self.label), ("teacher", self.teacher))
        }
        own = {"label_width": self.label_width, "label_weight": self.label_weight}
        return {**super().get_config(), **losses, **own, "weight": self.weight}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        losses = {
            name: config[name] and keras.saving.deserialize_keras_object(config[name])
            for name in ("label", "teacher")
        }
        return cls(**{**config, **losses})


def _logit(probability: Any) -> Any:
    """The logit; its gradient, 1 / (p (1 - p)), is multiplied by the p (1 - p) of a sigmoid."""
    above = ops.log(ops.maximum(probability, _LEAST))
    return above - ops.log(ops.maximum(1 - probability, _LEAST_REST))
