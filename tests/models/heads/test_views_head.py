"""The head `views`: its loss by hand, the copy that follows, one tower, learning, refusals."""

import contract
import keras
import numpy as np
import pytest
from random_rows import targets_of

from multimodal_tf.config import Config, ConvTower, ImageAugmentation, ImageInput, ViewsHead
from multimodal_tf.losses import ViewsLoss
from multimodal_tf.metrics.views import views
from multimodal_tf.models import build_model, compile_arguments, embeddings
from multimodal_tf.models.momentum import MomentumEncoder

SCALE = 5.0


def output(rows=9, seed=0):
    """Vectors of two views with scale and shift, some missing, and cells, some equal."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(rows, 2, 4))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    ends = np.broadcast_to([SCALE, 0.0], (rows, 2, 2))
    found = np.concatenate([vectors, ends], axis=2).astype("float32")
    found[[2, 6]] = 0
    # float32 cannot tell these numbers apart
    cells = 2**60 + random.integers(0, 1 + rows // 2, size=(rows, 1))
    return np.concatenate([cells, cells], axis=1), found


def by_hand(cells, found, queue=0, keys=False):
    """The losses of the rows with loops over views."""
    rows = len(found) - queue
    losses = np.zeros(rows)
    for i in range(rows):
        if not found[i].any():
            continue
        of_views = []
        for side in (0,) if keys else (0, 1):
            others = [
                (j, other)
                for j in range(len(found))
                for other in ((1,) if keys else (0, 1))
                if found[j].any() and (j, other) != (i, side)
            ]
            logits = np.array([SCALE * found[i, side, :4] @ found[j, o, :4] for j, o in others])
            equal = np.array([cells[i, 0] == cells[j, 0] for j, _ in others])
            of_views.append(-(logits - np.log(np.exp(logits).sum()))[equal].mean())
        losses[i] = np.mean(of_views)
    return losses


@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize("queue", [0, 3])
def test_loss_by_hand(queue, keys):
    cells, found = output()
    expected = by_hand(cells, found, queue, keys)
    assert (expected == 0).any()
    assert (expected > 0).any()
    loss = ViewsLoss(queue, keys)
    np.testing.assert_allclose(loss.call(cells, found), expected, rtol=1e-5, atol=1e-6)
    # Keras casts targets to float32, where all these numbers are one
    np.testing.assert_allclose(loss(cells, found), expected.mean(), rtol=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    np.testing.assert_allclose(again(cells, found), expected.mean(), rtol=1e-5)


def test_missing_cells_neither_attract_nor_repel():
    cells, found = output()
    there = found.any(axis=(1, 2))
    whole = ViewsLoss().call(cells, found).numpy()
    np.testing.assert_allclose(
        whole[there], ViewsLoss().call(cells[there], found[there]), rtol=1e-5
    )


def test_retrieval_of_second_views():
    cells, found = output(rows=30)
    metrics = views(cells, found, resamples=10).metrics
    there = np.flatnonzero(found.any(axis=(1, 2)))
    cosines = found[there, 0, :4] @ found[there, 1, :4].T
    best = there[cosines.argmax(axis=1)]
    recall = (cells[best, 0] == cells[there, 0]).mean()
    assert metrics["recall_at_1"].value == pytest.approx(recall)


NONE = ImageAugmentation()


def config_of(augmentation=NONE, **settings):
    tower = ConvTower(filters=[4], dim=6, dropout=0)
    photo = ImageInput(height=8, width=8, channels=1, tower=tower, augmentation=augmentation)
    head = ViewsHead(inputs=["photo"], dim=3, **settings)
    return Config(inputs={"photo": photo, "price": {"type": "number"}}, heads={"v": head})


def compiled(config):
    schema = contract.schema_of(config)
    model = build_model(config, schema)
    model.compile(keras.optimizers.SGD(0.5), **compile_arguments(config, schema))
    return model


def tower_and_projection(model):
    """Weights of the tower and the head by path, without those of the copy."""
    return {
        weight.path: weight.numpy()
        for weight in model.weights
        if weight.path.startswith(("photo", "v_hidden", "v_projection"))
        and not weight.path.endswith("seed_generator_state")
    }


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.75, "queue": 7}], ids=["simclr", "moco"])
def test_a_model_of_two_views(settings, tmp_path):
    """One tower, whose embeddings are those of the cell as it is, also saved and loaded."""
    config = config_of(ImageAugmentation(flip="horizontal", crop=0.2), **settings)
    model, rows = compiled(config), contract.rows_of(config, 9)
    missing = np.arange(9) == 4
    rows = contract.without(rows, "photo", missing)
    found = model(rows)["v"].numpy()
    assert found.shape == (9, 2, 5)
    assert not found[missing].any()
    np.testing.assert_array_equal(model(rows)["v"], found)
    lengths = np.linalg.norm(found[~missing, :, :3], axis=2)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)
    np.testing.assert_allclose(found[~missing, :, 3:], [[[10, 0]] * 2] * 8)
    # the tower reads a view as it reads a cell
    view = model.get_layer("v_view_1")(rows["photo"])
    vector = embeddings(model)(rows | {"photo": view.numpy()})["photo"]
    projected = model.get_layer("v_projection")(model.get_layer("v_hidden")(vector)).numpy()
    projected = projected[~missing] / np.linalg.norm(projected[~missing], axis=1, keepdims=True)
    np.testing.assert_allclose(projected, found[~missing, 0, :3], rtol=1e-3, atol=1e-5)
    trainable = {weight.path for weight in model.trainable_weights}
    assert trainable == {path for path in tower_and_projection(model) if "moving" not in path}, (
        "not the temperature, nor the copy"
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(rows)["v"], found, atol=1e-6)
    assert len(loaded.trainable_weights) == len(trainable)
    targets = targets_of(config, 9)
    for one in (model, loaded):
        one.compile(
            keras.optimizers.SGD(0.5), **compile_arguments(config, contract.schema_of(config))
        )
        one.fit(rows, targets, batch_size=9, verbose=0)
    after = tower_and_projection(loaded)
    # moving averages go over the calls of the tower in another order
    for path in trainable:
        np.testing.assert_allclose(after[path], tower_and_projection(model)[path], atol=1e-6)


def test_the_copy_follows_by_the_momentum():
    """First it becomes equal, whatever the towers began with; then it moves by a quarter."""
    config = config_of(momentum=0.75)
    model, rows = compiled(config), contract.rows_of(config, 8)
    (copy,) = (layer for layer in model.layers if isinstance(layer, MomentumEncoder))
    model.trainable = True
    assert not copy.trainable_weights
    for weight in model.trainable_weights:
        # as weights of another run do
        weight.assign_add(np.full(weight.shape, 0.1))

    def followed():
        kernels = [model.get_layer(name).kernel for name in ("photo_conv_1", "v_projection")]
        own = [copy.network.get_layer(n).kernel for n in ("photo_conv_1", "v_projection")]
        return [one.numpy() for one in kernels], [one.numpy() for one in own]

    expected, _ = followed()
    for step in range(3):
        now = followed()[0]
        if step:
            expected = [0.75 * one + 0.25 * other for one, other in zip(expected, now)]
        model.train_on_batch(rows, targets_of(config, 8))
        for one, other in zip(expected, followed()[1]):
            np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
    assert copy.steps == 3


@pytest.mark.slow
def test_views_of_other_cells_move_apart():
    config = config_of(ImageAugmentation(crop=0.2))
    model, rows = compiled(config), contract.rows_of(config, 32)
    blocks = np.random.default_rng(0).random((32, 2, 2))
    rows["photo"] = np.kron(blocks, np.ones((4, 4)))[..., None].astype("float32")
    targets = targets_of(config, 32)
    history = model.fit(rows, targets, epochs=40, batch_size=32, verbose=0).history
    # a guess among 63 views
    assert np.mean(history["loss"][-5:]) < np.log(63) - 0.1 < history["loss"][0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inputs": ["price"]}, "'price' must be an image, a sound or a text, .* received number"),
        ({"temperature": 0}, r"temperature: .* greater than or equal to 0\.01"),
        ({"momentum": 1}, "momentum: .* less than 1"),
        ({"queue": -1}, "queue: .* greater than or equal to 0"),
        ({"inputs": ["photo", "price"]}, "inputs: .* at most 1 item"),
    ],
)
def test_refused_heads(settings, message):
    head = {"type": "views", "inputs": ["photo"]} | settings
    with pytest.raises(ValueError, match=message):
        Config(inputs=config_of().inputs, heads={"v": head})


def test_text_without_tokens_is_refused():
    text = {
        "type": "text",
        "tokenizer": {"type": "none"},
        "tower": {"type": "saved_model", "path": "x"},
    }
    with pytest.raises(ValueError, match="'title' must be a text with tokens"):
        Config(inputs={"title": text}, heads={"v": ViewsHead(inputs=["title"])})
