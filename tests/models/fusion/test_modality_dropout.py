"""Modality dropout hides whole inputs, in training only."""

import contract
import numpy as np
import pytest
import small_fusions

from multimodal_tf.config import ConcatenationFusion
from multimodal_tf.models import build_model, embeddings


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("concatenation", contract.save_and_load),
        ("concatenation", contract.mixed_precision),
        ("concatenation", contract.random_in_a_strategy),
        ("attention", contract.save_and_load),
        ("attention", contract.mixed_precision),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_contract(kind, check, tmp_path):
    fusion = small_fusions.FUSIONS[kind].model_copy(update={"modality_dropout": 0.5})
    check(small_fusions.configuration(fusion), tmp_path)


def test_modality_dropout_hides_an_input_in_training_only():
    config = small_fusions.configuration(
        ConcatenationFusion(hidden=[], dropout=0, modality_dropout=0.25)
    )
    model = embeddings(build_model(config, contract.schema_of(config)))
    rows = contract.without(contract.rows_of(config, 4000), "price", np.arange(4000) % 2 == 0)
    # indices in the fused vector of each input's vector and flag
    colour, price = (slice(4, 8), 9), (slice(0, 4), 8)
    assert model(rows)["fused"].numpy()[:, 9].all()
    fused = model(rows, training=True)["fused"].numpy()
    for vector, flag in (colour, price):
        hidden = fused[:, flag] == 0
        assert not fused[hidden][:, vector].any()
    np.testing.assert_allclose(fused[:, 9].mean(), 0.75, atol=0.04)
    np.testing.assert_allclose(fused[:, 8].mean(), 0.75 / 2, atol=0.04)
