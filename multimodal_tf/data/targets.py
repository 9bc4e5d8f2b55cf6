"""A batch of labels to a model's targets and weights."""

import tensorflow as tf

from multimodal_tf.config.heads import with_loss
from multimodal_tf.data import record_files
from multimodal_tf.data.tokenizers import normalization


class Targets:
    """Targets and sample weights by head, for one configuration and schema.

    Args:
        config: `Config`.
        schema: `Schema`.
        class_weights: whether a classification head's `class_weight` counts, as it does in training
            only. "balanced" gives a class the weight rows / (classes * its rows), over the labelled
            rows of the training split; a class that a dict leaves out has weight 1.

    Raises:
        ValueError: `class_weight` names a class that the schema does not know.

    Source: King and Zeng 2001, «Logistic Regression in Rare Events Data», as scikit-learn's
    `compute_class_weight` has it.
    """

    def __init__(self, config, schema, class_weights=False):
        self._heads, self._learning = dict(config.heads), set(with_loss(config.heads))
        self._classes = {
            name: schema.heads[name]
            for name, head in self._heads.items()
            if head.target_type in ("class", "classes")
        }
        self._tables = {
            name: normalization.vocabulary(classes.names, 0, -1)
            for name, classes in self._classes.items()
        }
        self._weights = {
            name: _class_weights(
                name,
                getattr(head, "class_weight", None) if class_weights else None,
                self._classes[name],
            )
            for name, head in self._heads.items()
            if head.target_type == "class"
        }

    def __call__(self, labels):
        """Targets of a batch.

        Args:
            labels: dict by head of string or float32 `(batch,)`, as `records.parse` gives.

        Returns:
            `(targets, weights)`, dicts by head. Targets: a class int32 `(batch,)`; multi-label
            float32 `(batch, classes)`; a number float32 `(batch, 1)` in the label's own unit.
            Weights: float32 `(batch,)`. A label that is missing, or that training did not see, has
            target 0 and weight 0; of a multi-label row's labels only those count that training saw.
            A matching head has ones, as its loss says; an embedding head, which has no loss, ones
            of weight 0.
        """
        targets, weights = {}, {}
        for name, head in self._heads.items():
            make = {
                "class": self._class,
                "classes": self._labels,
                "number": self._number,
                None: self._nothing,
            }[head.target_type]
            targets[name], weights[name] = make(name, labels[name])
        return targets, weights

    def _class(self, name, labels):
        index = tf.cast(self._tables[name].lookup(tf.strings.strip(labels)), tf.int32)
        known = index >= 0
        index = tf.maximum(index, 0)
        return index, tf.where(known, tf.gather(self._weights[name], index), 0.0)

    def _labels(self, name, labels):
        table = self._tables[name]
        index = tf.ragged.map_flat_values(
            table.lookup, tf.strings.split(labels, record_files.LABEL_SEPARATOR)
        ).to_tensor(-1)
        marks = tf.minimum(
            tf.reduce_sum(tf.one_hot(index, len(self._classes[name].names)), axis=1), 1.0
        )
        known = tf.reduce_any(marks > 0, axis=1) | (labels == record_files.LABEL_SEPARATOR)
        return marks, tf.cast(known, tf.float32)

    def _number(self, name, labels):
        known = tf.math.is_finite(labels)
        return tf.where(known, labels, 0.0)[:, tf.newaxis], tf.cast(known, tf.float32)

    def _nothing(self, name, ones):
        return ones[:, tf.newaxis], ones * float(name in self._learning)


def _class_weights(name, choice, classes):
    if choice is None:
        return tf.ones([len(classes.names)])
    if choice == "balanced":
        return tf.constant(
            [sum(classes.counts) / (len(classes.counts) * count) for count in classes.counts],
            tf.float32,
        )
    unknown = sorted(set(choice) - set(classes.names))
    if unknown:
        raise ValueError(
            f"heads.{name}.class_weight must name classes of the training split {classes.names}, received {unknown[0]!r}"
        )
    return tf.constant([choice.get(label, 1.0) for label in classes.names], tf.float32)
