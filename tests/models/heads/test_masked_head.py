"""The head `masked`: every kind of input and tower, context, presence, draws, refused inputs."""

import contract
import keras
import numpy as np
import pytest
from small_tokenizers import TOKENIZERS, stats_of
from small_towers import SMALL, audio, image, patches, pixels, waveform

from multimodal_tf.config import (
    ClassificationHead,
    ConcatenationFusion,
    Config,
    ConvTower,
    ImageInput,
    LSTMTower,
    MaskedHead,
    TextInput,
    TransformerTower,
    ViTTower,
)
from multimodal_tf.models import build_model, compile_arguments

TEXT = TextInput(max_tokens=8, tower=TransformerTower(**SMALL))
INPUTS = {
    "bag": TextInput(max_tokens=8),
    "lstm": TextInput(max_tokens=8, tower=LSTMTower(units=4, embedding_dim=4)),
    "transformer": TEXT,
    "characters": TextInput(
        max_tokens=8, tokenizer={"type": "characters"}, tower=LSTMTower(units=4, embedding_dim=4)
    ),
    "conv": image(),
    "vit": pixels(ViTTower(**SMALL, patch_size=4)),
    "vit with a class token": pixels(ViTTower(**SMALL, patch_size=4, pooling="first")),
    "spectrogram": audio(0.5),
    "patches of a spectrogram": patches(0.5),
    "waveform": waveform(0.5),
}
# (vocabulary or size of a place, places of a cell, hidden ones)
TASKS = {
    "bag": (5, 1),
    "lstm": (5, 1),
    "transformer": (5, 1),
    "characters": (5, 1),
    "conv": (4, 38),
    "vit": (16, 10),
    "vit with a class token": (16, 10),
    # half a second at 4000 Hz has 50 frames and spans of 6
    "spectrogram": (48, 4),
    "patches of a spectrogram": (48, 4),
    "waveform": (6 * 64, 4),
}


def config_of(one, head=None, **others):
    head = {"inputs": ["probe"], "dim": 8} | (head or {})
    return Config(
        inputs={"probe": one} | others,
        heads={"hidden": MaskedHead(**head)},
        fusion=ConcatenationFusion(dropout=0),
    )


def made(config):
    return build_model(config, contract.schema_of(config))


@pytest.mark.parametrize("kind", INPUTS)
def test_every_kind_of_input(kind):
    """Outputs are the losses of what the layers hide and predict; missing cells count nowhere."""
    config = config_of(INPUTS[kind])
    model, rows = made(config), contract.rows_of(config, 4)
    assert model.get_layer("hidden_prediction").units == TASKS[kind][0]
    rows = contract.without(rows, "probe", np.array([False, True, False, False]))
    output = model(rows)["hidden"].numpy()
    assert output.shape == (4, 3)
    assert not output[1].any()
    assert (output[[0, 2, 3], 0] > 0).all()
    assert (output[[0, 2, 3], 2] <= TASKS[kind][1]).all()
    counted = model.get_layer("hidden_hidden").output[2]
    assert counted.shape == (None, TASKS[kind][1])
    # in validation every call draws the same
    np.testing.assert_array_equal(output, model(rows)["hidden"])


@pytest.mark.parametrize("kind", ["word_piece", "byte_pair", "sentence_piece"])
def test_subwords(kind):
    tower = LSTMTower(units=4, embedding_dim=4)
    config = config_of(TextInput(max_tokens=8, tokenizer=TOKENIZERS[kind], tower=tower))
    schema = contract.schema_of(config).model_copy(update={"inputs": {"probe": stats_of(kind)}})
    model = build_model(config, schema)
    rows = contract.rows_of(config, 2) | {"probe": np.full((2, 8), 5, "int32")}
    assert model(rows)["hidden"].numpy()[:, 2].tolist() == [1, 1]
    copied = keras.Model.from_config(model.get_config())
    assert copied.get_layer("hidden_hidden").ids == model.get_layer("hidden_hidden").ids


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["transformer", "conv", "spectrogram"])
def test_contract_with_context(kind, tmp_path):
    """Saved, exported, in mixed precision, with missing inputs, all weights learn."""
    config = config_of(INPUTS[kind], {"context": ["note"]}, note=INPUTS["lstm"])
    config.heads["label"] = ClassificationHead()
    for check in (
        contract.save_and_load,
        contract.training_lowers_the_loss,
        contract.every_weight_learns,
        contract.mixed_precision,
        contract.missing_has_no_influence,
        contract.a_row_does_not_depend_on_its_neighbours,
    ):
        check(config, tmp_path)


@pytest.mark.slow
def test_a_context_helps_and_a_missing_one_has_no_influence():
    """The first input repeats the second: what is hidden can be read there."""
    config = config_of(TEXT, {"context": ["other"], "dim": 16, "share": 0.3}, other=TEXT)
    rows = contract.rows_of(config, 256)
    rows["other"] = rows["probe"] = np.repeat(
        np.random.default_rng(0).integers(2, 5, (256, 1)), 8, axis=1
    ).astype("int32")
    # of the first input nothing is left but the hidden tokens and padding
    rows["probe"][:, 2:] = 0
    model = made(config)
    schema = contract.schema_of(config)
    model.compile(keras.optimizers.Adam(0.01), **compile_arguments(config, schema))
    targets = {"hidden": np.ones((256, 1), "float32")}
    before = model.evaluate(rows, targets, verbose=0, return_dict=True)
    history = model.fit(rows, targets, batch_size=32, epochs=8, verbose=0).history
    after = model.evaluate(rows, targets, verbose=0, return_dict=True)
    assert after["loss"] < 0.5 * before["loss"]
    assert after["score"] > 0.9
    assert history["score"][-1] > history["score"][0]
    missing = contract.without(rows, "other", np.ones(256, bool))
    zeroed = contract.without(rows, "other", np.ones(256, bool), value=0)
    np.testing.assert_array_equal(model(missing)["hidden"], model(zeroed)["hidden"])
    assert model(missing)["hidden"].numpy()[:, 1].sum() < model(rows)["hidden"].numpy()[:, 1].sum()


@pytest.mark.slow
def test_pixels_are_learned_and_augmentation_comes_first():
    """Stripes continue under a hidden patch, also where a picture is flipped."""
    one = ImageInput(
        height=16,
        width=16,
        channels=1,
        augmentation={"flip": "horizontal"},
        tower=ConvTower(filters=[16, 16], dim=16, batch_normalization=False),
    )
    config = config_of(one, {"dim": 32, "share": 0.3})
    model = made(config)
    across = np.arange(16) / 16
    random = np.random.default_rng(0)
    phase = random.random((128, 1, 1)) * 0.2
    stripes = np.broadcast_to(np.abs(across - 0.3) + phase, (128, 16, 16))[..., None]
    rows = {"probe": stripes.astype("float32"), "probe_present": np.ones(128, "float32")}
    model.compile(
        keras.optimizers.Adam(0.005), **compile_arguments(config, contract.schema_of(config))
    )
    targets = {"hidden": np.ones((128, 1), "float32")}
    model.fit(rows, targets, batch_size=16, epochs=12, verbose=0)
    found = model.evaluate(rows, targets, verbose=0, return_dict=True)
    # of the mean of a patch it is 0
    assert found["score"] > 0.4


@pytest.mark.parametrize(
    ("one", "problem"),
    [
        ({"type": "number"}, "must be a text, image or sound, of which .* received number"),
        ({"type": "video"}, "must be a text, image or sound, of which .* received video"),
        (
            {"type": "text", "tokenizer": {"type": "ngrams"}},
            "must be a text with a tokenizer whose tokens can be predicted, received ngrams",
        ),
        (
            {
                "type": "text",
                "tokenizer": {"type": "none"},
                "tower": {"type": "saved_model", "path": "x"},
            },
            "must be a text with a tokenizer whose tokens can be predicted, received none",
        ),
        ({"type": "text", "max_tokens": 1}, "must have max_tokens of 2 or more, received 1"),
        (
            {"type": "image", "height": 3, "width": 9},
            "must have a height and width of 4 or more, received 3 x 9",
        ),
    ],
)
def test_refused_inputs(one, problem):
    with pytest.raises(ValueError, match=rf"heads\.hidden\.inputs: 'probe' {problem}"):
        config_of(one)


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        ({"context": ["probe"]}, r"context: must name inputs .* \['note'\], received \['probe'\]"),
        ({"context": ["note", "note"]}, r"context: must name inputs .* each once"),
        ({"context": ["photo"]}, r"context: must name inputs .* received \['photo'\]"),
        ({"share": 1}, r"share: .* less than 1, received 1"),
        ({"share": 0}, r"share: .* greater than 0, received 0"),
        ({"inputs": ["probe", "note"]}, r"inputs: .* at most 1"),
        ({"column": "x"}, r"column: Extra inputs are not permitted"),
    ],
)
def test_refused_settings(head, problem):
    head = {"type": "masked", "inputs": ["probe"]} | head
    with pytest.raises(ValueError, match=rf"heads\.hidden\.{problem}"):
        Config(inputs={"probe": TEXT, "note": TEXT}, heads={"hidden": head})


def test_a_clip_must_have_spans():
    config = config_of({"type": "audio", "sample_rate": 4000, "seconds": 0.015})
    with pytest.raises(ValueError, match=r"'probe' must be as long as two spans of 40 .* 60"):
        made(config)
