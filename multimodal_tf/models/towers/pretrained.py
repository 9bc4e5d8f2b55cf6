"""Common to the towers around a pretrained network: how it runs, and how its output is encoded."""

import difflib
from collections.abc import Iterable, Sequence

from keras import KerasTensor, Layer, layers

from multimodal_tf.config import ImageInput, Input
from multimodal_tf.config.pretrained_towers import PixelRange
from multimodal_tf.models.chain import Shape
from multimodal_tf.models.presence import masked_network
from multimodal_tf.models.towers.encoding import AllTokens, Encoding, PooledTower, pool


def run(
    network: Layer, x: KerasTensor, present: KerasTensor | None, name: str, trainable: bool
) -> KerasTensor:
    """Runs a network on the rows whose input is present; the others are zeros and cost no time.

    Args:
        network: `keras.Layer` or `keras.Model` of one input and one output tensor, called
            `{name}_...`.
        x: Keras tensor.
        present, name: as in `models.towers`.
        trainable: bool. False: the network runs in inference mode, without gradient and optimizer
            state. True: its layers decide; Whisper's positions, for one, are never trained.

    Returns:
        Keras tensor `(batch, ...)`.
    """
    if not trainable:
        network.trainable = False
    return masked_network(network, x, present, name, dtype="float32")


def scale_pixels(pixels: PixelRange, input_config: Input, x: KerasTensor, name: str) -> KerasTensor:
    """Scales an image to the range of the network; returns other inputs unchanged."""
    scale, offset = {"0..1": (1.0, 0.0), "-1..1": (2.0, -1.0), "0..255": (255.0, 0.0)}[pixels]
    if not isinstance(input_config, ImageInput) or scale == 1:
        return x
    return layers.Rescaling(scale, offset=offset, dtype="float32", name=f"{name}_pixels")(x)


def encode_output(
    tower: PooledTower, output: KerasTensor, mask: KerasTensor | None, name: str, last: str
) -> Encoding:
    """Encodes a network's output.

    Args:
        tower: its configuration, with `pooling`, `dim` and `dropout`.
        output: `(batch, dim)`, which is one token; `(batch, length, dim)`; or `(batch, height,
            width, dim)`, one token per cell, row by row.
        mask: bool `(batch, length)`; None: all tokens are valid.
        name, last: as in `models.towers`.
    """
    tokens = (
        output
        if len(output.shape) == 3
        else layers.Reshape((-1, output.shape[-1]), name=f"{name}_flattened")(output)
    )
    mask = AllTokens(name=f"{name}_mask")(tokens) if mask is None else mask
    return Encoding(tokens, mask, pool(tower, tokens, mask, name, last))


def is_encodable(shape: Sequence[int | None]) -> bool:
    """Whether `encode_output` takes rows of this shape: 1 to 3 axes, the last of a known size."""
    return len(shape) in (1, 2, 3) and shape[-1] is not None


def fit_shape(
    x: KerasTensor, shape: Shape, dtype: str, name: str, field: str, what: str
) -> KerasTensor:
    """Reshapes an input to what a network takes, if they differ by a last axis of size 1 only.

    The dtype may be a float or int of another width.

    Args:
        x: Keras tensor `(batch, ...)`.
        shape: tuple. The network's, without the batch; None is any size.
        dtype: str. The network's.
        name: str. The input's.
        field, what: str. The field and the network that require this shape, for the error.

    Returns:
        `x`, or a Keras tensor of the network's rank.

    Raises:
        ValueError: shape or dtype do not fit.

    Example:
        >>> import keras
        >>> fit_shape(keras.Input((100,)), (None, 1), "float32", "clip", "path", "it").shape
        (None, 100, 1)
    """
    given: Shape = tuple(x.shape[1:])
    wanted = fitting_shape(given, shape)
    if wanted is None or not same_dtype_kind(x.dtype, dtype):
        raise ValueError(
            f"{field}: {what} takes {dtype} (batch, {format_shape(shape)}), received {x.dtype}"
            f" (batch, {format_shape(given)})"
        )
    return x if wanted == given else layers.Reshape(wanted, name=f"{name}_fit")(x)


def fitting_shape(given: Shape, shape: Sequence[int | None]) -> Shape | None:
    """`given`, with or without a last axis of size 1, if that fits `shape`; else None.

    Example:
        >>> fitting_shape((100,), (None, 1))
        (100, 1)
    """
    candidates = [given, (*given, 1)]
    if given[-1:] == (1,):
        candidates.append(given[:-1])
    for candidate in candidates:
        if len(candidate) == len(shape) and all(
            wanted is None or size == wanted for size, wanted in zip(candidate, shape)
        ):
            return candidate
    return None


def same_dtype_kind(one: str, other: str) -> bool:
    """Whether both are floats, or both integers of 32 bits or more, or equal.

    Example:
        >>> same_dtype_kind("float32", "float16"), same_dtype_kind("float32", "uint8")
        (True, False)
    """
    floats, integers = ("float16", "bfloat16", "float32", "float64"), ("int32", "int64")
    return one == other or any(one in kind and other in kind for kind in (floats, integers))


def format_shape(shape: Iterable[int | None]) -> str:
    """Formats a shape for an error.

    Example:
        >>> format_shape((None, 3))
        'any, 3'
    """
    return ", ".join("any" if size is None else str(size) for size in shape)


def one_line(error: BaseException) -> str:
    """An error's text in one line of at most 300 characters."""
    return " ".join(str(error).split())[:300]


def nearest_names(name: str, names: Iterable[str]) -> list[str]:
    """Up to five names that resemble `name`, or else the first ten of all, for an error.

    Example:
        >>> nearest_names("convv", ["conv", "dense"])
        ['conv']
    """
    names = list(names)
    return difflib.get_close_matches(name, names, n=5, cutoff=0.5) or names[:10]
