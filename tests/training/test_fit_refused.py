"""What `fit` refuses before it decodes any data."""

import keras
import pytest
from small_table import CONFIG

from multimodal_tf.config import Config
from multimodal_tf.data import atomic
from multimodal_tf.training.fit import fit


@pytest.fixture(autouse=True)
def _no_training(monkeypatch):
    """Fails if data are decoded before the error."""

    def too_late(*_, **__):
        pytest.fail("data were read before the error")

    monkeypatch.setattr("multimodal_tf.training.batches.open_split", too_late)


REFUSED = {
    "an input that was not ingested": (
        {"inputs": {"photo": {"type": "image"}}},
        r"inputs\.photo: .* was ingested without it, with \['colour', 'price', 'title'\]: "
        r"ingest the table again",
    ),
    "a head that was not ingested": (
        {"heads": {"kind": {"type": "regression"}}},
        r"heads\.kind: .* was ingested without it",
    ),
    "an input ingested as another type": (
        {"inputs": {"price": {"type": "text"}}},
        r"inputs\.price: .*'number'.*received .*'text'",
    ),
    "another column": (
        {"inputs": {"price": {"type": "number", "column": "colour"}}},
        r"inputs\.price: .*received .*'colour'",
    ),
    "another split": ({"split": {"validation": 0.3}}, "split: .* was ingested with column='split'"),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_other_settings_than_ingest_had_are_refused(mistake, small_schema, small_records, tmp_path):
    fields, message = REFUSED[mistake]
    with pytest.raises(ValueError, match=message):
        fit(
            Config.model_validate(CONFIG.model_dump() | fields),
            small_schema,
            small_records,
            tmp_path / "never",
            verbose=0,
        )
    assert not (tmp_path / "never").exists()


def test_a_schema_of_another_table_is_refused(small_schema, small_records, tmp_path):
    other = small_schema.model_copy(update={"inputs": {}})
    with pytest.raises(
        ValueError,
        match=r"inputs\.title: the schema must hold vocabulary for a text, received nothing",
    ):
        fit(CONFIG, other, small_records, tmp_path / "never", verbose=0)


def test_records_of_another_version_are_refused(small_schema, small_records, tmp_path, monkeypatch):
    monkeypatch.setattr("multimodal_tf.data.ingest.record_settings._FORMAT", -1)
    with pytest.raises(
        ValueError, match="was ingested by another version of multimodal_tf: ingest the table again"
    ):
        fit(CONFIG, small_schema, small_records, tmp_path / "never", verbose=0)


def test_folders_that_cannot_hold_a_run(small_schema, small_records, tmp_path):
    with pytest.raises(FileNotFoundError, match="ingest a table there first"):
        fit(CONFIG, small_schema, tmp_path / "nowhere", tmp_path / "never", verbose=0)
    with pytest.raises(
        ValueError,
        match="needs a new or empty directory, or one of an earlier run, received .* with "
        "'config.yaml' in it",
    ):
        fit(CONFIG, small_schema, small_records, small_records, verbose=0)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match="file is a file"):
        fit(CONFIG, small_schema, small_records, tmp_path / "file", verbose=0)
    with (
        atomic.locked(tmp_path / "busy"),
        pytest.raises(OSError, match="another process is writing into"),
    ):
        fit(CONFIG, small_schema, small_records, tmp_path / "busy", verbose=0)


@pytest.mark.parametrize(
    ("callback", "said"),
    [
        (keras.callbacks.ReduceLROnPlateau(), r"training\.schedule .* received ReduceLROnPlateau"),
        (
            keras.callbacks.LearningRateScheduler(float),
            r"training\.schedule .* received LearningRateScheduler",
        ),
        (keras.callbacks.SwapEMAWeights(), r"set training\.ema.* received SwapEMAWeights"),
    ],
)
def test_callbacks_that_the_optimizer_of_a_run_refuses(
    callback, said, small_schema, small_records, tmp_path
):
    with pytest.raises(ValueError, match=f"callbacks: .*{said}"):
        fit(CONFIG, small_schema, small_records, tmp_path / "run", callbacks=[callback])
    assert not (tmp_path / "run").exists()
