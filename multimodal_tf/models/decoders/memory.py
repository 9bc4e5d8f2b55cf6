"""The tokens of several inputs as one sequence, which a decoder attends to."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from multimodal_tf.config import CrossModalFusion
from multimodal_tf.models.fusion.tokens import LearnedTokens, MaskWithLearned
from multimodal_tf.models.fusion.transformers import tokens_and_masks
from multimodal_tf.models.layer import Layer
from multimodal_tf.models.towers.encoding import Encoding


def memory(
    dim: int,
    encodings: Mapping[str, Encoding],
    present: Mapping[str, keras.KerasTensor],
    name: str,
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Each input's vector and tokens, projected, with learned positions, then one learned token.

    The learned token is always present, so that there is something to attend to in every row.

    Args:
        dim: width of the memory.
        encodings: by input, with tokens and masks; zero where the input is missing.
        present: float32 `(batch,)` by input; empty if the model does not know presence.
        name: of the head; the names of the layers begin with it.

    Returns:
        `(batch, length, dim)`, and its mask, bool `(batch, length)`, False where an input is
        missing.
    """
    tokens, masks = tokens_and_masks(
        CrossModalFusion(dim=dim, heads=1), dict(encodings), dict(present), name
    )
    placed = [_with_positions(one, f"{name}_{own}_positions") for own, one in tokens.items()]
    placed.append(LearnedTokens(1, name=f"{name}_always")(placed[0]))
    x = layers.Concatenate(axis=1, name=f"{name}_memory")(placed)
    together = [*masks.values()]
    mask = (
        together[0]
        if len(together) == 1
        else layers.Concatenate(axis=1, name=f"{name}_masks")(together)
    )
    return x, MaskWithLearned(1, name=f"{name}_mask")(mask)


@keras.saving.register_keras_serializable("multimodal_tf")
class Positions(layers.Layer):
    """Adds a learned vector for each place of a sequence.

    Call:
        `x` is `(batch, length, dim)`. Returns its shape.
    """

    def build(self, shape: Any) -> None:
        self.positions = self.add_weight(
            shape=shape[1:],
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="positions",
        )

    def call(self, x: Any) -> Any:
        return x + keras.ops.cast(self.positions, x.dtype)


@keras.saving.register_keras_serializable("multimodal_tf")
class TokensOfEncoder(Layer):
    """The tokens of an encoder as they are; its vector stays in the model, which also serves it.

    Call:
        `tokens` is `(batch, length, dim)`, `vector` `(batch, dim)`. Returns `tokens`.
    """

    def call(self, tokens: Any, vector: Any) -> Any:
        return tokens

    def compute_output_spec(self, tokens: keras.KerasTensor, vector: Any) -> keras.KerasTensor:
        return self.spec_like(tokens)


def _with_positions(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    # a sequence of any length has the positions of its tower alone
    return x if x.shape[1] is None else Positions(name=name)(x)
