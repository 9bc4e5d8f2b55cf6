"""Every tower keeps the contract; details of some are checked by hand."""

import subprocess
import sys
from typing import get_args

import contract
import keras
import numpy as np
import pretrained_case
import pytest
import tensorflow as tf

from multimodal_tf.config import (
    ApplicationTower,
    AudioInput,
    BagTower,
    BooleanInput,
    BytePairTokenizer,
    CategoryInput,
    CharacterTokenizer,
    Conv3DTower,
    ConvTower,
    CRNNTower,
    DateInput,
    DenseTower,
    FramesAverage,
    FramesLSTM,
    FramesTower,
    FramesTransformer,
    GRUTower,
    ImageInput,
    Input,
    KerasTower,
    LSTMTower,
    NgramTokenizer,
    NoTokenizer,
    NumberInput,
    PresetTower,
    ResNetTower,
    SavedModelTower,
    SpectrogramTower,
    SpectrogramTransformerTower,
    TextInput,
    TransformerTower,
    VectorFile,
    VectorInput,
    VideoInput,
    ViTTower,
    WaveformTower,
)
from multimodal_tf.models import build_model, embeddings
from multimodal_tf.models.presence import PresentBatchNormalization, ZeroWhereMissing


def image(size=16, **tower):
    return ImageInput(
        height=size,
        width=size,
        channels=1,
        tower=ConvTower(**{"filters": [4, 4], "dim": 6} | tower),
    )


def pixels(tower, size=16):
    return ImageInput(height=size, width=size, channels=1, tower=tower)


def audio(seconds=0.1, **tower):
    return AudioInput(
        sample_rate=4000,
        seconds=seconds,
        tower=SpectrogramTower(**{"filters": [4], "mel_bins": 8, "dim": 6} | tower),
    )


def recurrent(seconds=0.1, **tower):
    return AudioInput(
        sample_rate=4000,
        seconds=seconds,
        tower=CRNNTower(**{"filters": [4, 4], "mel_bins": 8, "units": 5} | tower),
    )


def patches(seconds=0.1, **tower):
    small = {
        "units": 8,
        "depth": 1,
        "heads": 2,
        "mlp_units": 8,
        "block_dropout": 0,
        "mel_bins": 8,
        "patch_ms": 30,
        "patch_bins": 4,
    }
    return AudioInput(
        sample_rate=4000, seconds=seconds, tower=SpectrogramTransformerTower(**small | tower)
    )


def waveform(seconds=0.1, **tower):
    small = {"filters": [4, 4], "stride": 3, "window_ms": 2, "dim": 6}
    return AudioInput(sample_rate=4000, seconds=seconds, tower=WaveformTower(**small | tower))


def video(tower, frames=3):
    return VideoInput(frames=frames, height=8, width=8, channels=1, tower=tower)


def framed(over, **tower):
    return video(FramesTower(frame=ConvTower(filters=[4], dim=6), over=over, **tower))


def text(**tower):
    return TextInput(max_tokens=4, tower=LSTMTower(**{"embedding_dim": 4, "units": 5} | tower))


SMALL = {"units": 8, "depth": 1, "heads": 2, "mlp_units": 8, "block_dropout": 0}
TOWERS = {
    "image": image(),
    "image, plain and flat": image(
        batch_normalization=False, padding="valid", pooling="flatten", dim=None
    ),
    "image, residual": pixels(ResNetTower(filters=4)),
    "image, an application": pixels(ApplicationTower(name="MobileNet"), size=32),
    "image, a vision transformer": pixels(ViTTower(**SMALL, patch_size=8)),
    "text": text(),
    "text, a bag": TextInput(max_tokens=4, tower=BagTower(embedding_dim=4, dropout=0)),
    "text, a bag projected": TextInput(
        max_tokens=4, tower=BagTower(embedding_dim=4, dim=6, dropout=0)
    ),
    "text, both ways and projected": text(bidirectional=True, dim=6),
    "text, two LSTMs both ways, averaged": text(depth=2, bidirectional=True, pooling="average"),
    "text, a transformer": TextInput(max_tokens=4, tower=TransformerTower(**SMALL)),
    "text, a causal transformer": TextInput(
        max_tokens=4, tower=TransformerTower(**SMALL, causal=True, dim=6)
    ),
    "text, an LSTM over subwords": TextInput(
        max_tokens=4,
        tokenizer=BytePairTokenizer(),
        tower=LSTMTower(embedding_dim=4, units=5, bidirectional=True),
    ),
    "text, a bag of words with vectors": TextInput(
        max_tokens=4,
        vectors=VectorFile(path="vectors.txt"),
        tower=BagTower(embedding_dim=4, dropout=0),
    ),
    "text, a GRU over characters with fixed vectors": TextInput(
        max_tokens=4,
        tokenizer=CharacterTokenizer(),
        vectors=VectorFile(path="vectors.txt", trainable=False),
        tower=GRUTower(embedding_dim=4, units=5),
    ),
    "text, a bag of n-grams": TextInput(
        max_tokens=4,
        tokenizer=NgramTokenizer(buckets=8),
        tower=BagTower(embedding_dim=4, dropout=0),
    ),
    "audio": audio(),
    "audio, plain and flat": audio(batch_normalization=False, pooling="flatten", dim=None),
    "audio, the largest": audio(padding="valid", pooling="max"),
    "audio, recurrent": recurrent(),
    "audio, recurrent twice one way and projected": recurrent(
        bidirectional=False, depth=2, time_pools=0, pooling="last", dim=6
    ),
    "audio, patches": patches(),
    "audio, waveform": waveform(),
    "video": video(Conv3DTower(filters=[4, 4], dim=6)),
    "video, plain": video(
        Conv3DTower(
            filters=[4], batch_normalization=False, padding="valid", pooling="max", dim=None
        )
    ),
    "video, an LSTM": framed(FramesLSTM(units=5)),
    "video, two LSTMs both ways, the largest, projected": framed(
        FramesLSTM(units=5, depth=2, bidirectional=True, pooling="max"), dim=6
    ),
    "video, self-attention": framed(
        FramesTransformer(depth=1, heads=2, mlp_units=8, block_dropout=0)
    ),
    "video, an average of vision transformers": video(
        FramesTower(frame=ViTTower(**SMALL, patch_size=4), over=FramesAverage())
    ),
    "image, a SavedModel": ImageInput(
        height=8,
        width=8,
        channels=1,
        tower=SavedModelTower(path=pretrained_case.image_module(), trainable=True),
    ),
    "audio, a frozen SavedModel of one clip": AudioInput(
        sample_rate=1000,
        seconds=0.3,
        tower=SavedModelTower(path=pretrained_case.audio_module(), output="embeddings", dim=6),
    ),
    "image, a Keras file": pixels(
        KerasTower(path=pretrained_case.keras_model(), layer="norm", trainable=True), size=8
    ),
    "image, a frozen preset": ImageInput(
        height=8, width=8, tower=PresetTower(preset=pretrained_case.image_preset(), dim=6)
    ),
    "text, a preset": TextInput(
        max_tokens=4, tower=PresetTower(preset=pretrained_case.text_preset(), trainable=True)
    ),
    "text, the encoder of a preset like T5": TextInput(
        max_tokens=4, tower=PresetTower(preset=pretrained_case.text_family("T5"), trainable=True)
    ),
    "text, a SavedModel of strings": TextInput(
        tokenizer=NoTokenizer(),
        tower=SavedModelTower(path=pretrained_case.text_module(), trainable=True, dim=6),
    ),
    "audio, a preset like Whisper": AudioInput(
        sample_rate=2000,
        seconds=0.2,
        tower=PresetTower(preset=pretrained_case.whisper_preset(), dim=6),
    ),
    "audio, a preset like Moonshine": AudioInput(
        sample_rate=4000,
        seconds=0.5,
        tower=PresetTower(preset=pretrained_case.moonshine_preset(), trainable=True),
    ),
    "number": NumberInput(tower=DenseTower(dim=4)),
    "category": CategoryInput(tower=DenseTower(dim=4), unknown=0),
    "boolean": BooleanInput(tower=DenseTower(dim=4)),
    "date": DateInput(tower=DenseTower(dim=4)),
    "vector": VectorInput(dim=8, tower=DenseTower(dim=4)),
}


def test_every_tower_of_the_configuration_passes_the_contract():
    tested = {type(one.tower) for one in TOWERS.values()}
    for kind in get_args(get_args(Input)[0]):
        towers = kind.model_fields["tower"].annotation
        assert tested >= ({*get_args(towers)} or {towers})


# raised in eager mode if an input is missing in all rows
@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("tower", TOWERS)
def test_contract(tower, check, tmp_path):
    check(contract.with_input(TOWERS[tower]), tmp_path)


LOAD = """
import pathlib, sys
import keras, numpy as np
import multimodal_tf.models
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.keras")):
    files = (path.with_suffix(kind) for kind in (".rows.npz", ".outputs.npz"))
    rows, outputs = (dict(np.load(file)) for file in files)
    model = keras.saving.load_model(path)
    for name, output in model(rows).items():
        np.testing.assert_allclose(output, outputs[name], rtol=1e-5, atol=1e-6, err_msg=path.name)
    print(path.stem)
"""


def test_saved_towers_predict_the_same_in_a_new_process(tmp_path):
    for name, input_config in TOWERS.items():
        config = contract.with_input(input_config)
        model, rows = build_model(config, contract.schema_of(config)), contract.rows_of(config, 3)
        model.save(tmp_path / f"{name}.keras")
        # NumPy would pickle objects.
        texts = {key: values.astype(str) for key, values in rows.items() if values.dtype == object}
        np.savez(tmp_path / f"{name}.rows.npz", **rows | texts)
        np.savez(tmp_path / f"{name}.outputs.npz", **model(rows))
    done = subprocess.run(
        [sys.executable, "-c", LOAD, tmp_path], capture_output=True, text=True, check=False
    )
    assert set(done.stdout.splitlines()) == set(TOWERS), done.stderr


def vector(input_config, rows):
    config = contract.with_input(input_config)
    return embeddings(build_model(config, contract.schema_of(config)))(rows)["probe"].numpy()


@pytest.mark.parametrize(
    ("tower", "size"),
    [
        ({"filters": [4, 4, 4], "padding": "valid"}, 16),
        ({"filters": [4], "kernel_size": 5, "padding": "valid"}, 4),
    ],
)
def test_an_image_too_small_for_its_blocks_is_refused_by_field(tower, size):
    with pytest.raises(
        ValueError,
        match=rf"^inputs\.probe\.tower\.filters: .* {size} x {size} in block \d, received \[",
    ) as error:
        build_model(
            contract.with_input(image(size, **tower)),
            contract.schema_of(contract.with_input(image())),
        )
    assert "\n" not in str(error.value)


def test_with_padding_same_no_image_is_too_small():
    config = contract.with_input(image(1, filters=[4] * 5))
    assert np.isfinite(
        build_model(config, contract.schema_of(config))(contract.rows_of(config, 2))["label"]
    ).all()


def test_the_unknown_value_and_each_known_one_have_their_own_vector():
    config = contract.with_input(TOWERS["category"])
    rows = contract.rows_of(config, 4) | {"probe": np.arange(4, dtype="int32")}
    assert len(np.unique(vector(TOWERS["category"], rows), axis=0)) == 4


def test_a_number_is_standardized_by_the_schema():
    config = contract.with_input(NumberInput())
    model = build_model(config, contract.schema_of(config))
    normalised = keras.Model(model.input, model.get_layer("probe_normalization").output)
    # mean 5, standard deviation 2
    rows = contract.rows_of(config, 2) | {"probe": np.array([5.0, 9.0], "float32")}
    np.testing.assert_allclose(normalised(rows), [[0.0], [2.0]], atol=1e-6)


def test_zero_where_absent_stops_nan_in_values_and_gradients():
    weight = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        x = weight * tf.constant([[1.0], [np.nan]])
        loss = tf.reduce_sum(ZeroWhereMissing()(x, tf.constant([1.0, 0.0])))
    assert loss == 2.0
    inner = tf.constant([[1.0], [np.nan]])
    with tf.GradientTape() as tape:
        tape.watch(inner)
        loss = tf.reduce_sum(ZeroWhereMissing()(inner, tf.constant([1.0, 0.0])) ** 2)
    np.testing.assert_array_equal(tape.gradient(loss, inner), [[2.0], [0.0]])


class TestPresentBatchNormalization:
    def test_with_all_rows_present_it_equals_that_of_keras(self):
        x = np.random.default_rng(0).normal(3, 2, (5, 4, 4, 2)).astype("float32")
        ours, reference = PresentBatchNormalization(), keras.layers.BatchNormalization()
        for training in (True, False):
            np.testing.assert_allclose(
                ours(x, np.ones(5, "float32"), training=training),
                reference(x, training=training),
                atol=1e-5,
            )
        for one, other in zip(ours.get_weights(), reference.get_weights()):
            np.testing.assert_allclose(one, other, rtol=1e-5)

    def test_with_no_row_present_its_statistics_stay(self):
        layer = PresentBatchNormalization()
        layer(np.ones((2, 3, 1), "float32"), np.ones(2, "float32"), training=True)
        before = layer.get_weights()
        assert np.isfinite(
            layer(np.ones((2, 3, 1), "float32"), np.zeros(2, "float32"), training=True)
        ).all()
        for one, other in zip(before, layer.get_weights()):
            np.testing.assert_allclose(one, other, rtol=1e-6)
