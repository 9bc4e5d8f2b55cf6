"""The decoder of a KerasHub encoder-decoder, with its own weights."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from multimodal_tf.models.decoders.cached_blocks import next_token
from multimodal_tf.models.decoders.decoder import NEVER, Decoder, State

# a preset's token ids follow those of padding and of an unknown token
_BEFORE = 2


class _Parts(NamedTuple):
    """The layers of a backbone's decoder, in the order of the data."""

    embedding: keras.layers.Layer
    positions: keras.layers.Layer | None
    first_norm: keras.layers.Layer | None
    blocks: list[keras.layers.Layer]
    last_norm: keras.layers.Layer | None


def parts_of(backbone: keras.Model) -> _Parts | None:
    """The decoder of a backbone; None where it is of no known kind."""
    # the import takes seconds, and other decoders do not need it
    from keras_hub import models

    match backbone:
        case models.WhisperBackbone():
            return _Parts(
                backbone.decoder_embeddings,
                None,
                None,
                backbone.decoder_transformer_layers,
                backbone.decoder_layer_norm,
            )
        case models.BartBackbone():
            return _Parts(
                backbone.token_embedding,
                backbone.decoder_position_embedding,
                backbone.decoder_embeddings_layer_norm,
                backbone.decoder_transformer_layers,
                None,
            )
        case _:
            return None


@keras.saving.register_keras_serializable("multimodal_tf")
class PresetTextDecoder(Decoder):
    """The decoder of Whisper or BART, with caches of its keys and values.

    Token ids are 0 for padding, 1 for an unknown one (never predicted), then those of the preset,
    of which one is the end, and `size - 1` for the beginning, in whose place stands `prompt`.

    Args:
        backbone: `keras_hub.models.Backbone`.
        prompt: ids of the preset with which each text begins.
        special: ids of the preset that no text has; the end may be one of them.
        end_token: id of the preset that ends a text.
        size, length, dim: as `Decoder`.
    """

    def __init__(
        self,
        backbone: keras.Model,
        prompt: Sequence[int],
        special: Sequence[int],
        end_token: int,
        size: int,
        length: int,
        dim: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(size, length, dim, **kwargs)
        self.prompt, self.special, self.end_token = list(prompt), sorted(special), end_token
        # a function hides it from Keras, which would save its encoder, too
        self._whole: Callable[[], keras.Model] = lambda: backbone
        parts = parts_of(backbone)
        if parts is None:
            raise ValueError(f"backbone must be Whisper's or BART's, received {backbone!r}")
        self.embedding: Any = parts.embedding
        self.positions, self.first_norm = parts.positions, parts.first_norm
        self.blocks, self.last_norm = parts.blocks, parts.last_norm
        # BART's logits come from the embedding alone, Whisper's is beside the positions'
        self.logits_embedding = getattr(self.embedding, "token_embedding", self.embedding)
        # Whisper has no mask of its encoder's tokens: it hears the silence behind a clip
        self.masks_memory = parts.positions is not None
        # a configuration sets `trainable`, and Keras does not pass it on
        for layer in self._flatten_layers(include_self=False):
            layer.trainable = layer.trainable and self.trainable
        self.built = True

    @property
    def end(self) -> int:
        """The id of a text's end."""
        return _BEFORE + self.end_token

    def call(self, tokens: Any, memory: Any, visible: Any, training: bool | None = None) -> Any:
        before = ops.broadcast_to(
            ops.array([self.prompt[:-1]], "int32"), (ops.shape(tokens)[0], len(self.prompt) - 1)
        )
        x = self._embedded(ops.concatenate([before, self._own(tokens)], axis=1), 0)
        memory, mask = ops.cast(memory, x.dtype), visible if self.masks_memory else None
        # frozen, it runs in inference mode, in training too
        training = bool(training) and self.trainable
        for block in self.blocks:
            x = block(x, memory, encoder_padding_mask=mask, training=training)
        return self._logits(x[:, len(self.prompt) - 1 :])

    def start(self, memory: Any, visible: Any) -> tuple[Any, State]:
        rows, block = ops.shape(memory)[0], self.blocks[0]
        width = (block.num_heads, self.dim // block.num_heads)
        steps = self.length + len(self.prompt) - 1
        own = ops.zeros((rows, 2, steps, *width), self.compute_dtype)
        across = ops.zeros((rows, 2, ops.shape(memory)[1], *width), self.compute_dtype)
        state: State = (own, across) * len(self.blocks)
        for index, token in enumerate(self.prompt):
            given = ops.full((rows,), token, "int32")
            # the first step also fills the keys and values of the memory
            fill = 0 if index == 0 else None
            logits, state = self._next(given, index, memory, visible, state, fill)
        return logits, state

    def step(
        self, tokens: Any, index: Any, memory: Any, visible: Any, state: State
    ) -> tuple[Any, State]:
        place = index + len(self.prompt) - 1
        return self._next(self._own(tokens), place, memory, visible, state, None)

    def _next(
        self, tokens: Any, index: Any, memory: Any, visible: Any, state: State, fill: int | None
    ) -> tuple[Any, State]:
        x = self._embedded(ops.expand_dims(tokens, 1), index)
        memory, mask = ops.cast(memory, x.dtype), visible if self.masks_memory else None
        x, kept = next_token(self.blocks, x, memory, mask, index, state, fill)
        return self._logits(x)[:, 0], kept

    def _own(self, tokens: Any) -> Any:
        """The preset's ids of ours."""
        first = ops.full_like(tokens, self.prompt[-1])
        padding = ops.full_like(tokens, self.end_token)
        own = ops.where(tokens < _BEFORE, padding, tokens - _BEFORE)
        return ops.where(tokens == self.begin, first, own)

    def _embedded(self, tokens: Any, index: Any) -> Any:
        if self.positions is None or self.first_norm is None:
            return self.embedding(tokens, start_index=index)
        x = self.embedding(tokens)
        return self.first_norm(x + self.positions(x, start_index=index))

    def _logits(self, x: Any) -> Any:
        x = x if self.last_norm is None else self.last_norm(x)
        own = ops.cast(self.logits_embedding(x, reverse=True), "float32")
        own = own[..., : self.size - _BEFORE - 1]
        never = ops.full_like(own[..., :1], NEVER)
        return ops.concatenate([never, never, own, never], axis=-1)

    def choices(self, logits: Any) -> Any:
        """Logits without the unknown and the special tokens: they have no characters to write."""
        never = [1, *(_BEFORE + one for one in self.special if one != self.end_token)]
        marks = ops.one_hot(ops.array([one for one in never if one < self.size]), self.size)
        return logits + NEVER * ops.cast(ops.sum(marks, axis=0), "float32")

    def get_config(self) -> dict[str, Any]:
        own = {"prompt": self.prompt, "special": self.special, "end_token": self.end_token}
        backbone = keras.saving.serialize_keras_object(self._whole())
        return {**super().get_config(), **own, "backbone": backbone}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PresetTextDecoder":
        backbone: Any = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(**{**config, "backbone": backbone})
