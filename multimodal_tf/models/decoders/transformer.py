"""A transformer decoder, with caches of its keys and values."""

from typing import Any

import keras
from keras import layers, ops

from multimodal_tf.models.decoders.cached_blocks import next_token
from multimodal_tf.models.decoders.decoder import Decoder, State


@keras.saving.register_keras_serializable("multimodal_tf")
class TransformerTextDecoder(Decoder):
    """KerasHub's `TransformerDecoder` over embedded tokens, whose weights also give the logits.

    Args:
        size, length, dim: as `Decoder`.
        depth: int, blocks.
        heads: int, of the attention.
        mlp_units: int, between the two Dense layers of a block.
        dropout: float.

    Source: Vaswani et al. 2017, arXiv:1706.03762; tied weights: Press and Wolf 2017,
    arXiv:1608.05859.
    """

    def __init__(
        self,
        size: int,
        length: int,
        dim: int,
        depth: int,
        heads: int,
        mlp_units: int,
        dropout: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(size, length, dim, **kwargs)
        self.depth, self.heads, self.mlp_units = depth, heads, mlp_units
        self.dropout = dropout

    def build(self, tokens_shape: Any, memory_shape: Any, visible_shape: Any) -> None:
        # KerasHub takes seconds to import, and other models do not need it
        from keras_hub import layers as hub

        self.embedding = hub.TokenAndPositionEmbedding(
            self.size,
            self.length,
            self.dim,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=0.02),
            dtype=self.dtype_policy,
            name="embedding",
        )
        self.embedding.build((None, self.length))
        self.drop = layers.Dropout(self.dropout, dtype=self.dtype_policy, name="drop")
        self.blocks = [
            hub.TransformerDecoder(
                self.mlp_units,
                self.heads,
                dropout=self.dropout,
                activation="gelu",
                normalize_first=True,
                dtype=self.dtype_policy,
                name=f"block_{number}",
            )
            for number in range(1, self.depth + 1)
        ]
        sequence = (None, self.length, self.dim)
        for block in self.blocks:
            block.build(sequence, (None, None, self.dim))
        self.norm = layers.LayerNormalization(epsilon=1e-5, dtype=self.dtype_policy, name="norm")
        self.norm.build(sequence)

    def call(self, tokens: Any, memory: Any, visible: Any, training: bool | None = None) -> Any:
        x = self.drop(self.embedding(tokens), training=training)
        memory = ops.cast(memory, x.dtype)
        for block in self.blocks:
            x = block(x, memory, encoder_padding_mask=visible, training=training)
        return self._logits(x)

    def start(self, memory: Any, visible: Any) -> tuple[Any, State]:
        rows = ops.shape(memory)[0]
        width = (self.heads, self.dim // self.heads)
        own = ops.zeros((rows, 2, self.length, *width), self.compute_dtype)
        across = ops.zeros((rows, 2, ops.shape(memory)[1], *width), self.compute_dtype)
        state = (own, across) * self.depth
        begin = ops.full((rows,), self.begin, "int32")
        # the first step also fills the keys and values of the memory
        return self._next(begin, 0, memory, visible, state, 0)

    def step(
        self, tokens: Any, index: Any, memory: Any, visible: Any, state: State
    ) -> tuple[Any, State]:
        return self._next(tokens, index, memory, visible, state, None)

    def states_of(self, state: State, texts: Any) -> State:
        # keys and values of the memory are those of the row
        return tuple(
            one if number % 2 else ops.take(one, texts, axis=0) for number, one in enumerate(state)
        )

    def _next(
        self, tokens: Any, index: Any, memory: Any, visible: Any, state: State, across: int | None
    ) -> tuple[Any, State]:
        x = self.embedding(ops.expand_dims(tokens, 1), start_index=index)
        memory = ops.cast(memory, x.dtype)
        x, kept = next_token(self.blocks, x, memory, visible, index, state, across)
        return self._logits(x)[:, 0], kept

    def _logits(self, x: Any) -> Any:
        return self.allowed(self.embedding.token_embedding(self.norm(x), reverse=True))

    def get_config(self) -> dict[str, Any]:
        own = {"depth": self.depth, "heads": self.heads, "mlp_units": self.mlp_units}
        return {**super().get_config(), **own, "dropout": self.dropout}
