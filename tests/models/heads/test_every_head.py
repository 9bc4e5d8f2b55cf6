"""Every member of the union `Head` is in every table: models, evaluation, serving, client."""

from typing import get_args

import contract
import keras
import numpy as np
import pytest
import tensorflow as tf
from all_heads import CONFIG
from random_rows import images_of, texts_of

import multimodal_tf
from multimodal_tf.config import Config, Head, ImageHead, TextHead
from multimodal_tf.config.heads import LabelledHead, LossHead, output_key
from multimodal_tf.data.predictions import HeadPredictions
from multimodal_tf.evaluation import by_head
from multimodal_tf.losses import BatchwiseLoss
from multimodal_tf.models import build_model, heads
from multimodal_tf.models.heads.interface import HeadModule
from multimodal_tf.schema import Classes, Moments, Schema
from multimodal_tf.serving import endpoints
from multimodal_tf.serving.columns import DERIVED

ROWS = 6
CLASSES = ("1", "2", "3")
STATS = {
    "class": Classes(names=list(CLASSES), counts=[3, 2, 1]),
    "classes": Classes(names=list(CLASSES), counts=[3, 2, 1], rows=6),
    "number": Moments(mean=5.0, std=2.0),
    "text": texts_of(TextHead()),
    "image": images_of(ImageHead()),
    None: None,
}
TARGETS = {
    "class": np.arange(ROWS, dtype="int32") % 3,
    "classes": (np.arange(3 * ROWS).reshape(ROWS, 3) % 2).astype("float32"),
    "number": np.arange(ROWS, dtype="float32")[:, None],
    # not read: the model's input has the target
    "text": np.ones((ROWS, 1), "float32"),
    "image": np.ones((ROWS, 1), "float32"),
    None: np.ones((ROWS, 1), "float32"),
}
# of two inputs, all different
CELLS = np.arange(2 * ROWS).reshape(ROWS, 2)


def _most(head):
    """How many inputs a head may have."""
    found = (getattr(one, "max_length", 0) for one in head.model_fields["inputs"].metadata[::-1])
    return next(found, None)


# every head has defaults, but for the inputs of one that compares or rereads them
TYPES = get_args(get_args(Head)[0])
EVERY = [
    head(
        inputs=["note", "price"][: _most(head)]
        if head.rereads_inputs or head.generates
        else ["a", "b"]
    )
    for head in TYPES
]
WITH_LOSS = [head for head in EVERY if isinstance(head, LossHead)]


def of_type(head):
    return head.type


def classes_of(head):
    return CLASSES if head.target_type in ("class", "classes") else ()


def targets_of(head):
    return CELLS if head.compared_cells else TARGETS[head.target_type]


def output_of(head):
    """The output of untrained layers for random vectors, float32 `(ROWS, ...)`."""
    keras.utils.set_random_seed(0)
    if head.rereads_inputs or head.generates:
        config = Config(inputs=CONFIG.inputs, heads={"h": head})
        return build_model(config, contract.schema_of(config))(contract.rows_of(config, ROWS))[
            "h"
        ].numpy()
    inputs = [keras.Input((4,), name="a"), keras.Input((4,), name="b")]
    x = inputs if head.compares_inputs else inputs[0]
    output = heads.output(head, STATS[head.target_type], x, "h")
    vectors = np.random.default_rng(0).normal(size=(2, ROWS, 4)).astype("float32")
    return keras.Model(inputs, output)(list(vectors)).numpy()


@pytest.mark.parametrize("head", EVERY, ids=of_type)
def test_layers_and_prior(head):
    module = heads.module_of(head)
    for function in vars(HeadModule):
        assert function.startswith("_") or callable(getattr(module, function))
    shape = head.output_shape(len(classes_of(head)))
    output = output_of(head)
    assert shape is None or output.shape == (ROWS, *shape)
    if output.ndim == 2:
        width = output.shape[1]
        assert len(heads.prior(head, STATS[head.target_type], width)) == width


@pytest.mark.parametrize("head", EVERY, ids=of_type)
def test_only_heads_with_a_loss_are_compiled(head):
    loss = heads.loss(head, STATS[head.target_type])
    assert (loss is not None) == bool(heads.metrics(head)) == isinstance(head, LossHead)


@pytest.mark.parametrize("head", WITH_LOSS, ids=of_type)
def test_a_loss_that_compares_rows_says_so(head):
    """`DistributedModel` gathers the rows of all replicas for such a loss alone."""
    loss = heads.loss(head, STATS[head.target_type])
    targets, output = targets_of(head), output_of(head)
    whole = np.array(loss.call(targets, output))
    alone = [float(loss.call(targets[[i]], output[[i]])[0]) for i in range(ROWS)]
    assert np.allclose(whole, alone, rtol=1e-4) != isinstance(loss, BatchwiseLoss)


@pytest.mark.parametrize("head", WITH_LOSS, ids=of_type)
def test_metrics_and_their_bootstrap_samples(head):
    targets, output = targets_of(head), output_of(head)
    found = by_head.head_metrics(head, classes_of(head), targets, output, resamples=0)
    assert found.n == ROWS
    if isinstance(head, LabelledHead):
        known = np.ones(ROWS, bool)
        predicted = HeadPredictions(head, classes_of(head), targets, known, output)
        assert predicted.width == output.shape[1]
        assert by_head.samples(predicted, resamples=5, seed=0)


@pytest.mark.parametrize("head", [head for head in EVERY if head.served], ids=of_type)
def test_served_keys_and_columns(head):
    stats = {} if head.target_type is None else {"h": STATS[head.target_type]}
    schema = Schema(rows=ROWS, inputs={}, heads=stats)
    # a text is served of the tokens that `generating` gives, an image of the pixels
    made = {"text": np.full((ROWS, 5), 2, "int32"), "image": np.zeros((ROWS, 4, 4, 1), "float32")}
    output = made[head.target_type] if head.generates else output_of(head)
    served = endpoints.predictions("h", head, tf.constant(output), schema)
    if head.target_type == "text":
        served["h_log_probability"] = np.zeros(ROWS)
    computed = [ending for ending in head.endings if ending in DERIVED]
    assert {*served} == {"h", *("h" + ending for ending in head.endings)} - {
        "h" + ending for ending in computed
    }
    assert output_key("h", head) in served
    if isinstance(head, LabelledHead):
        columns = head.output_columns("h", classes_of(head))
        assert (len(columns),) == head.output_shape(len(classes_of(head)))


@pytest.mark.parametrize("head", EVERY, ids=of_type)
def test_every_head_is_public(head):
    assert type(head).__name__ in multimodal_tf.__all__
    assert type(head).__name__ in multimodal_tf.config.__all__


@pytest.mark.parametrize("head", EVERY, ids=of_type)
def test_the_facts_agree(head):
    assert isinstance(head, LabelledHead) == (head.target_type not in (None, "text", "image"))
    assert head.generates == (head.target_type in ("text", "image"))
    assert head.needs_fused <= head.reads_fused
    assert head.served or head.rereads_inputs
    assert not head.rereads_inputs or (head.target_type is None and not head.reads_fused)
    assert (head.min_classes > 0) == (head.target_type in ("class", "classes"))
