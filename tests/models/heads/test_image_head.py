"""Decoders of images: their losses, and the images that `generating` gives."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from media import image_bytes, pixels_of, random_image
from random_rows import images_of, rows_of, schema_of, without

from multimodal_tf.config import (
    BagTower,
    ClassificationHead,
    Config,
    DecisionFusion,
    HybridFusion,
    ImageHead,
    NumberInput,
    TextInput,
)
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.kinds.label import read_label
from multimodal_tf.data.target_images import TargetImages
from multimodal_tf.models import build_model, compile_arguments, embeddings
from multimodal_tf.models.decoders.images import ImageScores, normal
from multimodal_tf.models.decoders.pixels import PixelDecoder, Posterior, sides
from multimodal_tf.models.generating import generating
from multimodal_tf.schema import check_schema

ROWS = 24
SMALL = {"height": 6, "width": 5, "channels": 1, "filters": [4, 3]}


def config_of(latent=2, **heads):
    return Config(
        inputs={
            "note": TextInput(max_tokens=6, tower=BagTower(embedding_dim=8)),
            "price": NumberInput(),
        },
        heads={"drawing": ImageHead(latent=latent, **SMALL), **heads},
    )


@pytest.fixture(scope="module", params=[0, 2], ids=["deterministic", "latent"])
def made(request):
    """A model, its rows without targets, and what it draws of them."""
    config = config_of(request.param)
    model = build_model(config, schema_of(config))
    rows = rows_of(config, ROWS)
    target = rows.pop("drawing_target")
    drawing = generating(model)
    return config, model, rows, target, drawing, drawing(rows)["drawing"].numpy()


def test_images_and_their_scores(made):
    config, model, rows, target, drawing, images = made
    assert drawing.input.keys() == rows.keys()
    assert images.shape == (ROWS, 6, 5, 1)
    assert 0 < images.min() < images.max() < 1
    loss, squares, divergence, counted = (
        model(rows | {"drawing_target": target})["drawing"].numpy().T
    )
    assert (counted == 1).all()
    if config.heads["drawing"].latent:
        assert (divergence > 0).all()
        return
    right = target / 255
    # keras clips probabilities, and pixels of 0 and 1 have no entropy
    cross, entropy = (
        keras.losses.BinaryCrossentropy(reduction=None)(
            right.reshape(ROWS, -1), one.reshape(ROWS, -1)
        )
        for one in (images, right)
    )
    np.testing.assert_allclose(loss, cross - entropy, rtol=1e-3)
    np.testing.assert_allclose(squares, ((images - right) ** 2).mean(axis=(1, 2, 3)), rtol=1e-4)
    assert not divergence.any()


def test_a_row_does_not_depend_on_the_rows_beside_it(made):
    _, model, rows, target, drawing, images = made
    whole = rows | {"drawing_target": target}
    scores = model(whole)["drawing"].numpy()
    for row in (0, 17):
        alone = {name: one[[row]] for name, one in whole.items()}
        np.testing.assert_allclose(model(alone)["drawing"][0], scores[row], rtol=1e-4, atol=1e-6)
        del alone["drawing_target"]
        np.testing.assert_allclose(drawing(alone)["drawing"][0], images[row], rtol=1e-4)


def test_a_missing_input_has_no_influence(made):
    config, model, rows, target, drawing, _ = made
    gone = np.arange(ROWS) % 2 == 0
    harmed, other = (without(rows, "note", gone, value) for value in (None, 1))
    np.testing.assert_array_equal(drawing(harmed)["drawing"], drawing(other)["drawing"])
    nothing = without(without(rows, "note", gone), "price", gone)
    mean = images_of(config.heads["drawing"]).array() / 255
    np.testing.assert_allclose(
        drawing(nothing)["drawing"].numpy()[gone], np.broadcast_to(mean, (12, 6, 5, 1)), rtol=1e-6
    )
    scores = model(nothing | {"drawing_target": target})["drawing"].numpy()
    assert not scores[gone].any()
    assert scores[~gone, 3].all()


def test_the_latent_vector():
    """Its divergence and its draws, by hand."""
    scores = ImageScores(PixelDecoder([2, 2, 1], [3]), Posterior(2, [3]), 0.5, "AAAAAA==", seed=3)
    random = np.random.default_rng(0)
    target = random.integers(0, 255, (ROWS, 2, 2, 1), "uint8")
    x = random.normal(size=(ROWS, 3)).astype("float32")
    first = scores(target, x).numpy()
    mean, log_variance = np.split(scores.posterior(target / 255, x).numpy(), 2, axis=1)
    divergence = (mean**2 + np.exp(log_variance) - log_variance - 1).sum(axis=1) / 2
    np.testing.assert_allclose(first[:, 2], divergence, rtol=1e-4)
    # half of it, over four pixels, is a part of the loss
    scores.kl_weight = 0.0
    np.testing.assert_allclose(
        first[:, 0] - scores(target, x).numpy()[:, 0], divergence / 8, rtol=1e-3, atol=1e-6
    )
    # each step of training draws anew, and a call outside of it does not
    steps = [scores(target, x, training=True).numpy()[:, 1] for _ in range(2)]
    assert (np.abs(steps[0] - steps[1]) > 0).mean() > 0.9
    np.testing.assert_array_equal(scores(target, x).numpy()[:, 1], first[:, 1])
    drawn = normal(tf.constant(random.random((2000, 4)), tf.float32)).numpy()
    assert abs(drawn.mean()) < 0.05
    assert abs(drawn.std() - 1) < 0.05


def test_drawn_images_follow_from_the_row_and_its_seed():
    config = config_of(2)
    model = build_model(config, schema_of(config))
    rows = rows_of(config, ROWS)
    del rows["drawing_target"]
    sampler = model.sampling()
    seeds = np.arange(ROWS) - 3
    drawn = sampler(rows | {"seed": seeds})["drawing"].numpy()
    assert drawn.shape == (ROWS, 6, 5, 1)
    again = sampler({name: one[::-1] for name, one in (rows | {"seed": seeds}).items()})["drawing"]
    np.testing.assert_allclose(again.numpy()[::-1], drawn, rtol=1e-5)
    other = sampler(rows | {"seed": seeds + ROWS})["drawing"].numpy()
    assert (np.abs(other - drawn).max(axis=(1, 2, 3)) > 0).all()
    nothing = {name: np.zeros_like(one) for name, one in rows.items()}
    mean = images_of(config.heads["drawing"]).array() / 255
    for image in sampler(nothing | {"seed": seeds})["drawing"].numpy():
        np.testing.assert_allclose(image, mean, rtol=1e-6)
    # an input could have the name of the seed where nothing samples
    inputs = {"seed": NumberInput()}
    assert Config(inputs=inputs, heads={"drawing": ImageHead()}).inputs
    with pytest.raises(ValueError, match="two input keys would be called 'seed'"):
        Config(inputs=inputs, heads={"drawing": ImageHead(latent=2)})


def test_training_and_what_other_heads_get():
    config = config_of(2, label=ClassificationHead())
    schema = schema_of(config)
    model = build_model(config, schema)
    model.compile("adam", **compile_arguments(config, schema))
    assert embeddings(model).output["fused"].shape[0] is None
    assert set(model.without_generated().output) == {"label"}
    assert "drawing_target" not in model.without_generated().input
    # of an image the loss reads what the model's output holds
    losses = compile_arguments(config, schema)["loss"]
    assert losses["drawing"](np.ones((1, 1)), np.array([[0.5, 1, 2, 1]])).numpy() == 0.5
    metrics = compile_arguments(config, schema)["weighted_metrics"]["drawing"]
    assert [one.name for one in metrics] == ["mse", "kl"]


def test_fusions_of_predictions():
    heads = {"drawing": {"type": "image", "height": 4, "width": 4, "filters": [2]}}
    inputs = {"a": NumberInput(), "b": NumberInput()}
    with pytest.raises(ValueError, match="must give a fused vector for the image heads.drawing"):
        Config(inputs=inputs, heads=heads, fusion=DecisionFusion())
    config = Config(inputs=inputs, heads=heads, fusion=HybridFusion())
    model = build_model(config, schema_of(config))
    assert generating(model).output["drawing"].shape == (None, 4, 4, 3)


def test_levels_of_an_image():
    assert sides(5, 4, 2) == [(2, 1), (3, 2), (5, 4)]
    for wrong, message in (
        ({"height": 0}, "greater than 0"),
        ({"channels": 2}, "Input should be 1 or 3"),
        ({"latent": -1}, "greater than or equal to 0"),
        ({"height": 600}, "filters must be enough to double 64 to the 600"),
        ({"height": 4, "width": 2}, "filters must be at most 2, which double 1 to the 4"),
        ({"filters": []}, "at least 1 item"),
    ):
        with pytest.raises(ValueError, match=message):
            ImageHead(**wrong)
    inputs = {"drawing_target": NumberInput()}
    with pytest.raises(ValueError, match="two input keys would be called 'drawing_target'"):
        Config(inputs=inputs, heads={"drawing": ImageHead()})
    with pytest.raises(ValueError, match="lower it, or the size of 'drawing_target'"):
        Config(
            inputs={"a": NumberInput()},
            heads={"drawing": ImageHead(height=16_384, width=16_384, filters=[1] * 8)},
        )


def test_what_is_learned_of_the_targets():
    head = ImageHead(height=2, width=2, filters=[2])
    dark, light = (image_bytes(np.full((2, 2), value, np.uint8)) for value in (10, 21))
    learner = TargetImages(head)
    learner.add(tf.constant([dark, b"", light]))
    found = learner.stats("the head")
    assert (found.rows, found.array().tolist()) == (2, [[[16] * 3] * 2] * 2)
    with pytest.raises(ValueError, match="the head must have an image in some row"):
        TargetImages(head).stats("the head")
    config = Config(inputs={"a": NumberInput()}, heads={"drawing": head})
    check_schema(config, schema_of(config))
    larger = Config(inputs={"a": NumberInput()}, heads={"drawing": ImageHead()})
    with pytest.raises(ValueError, match=r"must be \(2, 2, 3\), which the schema was learned"):
        check_schema(larger, schema_of(config))


def test_cells_of_targets():
    head, photo = ImageHead(), random_image()
    assert read_label(photo, head) == photo
    # a format that the graph does not decode is converted
    tiff = read_label(random_image(kind="TIFF"), head)
    np.testing.assert_array_equal(pixels_of(tiff), pixels_of(photo))
    assert read_label(None, head) is None
    for broken in (photo[:60], "no such file.png", 3.0):
        with pytest.raises(CellError):
            read_label(broken, head)
