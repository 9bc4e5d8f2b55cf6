"""Batches of a training with a teacher: its predictions beside the labels."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from multimodal_tf.data.cache.rows import RowOutputs

Tensors = dict[str, tf.Tensor]
# rows of a split, targets and weights by head, to targets and weights by head
Joiner = Callable[[tf.Tensor, Tensors, Tensors], tuple[Tensors, Tensors]]
_PRESENT = "present"


class Lesson(NamedTuple):
    """What one teacher predicts of one head.

    Attributes:
        key: of its output.
        columns: of that output, in the order of the head's own, such as of its classes.
    """

    key: str
    columns: Sequence[int]


class Taught:
    """The predictions of teachers, averaged, for the rows of some splits.

    Args:
        teachers: the outputs of each, and by head of the model that learns what it teaches.
    """

    def __init__(self, teachers: Sequence[tuple[RowOutputs, Mapping[str, Lesson]]]) -> None:
        self._teachers = list(teachers)

    @property
    def heads(self) -> list[str]:
        """Names of the heads that are taught."""
        return list(dict.fromkeys(name for _, lessons in self._teachers for name in lessons))

    @property
    def bytes(self) -> int:
        """Bytes of the predictions of all splits in memory."""
        return sum(outputs.bytes for outputs, _ in self._teachers)

    def predictions(self, split: str, head: str) -> tuple[np.ndarray, np.ndarray]:
        """Of all rows in order, float32 `(rows, width)`, and bool `(rows,)` where they teach."""
        total, known = np.zeros(()), np.zeros(())
        for outputs, lessons in self._teachers:
            if head in lessons:
                entries, lesson = outputs.entries(split), lessons[head]
                present = entries[_PRESENT][:, np.newaxis]
                total = total + entries[lesson.key][:, list(lesson.columns)] * present
                known = known + present
        return np.asarray(total / np.maximum(known, 1), np.float32), known[:, 0] > 0

    def joiner(self, split: str, in_memory: bool) -> Joiner:
        """A function that adds what teachers predict to the targets of `data.targets`.

        For use inside a `tf.data` map. The target of a taught head becomes float32 `(batch, label
        + 2 + width)`: the label, its weight, 1 or 0 for whether a teacher saw the row, and the mean
        of the teachers' predictions. The head's weight becomes 1.

        Args:
            split: of the rows.
            in_memory: as for `parts_reader`.
        """
        readers = []
        for outputs, lessons in self._teachers:
            keys = {one.key: one.key for one in lessons.values()} | {_PRESENT: _PRESENT}
            readers.append((outputs.reader(split, keys, in_memory), lessons))

        def join(chosen: tf.Tensor, targets: Tensors, weights: Tensors) -> tuple[Tensors, Tensors]:
            targets, weights = dict(targets), dict(weights)
            found = [(read(chosen), lessons) for read, lessons in readers]
            for name in self.heads:
                taught = [(one, lessons[name]) for one, lessons in found if name in lessons]
                present = [one[_PRESENT][:, tf.newaxis] for one, _ in taught]
                total = tf.add_n(
                    [
                        tf.gather(one[lesson.key], list(lesson.columns), axis=1) * flag
                        for (one, lesson), flag in zip(taught, present)
                    ]
                )
                known = tf.add_n(present)
                label = tf.cast(targets[name], tf.float32)
                label = label if label.shape.rank == 2 else label[:, tf.newaxis]
                parts = [
                    label,
                    weights[name][:, tf.newaxis],
                    tf.minimum(known, 1.0),
                    total / tf.maximum(known, 1.0),
                ]
                targets[name] = tf.concat(parts, axis=1)
                weights[name] = tf.ones_like(weights[name])
            return targets, weights

        return join
