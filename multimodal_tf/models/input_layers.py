"""Configuration to inputs and towers: which function encodes which input, and what becomes of it
where it is absent.
"""

from functools import partial

import keras

from multimodal_tf.config import (
    EMBEDDING,
    PRESENT,
    TABULAR,
    TOKENS,
    ApplicationTower,
    BagTower,
    Conv3DTower,
    ConvTower,
    CRNNTower,
    DenseTower,
    FeatureTransformerTower,
    FramesTower,
    GRUTower,
    KerasTower,
    LSTMTower,
    MLPTower,
    PresetTower,
    ResNetTower,
    SavedModelTower,
    SpectrogramTower,
    SpectrogramTransformerTower,
    TransformerTower,
    ViTTower,
    WaveformTower,
)
from multimodal_tf.models.peft import layer_paths
from multimodal_tf.models.presence import (
    AnyPresent,
    ModalityDropout,
    TokensPresent,
    ZeroWhereAbsent,
)
from multimodal_tf.models.towers import (
    application,
    audio,
    augment_audio,
    augment_image,
    image,
    keras_file,
    networks,
    preset,
    saved_model,
    tabular,
    text,
    video,
)
from multimodal_tf.models.towers.encoding import Encoding

TOWERS: dict = {
    ConvTower: image.cnn,
    ResNetTower: networks.resnet,
    ApplicationTower: application.application,
    ViTTower: networks.vit,
    BagTower: text.bag,
    LSTMTower: text.lstm,
    GRUTower: text.gru,
    TransformerTower: text.transformer,
    SpectrogramTower: audio.spectrogram_cnn,
    CRNNTower: audio.crnn,
    SpectrogramTransformerTower: audio.spectrogram_transformer,
    WaveformTower: audio.waveform_cnn,
    DenseTower: tabular.column,
    # the rest serve images, texts and sounds
    PresetTower: preset.preset,
    SavedModelTower: saved_model.saved_model,
    KerasTower: keras_file.keras_file,
    Conv3DTower: video.conv3d,
}
TOWERS[FramesTower] = partial(video.frames, TOWERS)
# towers that are simpler, and Keras' own layer alone, where nobody reads their tokens
PLAIN: dict = {
    LSTMTower: partial(text.lstm, states=False),
    GRUTower: partial(text.gru, states=False),
    FramesTower: partial(video.frames, TOWERS, states=False),
}
# over several columns
_TABULAR: dict = {MLPTower: tabular.mlp, FeatureTransformerTower: tabular.feature_transformer}
# by type of input, what training changes in it
_AUGMENTED: dict = {"image": augment_image.augmented, "audio": augment_audio.augmented}


def inputs(config):
    """Keras inputs by name, and the presence flags by the input's name."""
    inputs = {
        name: keras.Input(part.model_shape, None, part.model_dtype, name=name)
        for name, part in config.inputs.items()
    }
    present = (
        {name: keras.Input((), name=name + PRESENT, dtype="float32") for name in inputs}
        if config.fusion.presence
        else {}
    )
    return inputs, present


def with_dropout(fusion, present, name):
    """A presence flag with the fusion's modality dropout, if it has any."""
    if fusion.modality_dropout == 0:
        return present
    return ModalityDropout(
        fusion.modality_dropout, name=f"{name}_modality_dropout", dtype="float32"
    )(present)


def flags(config, present):
    """Presence by name, with that of the tower over several columns: whether any of them is there."""
    together = config.tabular_inputs()
    if not (present and together):
        return present
    return present | {
        TABULAR: AnyPresent(name=f"{TABULAR}_any", dtype="float32")(
            [present[name] for name in together]
        )
    }


def encodings(config, schema, inputs, present, towers):
    """`Encoding` by name of every tower; `present` is empty if the model does not know presence."""
    encodings = {}
    for name in config.vectors():
        if name in inputs:
            encodings[name] = _encoding(
                config.inputs[name],
                schema.inputs.get(name),
                inputs[name],
                present.get(name),
                name,
                towers,
            )
        else:
            encodings[name] = _tabular(config, schema, inputs, present)
    return encodings


def _encoding(part, stats, x, present, name, towers):
    """One input's encoding; where the model knows presence, the value is hidden from the tower and
    what comes out is zero if absent.
    """
    tower = towers[type(part.tower)]
    augmented = _AUGMENTED.get(part.type, lambda _part, x, _name: x)
    if present is None:
        return tower(part, stats, augmented(part, x, name), None, name, name + EMBEDDING)
    # float32 under mixed precision too: the layers behind say themselves what they can do without
    x = augmented(part, ZeroWhereAbsent(name=f"{name}_value", dtype="float32")(x, present), name)
    return _zeroed(tower(part, stats, x, present, name, f"{name}_vector"), present, name)


def _tabular(config, schema, inputs, present):
    """The encoding of the tower over several columns."""
    tower = partial(_TABULAR[type(config.tabular)], config.tabular)
    columns = {
        name: tabular.TableColumn(
            config.inputs[name], schema.inputs.get(name), inputs[name], present.get(name)
        )
        for name in config.tabular_inputs()
    }
    if not present:
        return tower(columns, TABULAR, TABULAR + EMBEDDING)
    return _zeroed(tower(columns, TABULAR, f"{TABULAR}_vector"), present[TABULAR], TABULAR)


def _zeroed(encoding, present, name):
    """The same, zero where the input is absent."""
    tokens, mask, vector = encoding
    if tokens is not None:
        tokens = ZeroWhereAbsent(name=name + TOKENS)(tokens, present)
        mask = TokensPresent(name=f"{name}_tokens_present")(mask, present)
    return Encoding(tokens, mask, ZeroWhereAbsent(name=name + EMBEDDING)(vector, present))


def regularize(model, config):
    """Gives the kernels and embeddings of each tower its `l2`; also set on the layer, so that a
    saved model keeps it.
    """
    towers = {name: part.tower for name, part in config.inputs.items()} | {TABULAR: config.tabular}
    towers |= {
        f"{name}_frame": tower.frame
        for name, tower in towers.items()
        if isinstance(tower, FramesTower)
    }
    for outer in model.layers:
        l2 = getattr(towers.get(layer_paths.beginning(outer.name, towers)), "l2", 0.0)
        for layer in outer._flatten_layers() if l2 else ():
            for weight in ("kernel", "embeddings"):
                # an LSTM's is its cell's
                if hasattr(layer, weight) and getattr(layer, f"{weight}_regularizer", None) is None:
                    regularizer = getattr(layer, weight).regularizer = keras.regularizers.L2(l2)
                    setattr(layer, f"{weight}_regularizer", regularizer)
