"""Trainings with an image head alone: resumed, searched, and without labels."""

import numpy as np
import pandas as pd
import pytest
from media import image_bytes, pixels_of
from same_run import assert_same_run
from test_resume import Stop

import multimodal_tf as mm
from multimodal_tf.training.tune import Choice, Space, tune

pytestmark = pytest.mark.slow

ROWS, SIDE = 64, 8
# the target is the input itself
CONFIG = mm.Config(
    inputs={
        "photo": mm.ImageInput(
            height=SIDE,
            width=SIDE,
            channels=1,
            tower=mm.ConvTower(filters=[8], pooling="flatten", dim=16, dropout=0),
        )
    },
    heads={
        "again": mm.ImageHead(
            column="photo", height=SIDE, width=SIDE, channels=1, filters=[16, 8], latent=2
        )
    },
    fusion=mm.ConcatenationFusion(dropout=0.1),
    training=mm.Training(epochs=12, batch_size=16, learning_rate=0.02, checkpoint_steps=2),
    seed=1,
)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Records of squares, one bright quarter each; a few photos are missing."""
    random = np.random.default_rng(0)
    files, half = [], SIDE // 2
    for quarter in random.integers(0, 4, ROWS):
        pixels = random.integers(0, 30, (SIDE, SIDE, 1), np.uint8)
        top, left = half * (quarter // 2), half * (quarter % 2)
        pixels[top : top + half, left : left + half] += 200
        files.append(image_bytes(pixels[..., 0]))
    table = pd.DataFrame({"photo": files, "note": "a square"}, dtype=object)
    table.loc[::11, "photo"] = None
    folder = tmp_path_factory.mktemp("squares") / "records"
    mm.ingest(mm.read_table(table), CONFIG, folder, processes=1)
    return folder


@pytest.fixture(scope="module")
def schema(records):
    return mm.Schema.load(records / "schema.json")


@pytest.fixture(scope="module")
def run(records, schema, tmp_path_factory):
    """A training that nothing stopped."""
    return mm.fit(CONFIG, schema, records, tmp_path_factory.mktemp("whole") / "run", verbose=0)


def test_features_without_labels(run, records, schema, tmp_path):
    values = {
        name: one.value
        for name, one in mm.evaluate(run, records=records, split="train", resamples=0)
        .heads["again"]
        .metrics.items()
    }
    assert values["mse"] < 0.5 * values["mean_image_mse"]
    client = mm.Client(mm.export_model(run.model, CONFIG, schema, tmp_path / "squares" / "1"))
    pixels = np.zeros((SIDE, SIDE, 1), np.uint8)
    pixels[:4, 4:] = 200
    drawn = pixels_of(client.predict({"photo": image_bytes(pixels[..., 0])})["again"][0])
    means = [drawn[at].mean() for at in np.ndindex(2, 2) for at in [_quarter(*at)]]
    assert int(np.argmax(means)) == 1
    # the same quarter is nearer in the tower's vectors than another one
    near, far = pixels.copy(), pixels[::-1]
    near[:4, 4:] = 180
    vectors = client.embed([{"photo": image_bytes(one[..., 0])} for one in (pixels, near, far)])[
        "photo"
    ]
    assert np.linalg.norm(vectors[0] - vectors[1]) < 0.5 * np.linalg.norm(vectors[0] - vectors[2])


def _quarter(row, column):
    return slice(4 * row, 4 * row + 4), slice(4 * column, 4 * column + 4)


def test_a_stopped_training_resumes_bit_for_bit(run, records, schema, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        mm.fit(CONFIG, schema, records, folder, callbacks=[Stop(7)], verbose=0)
    again = mm.fit(CONFIG, schema, records, folder, callbacks=[Stop()], verbose=0)
    assert_same_run(again, run)


def test_a_search_chooses_by_the_loss(records, tmp_path):
    config = CONFIG.model_copy(
        update={"training": CONFIG.training.model_copy(update={"epochs": 1})}
    )
    space = Space.from_config(config, {"heads.again.latent": Choice([0, 2])})
    found = tune(space, records, tmp_path / "search", trials=2)
    assert found.best.heads["again"].latent in (0, 2)
    assert len(found.table) == 2
    assert np.isfinite(found.score)
