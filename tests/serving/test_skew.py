"""Training and serving give the same numbers: the embedded digits through both, row by row."""

import keras
import numpy as np
import pandas as pd
import pytest

from multimodal_tf.data.datasets.digits import digits_config, digits_table
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Schema
from multimodal_tf.serving.export import export_model
from multimodal_tf.serving.skew import skew

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """`(model, config, schema, records, path)` of 150 rows of digits; the weights are random."""
    folder = tmp_path_factory.mktemp("skew")
    config = digits_config()
    rows = pd.concat(
        [chunk.sample(25, random_state=0) for chunk in digits_table().chunks(rows=300)]
    )
    ingest(read_table(rows), config, folder / "records", processes=1)
    schema = Schema.load(folder / "records" / "schema.json")
    model = build_model(config, schema)
    generator = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign_add(generator.normal(0, 0.1, variable.shape))
    path = export_model(model, config, schema, folder / "digits" / "1")
    return model, config, schema, folder / "records", path


def test_training_and_serving_agree_on_every_row(exported):
    assert 0 <= skew(*exported)["label"] <= 1e-5


def test_a_temperature_is_no_difference(exported, tmp_path):
    model, config, schema, records, _ = exported
    path = export_model(model, config, schema, tmp_path / "1", temperature={"label": 1.7})
    assert skew(model, config, schema, records, path)["label"] <= 1e-5


def test_a_difference_is_seen(exported):
    model, *others = exported
    changed = keras.models.clone_model(model)
    changed.set_weights([weight + 0.01 for weight in model.get_weights()])
    assert skew(changed, *others)["label"] > 1e-4
