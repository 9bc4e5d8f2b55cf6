"""Recurrent layers over tokens: of a text, of a video's frames, of a spectrogram's columns."""

from functools import partial

from keras import layers

from multimodal_tf.models.chain import chain
from multimodal_tf.models.towers.encoding import POOLING, Encoding, masked, projection


def recurrent(cell, tower, over, x, mask, seen, name, last, states=True):
    """Recurrent layers, each over all states of the one before, and a vector of the last one's
    states.

    The layers are called `{name}_lstm` (or `_gru`), `{name}_lstm_2`...

    Args:
        cell: `keras.layers.LSTM` or `keras.layers.GRU`.
        tower: a tower's configuration, of which the vector's projection is read.
        over: what the layers are: `units`, `depth`, `bidirectional` and `pooling`, as
        `config.LSTMTower` has them.
        x: `(batch, length, dim)`.
        mask: bool `(batch, length)`, the tokens that are there.
        seen: the mask for the layers, which step over what is false in it; None: that which `x`
        carries, if any.
        name, last: as `models.towers` says.
        states: bool. False, and `over.pooling` "last": `tokens` and `mask` are None and the last
            layer keeps its final state alone. The vector is the same.

    Returns:
        `Encoding`: a token is the last layer's state at one of `x`, `units` wide, twice if
        bidirectional. The vector is, before its projection, the mean or the maximum of the tokens
        that the mask keeps, or, where `over.pooling` is "last", the final state: the one forward,
        at the last token, and, if bidirectional, the one backward, at the first. Zeros in rows
        where nothing is `seen`.
    """
    kind = cell.__name__.lower()

    def layer(**options):
        return partial(masked, seen, partial(_layer, cell, over, options))

    names = [kind, *(f"{kind}_{number}" for number in range(2, over.depth + 1))]
    steps = dict.fromkeys(names, layer(return_sequences=True))
    if over.pooling != "last":
        tokens = chain(x, steps, name, None)
        pool = partial(masked, mask, POOLING[over.pooling])
        return Encoding(tokens, mask, chain(tokens, {"pool": pool} | projection(tower), name, last))
    if not states:
        return Encoding(
            None, None, chain(x, steps | {names[-1]: layer()} | projection(tower), name, last)
        )
    tokens, *ends = chain(
        x, steps | {names[-1]: layer(return_sequences=True, return_state=True)}, name, None
    )
    if over.bidirectional:
        end: dict = {"ends": layers.Concatenate}
        # an LSTM has two states a direction, of which the first is its output
        ends = ends[:: len(ends) // 2]
    else:
        end, ends = {"end": layers.Identity}, ends[0]
    return Encoding(tokens, mask, chain(ends, end | projection(tower), name, last))


def _layer(cell, over, options, name):
    if over.bidirectional:
        return layers.Bidirectional(cell(over.units, **options), name=name)
    return cell(over.units, **options, name=name)
