"""What of a model is trained: in parameters and per cent, per tower."""

import dataclasses
import math

import keras

from multimodal_tf.models.peft import layer_paths


@dataclasses.dataclass(frozen=True)
class Share:
    """Numbers of parameters: all, and those that are trained."""

    parameters: int
    trainable: int

    @property
    def percent(self) -> float:
        """Those that are trained in per cent of all; 0 where there are none."""
        return 100 * self.trainable / self.parameters if self.parameters else 0.0


@dataclasses.dataclass(frozen=True)
class Report:
    """`parts` by name: an input (its tower), `tabular`, `fused`, a head, or another layer; and the
    `whole`. It prints as a table.
    """

    parts: dict[str, Share]
    whole: Share

    def __str__(self):
        rows = [*self.parts.items(), ("all", self.whole)]
        width = max(len(name) for name, _ in rows)
        return "\n".join(
            f"{name:{width}} {one.trainable:>12,} of {one.parameters:>12,} {one.percent:6.2f} %"
            for name, one in rows
        )


def report(model: keras.Model) -> Report:
    """Counts what of a model is trained.

    Args:
        model: a functional `keras.Model`. What was added to a layer counts with it; what several
            towers share counts with the first.

    Returns:
        `Report`. Statistics, such as those of batch normalisation, count as parameters that are not
        trained.

    Example:
        >>> from multimodal_tf.training.peft import freeze
        >>> title = keras.Input((2,), name="title")
        >>> x = keras.layers.Dense(9, name="title_dense")(title)
        >>> model = keras.Model({"title": title}, {"label": keras.layers.Dense(1, name="label")(x)})
        >>> freeze(model, "title_*")
        >>> print(report(model))
        title            0 of           27   0.00 %
        label           10 of           10 100.00 %
        all             10 of           37  27.03 %
    """
    counts: dict[str, list[int]] = {}
    for path, weight in layer_paths.weights(model).items():
        size = math.prod(weight.shape)
        part = counts.setdefault(layer_paths.owner(model, path), [0, 0])
        part[0] += size
        part[1] += size if weight.trainable else 0
    parts = {name: Share(*part) for name, part in counts.items()}
    return Report(
        parts,
        Share(
            sum(one.parameters for one in parts.values()),
            sum(one.trainable for one in parts.values()),
        ),
    )
