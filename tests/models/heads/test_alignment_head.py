"""The head `alignment`: losses by hand, missing inputs, equal cells, training, refused settings."""

import itertools

import contract
import keras
import numpy as np
import pytest
import tensorflow as tf
from all_heads import INPUTS

from multimodal_tf.config import AlignmentHead, Config, DenseTower, VectorInput
from multimodal_tf.losses import ContrastiveLoss, PairedDistance, PairwiseSigmoidLoss
from multimodal_tf.metrics.alignment import alignment
from multimodal_tf.models import build_model, compile_arguments, embeddings, heads

SCALE, SHIFT = 4.0, -1.0
LOSSES = {
    "infonce": ContrastiveLoss(),
    "sigmoid": PairwiseSigmoidLoss(),
    "distance": PairedDistance(),
}


def output(rows=9, inputs=3, missing=0.3, seed=0):
    """What the head gives for random vectors, and numbers of cells of which some are equal."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(rows, inputs, 5))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    ends = np.broadcast_to([SCALE, SHIFT], (rows, inputs, 2))
    found = np.concatenate([vectors, ends], axis=2).astype("float32")
    found[random.random((rows, inputs)) < missing] = 0
    # float32 cannot tell these numbers apart
    cells = 2**60 + random.integers(0, 1 + rows // 2, size=(rows, inputs))
    return cells, found


def by_hand(kind, cells, found):
    """The losses of the rows with loops over rows and pairs of inputs."""
    vectors, present = found[:, :, :-2].astype(float), found[:, :, -2] > 0
    rows, inputs = present.shape
    losses = np.zeros(rows)
    for i in range(rows):
        of_pairs = []
        for a, b in itertools.permutations(range(inputs), 2):
            others = [j for j in range(rows) if present[j, a] and present[j, b]]
            if i not in others:
                continue
            equal = np.array(
                [cells[i, a] == cells[j, a] or cells[i, b] == cells[j, b] for j in others]
            )
            logits = np.array([SCALE * vectors[i, a] @ vectors[j, b] + SHIFT for j in others])
            if kind == "infonce":
                of_pairs.append(-(logits - np.log(np.exp(logits).sum()))[equal].mean())
            elif kind == "sigmoid":
                of_pairs.append(np.log1p(np.exp(np.where(equal, -logits, logits))).sum())
            else:
                of_pairs.append(((vectors[i, a] - vectors[i, b]) ** 2).sum())
        losses[i] = np.mean(of_pairs) if of_pairs else 0
    return losses


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("inputs", [2, 3])
def test_losses_by_hand(kind, inputs):
    cells, found = output(inputs=inputs)
    expected = by_hand(kind, cells, found)
    assert (expected == 0).any(), "a row without a pair"
    assert (expected > 0).any()
    np.testing.assert_allclose(LOSSES[kind].call(cells, found), expected, rtol=1e-4, atol=1e-6)
    # Keras casts targets to float32, where all these numbers are one
    np.testing.assert_allclose(LOSSES[kind](cells, found), expected.mean(), rtol=1e-4)


@pytest.mark.parametrize("kind", LOSSES)
def test_missing_inputs_neither_attract_nor_repel(kind):
    cells, found = output(rows=8, inputs=2, missing=0)
    lacking = found.copy()
    lacking[[2, 5], [0, 1]] = 0
    kept = [0, 1, 3, 4, 6, 7]
    with tf.GradientTape() as tape:
        x = tf.constant(lacking)
        tape.watch(x)
        losses = LOSSES[kind].call(cells, x)
    np.testing.assert_allclose(
        np.array(losses)[kept], LOSSES[kind].call(cells[kept], found[kept]), rtol=1e-5
    )
    assert not np.array(losses)[[2, 5]].any()
    gradient = tape.gradient(losses, x).numpy()
    assert np.isfinite(gradient).all()
    assert not gradient[[2, 5]].any()


@pytest.mark.parametrize("kind", ["infonce", "sigmoid"])
def test_a_queue_is_rows_without_a_loss_of_their_own(kind):
    cells, found = output(rows=9, inputs=2)
    with_queue = type(LOSSES[kind])(queue=4)
    assert with_queue.get_config()["queue"] == 4
    losses = with_queue.call(cells, found)
    assert losses.shape == (5,)
    np.testing.assert_allclose(losses, LOSSES[kind].call(cells, found)[:5], rtol=1e-5)


def test_a_model_keeps_the_rows_of_batches_before(tmp_path):
    """Each step's loss is that of the batch among itself and the vectors of earlier steps."""
    head = AlignmentHead(inputs=["price", "weight"], dim=4, queue=5)
    config = Config(inputs=INPUTS, heads={"space": head})
    model = build_model(config, contract.schema_of(config))
    model.compile(
        keras.optimizers.SGD(0.1),
        run_eagerly=True,
        **compile_arguments(config, contract.schema_of(config)),
    )
    rows = contract.rows_of(config, 8)
    cells = 2**60 + np.array([[0, 1], [2, 3], [4, 5], [6, 7], [0, 9], [8, 3], [10, 11], [12, 13]])
    seen = np.zeros((0, 2, 6), "float32")
    for start in (0, 4):
        batch = {name: values[start : start + 4] for name, values in rows.items()}
        found = model(batch)["space"].numpy()
        queue = np.concatenate([seen, np.zeros((5 - len(seen), 2, 6), "float32")])
        numbers = np.concatenate([cells[start : start + 4], cells[:5]])
        expected = np.mean(ContrastiveLoss(5).call(numbers, np.concatenate([found, queue])))
        loss = model.train_on_batch(batch, {"space": cells[start : start + 4]}, return_dict=True)
        model.reset_metrics()
        assert loss["loss"] == pytest.approx(expected, rel=1e-5)
        seen = np.concatenate([found, seen])
    layer = model.get_layer("space")
    np.testing.assert_allclose(layer.queued, seen[:5], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(layer.queued_cells, [*cells[4:], cells[0]])
    assert not {"queued", "queued_cells"} & {weight.name for weight in model.trainable_weights}
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").get_layer("space")
    np.testing.assert_array_equal(again.queued, layer.queued)
    np.testing.assert_array_equal(again.queued_cells, layer.queued_cells)


@pytest.mark.parametrize("kind", LOSSES)
def test_no_rows_one_row_and_round_trip(kind):
    cells, found = output(rows=1, missing=0)
    assert np.isfinite(LOSSES[kind].call(cells, found)).all()
    assert LOSSES[kind].call(cells[:0], found[:0]).shape == (0,)
    copy = keras.losses.deserialize(keras.losses.serialize(LOSSES[kind]))
    assert type(copy) is type(LOSSES[kind])
    assert copy.get_config() == LOSSES[kind].get_config()


def test_recall_in_a_batch_by_hand():
    vectors = np.zeros((3, 2, 4), "float32")
    # the third row lacks an input; each of the others' first is nearest to row 0's second
    vectors[0, :, :3] = [[1, 0, SCALE], [1, 0, SCALE]]
    vectors[1, :, :3] = [[0.9, 0.1, SCALE], [0, 1, SCALE]]
    metric = heads.metrics(AlignmentHead(inputs=["a", "b"]))[0]
    metric.update_state(np.array([[0, 0], [1, 1], [2, 2]]), vectors, np.ones(3))
    np.testing.assert_allclose(metric.result(), (1 + 0.5) / 2)
    metric.reset_state()
    # equal cells are right as well
    metric.update_state(np.array([[0, 5], [1, 5], [2, 2]]), vectors, np.ones(3))
    np.testing.assert_allclose(metric.result(), 1)


def test_recall_of_vectors_that_are_all_equal_is_chance():
    vectors = np.ones((4, 2, 4), "float32")
    metric = heads.metrics(AlignmentHead(inputs=["a", "b"]))[0]
    metric.update_state(np.arange(8).reshape(4, 2), vectors)
    np.testing.assert_allclose(metric.result(), 1 / 4)
    metric.reset_state()
    metric.update_state(np.zeros((0, 2), int), vectors[:0])
    assert metric.result() == 0


def test_mean_cosine_of_the_distance_head():
    cells, found = output(rows=9, inputs=2)
    metric = heads.metrics(AlignmentHead(inputs=["a", "b"], loss="distance"))[0]
    metric.update_state(cells, found)
    both = (found[:, :, -2] > 0).all(axis=1)
    expected = (found[both, 0, :-2] * found[both, 1, :-2]).sum(axis=1).mean()
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-5)


def test_metrics_on_arrays_count_duplicates_and_leave_missing_out():
    cells, found = output(rows=30, inputs=2, missing=0.2, seed=3)
    cells = np.arange(60).reshape(30, 2)
    found[:, 1] = np.where(found[:, 1, -2:-1] > 0, found[:, 0], found[:, 1])
    head = alignment(cells, found, ["photo", "title"], resamples=20)
    both = (found[:, :, -2] > 0).all(axis=1).sum()
    recall = head.metrics["photo_to_title_recall_at_1"]
    assert (recall.value, recall.n, head.n) == (1.0, both, both)
    assert head.metrics["title_to_photo_median_rank"].value == 1
    assert recall.low is not None
    # two rows with one title: either is right for both
    found[1], found[0, 1], cells[1, 1] = found[0], found[0, 0], cells[0, 1]
    again = alignment(cells, found, ["photo", "title"], resamples=0)
    assert again.metrics["photo_to_title_recall_at_1"].value == 1
    few = alignment(cells[:3], found[:3], ["photo", "title"], resamples=0)
    assert few.metrics["photo_to_title_recall_at_5"].value is None
    assert "rows have both" in few.metrics["photo_to_title_recall_at_5"].reason


def test_training_brings_a_rows_inputs_together():
    """One model with a head of each loss, in eager steps: tracing would take longer."""
    towers = {side: VectorInput(dim=8, tower=DenseTower(dim=16)) for side in "ab"}
    spaces = {loss: AlignmentHead(inputs=["a", "b"], dim=8, loss=loss) for loss in LOSSES}
    config = Config(inputs=towers, heads=spaces)
    model = build_model(config, contract.schema_of(config))
    vectors = np.random.default_rng(0).normal(5, 2, size=(64, 8)).astype("float32")
    rows = {"a": vectors, "b": vectors[:, ::-1]}
    rows |= {f"{name}_present": np.ones(64, "float32") for name in towers}
    cells, optimizer = np.arange(128).reshape(64, 2) + 2**60, keras.optimizers.Adam(0.02)
    history = []
    for _ in range(12):
        with tf.GradientTape() as tape:
            outputs = model(rows, training=True)
            losses = [heads.loss(head, None)(cells, outputs[name]) for name, head in spaces.items()]
            total = tf.add_n(losses)
        optimizer.apply(tape.gradient(total, model.trainable_weights), model.trainable_weights)
        history.append([float(one) for one in losses])
    assert (np.array(history[-1]) < np.array(history[0]) / 1.3).all(), history
    for loss in ("infonce", "sigmoid"):
        learned = float(model.get_layer(loss).log_scale)
        assert learned != pytest.approx(-np.log(spaces[loss].initial_temperature), abs=1e-3)
    assert float(model.get_layer("sigmoid").shift) != -10


def test_vectors_are_embeddings_of_length_1_and_zeros_where_missing():
    head = AlignmentHead(inputs=["price", "weight"], dim=4)
    config = Config(inputs=INPUTS, heads={"space": head})
    model = build_model(config, contract.schema_of(config))
    rows = contract.without(contract.rows_of(config, 3), "price", np.array([True, False, False]))
    vectors, whole = embeddings(model)(rows), model(rows)["space"].numpy()
    np.testing.assert_allclose(vectors["space_aligned_weight"], whole[:, 1, :4])
    lengths = np.linalg.norm(vectors["space_aligned_price"], axis=1)
    np.testing.assert_allclose(lengths, [0, 1, 1], rtol=1e-5)
    assert not whole[0, 0].any()
    np.testing.assert_allclose(whole[0, 1, 4:], [1 / 0.07, 0], rtol=1e-5)


def test_the_scale_stays_at_most_100():
    head = AlignmentHead(inputs=["price", "weight"], temperature=0.01)
    config = Config(inputs=INPUTS, heads={"space": head})
    layer = build_model(config, contract.schema_of(config)).get_layer("space")
    constraint = layer.log_scale.constraint
    assert float(np.exp(constraint(np.float32(9)))) == pytest.approx(100)
    assert float(constraint(np.float32(1))) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inputs": ["price"]}, r"heads\.h\.inputs: .* at least 2 items .*received \['price'\]"),
        ({"inputs": ["price", "price"]}, r"heads\.h\.inputs: must name each input once"),
        ({"inputs": ["price", "photo"]}, r"heads\.h\.inputs: must name inputs .*'photo'"),
        ({"temperature": 0}, r"heads\.h\.temperature: .* greater than or equal to 0\.01, rec.* 0"),
        ({"temperature": "inf"}, r"heads\.h\.temperature: .*finite number"),
        ({"queue": -1}, r"heads\.h\.queue: .*greater than or equal to 0, received -1"),
        ({"loss": "distance", "queue": 8}, r"queue needs the loss infonce or sigmoid, received 8"),
        ({"loss": "distance", "temperature": 1}, r"temperature needs the loss .*received 1\.0"),
        ({"loss": "cosine"}, r"heads\.h\.loss: .*'cosine'"),
        ({"column": "x"}, r"heads\.h\.column: Extra inputs are not permitted"),
    ],
)
def test_refused_settings(fields, message):
    head = {"type": "alignment", "inputs": ["price", "weight"]} | fields
    with pytest.raises(ValueError, match=message):
        Config(inputs=INPUTS, heads={"h": head})
