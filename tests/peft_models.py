"""Shared by tests of fine-tuning: a model with a small BERT, and a plain Keras model."""

import contract
import keras
import numpy as np
import pretrained_case
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

BLOCK = "title_network/network/network/transformer_layer_0"
QUERY = f"{BLOCK}/self_attention_layer/query_dense"


def config(trainable=True, heads=("label",), **fields):
    """A title that BERT reads, and a price."""
    tower = PresetTower(preset=pretrained_case.text_preset(), trainable=trainable)
    return Config(
        inputs={"title": TextInput(max_tokens=6, tower=tower), "price": NumberInput()},
        heads={name: ClassificationHead() for name in heads},
        fusion=ConcatenationFusion(hidden=[], dropout=0),
        **fields,
    )


def bert(**options):
    one = config(**options)
    return build_model(one, contract.schema_of(one))


def rows(count=4, **options):
    return contract.rows_of(config(**options), count)


def compiled(model, **options):
    one = config(**options)
    model.compile("adam", run_eagerly=True, **compile_arguments(one, contract.schema_of(one)))
    return model


def answers(model, x=None):
    return np.array(model(rows() if x is None else x)["label"])


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
    return {path: weight.numpy() for path, weight in layer_paths.weights(model).items()}
