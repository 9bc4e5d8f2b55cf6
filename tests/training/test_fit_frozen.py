"""Training from the outputs of frozen towers that were computed once."""

import frozen_table
import numpy as np
import pytest
from frozen_table import text

from multimodal_tf.config import Training
from multimodal_tf.data.cache import fill
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.evaluation.eval_split import load_eval_split
from multimodal_tf.evaluation.evaluate import evaluate
from multimodal_tf.evaluation.predictor import predictor_of
from multimodal_tf.models.frozen import FrozenInput
from multimodal_tf.training.fit import fit
from multimodal_tf.training.run_dir import load_run

pytestmark = pytest.mark.slow

# Batches of frozen towers have other sizes than those of training, so matrix products round
# differently: the largest difference of a weight after two epochs.
BOUND = 1e-5


@pytest.fixture(scope="module")
def runs(once, pretrained, tmp_path_factory):
    """A run with the cache, one more, and one without; and the cells that each computed."""
    config = frozen_table.config(
        {"title": text(pretrained)}, fusion={"hidden": [8], "modality_dropout": 0.3}
    )
    folder = tmp_path_factory.mktemp("frozen_fit")
    schema = frozen_table.ingested(config, folder / "records")
    found, computed, real = {}, [], fill.Filler._entries

    def entries(self, raw, digests):
        computed.append(len(digests))
        return real(self, raw, digests)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fill.Filler, "_entries", entries)
        for name, cache in (("first", True), ("second", True), ("without", False)):
            before = sum(computed)
            run = fit(config, schema, folder / "records", folder / name, verbose=0, cache=cache)
            found[name] = run, sum(computed) - before
    return found


def test_the_weights_are_those_without_the_cache(runs):
    first, second, without = (runs[name][0] for name in ("first", "second", "without"))
    for one, again, other in zip(
        first.model.get_weights(), second.model.get_weights(), without.model.get_weights()
    ):
        np.testing.assert_array_equal(one, again)
        np.testing.assert_allclose(one, other, rtol=0, atol=BOUND)
    assert first.history == second.history
    for name, values in without.history.items():
        np.testing.assert_allclose(values, first.history[name], atol=BOUND)


def test_a_cell_is_computed_in_the_first_run_alone(runs):
    assert [runs[name][1] > 0 for name in runs] == [True, False, False]


def test_the_saved_model_is_the_whole_one(runs):
    run = runs["first"][0]
    loaded, plain = load_run(run.run_dir).model, runs["without"][0].model
    assert loaded.input.keys() == plain.input.keys()
    for one, other in zip(loaded.get_weights(), run.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # after the training it reads texts again
    records = run.run_dir.parent / "records"
    args = (run.config, run.schema, records)
    with_cache = evaluate(run.model.predict, *args, resamples=0)
    without = evaluate(run.model, *args, resamples=0, cache=False)
    for name, metric in without.heads["label"].metrics.items():
        assert with_cache.heads["label"].metrics[name].value == pytest.approx(
            metric.value, abs=1e-5
        )


def test_frozen_towers_run_once_for_rows_that_are_predicted_repeatedly(runs, monkeypatch):
    run = runs["first"][0]
    predictor = predictor_of(run)
    split, features = load_eval_split(predictor, run.run_dir.parent / "records", "test", "label")
    monkeypatch.setattr(FrozenInput, "__call__", None)
    changed = {"price": split.raw["price"] + 1}
    titles = {"title": np.roll(split.raw["title"], 1)}
    empty = {"title": np.full(len(split.rows), b"", object)}
    for raw, found in (
        ({}, predictor.predict_features(features)),
        (empty, predictor.predict_features(features, ("title",))),
        (changed, predictor.predict_changed(features, changed)),
        (titles, predictor.predict_changed(features, titles)),
    ):
        expected = predictor.predict(split.raw | raw)["label"]
        np.testing.assert_allclose(found["label"], expected, atol=1e-6)


def test_a_report_reads_what_is_kept(runs, monkeypatch):
    run = runs["first"][0]
    args, predictor = (run.run_dir.parent / "records", "validation", "label"), predictor_of(run)
    without, _ = load_eval_split(predictor, *args, cache=False)
    computed, real = [], FrozenInput.__call__

    def counted(self, inputs):
        computed.append(len(inputs["title"]))
        return real(self, inputs)

    monkeypatch.setattr(FrozenInput, "__call__", counted)
    again = predictor_of(run)
    # all rows, and some that are drawn
    found, _ = load_eval_split(again, *args)
    some, _ = load_eval_split(again, *args, max_rows=3)
    # the row without inputs
    assert computed == [1]
    chosen = np.isin(without.rows, some.rows)
    assert chosen.sum() == 3
    for name in ("predictions", "embeddings"):
        assert getattr(without, name)
        for key, expected in getattr(without, name).items():
            np.testing.assert_allclose(getattr(found, name)[key], expected, atol=1e-5)
            np.testing.assert_allclose(getattr(some, name)[key], expected[chosen], atol=1e-5)


def test_there_are_no_epochs_where_a_solved_head_is_all_that_is_trained(runs, pretrained, tmp_path):
    records = runs["first"][0].run_dir.parent / "records"
    only = {"title": text(pretrained)}
    training = Training(epochs=2, batch_size=8)
    config = frozen_table.config({}).model_copy(update={"inputs": only, "training": training})
    schema = schema_for(config, records)
    run = fit(config, schema, records, tmp_path / "run", verbose=0)
    assert (run.record.epochs, run.record.best_epoch, run.history) == (0, 0, {})
    validation = load_split(config, schema, records, "validation")
    loaded = load_run(tmp_path / "run")
    assert loaded.history == {}
    assert loaded.record.status == "finished"
    found = loaded.model.evaluate(validation, verbose=0, return_dict=True)
    assert run.metrics["val_loss"] == pytest.approx(found["loss"], abs=1e-5)
    assert not list((tmp_path / "run").glob("checkpoint*"))
    # with a price, whose Dense layer is trained, there are epochs
    both = config.model_copy(update={"inputs": frozen_table.config(only).inputs})
    other = fit(both, schema_for(both, records), records, tmp_path / "other", verbose=0)
    assert other.record.epochs == 2
