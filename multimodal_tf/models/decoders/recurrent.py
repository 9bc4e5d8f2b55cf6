"""A recurrent decoder that attends to its memory after each step."""

from typing import Any, Literal

import keras
from keras import layers, ops

from multimodal_tf.models.decoders.decoder import Decoder, State


@keras.saving.register_keras_serializable("multimodal_tf")
class RecurrentTextDecoder(Decoder):
    """LSTM or GRU layers over embedded tokens; their states attend to the memory.

    Args:
        size, length, dim: as `Decoder`.
        kind: "lstm" or "gru".
        depth: int, recurrent layers.
        heads: int, of the attention.
        dropout: float, on the inputs of each recurrent layer.

    Source: Luong et al. 2015, arXiv:1508.04025, equation 5.
    """

    def __init__(
        self,
        size: int,
        length: int,
        dim: int,
        kind: Literal["lstm", "gru"],
        depth: int,
        heads: int,
        dropout: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(size, length, dim, **kwargs)
        self.kind, self.depth, self.heads, self.dropout = kind, depth, heads, dropout

    def build(self, tokens_shape: Any, memory_shape: Any, visible_shape: Any) -> None:
        policy, sequence = self.dtype_policy, (None, self.length, self.dim)
        self.embedding = layers.Embedding(self.size, self.dim, dtype=policy, name="embedding")
        self.embedding.build((None, self.length))
        self.drop = layers.Dropout(self.dropout, dtype=policy, name="drop")
        cell = layers.LSTM if self.kind == "lstm" else layers.GRU
        self.recurrent = [
            cell(self.dim, return_sequences=True, return_state=True, dtype=policy, name=f"{n}")
            for n in (f"{self.kind}_{number}" for number in range(1, self.depth + 1))
        ]
        for layer in self.recurrent:
            layer.build(sequence)
        self.attention = layers.MultiHeadAttention(
            self.heads, self.dim // self.heads, dtype=policy, name="attention"
        )
        self.attention.build(sequence, (None, None, self.dim))
        self.join = layers.Dense(self.dim, activation="tanh", dtype=policy, name="join")
        self.join.build((None, self.length, 2 * self.dim))
        self.output_layer = layers.Dense(self.size, dtype="float32", name="logits")
        self.output_layer.build(sequence)

    def call(self, tokens: Any, memory: Any, visible: Any, training: bool | None = None) -> Any:
        x = self.embedding(tokens)
        for layer in self.recurrent:
            x = layer(self.drop(x, training=training), training=training)[0]
        return self._logits(x, memory, visible, training)

    def start(self, memory: Any, visible: Any) -> tuple[Any, State]:
        rows = ops.shape(memory)[0]
        each = 2 if self.kind == "lstm" else 1
        zeros = ops.zeros((rows, self.dim), self.compute_dtype)
        begin = ops.full((rows,), self.begin, "int32")
        return self.step(begin, 0, memory, visible, (zeros,) * (each * self.depth))

    def step(
        self, tokens: Any, index: Any, memory: Any, visible: Any, state: State
    ) -> tuple[Any, State]:
        x, kept = self.embedding(tokens), []
        each = 2 if self.kind == "lstm" else 1
        for number, layer in enumerate(self.recurrent):
            before = list(state[each * number : each * (number + 1)])
            x, after = layer.cell(x, before, training=False)
            kept += after
        logits = self._logits(ops.expand_dims(x, 1), memory, visible, False)
        return logits[:, 0], tuple(kept)

    def _logits(self, x: Any, memory: Any, visible: Any, training: bool | None) -> Any:
        keys = ops.expand_dims(visible, 1)
        read = self.attention(x, ops.cast(memory, x.dtype), attention_mask=keys, training=training)
        return self.allowed(self.output_layer(self.join(ops.concatenate([x, read], axis=-1))))

    def get_config(self) -> dict[str, Any]:
        own = {"kind": self.kind, "depth": self.depth, "heads": self.heads}
        return {**super().get_config(), **own, "dropout": self.dropout}
