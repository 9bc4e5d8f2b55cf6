"""Towers around a pretrained network: a SavedModel, a `.keras` file, a KerasHub preset."""

from typing import Literal

import pydantic

from multimodal_tf.config.names import Positive
from multimodal_tf.config.tower_bases import Tower

# of the images that the network was trained on
PixelRange = Literal["0..1", "-1..1", "0..255"]


class PretrainedTower(Tower):
    """A network with weights of its own; `pooling` is over its tokens.

    With `trainable` false it is frozen and runs in inference mode, in training too. Every
    vector is scaled to `length`, so that no input outweighs the others by its scale alone; null:
    it is not.
    """

    length: Positive | None = 10.0
    trainable: bool = False
    pooling: Literal["average", "max", "first", "last"] = "average"


class SavedModelTower(PretrainedTower):
    """A TensorFlow SavedModel: a folder, a `.tar.gz`, or a TF-Hub handle (extra `tfhub`).

    `signature` and `output` may be omitted if there is only one. The `.keras` file of the model
    holds a copy of the SavedModel (`models.towers.saved_model`).
    """

    type: Literal["saved_model"] = "saved_model"
    path: str
    pixels: PixelRange = "0..1"
    signature: str | None = None
    output: str | None = None


class KerasTower(PretrainedTower):
    """A saved `.keras` model up to `layer`, or up to its output if null.

    See `models.towers.keras_file`.
    """

    type: Literal["keras"] = "keras"
    path: str
    pixels: PixelRange = "0..1"
    layer: str | None = None


class PresetTower(PretrainedTower):
    """A KerasHub backbone from a preset: a folder, or a handle such as `kaggle://...`, `hf://...`.

    Of a preset with several networks (T5, CLIP), the encoder of this kind of input is used. CLIP's
    own pooling is "first" for an image, "last" for a text. The preset also brings its tokenizer,
    its pixel scale and its feature extraction (`models.towers.preset`). `weights` false: the
    architecture with random weights.
    """

    type: Literal["preset"] = "preset"
    preset: str
    weights: bool = True

    @pydantic.model_validator(mode="after")
    def _random_weights_are_trained(self) -> "PresetTower":
        if not self.weights and not self.trainable:
            raise ValueError(
                "trainable must be true if weights is false, since random weights have to be"
                " trained, received false"
            )
        return self
