"""A batch of labels to a model's targets and sample weights."""

from collections.abc import Mapping
from typing import Literal, TypeAlias, assert_never

import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.config.heads import Head, with_loss
from multimodal_tf.config.spelling import spelling
from multimodal_tf.data import record_files
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.data.tokenizers.spelling import value_table
from multimodal_tf.data.tokenizers.target_texts import TargetTokens
from multimodal_tf.data.units import centre_of
from multimodal_tf.schema import Classes, Schema, Texts, check_class_weight

# a head's targets and weights
Target: TypeAlias = tuple[tf.Tensor, tf.Tensor]


class Targets:
    """Targets and sample weights by head, for one configuration and schema.

    Args:
        config: `Config`.
        schema: `Schema`.
        class_weights: whether a classification head's `class_weight` counts, as in the losses of
            `fit`; that of a multi-label head is a part of its loss. "balanced" gives a class the
            weight rows / (classes * its rows), over the labelled rows of the training split; a
            class that a dict leaves out has weight 1.

        is_centred: whether numbers are less their centre, as the model predicts them; False: in the
            label's own unit, float64.

    Raises:
        ValueError: `class_weight` names a class that the schema does not know.

    Source: King and Zeng 2001, «Logistic Regression in Rare Events Data», as scikit-learn's
    `compute_class_weight` has it.
    """

    def __init__(
        self,
        config: Config,
        schema: Schema,
        class_weights: bool = False,
        is_centred: bool = True,
    ) -> None:
        self._centres = {
            name: centre_of(schema.heads.get(name)) if is_centred else None for name in config.heads
        }
        self._heads, self._learning = dict(config.heads), set(with_loss(config.heads))
        self._classes = {
            name: stats for name, stats in schema.heads.items() if isinstance(stats, Classes)
        }
        self._texts = {
            name: TargetTokens(stats)
            for name, stats in schema.heads.items()
            if isinstance(stats, Texts)
        }
        self._images = {
            name: kind_of(head.cell_input).reader(None)
            for name, head in self._heads.items()
            if head.cell_input is not None
        }
        self._tables = {
            name: value_table(classes.names, 0, -1) for name, classes in self._classes.items()
        }
        self._weights = {
            name: _class_weights(
                getattr(head, "class_weight", None) if class_weights else None,
                self._classes[name],
            )
            for name, head in self._heads.items()
            if head.target_type == "class"
        }
        if class_weights:
            for name, head in self._heads.items():
                check_class_weight(name, head, schema.heads.get(name))

    def __call__(
        self, labels: Mapping[str, tf.Tensor]
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """Targets of a batch.

        Args:
            labels: by head, string, float64 or int64, as `record_files.parse` gives.

        Returns:
            `(targets, weights)`, dicts by head. Targets: a class int32 `(batch,)`; multi-label
            float32 `(batch, classes)`; a number float32 `(batch, 1)` in the label's own unit, less
            the schema's `centre`; a text int32 `(batch, max_tokens + 1)`, as `TargetTokens`; an
            image uint8 `(batch, height, width, channels)`. Weights: float32 `(batch,)`. A label
            that is missing, or that training did not see, has target 0 and weight 0; of a
            multi-label row only the labels that training saw count. A head without a label column
            has targets of 1, and weights of 1 if it has a loss, else 0; one that compares cells has
            the labels as targets, int64 `(batch, cells)`.
        """
        found = {name: self._target(name, head, labels[name]) for name, head in self._heads.items()}
        targets = {name: target for name, (target, _) in found.items()}
        return targets, {name: weight for name, (_, weight) in found.items()}

    def _target(self, name: str, head: Head, labels: tf.Tensor) -> Target:
        match head.target_type:
            case "class":
                return self._class(name, labels)
            case "classes":
                return self._several(name, labels)
            case "number":
                known = tf.math.is_finite(labels)
                numbers, centre = tf.where(known, labels, 0.0)[:, tf.newaxis], self._centres[name]
                if centre is not None:
                    numbers = tf.cast(numbers - centre, tf.float32)
                return numbers, tf.cast(known, tf.float32)
            case "text":
                ids = self._texts[name](labels, getattr(head, "max_tokens", 0))
                return ids, tf.cast(labels != "", tf.float32)
            case "image":
                pixels, present, _ = self._images[name].read(labels)
                return pixels, tf.cast(present, tf.float32)
            case None if head.compared_cells:
                return labels, tf.ones(tf.shape(labels)[:1])
            case None:
                return labels[:, tf.newaxis], labels * float(name in self._learning)
            case _:
                assert_never(head.target_type)

    def _class(self, name: str, labels: tf.Tensor) -> Target:
        index = tf.cast(self._tables[name].lookup(tf.strings.strip(labels)), tf.int32)
        known = index >= 0
        index = tf.maximum(index, 0)
        return index, tf.where(known, tf.gather(self._weights[name], index), 0.0)

    def _several(self, name: str, labels: tf.Tensor) -> Target:
        index = tf.ragged.map_flat_values(
            self._tables[name].lookup, tf.strings.split(labels, record_files.LABEL_SEPARATOR)
        ).to_tensor(-1)
        one_hot = tf.one_hot(index, len(self._classes[name].names))
        marks = tf.minimum(tf.reduce_sum(one_hot, axis=1), 1.0)
        known = tf.reduce_any(marks > 0, axis=1) | (labels == record_files.LABEL_SEPARATOR)
        return marks, tf.cast(known, tf.float32)


def _class_weights(
    choice: Literal["balanced"] | dict[str, float] | None, classes: Classes
) -> tf.Tensor:
    """The weight of each class, float32 `(classes,)`."""
    if choice is None:
        return tf.ones([len(classes.names)])
    if choice == "balanced":
        rows = sum(classes.counts)
        return tf.constant(
            [rows / (len(classes.counts) * count) for count in classes.counts], tf.float32
        )
    return tf.constant([choice.get(spelling(label), 1.0) for label in classes.names], tf.float32)
