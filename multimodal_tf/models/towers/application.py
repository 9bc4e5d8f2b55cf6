"""Networks of `keras.applications` for images, with random weights or those of a file."""

import inspect
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from multimodal_tf.config import ApplicationTower, ImageInput
from multimodal_tf.models.chain import Shape
from multimodal_tf.models.layer import Layer
from multimodal_tf.models.presence import masked_network
from multimodal_tf.models.towers.encoding import Encoding, TowerInput
from multimodal_tf.models.towers.image import encode_feature_map
from multimodal_tf.models.towers.pretrained import one_line

# of ImageNet's pixels, 0 to 1
_STDDEV = np.array([0.229, 0.224, 0.225], "float32")


def application(tower: ApplicationTower, given: TowerInput[ImageInput], last: str) -> Encoding:
    """A network of `keras.applications` without its classifier.

    With `trainable` false, its weights stay fixed and it runs in inference mode: batch
    normalization uses its own statistics.

    Args:
        tower, last: as in `models.towers`.
        given: its `x` is float32 `(batch, height, width, channels)`, 0 to 1; a grey image is
            repeated to three channels.

    Returns:
        `Encoding`: one token per cell of the last feature map, row by row; the vector's dim is
        `tower.dim`, or the map's channels if null.

    Raises:
        ValueError: no application has this name, it does not take an image of this size, or the
            file does not hold its weights.
        FileNotFoundError: there is no such file of weights.
    """
    name = given.name
    _check_name(tower, name)
    network = _network(tower, given.config, name)
    x = ApplicationPixels(tower.name, name=f"{name}_pixels", dtype="float32")(given.x)
    return encode_feature_map(tower, masked_network(network, x, given.present, name), name, last)


@keras.saving.register_keras_serializable("multimodal_tf")
class ApplicationPixels(Layer):
    """Scales pixels by the `preprocess_input` of a Keras application.

    Args:
        application: str. A constructor of `keras.applications`.

    Call:
        `x` is float `(batch, height, width, 1 or 3)`, 0 to 1. Returns `(batch, height, width, 3)`.

    Example:
        >>> ApplicationPixels("ResNet50V2")(ops.ones((1, 1, 1, 1))).numpy().tolist()  # -1 to 1
        [[[[1.0, 1.0, 1.0]]]]
        >>> # 0 to 255, because EfficientNet scales pixels itself
        >>> ApplicationPixels("EfficientNetB0")(ops.ones((1, 1, 1, 1))).numpy().tolist()
        [[[[255.0, 255.0, 255.0]]]]
    """

    def __init__(self, application: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.application = application

    def call(self, x: KerasTensor) -> KerasTensor:
        colours = ops.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x
        module = sys.modules[getattr(keras.applications, self.application).__module__]
        return module.preprocess_input(255 * colours)

    def compute_output_shape(self, shape: Shape) -> Shape:
        return (*shape[:-1], 3)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "application": self.application}


def _constructor(application: str) -> Callable[..., keras.Model] | None:
    """The function of this name, or None."""
    found = getattr(keras.applications, application, None)
    return found if inspect.isfunction(found) else None


def _check_name(tower: ApplicationTower, name: str) -> None:
    if _constructor(tower.name) is None:
        raise ValueError(
            f"inputs.{name}.tower.name: must be a constructor of keras.applications, such as"
            f" EfficientNetB0, MobileNetV3Small or ResNet50, received {tower.name!r}"
        )


def _network(tower: ApplicationTower, input_config: ImageInput, name: str) -> keras.Model:
    if tower.weights is not None and not pathlib.Path(tower.weights).is_file():
        raise FileNotFoundError(
            f"inputs.{name}.tower.weights: must be a file of weights on this machine, or null,"
            f" received {tower.weights!r}"
        )
    try:
        network = getattr(keras.applications, tower.name)(
            include_top=False,
            weights=None,
            input_shape=(input_config.height, input_config.width, 3),
            name=f"{name}_network",
        )
    except ValueError as error:
        # Each application has its own smallest size.
        raise ValueError(
            f"inputs.{name}.tower.name: {tower.name} does not take an image of"
            f" {input_config.height} x {input_config.width} pixels: {one_line(error)}"
        ) from error
    if tower.weights is not None:
        _load(network, tower.name, tower.weights, name)
    _lower_momentum(network)
    network.trainable = tower.trainable
    return network


def _load(network: keras.Model, application: str, weights: str, name: str) -> None:
    try:
        network.load_weights(weights)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(
            f"inputs.{name}.tower.weights: must hold the weights of {application} without its"
            f" classifier, in Keras' format, received {weights!r}: {one_line(error)}"
        ) from error
    for layer in network.layers:
        if isinstance(layer, layers.Normalization):
            _correct_variance(layer)


def _correct_variance(layer: layers.Normalization) -> None:
    """Corrects EfficientNet's ImageNet files, whose variance is a standard deviation.

    Keras corrects it by an additional layer, but only in a file that it downloads itself
    (tensorflow#49930).
    """
    if np.allclose(layer.adapt_variance, _STDDEV, atol=1e-4):
        layer.adapt_variance.assign(_STDDEV**2)
        layer.finalize_state()


def _lower_momentum(network: keras.Model) -> None:
    """Sets the momentum of `image.normalization`; that of MobileNetV3 is 0.999."""
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9
