"""Details of the video towers; the contract is in `test_towers`."""

import contract
import keras
import numpy as np
import pytest

from multimodal_tf.config import (
    ApplicationTower,
    Conv3DTower,
    ConvTower,
    FramesAverage,
    FramesLSTM,
    FramesTower,
    FramesTransformer,
    ImageInput,
    KerasTower,
    ResNetTower,
    VideoInput,
)
from multimodal_tf.models import build_model, build_towers, embeddings


def clip_config(tower, frames=4, size=8):
    return VideoInput(frames=frames, height=size, width=size, channels=1, tower=tower)


def framed(over, frame=None, **more):
    return clip_config(FramesTower(frame=frame or ConvTower(filters=[4], dim=6), over=over), **more)


def model_of(video, presence=True):
    config = contract.with_input(video)
    config.fusion.presence = presence
    return config, build_model(config, contract.schema_of(config))


def vector(video, clips):
    config, model = model_of(video)
    return embeddings(model)(contract.rows_of(config, len(clips)) | {"probe": clips})[
        "probe"
    ].numpy()


def clips(rows=2, frames=4, size=8):
    return np.random.default_rng(0).random((rows, frames, size, size, 1), "float32")


def test_the_mean_over_frames_is_the_image_tower_s_mean():
    video = framed(FramesAverage())
    config, model = model_of(video)
    image_config = contract.with_input(
        ImageInput(height=8, width=8, channels=1, tower=video.tower.frame)
    )
    image = build_model(image_config, contract.schema_of(image_config))
    for layer in image.layers:
        if layer.name.startswith("probe_") and layer.weights:
            layer.set_weights(
                model.get_layer(layer.name.replace("probe_", "probe_frame_")).get_weights()
            )
    seen = clips()
    rows = contract.rows_of(image_config, 8) | {"probe": seen.reshape(8, 8, 8, 1)}
    alone = embeddings(image)(rows)["probe"].numpy().reshape(2, 4, -1)
    rows = contract.rows_of(config, 2) | {"probe": seen}
    np.testing.assert_allclose(
        embeddings(model)(rows)["probe"], alone.mean(axis=1), rtol=1e-5, atol=1e-6
    )


def test_only_an_average_ignores_the_order_of_frames():
    seen = clips()
    for over, order in (
        (FramesAverage(), False),
        (FramesLSTM(units=5), True),
        (FramesTransformer(depth=1, heads=2, mlp_units=8), True),
    ):
        same = np.allclose(
            vector(framed(over), seen), vector(framed(over), seen[:, ::-1]), atol=1e-6
        )
        assert same != order, over.type


@pytest.mark.parametrize(
    ("video", "tokens"),
    [
        (framed(FramesAverage()), (4, 6)),
        (framed(FramesLSTM(units=5)), (4, 5)),
        (framed(FramesLSTM(units=5, bidirectional=True)), (4, 10)),
        (framed(FramesTransformer(depth=1, heads=2, mlp_units=8)), (4, 6)),
        # The first block keeps the time axis.
        (clip_config(Conv3DTower(filters=[4, 5, 6]), frames=8), (2, 6)),
        (clip_config(Conv3DTower(filters=[4]), frames=1), (1, 4)),
    ],
    ids=["average", "lstm", "lstm both ways", "transformer", "conv3d", "conv3d of one frame"],
)
def test_a_token_is_a_frame_or_a_time_step(video, tokens):
    config = contract.with_input(video)
    assert build_towers(config, contract.schema_of(config)).output["probe"]["tokens"].shape == (
        None,
        *tokens,
    )


def test_an_lstm_s_vector_is_its_last_token():
    config = contract.with_input(framed(FramesLSTM(units=5)))
    encoded = build_towers(config, contract.schema_of(config))(contract.rows_of(config, 2))["probe"]
    np.testing.assert_allclose(encoded["tokens"][:, -1], encoded["vector"], rtol=1e-6)


def test_without_presence_the_model_is_the_plain_graph():
    _, model = model_of(framed(FramesLSTM(units=5)), presence=False)
    names = [layer.name for layer in model.layers if layer.name.startswith("probe")]
    inner = ["conv_1", "pool_1", "normalization_1", "relu_1", "pool", "vector"]
    assert names == [
        "probe",
        "probe_apart",
        *(f"probe_frame_{step}" for step in inner),
        "probe_together",
        "probe_embedding",
    ]


def test_a_library_s_network_sees_the_frames_of_present_rows_only():
    video = clip_config(
        FramesTower(frame=ApplicationTower(name="MobileNet"), over=FramesAverage()),
        frames=2,
        size=32,
    )
    contract.missing_rows_do_not_change_the_others(contract.with_input(video), None)


def test_the_weights_of_the_frame_tower_are_regularized():
    config = contract.with_input(framed(FramesAverage(), ConvTower(filters=[4], dim=6, l2=0.1)))
    model = build_model(config, contract.schema_of(config))
    assert isinstance(
        model.get_layer("probe_frame_conv_1").kernel_regularizer, keras.regularizers.L2
    )


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (
            clip_config(Conv3DTower(filters=[4, 4], padding="valid")),
            r"^inputs\.probe\.tower\.filters: .* of 4 frames of 8 x 8 in block 2,"
            r" received \[4, 4\]$",
        ),
        (
            clip_config(Conv3DTower(filters=[4], padding="valid"), frames=2),
            r"^inputs\.probe\.tower\.filters: .* of 2 frames of 8 x 8 in block 1",
        ),
        (
            framed(FramesAverage(), ConvTower(filters=[4] * 4, padding="valid")),
            r"^inputs\.probe\.tower\.frame\.filters: .* nothing of 8 x 8 in block 2",
        ),
        (framed(FramesAverage(), ResNetTower(filters=4), size=8), None),
        (
            framed(FramesTransformer(heads=4)),
            r"^inputs\.probe\.tower\.over\.heads: must divide the width of a frame's vector, 6,"
            r" received 4$",
        ),
        (
            framed(FramesAverage(), ApplicationTower(name="NoNet")),
            r"^inputs\.probe\.tower\.frame\.",
        ),
        (
            framed(FramesAverage(), KerasTower(path="gone.keras")),
            r"^inputs\.probe\.tower\.frame\.path: ",
        ),
    ],
    ids=[
        "too many blocks",
        "too few frames",
        "frames too small",
        "a small ResNet is well",
        "heads",
        "no such application",
        "no such file",
    ],
)
def test_impossible_settings_are_refused_by_field(video, message):
    config = contract.with_input(video)
    if message is None:
        build_model(config, contract.schema_of(config))
        return
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        build_model(config, contract.schema_of(config))
    assert "\n" not in str(error.value)
