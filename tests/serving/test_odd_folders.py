"""Folders whose names mean something to others: records, a run and an export in them work."""

import pytest
import small_table

from multimodal_tf.serving.client import Client
from multimodal_tf.serving.export import export_model
from multimodal_tf.training.fit import fit
from multimodal_tf.training.run_dir import load_run


@pytest.mark.slow
def test_a_folder_of_any_name_works(tmp_path):
    config = small_table.with_parts(["price"], training={"epochs": 1})
    folder = tmp_path / r"run [1] {x} {0} a\b *?% é"
    schema = small_table.ingested(folder / "records", config)
    fit(config, schema, folder / "records", folder / "run", verbose=0)
    run = load_run(folder / "run")
    path = export_model(run.model, config, run.schema, folder / "model" / "1")
    assert Client(path).predict({"price": 10})["valid"].all()
