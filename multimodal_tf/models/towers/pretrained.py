"""What the towers around a pretrained network share: how it runs, and how its answer becomes tokens
and a vector.
"""

import difflib

from keras import layers

from multimodal_tf.models.presence import masked_network
from multimodal_tf.models.towers.encoding import AllTokens, Encoding, pool


def run(network, x, present, name, trainable):
    """The network's answer for the rows where the input is there; zeros for the others, which cost
    no time.

    Args:
        network: `keras.Layer` or `keras.Model` of one input and one output tensor, named
            `{name}_...`. What is not `trainable` runs as in inference (dropout off, batch
            statistics as they are), has no gradient and no optimizer state; otherwise what its
            layers say counts, such as Whisper's positions, which are never trained.
        x: Keras tensor.
        present, name: as `models.towers` says.
        trainable: bool.

    Returns:
        Keras tensor `(batch, ...)`.
    """
    if not trainable:
        network.trainable = False
    return masked_network(network, x, present, name, dtype="float32")


def as_trained(part, x, name):
    """Pixels in the range that the network was trained with, `part.tower.pixels`; other inputs as
    they are.
    """
    scale, offset = {"0..1": (1.0, 0.0), "-1..1": (2.0, -1.0), "0..255": (255.0, 0.0)}[
        part.tower.pixels
    ]
    if part.type != "image" or scale == 1:
        return x
    return layers.Rescaling(scale, offset=offset, dtype="float32", name=f"{name}_pixels")(x)


def encoding(tower, answer, mask, name, last):
    """Tokens, mask and vector from a network's answer.

    Args:
        tower: its configuration, with `pooling`, `dim` and `dropout`.
        answer: `(batch, dim)`, which is one token; `(batch, length, dim)`; or `(batch, height,
        width, dim)`, a token a place, row by row.
        mask: bool `(batch, length)`, or None: all tokens are always there.
        name, last: as `models.towers` says.

    Returns:
        `Encoding`.
    """
    tokens = (
        answer
        if len(answer.shape) == 3
        else layers.Reshape((-1, answer.shape[-1]), name=f"{name}_places")(answer)
    )
    mask = AllTokens(name=f"{name}_mask")(tokens) if mask is None else mask
    return Encoding(tokens, mask, pool(tower, tokens, mask, name, last))


def is_answer(shape):
    """Whether `encoding` takes a row of this shape: one to three axes, the last one of a known
    size.
    """
    return len(shape) in (1, 2, 3) and shape[-1] is not None


def fit(x, shape, dtype, name, field, what):
    """Reshapes an input to what a network takes, where only an axis of size 1 at the end, or float
    or int of another width, is between.

    Args:
        x: Keras tensor `(batch, ...)`.
        shape: tuple. The network's, without the batch; None is any size.
        dtype: str. The network's.
        name: str. The input's.
        field, what: str. The field and the thing that prescribes the shape, for the error.

    Returns:
        `x`, or a Keras tensor of the network's rank.

    Raises:
        ValueError: they do not fit.

    Example:
        >>> import keras
        >>> fit(keras.Input((100,)), (None, 1), "float32", "sound", "inputs.sound.tower.path", "the model").shape
        (None, 100, 1)
    """
    given = tuple(x.shape[1:])
    wanted = reshaped(given, shape)
    if wanted is None or not same_kind(x.dtype, dtype):
        raise ValueError(
            f"{field}: {what} takes {dtype} (batch, {listed(shape)}), received {x.dtype} (batch, {listed(given)})"
        )
    return x if wanted == given else layers.Reshape(wanted, name=f"{name}_fit")(x)


def reshaped(given, shape):
    """`given` with an axis of size 1 at its end more or less, if that fits `shape`; None if nothing
    does.
    """
    for candidate in (given, (*given, 1), given[:-1] if given[-1:] == (1,) else None):
        if (
            candidate is not None
            and len(candidate) == len(shape)
            and all(b is None or a == b for a, b in zip(candidate, shape))
        ):
            return candidate
    return None


def same_kind(one, other):
    """Whether both are floats, or both integers of 32 bits or more, or equal.

    Example:
        >>> same_kind("float32", "float16"), same_kind("int32", "int64"), same_kind("float32", "uint8")
        (True, True, False)
    """
    floats, integers = ("float16", "bfloat16", "float32", "float64"), ("int32", "int64")
    return one == other or any(one in kind and other in kind for kind in (floats, integers))


def listed(shape):
    """A shape as people write it.

    Example:
        >>> listed((None, 3))
        'any, 3'
    """
    return ", ".join("any" if size is None else str(size) for size in shape)


def line(error):
    """An error's text in one line."""
    return " ".join(str(error).split())[:300]


def near(name, names):
    """The names that resemble `name`, or else some of all, for an error.

    Example:
        >>> near("convv", ["conv", "dense"])
        ['conv']
    """
    return difflib.get_close_matches(str(name), names, n=5, cutoff=0.5) or list(names)[:10]
