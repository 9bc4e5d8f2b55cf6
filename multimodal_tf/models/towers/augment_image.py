"""Images: changes in training, by Keras' own layers."""

import keras
import tensorflow as tf
from keras import layers

_RANGE = (0, 1)


def augmented(part, x, name):
    """Images as `part.augmentation` says, in training only: flip, crop, RandAugment, erasing.

    Args:
        part: `config.ImageInput`.
        x: float32 `(batch, height, width, channels)`, 0 to 1.
        name: str. The input's.

    Returns:
        The same shape and range; `x` itself where the configuration asks for no change.
    """
    steps = _steps(part.augmentation, name)
    if not steps:
        return x
    return InTraining(steps, name=f"{name}_augmentation", dtype="float32")(x)


@keras.saving.register_keras_serializable("multimodal_tf")
class InTraining(layers.Layer):
    """Layers one after another in training; otherwise nothing is done.

    Keras' layers for augmentation, which take `training` as true by default, also change the images
    of a plain `model(x)`.

    Args:
        steps: list of layers that keep the shape.

    Call:
        `x` is a tensor. Returns the same shape.

    Example:
        >>> layer = InTraining([layers.RandomBrightness(1.0, value_range=(0, 1))])
        >>> float(layer(keras.ops.zeros((1, 2, 2, 3)))[0, 0, 0, 0])
        0.0
    """

    def __init__(self, steps, **kwargs):
        super().__init__(**kwargs)
        self.steps = steps

    def build(self, shape):
        for step in self.steps:
            step.build(shape)

    def call(self, x, training=False):
        if not training:
            return x
        for step in self.steps:
            x = step(x, training=True)
        return x

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return super().get_config() | {
            "steps": [keras.saving.serialize_keras_object(step) for step in self.steps]
        }

    @classmethod
    def from_config(cls, config):
        return cls(
            [keras.saving.deserialize_keras_object(step) for step in config.pop("steps")], **config
        )


@keras.saving.register_keras_serializable("multimodal_tf")
class RandAugment(layers.RandAugment):
    """Keras' RandAugment, which computes its eleven changes twice over and keeps two of them; this
    one computes those two.

    The answer is the same (tested), at 32 images of 96 x 96 in 11 ms instead of 212. Which two is
    drawn for the batch, how much for each row.
    """

    def transform_images(self, images, transformation, training=True):
        for chosen in tf.unstack(transformation["layer_idxes"], self.num_ops):
            images = tf.switch_case(
                chosen, [self._change(images, *one) for one in transformation["transforms"].items()]
            )
        return images

    def _change(self, images, layer, drawn):
        return lambda: getattr(self, layer).transform_images(images, drawn)


def _steps(augmentation, name):
    """The layers, in order; in float32 under mixed precision too, as `InTraining` hands them
    images.
    """
    ours, steps = augmentation, []
    if ours.flip is not None:
        steps.append(
            _layer(
                layers.RandomFlip,
                "flip",
                name,
                mode="horizontal_and_vertical" if ours.flip == "both" else ours.flip,
            )
        )
    if ours.crop > 0:
        # `RandomCrop` draws one place for the whole batch. To move each image by up to half of what
        # goes, then enlarge it, is a crop too: what the move leaves empty lies outside.
        steps.append(
            _layer(
                layers.RandomTranslation,
                "crop_place",
                name,
                height_factor=ours.crop / 2,
                width_factor=ours.crop / 2,
            )
        )
        # always so much
        size = (-ours.crop, -ours.crop)
        steps.append(
            _layer(layers.RandomZoom, "crop_size", name, height_factor=size, width_factor=size)
        )
    if ours.rand_augment > 0:
        steps.append(
            _layer(RandAugment, "rand_augment", name, value_range=_RANGE, factor=ours.rand_augment)
        )
    if ours.erasing > 0:
        # from a 50th of the image on, as in the paper
        scale = (min(0.02, ours.erasing), ours.erasing)
        steps.append(
            _layer(
                layers.RandomErasing,
                "erasing",
                name,
                factor=(0.5, 0.5),
                scale=scale,
                value_range=_RANGE,
            )
        )
    return steps


def _layer(kind, step, name, **arguments):
    return kind(**arguments, name=f"{name}_{step}", dtype="float32")
