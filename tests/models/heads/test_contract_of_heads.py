"""Every head passes the contract, learns alone, and reads its own inputs only."""

from typing import get_args

import contract
import numpy as np
import pytest
from all_heads import CONFIG, HEADS, INPUTS

from multimodal_tf.config import (
    ClassificationHead,
    ConcatenationFusion,
    Config,
    Head,
    RegressionHead,
)
from multimodal_tf.config.heads import LossHead
from multimodal_tf.models import build_model

PLAIN = CONFIG.model_copy(
    update={"fusion": ConcatenationFusion(dropout=0, hidden=[6], presence=False)}
)
# that of tokens is of towers
CHECKS = [check for check in contract.CHECKS if check is not contract.tokens_masks_and_vectors]


def test_every_head_of_the_configuration_passes_the_contract():
    assert {type(head) for head in HEADS.values()} == {*get_args(get_args(Head)[0])}


def case(check):
    marks = [pytest.mark.slow] if check is contract.in_a_strategy else []
    return pytest.param(check, id=check.__name__, marks=marks)


@pytest.mark.parametrize("check", [case(check) for check in CHECKS])
def test_contract_of_all_heads_at_once(check, tmp_path):
    check(CONFIG, tmp_path)


@pytest.mark.parametrize(
    "check",
    [contract.shape_and_dtype, contract.save_and_load, contract.training_lowers_the_loss],
    ids=lambda check: check.__name__,
)
def test_contract_without_presence(check, tmp_path):
    check(PLAIN, tmp_path)


@pytest.mark.parametrize(
    "head", [name for name, head in HEADS.items() if isinstance(head, LossHead)]
)
def test_each_head_learns_alone(head):
    config = CONFIG.model_copy(update={"heads": {head: HEADS[head]}})
    contract.training_lowers_the_loss(config, None)


def test_a_head_reads_its_own_inputs_only():
    config = Config(
        inputs=INPUTS,
        heads={"age": RegressionHead(inputs=["price"]), "label": ClassificationHead()},
    )
    model, rows = build_model(config, contract.schema_of(config)), contract.rows_of(config, 2)
    other = model(rows | {"weight": rows["weight"] + 1})
    np.testing.assert_array_equal(model(rows)["age"], other["age"])
    assert not np.allclose(model(rows)["label"], other["label"])
    absent = contract.without(rows, "price", np.ones(2, bool))
    np.testing.assert_allclose(model(absent)["age"], [[100.0]] * 2)
