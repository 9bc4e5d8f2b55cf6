"""What the decoders of texts have in common."""

import abc
from typing import Any, NamedTuple

import keras
from keras import layers, ops

# tensors that a decoder keeps from one token to the next, `(batch, ...)` each
State = tuple[Any, ...]
# a logit that no token has
NEVER = -1e9


class Generated(NamedTuple):
    """Token ids int32 `(batch, length)`, 0 behind the end, and their log probability `(batch,)`."""

    tokens: Any
    log_probability: Any


class Decoder(layers.Layer, abc.ABC):
    """Logits of each next token, given the tokens before it and the memory that it attends to.

    Token ids are 0 for padding, 1 for an unknown one, then those of the tokenizer, `size - 2` for a
    text's end and `size - 1` for its beginning. Padding and the beginning are never predicted.

    Args:
        size: int, the number of token ids.
        length: int, the most tokens of a text, its end included.
        dim: int, width of the memory and the decoder.

    Call:
        `tokens` is int `(batch, length)`, beginning with the beginning; `memory` `(batch, memory
        length, dim)`, `visible` bool `(batch, memory length)`, which of it is present: at least one
        token in each row. Returns float32 logits `(batch, length, size)`.
    """

    def __init__(self, size: int, length: int, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.length, self.dim = size, length, dim

    @property
    def begin(self) -> int:
        """The id of a text's beginning."""
        return self.size - 1

    @property
    def end(self) -> int:
        """The id of a text's end."""
        return self.size - 2

    @abc.abstractmethod
    def start(self, memory: Any, visible: Any) -> tuple[Any, State]:
        """Logits of the first token `(batch, size)`, and the state after the beginning."""

    @abc.abstractmethod
    def step(
        self, tokens: Any, index: Any, memory: Any, visible: Any, state: State
    ) -> tuple[Any, State]:
        """Logits of the token at `index + 1`, and the state.

        Args:
            tokens: int `(batch,)`, those at `index`, the beginning being at 0.
            index: int scalar.
            memory, visible: as in `call`.
            state: of the step before.
        """

    def states_of(self, state: State, texts: Any) -> State:
        """The state of some texts, in their order.

        One that is the same in all texts of a row may stay as it is: texts are only replaced by
        others of their row.

        Args:
            state: of `start` or `step`.
            texts: int `(batch,)`, their numbers in the batch.
        """
        return tuple(ops.take(one, texts, axis=0) for one in state)

    def allowed(self, logits: Any) -> Any:
        """float32 logits, without padding and the beginning."""
        never = ops.one_hot(ops.array([0, self.begin]), self.size, dtype="float32")
        return ops.cast(logits, "float32") + NEVER * ops.sum(never, axis=0)

    def choices(self, logits: Any) -> Any:
        """Logits without the unknown token: it is learned, but has no characters to write."""
        return logits + NEVER * ops.one_hot(1, self.size, dtype="float32")

    def compute_output_spec(
        self, tokens: keras.KerasTensor, memory: keras.KerasTensor, visible: keras.KerasTensor
    ) -> keras.KerasTensor:
        return keras.KerasTensor((*tokens.shape, self.size), "float32")

    def get_config(self) -> dict[str, Any]:
        own = {"size": self.size, "length": self.length, "dim": self.dim}
        return {**super().get_config(), **own}
