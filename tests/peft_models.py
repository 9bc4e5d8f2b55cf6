"""Models that are fine-tuned: with a small BERT, and a plain one of Keras; and what changes."""

import contract
import keras
import numpy as np
from keras import layers

from multimodal_tf.config import (
    ClassificationHead,
    ConcatenationFusion,
    Config,
    NumberInput,
    PresetTower,
    TextInput,
)
from multimodal_tf.models import build_model, compile_arguments
from multimodal_tf.models.peft import layer_paths
from multimodal_tf.training import peft

BLOCK = "title_network/network/network/transformer_layer_0"
QUERY = f"{BLOCK}/self_attention_layer/query_dense"


class Bert:
    """Models of a title that BERT reads, and a price. `preset` is the folder of the small BERT."""

    def __init__(self, preset):
        self.preset = preset

    def config(self, trainable=True, heads=("label",), **fields):
        tower = PresetTower(preset=self.preset, trainable=trainable)
        return Config(
            inputs={"title": TextInput(max_tokens=6, tower=tower), "price": NumberInput()},
            heads={name: ClassificationHead() for name in heads},
            fusion=ConcatenationFusion(hidden=[], dropout=0),
            **fields,
        )

    def model(self, **options):
        config = self.config(**options)
        return build_model(config, contract.schema_of(config))

    def compiled(self, model, **options):
        config = self.config(**options)
        arguments = compile_arguments(config, contract.schema_of(config))
        model.compile("adam", run_eagerly=True, **arguments)
        return model

    def rows(self, count=4):
        return contract.rows_of(self.config(), count)

    def targets(self, count=4, **options):
        return contract.targets_of(self.config(**options), count)

    def predicted(self, model, rows=None):
        return np.array(model(self.rows() if rows is None else rows)["label"])

    def fine_tuned(self):
        """A model whose head, LoRA and adapters have changed, and nothing else."""
        model = self.model()
        peft.train_head_only(model)
        peft.add_lora(model, "*query_dense", "*/token_embedding", rank=2, alpha=3)
        peft.add_adapters(model, "*_output_dense", units=3)
        shake(model)
        return model


def stack():
    """`photo`, three Dense layers, of which two are its tower, and `label`."""
    x = photo = keras.Input((4,), name="photo")
    for name in ("photo_low", "photo_high", "label"):
        x = layers.Dense(4, name=name, kernel_initializer=keras.initializers.GlorotUniform(1))(x)
    return keras.Model({"photo": photo}, {"label": x})


def shake(model, seed=0):
    """Changes all trained weights, as training would."""
    random = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(weight.numpy() + random.normal(0, 0.3, weight.shape))


def trained(model):
    """Paths of trained weights."""
    return [path for path, weight in layer_paths.weights(model).items() if weight.trainable]


def values(model):
    """A copy of all weights, by path."""
    return {path: weight.numpy() for path, weight in layer_paths.weights(model).items()}
