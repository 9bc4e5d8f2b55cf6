"""Views of cells: random changes that leave what a cell is about, drawn row by row.

A view is drawn in validation and in prediction too, unlike an input's augmentation, which is one
view drawn by Keras' layers in training only.
"""

import keras

from multimodal_tf.config import AudioInput, ImageInput, Input, TextInput
from multimodal_tf.models.towers import augment_audio, augment_image
from multimodal_tf.models.towers.encoding import Encoding, TowerInput
from multimodal_tf.models.views.audio import audio_view
from multimodal_tf.models.views.image import image_view
from multimodal_tf.models.views.text import text_view


def view(given: TowerInput[Input], name: str) -> keras.KerasTensor:
    """A view of an input's cells, of their shape and dtype.

    Args:
        given: what the tower reads. Its `config.augmentation`, where it is not the default, says
            what is changed; see the function of each kind.
        name: of the layer.

    Raises:
        TypeError: inputs of this kind have no views; the configuration refuses them.
    """
    match given.config:
        case ImageInput():
            return image_view(given.config, given.x, name)
        case AudioInput():
            return audio_view(given.config, given.x, name)
        case TextInput():
            return text_view(given.stats, given.x, name)
        case _:
            raise TypeError(f"a {given.config.type} has no views")


def unchanged(given: TowerInput[Input], encoding: Encoding) -> keras.KerasTensor:
    """The tensor of a tower behind the input's own augmentation, in place of which a view stands.

    Args:
        given, encoding: what the tower reads, and makes of it.
    """
    match given.config:
        case ImageInput():
            last = augment_image.last_layer(given.config.augmentation, given.name)
        case AudioInput():
            last = augment_audio.last_layer(
                given.config.augmentation, given.config.sample_rate, given.name
            )
        case _:
            last = None
    if last is None:
        return given.x
    flags = [] if given.present is None else [given.present]
    return keras.Model([given.x, *flags], encoding.vector).get_layer(last).output
