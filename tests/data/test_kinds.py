"""Every kind of input: its facts agree with what its cells, records and tensors are."""

import math

import numpy as np
import pytest
import tensorflow as tf

from multimodal_tf.config import (
    INPUTS,
    PRESENT,
    ConcatenationFusion,
    Config,
    EmbeddingHead,
    ValueInput,
    VectorInput,
)
from multimodal_tf.corruptions import corruptions_for, other_data
from multimodal_tf.data import record_files
from multimodal_tf.data.describe import kinds as describe
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.data.kinds.kind import batch_spec
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.evaluation import ood_samples
from multimodal_tf.evaluation.explanations.media import parts_of
from multimodal_tf.models import input_layers
from multimodal_tf.schema import Moments, Schema, VectorMoments, Vocabulary

STATS = {
    None: None,
    "vocabulary": Vocabulary(words=["red", "green"]),
    "moments": Moments(mean=3.0, std=2.0),
    "vector_moments": VectorMoments(mean=[3.0] * 8, std=[2.0] * 8, rows=1),
}
# fields without a default
REQUIRED = {VectorInput: {"dim": 8}}


@pytest.fixture(params=INPUTS.values(), ids=INPUTS)
def input_config(request):
    return request.param(**REQUIRED.get(request.param, {}))


@pytest.fixture
def stats(input_config):
    return STATS[input_config.stats_type]


@pytest.fixture
def config(input_config):
    return Config(
        inputs={"one": input_config},
        heads={"vector": EmbeddingHead()},
        fusion=ConcatenationFusion(presence=True),
    )


@pytest.fixture
def schema(stats):
    return Schema(rows=1, inputs={} if stats is None else {"one": stats}, heads={})


@pytest.fixture
def cell(input_config, stats):
    """A valid cell, as a record holds it."""
    example = kind_of(input_config).example(stats).numpy()
    return example.tolist() if isinstance(example, (np.ndarray, np.generic)) else example


def test_the_example_is_a_valid_cell(input_config, stats, cell):
    kind = kind_of(input_config)
    spec = batch_spec(input_config)
    assert spec.is_compatible_with(kind.example(stats)[tf.newaxis])
    assert kind.problem(cell) == ""


def test_a_missing_cell_is_no_problem(input_config):
    missing = b"" if input_config.cell_dtype == "string" else math.nan
    assert kind_of(input_config).problem([] if input_config.cell_shape else missing) == ""


def test_records_hold_the_cell_or_none(config, input_config, cell):
    serialized = [record_files.encode(0, {"one": cell}, {}), record_files.encode(1, {}, {})]
    _, inputs, _ = record_files.parse(config, serialized)
    assert batch_spec(input_config).is_compatible_with(inputs["one"])
    present, missing = inputs["one"].numpy().tolist()
    assert present == cell
    assert set(np.atleast_1d(missing).tolist()) in ({b""}, set()) or np.isnan(missing).all()


def test_tensors_are_the_model_s_input(config, schema, input_config, stats):
    preprocessor = Preprocessor(config, schema)
    example = kind_of(input_config).example(stats)
    missing = tf.constant("" if example.dtype == tf.string else math.nan, example.dtype)
    features, errors = preprocessor.features(
        {"one": tf.stack([example, tf.fill(tf.shape(example), missing)])}
    )
    inputs = preprocessor.model_inputs(features)
    encodings = input_layers.encode(config, schema, with_tokens=True)
    assert errors.numpy().tolist() == [b"", b""]
    assert inputs["one" + PRESENT].numpy().tolist() == [1, 0]
    assert inputs["one"].shape == (2, *input_config.model_shape)
    assert inputs["one"].dtype == input_config.model_dtype
    assert encodings.inputs["one"].shape == (None, *input_config.model_shape)
    assert encodings.inputs["one"].dtype == input_config.model_dtype
    assert encodings.inputs.keys() == inputs.keys()
    assert encodings.by_name["one"].vector.shape[0] is None


def test_a_learner_goes_with_statistics(input_config):
    assert (kind_of(input_config).learner() is None) == (input_config.stats_type is None)


def test_settings_of_cells_are_fields(input_config):
    assert set(input_config.cell_settings) <= set(type(input_config).model_fields)


def test_every_kind_is_described():
    assert set(describe.KINDS) == set(INPUTS)
    assert set(describe.FILES) == {name for name, kind in INPUTS.items() if kind.is_media}


def test_every_kind_is_replaced_and_broken(input_config, stats, cell):
    random = np.random.default_rng(0)
    replaced = other_data(input_config, stats)(cell, 1, random)
    assert type(replaced) is type(cell)
    assert kind_of(input_config).problem(replaced) == ""
    assert kind_of(input_config).problem(ood_samples.broken(input_config)(cell, 1, random))


def test_every_kind_is_corrupted_and_explained(input_config, stats, cell):
    names = [corruption.name for corruption in corruptions_for(input_config, stats)]
    assert len(names) > 1
    assert names[-1] == "missing"
    parts = parts_of(input_config, cell)
    assert (parts is None) == isinstance(input_config, ValueInput)
