"""A run of an objective alone: metrics, what is served, and training that continues from it."""

import contract
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from multimodal_tf.config import (
    ClassificationHead,
    Config,
    EmbeddingHead,
    OrderHead,
    TokenMatchingHead,
)
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation.evaluate import evaluate
from multimodal_tf.models import build_model, embeddings
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.export import export_model
from multimodal_tf.training import peft
from multimodal_tf.training.fit import fit
from multimodal_tf.training.run_dir import load_run

ROWS = 60
ORDER = {"order": OrderHead(inputs=["title"])}


def config_of(heads):
    return Config(
        inputs={
            "title": {
                "type": "text",
                "max_tokens": 6,
                "tower": {"type": "gru", "units": 4, "embedding_dim": 4},
            },
            "price": {"type": "number"},
        },
        heads=heads,
        split={"column": "split"},
        training={"epochs": 2, "batch_size": 16, "optimizer": "sgd"},
    )


@pytest.fixture(scope="module")
def frame():
    random = np.random.default_rng(0)
    words = [np.sort(random.integers(8, size=random.integers(1, 7))) for _ in range(ROWS)]
    titles = [" ".join("abcdefgh"[one] for one in row) for row in words]
    titles[::9] = [""] * len(titles[::9])
    return pd.DataFrame(
        {
            "title": titles,
            "price": random.normal(size=ROWS),
            # a row without a label is kept where something learns from it
            "label": ["", *(str(len(row) > 3) for row in words[1:])],
            "split": ["train"] * 40 + ["validation"] * 20,
        }
    )


@pytest.fixture(scope="module")
def records(frame, tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    ingest(read_table(frame), config_of(ORDER | {"label": ClassificationHead()}), folder)
    return folder


@pytest.fixture(scope="module")
def pretrained(records, tmp_path_factory):
    config = config_of(ORDER)
    out = tmp_path_factory.mktemp("run")
    fit(config, schema_for(config, records), records, out, verbose=0)
    return load_run(out)


@pytest.mark.slow
def test_it_trains_and_is_evaluated(pretrained, records, frame):
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} == set(pretrained.history)
    # three batches of 40 rows in each epoch; the best epoch may be the first
    assert pretrained.model.get_layer("order_halves").steps in (3, 6)
    config, schema = pretrained.config, pretrained.schema
    found, again = (
        evaluate(pretrained.model, config, schema, records, "validation", resamples=9)
        for _ in range(2)
    )
    assert found == again
    metrics = found.heads["order"].metrics
    assert metrics.keys() == {"accuracy", "loss", "chance"}
    assert metrics["chance"].value == 0.5
    several = frame["title"][40:].str.split().map(lambda words: len({*words}) > 1)
    assert found.heads["order"].n == several.sum()


@pytest.mark.slow
def test_training_continues_from_its_towers(pretrained, records, tmp_path):
    """With other heads; the tower of an input that no head has read is new."""
    config = config_of({"label": ClassificationHead()})
    model, schema = peft.replace_heads(config, schema_for(config, records), pretrained)
    old = {weight.path: weight.numpy() for weight in pretrained.model.weights}
    new = {weight.path: weight.numpy() for weight in model.weights}
    kept = {path for path in new if path.startswith("title_")}
    assert len(kept) == 4
    for path in kept:
        np.testing.assert_array_equal(new[path], old[path])
    assert not any(path.startswith("price_") for path in old)
    fresh = build_model(config, schema)
    for weight in fresh.weights:
        if weight.path not in kept:
            np.testing.assert_array_equal(new[weight.path], weight.numpy(), err_msg=weight.path)
    run = fit(config, schema, records, tmp_path / "label", model=model, verbose=0)
    assert np.isfinite(run.history["val_loss"]).all()


@pytest.mark.slow
def test_a_tower_whose_tokens_are_read_is_the_same(pretrained, records):
    """A recurrent layer has another name then."""
    config = config_of({"match": TokenMatchingHead(inputs=["title", "price"])})
    model, _ = peft.replace_heads(config, schema_for(config, records), pretrained)
    rows = contract.rows_of(config, 4)
    vectors = [embeddings(one)(rows)["title"] for one in (model, pretrained.model)]
    np.testing.assert_allclose(*vectors, rtol=1e-6)
    assert "title_gru" in {layer.name for layer in model.layers}
    assert "title_gru" not in {layer.name for layer in pretrained.model.layers}


@pytest.mark.slow
def test_nothing_of_it_is_served(pretrained, records, frame, tmp_path):
    with pytest.raises(ValueError, match=r"heads: an exported model must have one .* heads\.order"):
        export_model(pretrained.model, pretrained.config, pretrained.schema, tmp_path / "x" / "1")
    assert not (tmp_path / "x").exists()
    config = config_of(ORDER | {"vector": EmbeddingHead(inputs=["price"])})
    schema = schema_for(config, records)
    model = build_model(config, schema)
    path = export_model(model, config, schema, tmp_path / "with_vector" / "1")
    assert list(Config.load(path / "assets.extra" / "config.yaml").heads) == ["vector"]
    served = tf.saved_model.load(path).signatures["serving_default"].structured_outputs
    assert served.keys() == {"vector", "valid", "error", "present"}
    client = Client(path)
    cells = frame[["title", "price"]].head(3)
    assert "order" not in client.predict(cells)
    # the text's tower is served, though no head that is served reads it
    vectors = client.embed(cells)
    assert vectors["title"].shape == (3, 4)
    assert not vectors["title"][0].any()
    assert embeddings(model).output.keys() == {"title", "price", "fused"}
