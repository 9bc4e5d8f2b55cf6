"""Augmentation of images, in training only, by Keras' layers."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import KerasTensor, layers, ops

from multimodal_tf.config import ImageAugmentation, ImageInput
from multimodal_tf.models.chain import Shape
from multimodal_tf.models.layer import Layer

_RANGE = (0, 1)


def augment(input_config: ImageInput, x: KerasTensor, name: str) -> KerasTensor:
    """Augments images by `input_config.augmentation`: flip, crop, RandAugment, then erasing.

    Args:
        input_config: its `augmentation` is read.
        x: float32 `(batch, height, width, channels)`, 0 to 1.
        name: str. The input's.

    Returns:
        The same shape and range; `x` itself, without a layer, if nothing is configured.
    """
    last = last_layer(input_config.augmentation, name)
    if last is None:
        return x
    return TrainingOnly(_steps(input_config.augmentation, name), name=last, dtype="float32")(x)


def last_layer(augmentation: ImageAugmentation, name: str) -> str | None:
    """Name of the layer behind which an image is augmented; None: nothing is configured."""
    return None if augmentation == ImageAugmentation() else f"{name}_augmentation"


@keras.saving.register_keras_serializable("multimodal_tf")
class TrainingOnly(Layer):
    """Applies layers one after another in training, and nothing in inference.

    Keras' augmentation layers default to `training=True`, so that they also change the images of a
    plain `model(x)`.

    Args:
        steps: list of layers that keep the shape.

    Call:
        `x` is a tensor. Returns the same shape.

    Example:
        >>> layer = TrainingOnly([layers.RandomBrightness(1.0, value_range=(0, 1))])
        >>> float(layer(keras.ops.zeros((1, 2, 2, 3)))[0, 0, 0, 0])
        0.0
    """

    def __init__(self, steps: list[layers.Layer], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = steps

    def build(self, shape: Shape) -> None:
        for step in self.steps:
            step.build(shape)

    def call(self, x: KerasTensor, training: bool = False) -> KerasTensor:
        if not training:
            return x
        for step in self.steps:
            x = step(x, training=True)
        return ops.cast(x, self.compute_dtype)

    def compute_output_shape(self, shape: Shape) -> Shape:
        return shape

    def get_config(self) -> dict[str, Any]:
        steps = [keras.saving.serialize_keras_object(step) for step in self.steps]
        return {**super().get_config(), "steps": steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TrainingOnly":
        steps = [keras.saving.deserialize_keras_object(step) for step in config.pop("steps")]
        return cls(steps, **config)


@keras.saving.register_keras_serializable("multimodal_tf")
class RandAugment(layers.RandAugment):
    """Keras' RandAugment without unused work.

    Keras computes all eleven transformations twice and keeps two results; this layer computes those
    two. The result is the same (tested), for 32 images of 96 x 96 in 11 ms instead of 212. The two
    transformations are drawn per batch, their strength per row.
    """

    def transform_images(
        self, images: tf.Tensor, transformation: dict[str, Any] | None, training: bool = True
    ) -> tf.Tensor:
        # what Keras draws where nothing is to be changed
        if transformation is None:
            return images

        def transformed() -> tf.Tensor:
            changed = images
            for index in tf.unstack(transformation["layer_idxes"], self.num_ops):
                transforms = transformation["transforms"].items()
                changed = tf.switch_case(index, [self._branch(changed, *one) for one in transforms])
            return changed

        # some of Keras' transformations fail on no rows
        return tf.cond(tf.shape(images)[0] > 0, transformed, lambda: images)

    def _branch(self, images: tf.Tensor, layer: str, drawn: Any) -> Callable[[], tf.Tensor]:
        return lambda: getattr(self, layer).transform_images(images, drawn)


def _steps(augmentation: ImageAugmentation, name: str) -> list[layers.Layer]:
    """The layers, in order; in float32 under mixed precision too, as their images are."""
    steps = []

    def add(kind: type[layers.Layer], step: str, **arguments: Any) -> None:
        steps.append(kind(**arguments, name=f"{name}_{step}", dtype="float32"))

    if augmentation.flip is not None:
        both = augmentation.flip == "both"
        mode = "horizontal_and_vertical" if both else augmentation.flip
        add(layers.RandomFlip, "flip", mode=mode)
    if augmentation.crop > 0:
        # `RandomCrop` draws one position for the whole batch. Moving each image by up to half of
        # what is cut off and then enlarging it is also a crop: the empty border lies outside.
        half, whole = augmentation.crop / 2, (-augmentation.crop, -augmentation.crop)
        add(layers.RandomTranslation, "crop_position", height_factor=half, width_factor=half)
        add(layers.RandomZoom, "crop_size", height_factor=whole, width_factor=whole)
    if augmentation.rand_augment > 0:
        add(RandAugment, "rand_augment", value_range=_RANGE, factor=augmentation.rand_augment)
    if augmentation.erasing > 0:
        # The least area is a 50th of the image, as in the paper.
        scale = (min(0.02, augmentation.erasing), augmentation.erasing)
        add(layers.RandomErasing, "erasing", factor=(0.5, 0.5), scale=scale, value_range=_RANGE)
    return steps
