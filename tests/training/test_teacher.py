"""A teacher: its predictions beside the labels, kept, in every training."""

import json
import shutil

import keras
import numpy as np
import pytest
import small_table
import tensorflow as tf
from small_table import with_parts

from multimodal_tf.config import Config, EmbeddingHead, Training
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_raw, load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.serving.export import export_ensemble
from multimodal_tf.training.cross_validation import cross_validate
from multimodal_tf.training.fit import fit
from multimodal_tf.training.reproduce import prepare
from multimodal_tf.training.run_dir import load_run
from multimodal_tf.training.teacher import find_lessons
from multimodal_tf.training.teacher import model as teacher_model
from multimodal_tf.training.tune import Choice, Space, tune

HEADS = ("label", "tags", "age")


def student(teacher, inputs=("price",), heads=HEADS, **fields):
    """A small model with a teacher."""
    teacher = teacher if isinstance(teacher, dict) else {"model": str(teacher)}
    training = {"training": Training(epochs=2, batch_size=8, patience=None)}
    return with_parts(inputs, heads, teacher=teacher, **training | fields)


@pytest.fixture(scope="module")
def records(tmp_path_factory, small_records):
    """Records of this module's own, since the cache lies beside them."""
    folder = tmp_path_factory.mktemp("taught") / "records"
    shutil.copytree(small_records, folder)
    return folder


@pytest.fixture(scope="module")
def runs(small_run, records, tmp_path_factory):
    """Students of `small_run`: one, another whose teacher was asked before, and one without cache;
    and how many batches the teacher predicted for each."""
    folder, found, real = tmp_path_factory.mktemp("students"), {}, teacher_model.TeacherModel
    asked = []

    class Counted(real):
        def __call__(self, raw):
            asked.append(1)
            return super().__call__(raw)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("multimodal_tf.training.teacher.lessons.TeacherModel", Counted)
        config = student(small_run)
        schema = schema_for(config, records)
        for name, cache in (("first", True), ("second", True), ("without", False)):
            asked.clear()
            run = fit(config, schema, records, folder / name, verbose=0, cache=cache)
            found[name] = run, len(asked)
    return found


@pytest.mark.slow
def test_a_row_is_predicted_once(runs):
    assert [asked > 0 for _, asked in runs.values()] == [True, False, True]
    first, second, without = (run for run, _ in runs.values())
    assert first.history == second.history == without.history
    for one, *others in zip(*(run.model.get_weights() for run in (first, second, without))):
        for other in others:
            np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_the_run_names_its_teacher_by_digest(runs, small_run):
    record = json.loads((runs["first"][0].run_dir / "run.json").read_text())
    assert list(record["teachers"]) == [str(small_run)]
    assert len(record["teachers"][str(small_run)]) == 64


@pytest.mark.slow
def test_the_saved_model_evaluates_labels_alone(runs, records):
    run = load_run(runs["first"][0].run_dir)
    found = run.model.evaluate(
        load_split(run.config, run.schema, records, "validation"), verbose=0, return_dict=True
    )
    for name in ("label_accuracy", "tags_accuracy", "age_mae"):
        assert found[name] == pytest.approx(run.metrics[f"val_{name}"], rel=1e-5)


def predictions(run, raw):
    """What `load_run` predicts of raw cells, by head."""
    from multimodal_tf.data.preprocessor import Preprocessor

    preprocessor = Preprocessor(run.config, run.schema)
    inputs = preprocessor.model_inputs(preprocessor.features(raw)[0])
    return run.model.predict_on_batch(inputs)


def test_the_teachers_predictions_are_its_own_for_the_row(small_run, records):
    run = load_run(small_run)
    config = student(small_run)
    lessons = find_lessons(config, schema_for(config, records), records)
    with lessons.taught(records, True, False) as taught:
        for split in ("train", "validation"):
            rows = Manifest.load(records).rows(split)
            [(_, raw, _)] = load_raw(run.config, records, split, rows)
            wanted = predictions(run, raw)
            joined = taught.joiner(split, in_memory=False)
            labels = {name: tf.zeros([rows, 3 if name == "tags" else 1]) for name in HEADS}
            weights = {name: tf.zeros([rows]) for name in HEADS}
            targets, ones = joined(tf.range(rows, dtype=tf.int64), labels, weights)
            for name in HEADS:
                found, teaches = taught.predictions(split, name)
                assert teaches.all()
                np.testing.assert_allclose(found, wanted[name], rtol=1e-4, atol=1e-5)
                width = labels[name].shape[1]
                np.testing.assert_array_equal(targets[name][:, width + 2 :], found)
                np.testing.assert_array_equal(targets[name][:, width + 1], 1)
                np.testing.assert_array_equal(ones[name], 1)


@pytest.mark.slow
def test_rows_without_labels_are_taught(small_run, tmp_path):
    """No label but one a class: what the student learns comes from the teacher."""
    frame = small_table.frame()
    known = frame["label"].notna() & (frame["split"] == "train")
    kept = frame[known].groupby("label").head(1).index
    frame.loc[(frame["split"] == "train") & ~frame.index.isin(kept), "label"] = None
    config = student(
        {"model": str(small_run), "weight": 4, "temperature": 1},
        inputs=("title",),
        heads=("label",),
        training=Training(epochs=12, batch_size=8, patience=None, learning_rate=0.03),
    )
    manifest = ingest(read_table(frame), config, tmp_path / "records", processes=1)
    assert manifest.rows("train") == 40
    # the inputs that the teacher alone reads are there, too
    ingested = Config.load(tmp_path / "records" / "config.yaml")
    assert list(ingested.teacher.inputs) == ["price", "colour"]
    assert list(ingested.inputs) == ["title"]
    schema = schema_for(ingested, tmp_path / "records")
    run = fit(config, schema, tmp_path / "records", tmp_path / "run", verbose=0)
    teacher = load_run(small_run)
    [(_, raw, _)] = load_raw(teacher.config, tmp_path / "records", "train", 40)
    wanted, found = predictions(teacher, raw)["label"], predictions(run, raw)["label"]
    seen = raw["title"].numpy() != b""
    agreed = (wanted.argmax(1) == found.argmax(1))[seen]
    assert agreed.mean() > 0.9


class Killed(BaseException):  # noqa: N818  nothing may catch it
    pass


class Kill(keras.callbacks.Callback):
    """Ends the training after some steps."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise Killed

    def get_state(self):
        return {}

    def set_state(self, state):
        pass


@pytest.mark.slow
def test_a_killed_training_resumes_with_the_same_teacher(runs, records, tmp_path, small_run):
    """Also with the weights of losses learned."""
    fields = {"loss_weighting": {"type": "uncertainty"}}
    config = student(small_run, **fields)
    config.training.checkpoint_steps = 2
    schema = schema_for(config, records)
    whole = fit(config, schema, records, tmp_path / "whole", [Kill(1000)], verbose=0)
    with pytest.raises(Killed):
        fit(config, schema, records, tmp_path / "killed", [Kill(8)], verbose=0)
    other = student(runs["first"][0].run_dir, **fields)
    with pytest.raises(ValueError, match="configuration.teacher.model"):
        fit(other, schema, records, tmp_path / "killed", [Kill(1000)], verbose=0)
    resumed = fit(config, schema, records, tmp_path / "killed", [Kill(1000)], verbose=0)
    assert resumed.record.resumed == 1
    for one, two in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.slow
def test_folds_are_taught(small_run, tmp_path):
    config = student(small_run, inputs=("title",), heads=("label",))
    table = read_table(small_table.frame(test=2))
    found = cross_validate(config, table, tmp_path / "cv", 2)
    assert found.folds == 2
    for run in ("0-0", "0-1"):
        record = json.loads((tmp_path / "cv" / "runs" / run / "run.json").read_text())
        assert list(record["teachers"]) == [str(small_run)]
    assert len(list((tmp_path / "cv" / "cache").glob("teacher-*"))) == 1


@pytest.mark.slow
def test_replicas_learn_what_one_device_does(small_run, records, tmp_path, new_process):
    """The last batch has 4 rows of 12."""
    config = student(small_run, fusion={"hidden": [8], "dropout": 0})
    config.training.optimizer, config.training.batch_size = "sgd", 12
    config.save(tmp_path / "config.yaml")
    printed = new_process(REPLICAS, tmp_path, records)
    assert float(printed.split()[-1]) < 1e-5


REPLICAS = """
import pathlib, sys
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from multimodal_tf.config import Config
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.training.fit import fit
folder, records = map(pathlib.Path, sys.argv[1:])
config = Config.load(folder / "config.yaml")
weights = [
    fit(config, schema_for(config, records), records, folder / name, verbose=0, strategy=name)
    .model.get_weights()
    for name in ("none", "mirrored")
]
print(max(np.abs(one - two).max() for one, two in zip(*weights)))
"""


@pytest.mark.slow
def test_several_teachers_are_averaged(runs, records, small_run):
    other = str(runs["first"][0].run_dir)
    both = student({"model": [str(small_run), other], "heads": ["label"]})
    schema = schema_for(both, records)
    found = []
    for config in (student(small_run), student(other), both):
        with find_lessons(config, schema, records).taught(records, True, False) as taught:
            found.append(taught.predictions("train", "label"))
    (one, _), (two, seen), (mean, known) = found
    # the second teacher reads the price alone: rows without it are taught by the first one
    assert 0 < seen.sum() < len(seen)
    assert known.all()
    wanted = np.where(seen[:, None], (one + two) / 2, one)
    np.testing.assert_allclose(mean, wanted, rtol=1e-5)


@pytest.mark.slow
def test_an_embedding_is_taught_by_a_vector(small_run, records, tmp_path):
    config = Config(
        inputs={name: small_table.CONFIG.inputs[name] for name in ("price", "title")},
        heads={"vector": EmbeddingHead()},
        fusion={"hidden": [8], "dropout": 0},
        split=small_table.CONFIG.split,
        training=Training(epochs=8, batch_size=8, patience=None, learning_rate=0.03),
        teacher={"model": str(small_run), "heads": {"vector": "fused"}},
    )
    run = fit(config, schema_for(config, records), records, tmp_path / "run", verbose=0)
    assert run.history["loss"][-1] < run.history["loss"][0] - 0.02


@pytest.mark.slow
def test_an_exported_ensemble_teaches_as_its_runs_do(small_run, records, tmp_path):
    """A SavedModel: of the same run twice it predicts what the run does."""
    path = export_ensemble([load_run(small_run)] * 2, tmp_path / "1")
    found = []
    for model in (small_run, path):
        config = student(model)
        with find_lessons(config, schema_for(config, records), records).taught(
            records, False, False
        ) as taught:
            found.append({name: taught.predictions("validation", name) for name in HEADS})
    for name in HEADS:
        np.testing.assert_allclose(found[0][name][0], found[1][name][0], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(found[0][name][1], found[1][name][1])


@pytest.mark.slow
def test_trials_of_a_search_share_the_predictions(small_run, records, tmp_path):
    config = student(small_run, heads=("label",), training=Training(epochs=1, batch_size=20))
    space = Space.from_config(config, {"teacher.weight": Choice([0.5, 2.0])})
    search = tune(space, records, tmp_path / "search", trials=2, tuner="random")
    assert search is not None
    best = Config.load(tmp_path / "search" / "best.yaml")
    assert best.teacher.weight in (0.5, 2.0)
    assert best.teacher.model == str(small_run)
    missing = Space.from_config(student("nowhere"), {"teacher.weight": Choice([0.5, 2.0])})
    with pytest.raises(ValueError, match="folder of a finished run"):
        tune(missing, records, tmp_path / "other", trials=2)


@pytest.mark.slow
def test_a_run_is_reproduced_with_the_same_teacher(runs, tmp_path, small_run):
    record = json.loads((runs["first"][0].run_dir / "run.json").read_text())
    record["teachers"][str(small_run)] = "0" * 64
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="the one that taught the run .SHA-256 000000000000"):
        prepare(tmp_path / "run.json")
