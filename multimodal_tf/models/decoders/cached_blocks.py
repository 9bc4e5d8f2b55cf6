"""One token through decoder blocks of KerasHub's, with caches of keys and values."""

from collections.abc import Sequence
from typing import Any

from multimodal_tf.models.decoders.decoder import State


def next_token(
    blocks: Sequence[Any],
    x: Any,
    memory: Any,
    visible: Any,
    index: Any,
    state: State,
    across: int | None,
) -> tuple[Any, State]:
    """The output of the blocks for one token, and the caches with it.

    Args:
        blocks: `keras_hub.layers.TransformerDecoder`, or blocks that are called alike.
        x: `(batch, 1, dim)`, the token's embedding.
        memory, visible: as `Decoder.call`; `visible` None: all is read.
        index: int, the token's place.
        state: for each block the cache of its own tokens and that of the memory.
        across: 0 to fill the caches of the memory, None where they are filled.

    Returns:
        `(output, state)`: `(batch, 1, dim)`, and the caches.
    """
    kept: list[Any] = []
    for number, block in enumerate(blocks):
        x, *caches = block(
            x,
            memory,
            encoder_padding_mask=visible,
            self_attention_cache=state[2 * number],
            self_attention_cache_update_index=index,
            cross_attention_cache=state[2 * number + 1],
            cross_attention_cache_update_index=across,
            training=False,
        )
        kept += caches
    return x, tuple(kept)
