"""An input that a head reads again: changed cells through the layers of its tower."""

from typing import Any, NamedTuple, Self

import keras

from multimodal_tf.config import Input
from multimodal_tf.models.input_layers import Encodings
from multimodal_tf.models.layer import Layer
from multimodal_tf.models.towers.encoding import Encoding, TowerInput


class Reread(NamedTuple):
    """One input of a head that rereads its inputs.

    Attributes:
        given: what the tower reads: name, configuration and statistics of the input, its cells `x`,
            zeros where it is missing, before any augmentation, and `present`, after modality
            dropout.
        encoding: of the cells as they are. Its tokens may be None unless the head reads tokens.
        augmented: `given.x` after any augmentation.
        all_inputs: of the model.
    """

    given: TowerInput[Input]
    encoding: Encoding
    augmented: keras.KerasTensor
    all_inputs: Encodings

    @classmethod
    def of(cls, encodings: Encodings, name: str) -> Self:
        """An input with a tower of its own, by its name."""
        return cls(
            encodings.given[name], encodings.by_name[name], encodings.augmented[name], encodings
        )

    def again(self, x: keras.KerasTensor, name: str) -> Encoding:
        """The encoding of other cells, by the same layers with the same weights.

        What is random in the tower, such as augmentation and dropout, is drawn anew. A missing
        input's encoding is zero here, too.

        Args:
            x: shape and dtype of `given.x`.
            name: of a layer that this adds; a head that calls `again` twice names two.

        Raises:
            ValueError: nothing of the tower is trained.
        """
        return self.again_from(self.given.x, x, name)

    def again_from(
        self, tensor: keras.KerasTensor, changed: keras.KerasTensor, name: str
    ) -> Encoding:
        """As `again`, with another tensor within the tower replaced, such as embedded tokens.

        Args:
            tensor: of the tower, on which its vector depends.
            changed: of the same shape and dtype.
            name: as in `again`.
        """
        wanted = {key: one for key, one in self.encoding._asdict().items() if one is not None}
        # what the tower reads besides stays
        kept = [self.given.x] if tensor is not self.given.x else []
        kept += [] if self.given.present is None else [self.given.present]
        network = keras.Model([tensor, *kept], wanted)
        if not network.trainable_weights:
            raise ValueError(
                f"inputs.{self.given.name}.tower: must be trained where a head learns from changed "
                "cells, received one of which nothing is trained"
            )
        changed = After(name=name, dtype=changed.dtype)(changed, self.encoding.vector)
        # Keras' `call` adds the layers' calls to the model's own graph; calling the network itself
        # would add it as one layer
        return self.encoding._replace(**network.call([changed, *kept]))


@keras.saving.register_keras_serializable("multimodal_tf")
class After(Layer):
    """Returns `x`, and stands in the graph behind `before`, which it does not read.

    The first call of a tower's layers, on the cells as they are, then belongs to the model, also if
    only the second one is learned from: a layer's `output` is that of its first call, and the
    model's embeddings are found by it. No computation depends on it: TensorFlow leaves it out.

    Call:
        `x` is a tensor of any shape, `before` any tensor. Returns `x`.
    """

    def call(self, x: Any, before: Any) -> Any:
        return x

    def compute_output_spec(
        self, x: keras.KerasTensor, before: keras.KerasTensor
    ) -> keras.KerasTensor:
        return keras.KerasTensor(x.shape, x.dtype)
