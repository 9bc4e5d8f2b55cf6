"""Videos: convolutions over time, height and width, or an image tower on every frame and something
over the frames.
"""

from functools import partial

import keras
from keras import layers, ops

from multimodal_tf.config import ImageInput
from multimodal_tf.models.chain import chain
from multimodal_tf.models.towers.encoding import AllTokens, Encoding, projection
from multimodal_tf.models.towers.image import normalization
from multimodal_tf.models.towers.recurrent import recurrent
from multimodal_tf.models.towers.transformer import encoder, positions

_POOLING = {"average": layers.GlobalAveragePooling3D, "max": layers.GlobalMaxPooling3D}
_PLACES = {"average": layers.AveragePooling3D, "max": layers.MaxPooling3D}


@keras.saving.register_keras_serializable("multimodal_tf")
class FramesToRows(layers.Layer):
    """Puts all frames of all rows one after another.

    Call:
        `x` is `(batch, frames, ...)`. Returns `(batch * frames, ...)`.
    """

    def call(self, x):
        return ops.reshape(x, (-1, *x.shape[2:]))

    def compute_output_shape(self, shape):
        return (None, *shape[2:])


@keras.saving.register_keras_serializable("multimodal_tf")
class RowsToFrames(layers.Layer):
    """Undoes `FramesToRows`.

    Args:
        frames: int, of a row.

    Call:
        `x` is `(batch * frames, ...)`. Returns `(batch, frames, ...)`.
    """

    def __init__(self, frames, **kwargs):
        super().__init__(**kwargs)
        self.frames = frames

    def call(self, x):
        return ops.reshape(x, (-1, self.frames, *x.shape[1:]))

    def compute_output_shape(self, shape):
        return (None, self.frames, *shape[1:])

    def get_config(self):
        return super().get_config() | {"frames": self.frames}


@keras.saving.register_keras_serializable("multimodal_tf")
class OncePerFrame(layers.Layer):
    """Repeats the flag of a row for each of its frames.

    Args:
        frames: int.

    Call:
        `present` is `(batch,)`. Returns `(batch * frames,)`.

    Example:
        >>> OncePerFrame(2)(ops.convert_to_tensor([1.0, 0.0])).numpy().tolist()
        [1.0, 1.0, 0.0, 0.0]
    """

    def __init__(self, frames, **kwargs):
        super().__init__(**kwargs)
        self.frames = frames

    def call(self, present):
        return ops.repeat(present, self.frames)

    def compute_output_shape(self, shape):
        return (None,)

    def get_config(self):
        return super().get_config() | {"frames": self.frames}


def conv3d(part, stats, x, present, name, last):
    """Blocks of Conv3D, max pooling and normalisation; `part.tower` is `config.Conv3DTower`.

    Every block halves height and width, and all but the first halve the time.

    Args:
        part: `config.VideoInput`.
        x: float32 `(batch, frames, height, width, channels)`, 0 to 1.
        learned, present, name, last: as `models.towers` says.

    Returns:
        `Encoding`: a token a step of time that is left, pooled over its places; the vector is all
        places and steps pooled, then projected.

    Raises:
        ValueError: there are too few frames, or they are too small, for so many blocks without
        padding.

    Source: Tran et al. 2015, arXiv:1412.0767 (C3D).
    """
    tower = part.tower
    x = chain(x, _blocks(part, present, name), name, None)
    vector = chain(x, {"pool": _POOLING[tower.pooling]} | projection(tower), name, last)
    places = partial(_PLACES[tower.pooling], (1, *x.shape[2:4]), dtype=_pooling_dtype())
    steps = {"places": places, "steps": partial(layers.Reshape, (x.shape[1], x.shape[4]))}
    tokens = chain(x, steps, name, None)
    return Encoding(tokens, AllTokens(name=f"{name}_mask")(tokens), vector)


def frames(towers, part, stats, x, present, name, last, states=True):
    """An image tower on every frame, then `part.tower.over` the frames; `part.tower` is
    `config.FramesTower`.

    The image tower has one set of weights; its layers are called `{name}_frame_...`. With batch
    normalisation, it sees all frames of all present rows as one batch.

    Args:
        towers: dict of an image tower's configuration class to its function.
        part: `config.VideoInput`.
        x: float32 `(batch, frames, height, width, channels)`, 0 to 1.
        learned, present, name, last: as `models.towers` says.
        states: bool. False: where the vector is an LSTM's last state, `tokens` and `mask` are None
            and the last layer is Keras' plain `LSTM(units)`.

    Returns:
        `Encoding`: a token a frame, as the LSTM or the self-attention gives it (of an average: the
        image tower's vector); the vector is what `part.tower.over.pooling` says of the LSTM's
        states (`recurrent.recurrent`), or the mean over the frames, then projected.

    Raises:
        ValueError: as the image tower, or the heads of the self-attention do not divide the image
        tower's width.

    Source: LSTM: Donahue et al. 2015, arXiv:1411.4389; self-attention: Arnab et al. 2021,
    arXiv:2103.15691, «factorised encoder».
    """
    over = part.tower.over
    tokens = _each(towers, part, x, present, name)
    mask = AllTokens(name=f"{name}_mask")(tokens)
    if over.type == "lstm":
        return recurrent(layers.LSTM, part.tower, over, tokens, mask, None, name, last, states)
    if over.type == "transformer":
        tokens = _transformer(over, tokens, name)
    vector = chain(
        tokens, {"mean": layers.GlobalAveragePooling1D} | projection(part.tower), name, last
    )
    return Encoding(tokens, mask, vector)


def _each(towers, part, x, present, name):
    """The image tower's vectors `(batch, frames, dim)`."""
    inner = f"{name}_frame"
    frame = ImageInput(
        height=part.height, width=part.width, channels=part.channels, tower=part.tower.frame
    )
    rows = FramesToRows(name=f"{name}_apart")(x)
    there = (
        None
        if present is None
        else OncePerFrame(part.frames, name=f"{name}_flags", dtype="float32")(present)
    )
    try:
        vectors = towers[type(frame.tower)](
            frame, None, rows, there, inner, f"{inner}_vector"
        ).vector
    except (ValueError, OSError) as error:
        # its message names a field of an image input
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        message = (
            str(error)
            .replace(f"inputs.{inner}.tower", f"inputs.{name}.tower.frame")
            .replace(f"inputs.{inner}", f"inputs.{name}")
        )
        raise kind(message) from error
    return RowsToFrames(part.frames, name=f"{name}_together")(vectors)


def _transformer(over, x, name):
    if x.shape[-1] % over.heads:
        raise ValueError(
            f"inputs.{name}.tower.over.heads: must divide the width of a frame's vector, {x.shape[-1]}, received {over.heads}"
        )
    return encoder(over, positions(x, name), None, name)


def _blocks(part, present, name):
    """The steps for `chain` from `(batch, frames, height, width, channels)` to a feature map."""
    tower = part.tower
    windows = [(1, 2, 2), *[(2, 2, 2)] * (len(tower.filters) - 1)]
    _refuse_too_small(part, windows, name)
    steps: dict = {}
    for number, (filters, window) in enumerate(zip(tower.filters, windows), start=1):
        convolution = partial(layers.Conv3D, filters, tower.kernel_size, padding=tower.padding)
        pooling = partial(
            layers.MaxPooling3D, window, padding=tower.padding, dtype=_pooling_dtype()
        )
        if not tower.batch_normalization:
            steps |= {
                f"conv_{number}": partial(convolution, activation="relu"),
                f"pool_{number}": pooling,
            }
            continue
        steps |= {
            # the normalisation has an offset
            f"conv_{number}": partial(convolution, use_bias=False),
            # before the normalisation, which then has less to do
            f"pool_{number}": pooling,
            f"normalization_{number}": partial(normalization, present),
            f"relu_{number}": layers.ReLU,
        }
    return steps


def _pooling_dtype():
    """TensorFlow 2.21 has no MaxPool3D of float16 on a CPU."""
    return "float32" if keras.config.dtype_policy().compute_dtype == "float16" else None


def _refuse_too_small(part, windows, name):
    tower = part.tower
    # sizes are halved and rounded up: never below 1
    if tower.padding == "same":
        return
    sizes = first = (part.frames, part.height, part.width)
    for number, window in enumerate(windows, start=1):
        sizes = tuple(
            (side - tower.kernel_size + 1) // pooled for side, pooled in zip(sizes, window)
        )
        if min(sizes) < 1:
            raise ValueError(
                f"inputs.{name}.tower.filters: each block takes a convolution of kernel_size {tower.kernel_size} off and halves the rest, "
                f"though the first not the time (padding 'valid'), which leaves nothing of {first[0]} frames of {first[1]} x {first[2]} "
                f"in block {number}, received {tower.filters}"
            )
