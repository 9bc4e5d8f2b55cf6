"""Convolutions over time, height and width, or an image tower per frame and a layer over time."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias, assert_never

import keras
from keras import KerasTensor, layers, ops

from multimodal_tf.config import (
    Conv3DTower,
    FramesAverage,
    FramesLSTM,
    FramesTower,
    FramesTransformer,
    ImageInput,
    VideoInput,
)
from multimodal_tf.models.chain import Shape, Steps, chain
from multimodal_tf.models.layer import Layer
from multimodal_tf.models.regularize import regularize
from multimodal_tf.models.towers.encoding import AllTokens, Encoding, TowerInput, projection
from multimodal_tf.models.towers.image import conv_block
from multimodal_tf.models.towers.recurrent import recurrent
from multimodal_tf.models.towers.transformer import encoder, positions

EncodeImage: TypeAlias = Callable[[TowerInput[ImageInput], str], Encoding]

_POOLING: dict[str, Callable[..., Any]] = {
    "average": layers.GlobalAveragePooling3D,
    "max": layers.GlobalMaxPooling3D,
}
_SPATIAL_POOLING: dict[str, Callable[..., Any]] = {
    "average": layers.AveragePooling3D,
    "max": layers.MaxPooling3D,
}


@keras.saving.register_keras_serializable("multimodal_tf")
class FramesToRows(Layer):
    """Merges the batch axis and the frame axis.

    Call:
        `x` is `(batch, frames, ...)`. Returns `(batch * frames, ...)`.
    """

    def call(self, x: KerasTensor) -> KerasTensor:
        return ops.reshape(x, (-1, *x.shape[2:]))

    def compute_output_shape(self, shape: Shape) -> Shape:
        rows = None if shape[0] is None or shape[1] is None else shape[0] * shape[1]
        return (rows, *shape[2:])


@keras.saving.register_keras_serializable("multimodal_tf")
class RowsToFrames(Layer):
    """Reverses `FramesToRows`.

    Args:
        frames: int, per row.

    Call:
        `x` is `(batch * frames, ...)`. Returns `(batch, frames, ...)`.
    """

    def __init__(self, frames: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frames = frames

    def call(self, x: KerasTensor) -> KerasTensor:
        return ops.reshape(x, (-1, self.frames, *x.shape[1:]))

    def compute_output_shape(self, shape: Shape) -> Shape:
        rows = None if shape[0] is None else shape[0] // self.frames
        return (rows, self.frames, *shape[1:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "frames": self.frames}


@keras.saving.register_keras_serializable("multimodal_tf")
class RepeatPerFrame(Layer):
    """Repeats the presence flag of a row for each of its frames.

    Args:
        frames: int.

    Call:
        `present` is `(batch,)`. Returns `(batch * frames,)`.

    Example:
        >>> RepeatPerFrame(2)(ops.convert_to_tensor([1.0, 0.0])).numpy().tolist()
        [1.0, 1.0, 0.0, 0.0]
    """

    def __init__(self, frames: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frames = frames

    def call(self, present: KerasTensor) -> KerasTensor:
        return ops.repeat(present, self.frames)

    def compute_output_shape(self, shape: Shape) -> Shape:
        return (None if shape[0] is None else shape[0] * self.frames,)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "frames": self.frames}


def conv3d(tower: Conv3DTower, given: TowerInput[VideoInput], last: str) -> Encoding:
    """Blocks of Conv3D, max pooling and batch normalization.

    Every block halves height and width, and all but the first halve the time axis.

    Args:
        tower, last: as in `models.towers`.
        given: its `x` is float32 `(batch, frames, height, width, channels)`, 0 to 1.

    Returns:
        `Encoding`: one token per remaining time step, pooled over height and width; the vector is
        pooled over all three axes, then projected.

    Raises:
        ValueError: without padding, there are too few frames, or they are too small, for the number
            of blocks.

    Source: Tran et al. 2015, arXiv:1412.0767 (C3D).
    """
    name = given.name
    x = chain(given.x, _blocks(tower, given), name, None)
    pooled: Steps = {"pool": _POOLING[tower.pooling]}
    vector = chain(x, pooled | projection(tower), name, last)
    spatial = partial(_SPATIAL_POOLING[tower.pooling], (1, *x.shape[2:4]), dtype=_pooling_dtype())
    steps: Steps = {"places": spatial, "steps": partial(layers.Reshape, (x.shape[1], x.shape[4]))}
    tokens = chain(x, steps, name, None)
    return Encoding(tokens, AllTokens(name=f"{name}_mask")(tokens), vector)


def frames(
    encode_image: EncodeImage,
    tower: FramesTower,
    given: TowerInput[VideoInput],
    last: str,
    with_tokens: bool = True,
) -> Encoding:
    """An image tower on each frame, then `tower.over` the frames.

    The image tower has one set of weights; its layers are called `{name}_frame_...`. Its batch
    normalization takes all frames of all present rows as one batch.

    Args:
        encode_image: function of `given` and `last` that applies an image's tower.
        tower, last, with_tokens: as in `models.towers`.
        given: its `x` is float32 `(batch, frames, height, width, channels)`, 0 to 1.

    Returns:
        `Encoding`: one token per frame, the output of the LSTM or the self-attention; for an
        average, the image tower's vector. The vector is pooled by `tower.over.pooling` of an LSTM
        (`recurrent.recurrent`), else the mean over the frames, then projected.

    Raises:
        ValueError: as the image tower; or the heads do not divide the width of its vector.

    Source: LSTM: Donahue et al. 2015, arXiv:1411.4389; self-attention: Arnab et al. 2021,
    arXiv:2103.15691, «factorised encoder».
    """
    name = given.name
    tokens = _encode_frames(encode_image, tower, given)
    mask = AllTokens(name=f"{name}_mask")(tokens)
    match tower.over:
        case FramesLSTM():
            return recurrent(
                layers.LSTM, tower, tower.over, tokens, mask, None, name, last, with_tokens
            )
        case FramesTransformer():
            tokens = _transformer(tower.over, tokens, name)
        case FramesAverage():
            pass
        case _:
            assert_never(tower.over)
    pooled: Steps = {"mean": layers.GlobalAveragePooling1D}
    return Encoding(tokens, mask, chain(tokens, pooled | projection(tower), name, last))


def _encode_frames(
    encode_image: EncodeImage, tower: FramesTower, given: TowerInput[VideoInput]
) -> KerasTensor:
    """The image tower's vectors `(batch, frames, dim)`."""
    name, config, present = given.name, given.config, given.present
    inner = f"{name}_frame"
    image_config = ImageInput(
        height=config.height, width=config.width, channels=config.channels, tower=tower.frame
    )
    rows = FramesToRows(name=f"{name}_apart")(given.x)
    if present is not None:
        present = RepeatPerFrame(config.frames, name=f"{name}_flags", dtype="float32")(present)
    frame = TowerInput(inner, image_config, None, rows, present)
    try:
        vectors = encode_image(frame, f"{inner}_vector").vector
    except (ValueError, OSError) as error:
        # The message names a field of an image input.
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        message = (
            str(error)
            .replace(f"inputs.{inner}.tower", f"inputs.{name}.tower.frame")
            .replace(f"inputs.{inner}", f"inputs.{name}")
        )
        raise kind(message) from error
    regularize(rows, [vectors], getattr(tower.frame, "l2", 0.0))
    return RowsToFrames(config.frames, name=f"{name}_together")(vectors)


def _transformer(over: FramesTransformer, x: KerasTensor, name: str) -> KerasTensor:
    if x.shape[-1] % over.heads:
        raise ValueError(
            f"inputs.{name}.tower.over.heads: must divide the width of a frame's vector,"
            f" {x.shape[-1]}, received {over.heads}"
        )
    return encoder(over, positions(x, name), None, name)


def _blocks(tower: Conv3DTower, given: TowerInput[VideoInput]) -> Steps:
    """The steps for `chain` from `(batch, frames, height, width, channels)` to a feature map."""
    windows = [(1, 2, 2), *[(2, 2, 2)] * (len(tower.filters) - 1)]
    _check_size(tower, given.config, windows, given.name)
    steps: Steps = {}
    for number, (filters, window) in enumerate(zip(tower.filters, windows), start=1):
        convolution = partial(layers.Conv3D, filters, tower.kernel_size, padding=tower.padding)
        pooling = partial(
            layers.MaxPooling3D, window, padding=tower.padding, dtype=_pooling_dtype()
        )
        steps |= conv_block(number, convolution, pooling, tower, given.present)
    return steps


def _pooling_dtype() -> str | None:
    """float32 instead of float16, for which TensorFlow 2.21 has no MaxPool3D on a CPU."""
    return "float32" if keras.config.dtype_policy().compute_dtype == "float16" else None


def _check_size(
    tower: Conv3DTower, input_config: VideoInput, windows: list[tuple[int, int, int]], name: str
) -> None:
    # With padding "same", sizes are halved and rounded up, so they never fall below 1.
    if tower.padding == "same":
        return
    first = (input_config.frames, input_config.height, input_config.width)
    sizes: tuple[int, ...] = first
    for number, window in enumerate(windows, start=1):
        sizes = tuple(
            (side - tower.kernel_size + 1) // pooled for side, pooled in zip(sizes, window)
        )
        if min(sizes) < 1:
            raise ValueError(
                f"inputs.{name}.tower.filters: with padding 'valid', each block removes the border"
                f" of a convolution of kernel_size {tower.kernel_size} and halves the rest, the"
                f" first block only height and width, which leaves nothing of {first[0]} frames of"
                f" {first[1]} x {first[2]} in block {number}, received {tower.filters}"
            )
