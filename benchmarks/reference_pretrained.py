"""Pretrained towers written by hand, as `benchmarks.reference_towers`, and the files they read."""

import keras
import keras_hub
from keras import layers, ops

from benchmarks.reference_towers import convolutions


def save_bert(folder, vocabulary):
    """Saves a BERT of two layers with random weights as a KerasHub preset; returns its folder."""
    sizes = {"num_layers": 2, "num_heads": 4, "hidden_dim": 128, "intermediate_dim": 512}
    keras_hub.models.BertBackbone(vocabulary_size=vocabulary, **sizes).save_to_preset(folder)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [f"word{index}" for index in range(vocabulary - len(special))]
    keras_hub.models.BertTokenizer([*special, *words]).save_to_preset(folder)
    return folder


def bert(input_config, x, vocabulary):
    whole = keras_hub.models.Backbone.from_preset(input_config.tower.preset)
    # Without the Dense layer of `pooled_output`.
    network = keras.Model(whole.input, whole.output["sequence_output"])
    network.trainable = input_config.tower.trainable
    mask = ops.cast(ops.not_equal(x, 0), "int32")
    given = {"token_ids": x, "segment_ids": ops.zeros_like(x), "padding_mask": mask}
    tokens = network(given) if input_config.tower.trainable else network(given, training=False)
    return layers.GlobalAveragePooling1D()(tokens, mask=mask)


def save_keras_file(path):
    """Saves a `.keras` file; returns its path.

    The model has convolutions over 64 x 64 pixels up to the layer `features`, then a classifier.
    """
    x = keras.Input((64, 64, 3))
    features = layers.GlobalAveragePooling2D(name="features")(convolutions([32, 64, 128], x))
    keras.Model(x, layers.Dense(5, activation="softmax")(features)).save(path)
    return path


def keras_file(input_config, x):
    whole = keras.models.load_model(input_config.tower.path)
    return keras.Model(whole.input, whole.get_layer(input_config.tower.layer).output)(x)
