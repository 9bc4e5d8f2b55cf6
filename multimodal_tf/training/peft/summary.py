"""How many parameters of a model are trained, by tower, fusion and head."""

import dataclasses
import math

import keras

from multimodal_tf.models.peft import layer_paths


@dataclasses.dataclass(frozen=True)
class ParameterCount:
    """Numbers of parameters: all of them, and the trainable ones."""

    total: int
    trainable: int

    @property
    def percent(self) -> float:
        """Percentage of trainable parameters; 0 if there are no parameters."""
        return 100 * self.trainable / self.total if self.total else 0.0


@dataclasses.dataclass(frozen=True)
class TrainableSummary:
    """The parameters of a model; it prints as a table.

    `components` are by name: an input (its tower), `tabular`, `fused`, a head, or another layer.
    """

    components: dict[str, ParameterCount]
    whole: ParameterCount

    def __str__(self) -> str:
        rows = [*self.components.items(), ("all", self.whole)]
        width = max(len(name) for name, _ in rows)
        return "\n".join(
            f"{name:{width}} {count.trainable:>12,} of {count.total:>12,} {count.percent:6.2f} %"
            for name, count in rows
        )


def trainable_summary(model: keras.Model) -> TrainableSummary:
    """Counts the trainable parameters of a model by component.

    Args:
        model: a functional `keras.Model`. LoRA and adapters count with their layer; what several
            towers share counts with the first.

    Returns:
        `TrainableSummary`. Statistics, such as those of batch normalisation, count as parameters
        that are not trainable.

    Example:
        >>> from multimodal_tf.training.peft import freeze
        >>> title = keras.Input((2,), name="title")
        >>> x = keras.layers.Dense(9, name="title_dense")(title)
        >>> model = keras.Model({"title": title}, {"label": keras.layers.Dense(1, name="label")(x)})
        >>> freeze(model, "title_*")
        >>> print(trainable_summary(model))
        title            0 of           27   0.00 %
        label           10 of           10 100.00 %
        all             10 of           37  27.03 %
    """
    counts: dict[str, ParameterCount] = {}
    for path, weight in layer_paths.weights(model).items():
        size = math.prod(weight.shape)
        owner = layer_paths.owner(model, path)
        before = counts.get(owner, ParameterCount(0, 0))
        counts[owner] = ParameterCount(
            before.total + size, before.trainable + (size if weight.trainable else 0)
        )
    whole = ParameterCount(
        sum(count.total for count in counts.values()),
        sum(count.trainable for count in counts.values()),
    )
    return TrainableSummary(counts, whole)
