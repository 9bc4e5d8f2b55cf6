"""Training and serving give the same numbers: a table's rows through both, row by row."""

import keras
import numpy as np
import pandas as pd
import pytest
import small_table

from multimodal_tf.data.datasets.digits import digits_config, digits_table
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Schema
from multimodal_tf.serving.export import export_model
from multimodal_tf.serving.skew import skew
from multimodal_tf.training.run_dir import load_run


@pytest.mark.slow
def test_training_and_serving_agree_on_every_digit(tmp_path):
    config, records = digits_config(), tmp_path / "records"
    rows = pd.concat(
        [chunk.sample(25, random_state=0) for chunk in digits_table().chunks(rows=300)]
    )
    ingest(read_table(rows), config, records, processes=1)
    schema = Schema.load(records / "schema.json")
    model = build_model(config, schema)
    generator = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign_add(generator.normal(0, 0.1, variable.shape))
    path = export_model(model, config, schema, tmp_path / "digits" / "1")
    assert 0 <= skew(model, config, schema, records, path)["label"] <= 1e-5


@pytest.fixture(scope="module")
def tempered(small_run, small_schema, tmp_path_factory):
    """`(model, path)` of the small table, served with a temperature."""
    model, path = load_run(small_run).model, tmp_path_factory.mktemp("tempered") / "1"
    export_model(model, small_table.CONFIG, small_schema, path, temperature={"label": 1.7})
    return model, path


def test_a_temperature_is_no_difference(tempered, small_records, small_schema):
    model, path = tempered
    assert skew(model, small_table.CONFIG, small_schema, small_records, path)["label"] <= 1e-5


def test_a_difference_is_seen(tempered, small_records, small_schema):
    model, path = tempered
    changed = keras.models.clone_model(model)
    changed.set_weights([weight + 0.01 for weight in model.get_weights()])
    found = skew(changed, small_table.CONFIG, small_schema, small_records, path)
    assert found["label"] > 1e-4
