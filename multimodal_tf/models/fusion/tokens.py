"""Layers over sequences of tokens and their masks, for the fusions by attention."""

from typing import Any

import keras
from keras import layers, ops

from multimodal_tf.models.chain import Shape
from multimodal_tf.models.layer import Layer


@keras.saving.register_keras_serializable("multimodal_tf")
class LearnedTokens(Layer):
    """Learned tokens, the same in every row.

    Args:
        count: number of tokens.

    Call:
        `x` is `(batch, ..., dim)`; only its shape counts. Returns `(batch, count, dim)`.
    """

    def __init__(self, count: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count = count

    def build(self, shape: Shape) -> None:
        self.tokens = self.add_weight(
            shape=(self.count, shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="tokens",
        )

    def call(self, x: Any) -> Any:
        tokens = ops.cast(self.tokens, self.compute_dtype)
        return ops.broadcast_to(tokens, (ops.shape(x)[0], *tokens.shape))

    def compute_output_shape(self, shape: Shape) -> Shape:
        return (shape[0], self.count, shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "count": self.count}


@keras.saving.register_keras_serializable("multimodal_tf")
class MaskWithLearned(Layer):
    """A mask of tokens, or flags, followed by learned tokens, which are always present.

    Args:
        count: number of learned tokens.

    Call:
        `mask` is bool `(batch, length)`, or float, above 0.5 where a token is present. Returns bool
        `(batch, length + count)`.

    Example:
        >>> MaskWithLearned(1)(ops.convert_to_tensor([[1.0, 0.0]])).numpy().tolist()
        [[True, False, True]]
    """

    def __init__(self, count: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count = count

    def call(self, mask: Any) -> Any:
        mask = ops.cast(mask, "float32") > 0.5
        return ops.concatenate([mask, ops.ones((ops.shape(mask)[0], self.count), "bool")], axis=1)

    def compute_output_spec(self, mask: keras.KerasTensor) -> keras.KerasTensor:
        batch, length = mask.shape
        return keras.KerasTensor((batch, None if length is None else length + self.count), "bool")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "count": self.count}


@keras.saving.register_keras_serializable("multimodal_tf")
class MaskWithVector(Layer):
    """A mask of tokens, preceded by one for the vector of their input.

    Call:
        `mask` is bool `(batch, length)`, `present` float `(batch,)`, above 0.5 where the vector is
        present, or None: it always is. Returns bool `(batch, 1 + length)`.

    Example:
        >>> mask, present = ops.convert_to_tensor([[True, False]]), ops.convert_to_tensor([1.0])
        >>> MaskWithVector()(mask, present).numpy().tolist()
        [[True, True, False]]
    """

    def call(self, mask: Any, present: Any = None) -> Any:
        first = ops.ones_like(mask[:, :1]) if present is None else ops.expand_dims(present > 0.5, 1)
        return ops.concatenate([first, mask], axis=1)

    def compute_output_spec(
        self, mask: keras.KerasTensor, present: keras.KerasTensor | None = None
    ) -> keras.KerasTensor:
        batch, length = mask.shape
        return keras.KerasTensor((batch, None if length is None else length + 1), "bool")


@keras.saving.register_keras_serializable("multimodal_tf")
class LastTokens(Layer):
    """The last tokens, or all but these.

    Args:
        count: number of the last tokens.
        others: True: all but these.

    Call:
        `x` is `(batch, length, dim)`. Returns `(batch, count, dim)`, or `(batch, length - count,
        dim)`.
    """

    def __init__(self, count: int, others: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count, self.others = count, others

    def call(self, x: Any) -> Any:
        return x[:, : -self.count] if self.others else x[:, -self.count :]

    def compute_output_shape(self, shape: Shape) -> Shape:
        rest = None if shape[1] is None else shape[1] - self.count
        return (shape[0], rest if self.others else self.count, shape[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "count": self.count, "others": self.others}


@keras.saving.register_keras_serializable("multimodal_tf")
class TokenProjection(layers.Dense):
    """A Dense layer on tokens, which drops Keras' own mask.

    That mask knows padding but not missing inputs, and the blocks get one that knows both.
    """

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None
