"""Images: any network of `keras.applications`, drawn anew or from a file of weights, with its own
scaling of pixels.
"""

import inspect
import pathlib
import sys

import keras
import numpy as np
from keras import layers, ops

from multimodal_tf.models.presence import masked_network
from multimodal_tf.models.towers.image import encoding
from multimodal_tf.models.towers.pretrained import line

# of ImageNet's pixels, 0 to 1
_STDDEV = np.array([0.229, 0.224, 0.225], "float32")


def application(part, stats, x, present, name, last):
    """A network of `keras.applications` without its classifier; `part.tower` is
    `config.ApplicationTower`.

    With `trainable` false it keeps its weights and runs as in inference: batch normalisation with
    the statistics that it brings.

    Args:
        part: `config.ImageInput`.
        x: float32 `(batch, height, width, channels)`, 0 to 1; a grey image is repeated to three
        channels.
        learned, present, name, last: as `models.towers` says.

    Returns:
        `Encoding`: a token a place of the last feature map, row by row; the vector's dim is
        `part.tower.dim`, or the map's channels.

    Raises:
        ValueError: no application has this name, it does not take so small an image, or the file
        does not hold its weights. FileNotFoundError: there is no such file of weights.
    """
    tower = part.tower
    _refuse_unknown(tower, name)
    network = _network(part, name)
    x = ApplicationPixels(tower.name, name=f"{name}_pixels", dtype="float32")(x)
    return encoding(tower, masked_network(network, x, present, name), name, last)


@keras.saving.register_keras_serializable("multimodal_tf")
class ApplicationPixels(layers.Layer):
    """Pixels as an application of Keras was trained with, by its own `preprocess_input`.

    Args:
        application: str. A constructor of `keras.applications`.

    Call:
        `x` is float `(batch, height, width, 1 or 3)`, 0 to 1. Returns `(batch, height, width, 3)`.

    Example:
        >>> ApplicationPixels("ResNet50V2")(ops.ones((1, 1, 1, 1))).numpy().tolist()  # -1 to 1
        [[[[1.0, 1.0, 1.0]]]]
        >>> ApplicationPixels("EfficientNetB0")(ops.ones((1, 1, 1, 1))).numpy().tolist()  # 0 to 255: the network scales them itself
        [[[[255.0, 255.0, 255.0]]]]
    """

    def __init__(self, application, **kwargs):
        super().__init__(**kwargs)
        self.application = application

    def call(self, x):
        colours = ops.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x
        return sys.modules[_constructor(self.application).__module__].preprocess_input(
            255 * colours
        )

    def compute_output_shape(self, shape):
        return (*shape[:-1], 3)

    def get_config(self):
        return super().get_config() | {"application": self.application}


def _constructor(application):
    """The function of this name, or None."""
    found = getattr(keras.applications, application, None)
    return found if inspect.isfunction(found) else None


def _refuse_unknown(tower, name):
    if _constructor(tower.name) is None:
        raise ValueError(
            f"inputs.{name}.tower.name: must be a constructor of keras.applications, such as EfficientNetB0, MobileNetV3Small or ResNet50, "
            f"received {tower.name!r}"
        )


def _network(part, name):
    tower = part.tower
    if tower.weights is not None and not pathlib.Path(tower.weights).is_file():
        raise FileNotFoundError(
            f"inputs.{name}.tower.weights: must be a file of weights on this machine, or null, received {tower.weights!r}"
        )
    try:
        network = _constructor(tower.name)(
            include_top=False,
            weights=None,
            input_shape=(part.height, part.width, 3),
            name=f"{name}_network",
        )
    except ValueError as error:
        # each application has its own smallest size
        raise ValueError(
            f"inputs.{name}.tower.name: {tower.name} does not take an image of {part.height} x {part.width} pixels: {line(error)}"
        ) from error
    if tower.weights is not None:
        _load(network, tower, name)
    _follow_fast(network)
    network.trainable = tower.trainable
    return network


def _load(network, tower, name):
    try:
        network.load_weights(tower.weights)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(
            f"inputs.{name}.tower.weights: must hold the weights of {tower.name} without its classifier, in Keras' format, received "
            f"{tower.weights!r}: {line(error)}"
        ) from error
    for layer in network.layers:
        if isinstance(layer, layers.Normalization):
            _mend_normalization(layer)


def _mend_normalization(layer):
    """EfficientNet's ImageNet files give the standard deviation of pixels as their variance
    (tensorflow#49930).

    Where Keras fetches such a file itself, it adds a layer that makes good for it; where it is
    given one, it does not.
    """
    if np.allclose(layer.adapt_variance, _STDDEV, atol=1e-4):
        layer.adapt_variance.assign(_STDDEV**2)
        layer.finalize_state()


def _follow_fast(network):
    """As `image.normalization`: a small table has a dozen steps an epoch, and MobileNetV3's own
    momentum is 0.999.
    """
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9
