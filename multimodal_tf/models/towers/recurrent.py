"""Recurrent layers over tokens: of a text, of frames, of a spectrogram's frames."""

from collections.abc import Callable
from functools import partial
from typing import Any

from keras import KerasTensor, layers

from multimodal_tf.config.tower_bases import Recurrent, Tower
from multimodal_tf.models.chain import Steps, chain
from multimodal_tf.models.towers.encoding import POOLING, Encoding, projection, with_mask


def recurrent(
    cell: type[layers.LSTM] | type[layers.GRU],
    tower: Tower,
    stack: Recurrent,
    x: KerasTensor,
    mask: KerasTensor,
    layer_mask: KerasTensor | None,
    name: str,
    last: str,
    with_tokens: bool = True,
) -> Encoding:
    """Stacked recurrent layers, and a vector from the states of the last one.

    The layers are called `{name}_lstm` (or `_gru`), `{name}_lstm_2`...

    Args:
        cell: `keras.layers.LSTM` or `keras.layers.GRU`.
        tower: its `dim` and `dropout` are the projection of the vector.
        stack: the configuration of the layers; may be `tower` itself.
        x: `(batch, length, dim)`.
        mask: bool `(batch, length)`, True for valid tokens.
        layer_mask: the mask for the layers, which skip its False steps; None: the mask that `x`
            carries, if any.
        name, last, with_tokens: as in `models.towers`.

    Returns:
        `Encoding`: one token per step of `x`, the state of the last layer, `units` wide, twice that
        if bidirectional. The vector, before its projection, is the mean or maximum of the valid
        tokens, or, if `stack.pooling` is "last", the final state: forward at the last token and, if
        bidirectional, backward at the first. Zeros in rows without valid steps.
    """
    kind = cell.__name__.lower()

    def make(**options: Any) -> Callable[..., Any]:
        return partial(with_mask, layer_mask, partial(_layer, cell, stack, options))

    names = [kind, *(f"{kind}_{number}" for number in range(2, stack.depth + 1))]
    steps: Steps = dict.fromkeys(names, make(return_sequences=True))
    if stack.pooling != "last":
        tokens = chain(x, steps, name, None)
        pool: Steps = {"pool": partial(with_mask, mask, POOLING[stack.pooling])}
        return Encoding(tokens, mask, chain(tokens, pool | projection(tower), name, last))
    if not with_tokens:
        steps[names[-1]] = make()
        return Encoding(None, None, chain(x, steps | projection(tower), name, last))
    steps[names[-1]] = make(return_sequences=True, return_state=True)
    tokens, *states = chain(x, steps, name, None)
    if stack.bidirectional:
        end: Steps = {"ends": layers.Concatenate}
        # An LSTM has two states per direction; the first is its output.
        final = states[:: len(states) // 2]
    else:
        end, final = {"end": layers.Identity}, states[0]
    return Encoding(tokens, mask, chain(final, end | projection(tower), name, last))


def _layer(
    cell: type[layers.LSTM] | type[layers.GRU],
    stack: Recurrent,
    options: dict[str, Any],
    name: str,
) -> layers.Layer:
    if stack.bidirectional:
        return layers.Bidirectional(cell(stack.units, **options), name=name)
    return cell(stack.units, **options, name=name)
