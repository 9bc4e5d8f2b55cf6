"""A run that has only the head `views`: resumed, evaluated, continued with labels, refused."""

import keras
import numpy as np
import pandas as pd
import pytest
from same_run import assert_same_run

from multimodal_tf.config import Config
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation.evaluate import evaluate
from multimodal_tf.models import compile_arguments
from multimodal_tf.serving.export import export_model
from multimodal_tf.training.fit import fit
from multimodal_tf.training.peft import replace_heads

COLOURS = ["red", "green", "blue", "grey", "pink"]
ROWS = 32


class _Stop(keras.callbacks.Callback):
    """Ends the training as a crash would, after `at` steps; None: never."""

    def __init__(self, at=None):
        super().__init__()
        self.at, self.steps = at, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == self.at:
            raise KeyboardInterrupt


def config_of(heads):
    return Config(
        inputs={"title": {"type": "text", "max_tokens": 6, "tower": {"type": "bag", "dim": 4}}},
        heads=heads,
        split={"column": "part"},
        training={"epochs": 3, "batch_size": 8, "checkpoint_steps": 1},
    )


VIEWS = {"type": "views", "inputs": ["title"], "dim": 4, "momentum": 0.5, "queue": 12}
LABEL = config_of({"hue": {"type": "classification"}})


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    random, folder = np.random.default_rng(0), tmp_path_factory.mktemp("views")
    titles = [" ".join(random.choice(COLOURS, 4)) for _ in range(ROWS)]
    titles[3] = None
    parts = ["train"] * 24 + ["validation"] * 8
    hues = random.choice(["warm", "cold"], ROWS)
    table = pd.DataFrame({"title": titles, "hue": hues, "part": parts})
    ingest(read_table(table), LABEL, folder)
    return folder


def test_a_queue_longer_than_the_data_is_refused_before_anything_is_written(records, tmp_path):
    config = config_of({"same": VIEWS | {"queue": 25}})
    with pytest.raises(ValueError, match=r"heads\.same\.queue must be at most the 23 .* 25"):
        fit(config, fit_schema(config, records), records, tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_retrieval_of_views_chooses_the_epoch_where_it_is_asked_for(records, tmp_path):
    config = config_of({"same": VIEWS | {"momentum": 0, "queue": 0}})
    monitor = "val_same_recall_at_1"
    training = config.training.model_copy(update={"monitor": monitor})
    config = config.model_copy(update={"training": training})
    run = fit(config, fit_schema(config, records), records, tmp_path, verbose=0)
    history = run.history[monitor]
    assert run.record.best_epoch == np.argmax(history) + 1
    assert all(0 <= one <= 1 for one in history)


@pytest.mark.slow
def test_a_run_of_views_resumes_bit_exactly_and_is_continued_with_labels(records, tmp_path):
    config = config_of({"same": VIEWS})
    schema = fit_schema(config, records)
    whole = fit(config, schema, records, tmp_path / "whole", callbacks=[_Stop()], verbose=0)
    with pytest.raises(KeyboardInterrupt):
        fit(config, schema, records, tmp_path / "run", callbacks=[_Stop(5)], verbose=0)
    resumed = fit(config, schema, records, tmp_path / "run", callbacks=[_Stop()], verbose=0)
    assert_same_run(resumed, whole)
    # validation rows are changed alike in every epoch, so that their loss chooses one
    losses = whole.history["val_loss"]
    assert whole.record.best_epoch == np.argmin(losses) + 1
    whole.model.compile(**compile_arguments(config, schema))
    rows = load_split(config, schema, records, "validation", batch_size=8)
    again = [whole.model.evaluate(rows, verbose=0) for _ in range(2)]
    assert again[0] == again[1]
    metrics = evaluate(whole.model, config, schema, records, "validation", resamples=0)
    assert 0 <= metrics.heads["same"].metrics["recall_at_1"].value <= 1
    with pytest.raises(ValueError, match="must have one that answers"):
        export_model(whole.model, config, schema, tmp_path / "served" / "1")
    model, schema = replace_heads(LABEL, fit_schema(LABEL, records), whole)
    words = [one.get_layer("title_words").embeddings.numpy() for one in (whole.model, model)]
    np.testing.assert_array_equal(*words)
    labelled = fit(LABEL, schema, records, tmp_path / "labelled", model=model, verbose=0)
    assert not any("momentum" in weight.path for weight in labelled.model.weights)
