"""Fixed features of an input beside its tower: TF-IDF, colours, mel bands, plain columns.

Nothing is trained in them. Heads read them beside the fused vector, which does not hold them. A
head begins as logistic or ridge regression over them (`training.linear_start`), to which the towers
then add what they learn: «wide and deep», Cheng et al. 2016, arXiv:1606.07792. Each kind of
features has the length of a pretrained tower's vector.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import KerasTensor, layers, ops

from multimodal_tf.models.layer import Layer
from multimodal_tf.models.towers.encoding import ScaledToLength
from multimodal_tf.schema import Vocabulary

LENGTH = 10.0
# levels of a channel in a colour histogram, and pixels of a thumbnail's side
LEVELS, THUMBNAIL = 8, 16
# dB: of mel bands, about their mean and their spread
_LEVEL, _SPREAD = -40.0, 15.0


def side_by_side(features: Sequence[KerasTensor], name: str) -> KerasTensor:
    """Several features `(batch, width)`, each scaled to `LENGTH`, as one tensor.

    Args:
        features: Keras tensors.
        name: of the input, with which the layers' names begin.
    """
    scaled = [
        ScaledToLength(LENGTH, dtype="float32", name=f"{name}_wide_{number}")(one)
        for number, one in enumerate(features, start=1)
    ]
    if len(scaled) == 1:
        return scaled[0]
    return layers.Concatenate(name=f"{name}_wide", dtype="float32")(scaled)


@keras.saving.register_keras_serializable("multimodal_tf")
class TFIDF(Layer):
    """How often each token is in a text, times its inverse document frequency.

    Args:
        weights: list of float, one per token; 0 for padding.

    Call:
        `tokens` is int `(batch, length)`. Returns float32 `(batch, len(weights))`.

    Example:
        >>> TFIDF([0.0, 1.0, 2.0])(ops.array([[2, 1, 2, 0]])).numpy().tolist()
        [[0.0, 1.0, 4.0]]

    Source: Salton and Buckley 1988, «Term-weighting approaches in automatic text retrieval».
    """

    def __init__(self, weights: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weights_of_tokens = [float(one) for one in weights]

    def call(self, tokens: KerasTensor) -> KerasTensor:
        weights = ops.convert_to_tensor(self.weights_of_tokens, "float32")
        return _sums(tokens, ops.take(weights, tokens, axis=0), len(self.weights_of_tokens))

    def compute_output_spec(self, tokens: KerasTensor) -> KerasTensor:
        return KerasTensor((tokens.shape[0], len(self.weights_of_tokens)), "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weights": self.weights_of_tokens}


def idf(stats: Any, count: int, padding: int) -> npt.NDArray[np.float64]:
    """The inverse document frequency of each token, as scikit-learn's `TfidfVectorizer`.

    Args:
        stats: what the schema holds for the text.
        count: number of tokens, see `text.token_count`.
        padding: the token that pads a text; it weighs nothing.

    Returns:
        `(count,)`; 1 for tokens whose frequency the schema does not hold, 0 for unknown words.
    """
    weights = np.ones(count)
    if isinstance(stats, Vocabulary):
        weights[: count - len(stats.words)] = 0
        if stats.documents:
            rows = stats.rows or max(stats.documents)
            weights[-len(stats.words) :] = 1 + np.log(
                (1 + rows) / (1 + np.array(stats.documents, float))
            )
    weights[padding] = 0
    return weights


@keras.saving.register_keras_serializable("multimodal_tf")
class ColourHistogram(Layer):
    """Square roots of the shares of `levels` to the power of the channels colours.

    Args:
        levels: of each channel.

    Call:
        `x` is float `(batch, height, width, channels)`, 0 to 1. Returns float32 `(batch, levels **
        channels)`.

    Example:
        >>> ColourHistogram(2)(ops.array([[[[0.1], [0.9], [0.8], [1.0]]]])).numpy().tolist()
        [[0.5, 0.86602...]]
    """

    def __init__(self, levels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.levels = levels

    def call(self, x: KerasTensor) -> KerasTensor:
        channels = x.shape[-1]
        steps = ops.clip(ops.floor(ops.cast(x, "float32") * self.levels), 0, self.levels - 1)
        places = [self.levels**power for power in reversed(range(channels))]
        colours = ops.sum(ops.cast(steps, "int32") * ops.array(places, "int32"), axis=-1)
        colours = ops.reshape(colours, (-1, x.shape[1] * x.shape[2]))
        ones = ops.ones_like(colours, dtype="float32")
        counts = _sums(colours, ones, self.levels**channels)
        return ops.sqrt(counts / (x.shape[1] * x.shape[2]))

    def compute_output_spec(self, x: KerasTensor) -> KerasTensor:
        return KerasTensor((x.shape[0], self.levels ** x.shape[-1]), "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "levels": self.levels}


@keras.saving.register_keras_serializable("multimodal_tf")
class Thumbnail(Layer):
    """Grey values of a picture of `side` x `side` cells, less their mean.

    Args:
        side: at most the picture's height and width.

    Call:
        `x` is float `(batch, height, width, channels)`. Returns float32 `(batch, side ** 2)`.
    """

    def __init__(self, side: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.side = side

    def call(self, x: KerasTensor) -> KerasTensor:
        grey = ops.mean(ops.cast(x, "float32"), axis=-1)
        rows, columns = (
            ops.convert_to_tensor(_means(length, self.side), "float32") for length in x.shape[1:3]
        )
        small = ops.matmul(ops.matmul(rows, grey), ops.transpose(columns))
        flat = ops.reshape(small, (-1, self.side**2))
        return flat - ops.mean(flat, axis=1, keepdims=True)

    def compute_output_spec(self, x: KerasTensor) -> KerasTensor:
        return KerasTensor((x.shape[0], self.side**2), "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "side": self.side}


@keras.saving.register_keras_serializable("multimodal_tf")
class BandLevels(Layer):
    """Mean and standard deviation over time of each mel band, both about 0.

    Call:
        `x` is float `(batch, frames, bands, 1)`, dB; `mask` bool `(batch, frames)`, True for frames
        of the clip, of which a clip has at least one. Returns float32 `(batch, 2 * bands)`.
    """

    def call(self, x: KerasTensor, mask: KerasTensor) -> KerasTensor:
        x = ops.cast(x[..., 0], "float32")
        valid = ops.cast(mask, "float32")[..., None]
        frames = ops.maximum(ops.sum(valid, axis=1), 1)
        mean = ops.sum(x * valid, axis=1) / frames
        squares = ops.sum(ops.square(x - mean[:, None]) * valid, axis=1) / frames
        # the gradient of a square root at 0 is infinite
        std = ops.sqrt(squares + 1e-6)
        return ops.concatenate([(mean - _LEVEL) / _SPREAD, 2 * std / _SPREAD - 1], axis=1)

    def compute_output_spec(self, x: KerasTensor, mask: KerasTensor) -> KerasTensor:
        return KerasTensor((x.shape[0], 2 * x.shape[2]), "float32")


@keras.saving.register_keras_serializable("multimodal_tf")
class KnownValue(Layer):
    """A column for each value of a category but the unknown one, which is 0.

    Args:
        count: number of values, with the unknown one.

    Call:
        `x` is int `(batch,)`. Returns float32 `(batch, count - 1)`.

    Example:
        >>> KnownValue(3)(ops.array([0, 2])).numpy().tolist()
        [[0.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, count: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count = count

    def call(self, x: KerasTensor) -> KerasTensor:
        return ops.one_hot(x - 1, self.count - 1, dtype="float32")

    def compute_output_spec(self, x: KerasTensor) -> KerasTensor:
        return KerasTensor((x.shape[0], self.count - 1), "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "count": self.count}


def text_features(tokens: KerasTensor, weights: npt.NDArray[np.float64], name: str) -> KerasTensor:
    """TF-IDF of tokens, int `(batch, length)`, of the weights that `idf` returns."""
    return side_by_side(
        [TFIDF(weights.tolist(), dtype="float32", name=f"{name}_tf_idf")(tokens)], name
    )


def image_features(x: KerasTensor, name: str) -> KerasTensor:
    """Colours and a thumbnail of pixels `(batch, height, width, channels)`, 0 to 1."""
    colours = ColourHistogram(LEVELS, dtype="float32", name=f"{name}_colours")(x)
    side = min(THUMBNAIL, *x.shape[1:3])
    thumbnail = Thumbnail(side, dtype="float32", name=f"{name}_thumbnail")(x)
    return side_by_side([colours, thumbnail], name)


def audio_features(spectrogram: KerasTensor, mask: KerasTensor, name: str) -> KerasTensor:
    """Levels of mel bands of a spectrogram `(batch, frames, bands, 1)` in dB."""
    return side_by_side(
        [BandLevels(dtype="float32", name=f"{name}_bands")(spectrogram, mask)], name
    )


def _means(length: int, cells: int) -> npt.NDArray[np.float64]:
    """A matrix `(cells, length)` that averages neighbours."""
    edges = np.arange(cells + 1) * length / cells
    lower = np.maximum(edges[:-1, None], np.arange(length))
    upper = np.minimum(edges[1:, None], np.arange(1, length + 1))
    shares = np.maximum(upper - lower, 0)
    means: npt.NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
    return means


def _sums(index: KerasTensor, values: KerasTensor, width: int) -> KerasTensor:
    """Row by row, the sums of `values` `(batch, n)` by their `index`: `(batch, width)`."""
    rows = ops.shape(index)[0]
    first = ops.expand_dims(ops.arange(rows, dtype="int32"), 1)
    both = ops.stack([first + ops.zeros_like(index), index], axis=-1)
    return ops.scatter(ops.reshape(both, (-1, 2)), ops.reshape(values, (-1,)), (rows, width))
