"""Every fusion agrees with its formula in NumPy, with missing inputs and with random weights.

The symmetric ones are symmetric.
"""

import itertools

import contract
import keras
import numpy as np
import pytest
import small_fusions
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf, expit, softmax

from multimodal_tf.models import build_model, build_towers, embeddings
from multimodal_tf.models.fusion import fuse
from multimodal_tf.models.fusion.pooling import (
    PresentMean,
    PresentProduct,
    PresentSoftmax,
    VectorSum,
)
from multimodal_tf.models.towers.encoding import Encoding

# a score
MISSING = -1e30


class Fused:
    """A model of one fusion on rows with gaps, and what NumPy needs to do the same."""

    def __init__(self, kind):
        self.config = small_fusions.of(kind)
        if kind == "bottleneck":
            self.config.fusion.depth = 2
        self.fusion = self.config.fusion
        self.model = contract.perturbed(build_model(self.config, contract.schema_of(self.config)))
        self.rows, flags = small_fusions.with_gaps(self.config)
        self.flags = flags.astype(float)
        self.vectors = {
            name: vector.numpy() for name, vector in embeddings(self.model)(self.rows).items()
        }
        self.fused = self.vectors.pop("fused")

    def weights(self, layer):
        return [weight.numpy() for weight in self.model.get_layer(layer).weights]

    def dense(self, x, layer):
        kernel, *bias = self.weights(layer)
        return x @ kernel + sum(bias)

    def projected(self):
        """`(rows, inputs, dim)`, zero where an input is missing."""
        x = np.stack(
            [
                self.dense(vector, f"fused_{name}_projected")
                for name, vector in self.vectors.items()
            ],
            axis=1,
        )
        return x * self.flags[..., None]

    def shares(self, scores):
        """Softmax over the present inputs."""
        return softmax(np.where(self.flags > 0, scores, MISSING), axis=1) * self.flags

    def normalised(self, x, layer):
        gamma, beta = self.weights(layer)
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * gamma + beta

    def block(self, x, others, mask, layer):
        """A block of attention over the present `others`, by `mask` `(rows, others)`.

        Nothing is added where none is present.
        """
        query = self.normalised(x, f"{layer}_norm_1")
        value = query if others is x else self.normalised(others, f"{layer}_norm_others")
        wq, bq, wk, bk, wv, bv, wo, bo = self.weights(f"{layer}_attention")
        q, k, v = (
            np.einsum("btd,dhk->bhtk", side, w) + b[:, None]
            for side, w, b in ((query, wq, bq), (value, wk, bk), (value, wv, bv))
        )
        scores = np.einsum("bhqk,bhsk->bhqs", q, k) / np.sqrt(q.shape[-1])
        shares = softmax(np.where(mask[:, None, None], scores, MISSING), axis=-1)
        attended = np.einsum("bhqs,bhsk,hkd->bqd", shares, v, wo) + bo
        x = x + attended * mask.any(axis=1)[:, None, None]
        y = self.dense(self.normalised(x, f"{layer}_norm_2"), f"{layer}_dense_1")
        return x + self.dense(y * (1 + erf(y / np.sqrt(2))) / 2, f"{layer}_dense_2")

    def tokens(self):
        """Each input's vector and tokens, projected, and their masks."""
        towers = build_towers(self.config, contract.schema_of(self.config))
        for layer in towers.layers:
            layer.set_weights(self.model.get_layer(layer.name).get_weights())
        found = {
            name: {part: x.numpy() for part, x in parts.items()}
            for name, parts in towers(self.rows).items()
        }
        tokens, masks = {}, {}
        for (name, parts), present in zip(found.items(), self.flags.T):
            vector = self.dense(parts["vector"], f"fused_{name}_vector")[:, None]
            tokens[name] = np.concatenate(
                [vector, self.dense(parts["tokens"], f"fused_{name}_projected")], axis=1
            )
            masks[name] = np.concatenate([present[:, None] > 0, parts["mask"]], axis=1)
        return tokens, masks


def concatenation(f):
    x = np.concatenate([*f.vectors.values(), f.flags], axis=1)
    return np.maximum(f.dense(x, "fused"), 0)


def total(f):
    return f.projected().sum(axis=1)


def mean(f):
    return f.projected().sum(axis=1) / np.maximum(f.flags.sum(axis=1, keepdims=True), 1)


def product(f):
    return np.where(f.flags[..., None] > 0, f.projected(), 1).prod(axis=1)


def weighted_sum(f):
    (scores,) = f.weights("fused_scores")
    return np.einsum("bi,bid->bd", f.shares(np.broadcast_to(scores, f.flags.shape)), f.projected())


def attention(f):
    x = f.projected()
    scores = f.dense(np.tanh(f.dense(x, "fused_scores_hidden")), "fused_scores")[..., 0]
    return np.maximum(f.dense(np.einsum("bi,bid->bd", f.shares(scores), x), "fused"), 0)


def gated(f):
    x = np.stack(
        [np.tanh(f.dense(vector, f"fused_{name}_projected")) for name, vector in f.vectors.items()],
        axis=1,
    )
    gates = expit(
        f.dense(np.concatenate(list(f.vectors.values()), axis=1), "fused_sigmoids")
    ).reshape(x.shape)
    return (x * gates * f.flags[..., None]).sum(axis=1)


def bilinear(f):
    (kernel,) = f.weights("fused_bilinear")
    x = np.concatenate([f.projected(), np.ones((*f.flags.shape, 1))], axis=2)
    pairs = itertools.combinations(range(x.shape[1]), 2)
    return sum(
        np.einsum("bi,ijo,bj->bo", x[:, i], kernel[pair], x[:, j])
        for pair, (i, j) in enumerate(pairs)
    )


def low_rank_tensor(f):
    """The outer product of all `[x, 1]`, times the whole tensor of weights, which is made here."""
    *sides, bias = f.weights("fused_tensor")
    units, rank = f.fusion.dim, f.fusion.rank
    factors = [
        np.vstack([kernel, constant]).reshape(-1, rank, units)
        for kernel, constant in zip(sides[::2], sides[1::2])
    ]
    first, second = (
        np.concatenate([vector, np.ones((len(vector), 1))], axis=1) for vector in f.vectors.values()
    )
    tensor = np.einsum("iro,jro->ijo", *factors)
    return np.einsum("bi,bj,ijo->bo", first, second, tensor) + bias


def self_attention(f):
    (token,) = f.weights("fused_token")
    x = np.concatenate(
        [f.projected(), np.broadcast_to(token, (len(f.flags), 1, token.shape[1]))], axis=1
    )
    x = f.block(
        x, x, np.concatenate([f.flags, np.ones((len(f.flags), 1))], axis=1) > 0, "fused_block_1"
    )
    return f.normalised(x[:, -1], "fused_norm")


def bottleneck(f):
    (shared,) = f.weights("fused_bottlenecks")
    count, rows = len(shared), len(f.flags)
    tokens, masks = f.tokens()
    shared = np.broadcast_to(shared, (rows, *shared.shape))
    for number in (1, 2):
        left = 0
        for (name, x), present in zip(tokens.items(), f.flags.T):
            x = np.concatenate([x, shared], axis=1)
            mask = np.concatenate([masks[name], np.ones((rows, count), bool)], axis=1)
            x = f.block(x, x, mask, f"fused_{name}_block_{number}")
            tokens[name] = x[:, :-count]
            left = left + x[:, -count:] * present[:, None, None]
        shared = left / np.maximum(f.flags.sum(axis=1), 1)[:, None, None]
    return f.normalised(shared, "fused_norm").mean(axis=1)


def cross_modal(f):
    tokens, masks = f.tokens()
    pooled = []
    for own, other in itertools.permutations(tokens, 2):
        x = f.block(tokens[own], tokens[other], masks[other], f"fused_{own}_from_{other}_1")
        x = f.normalised(f.block(x, x, masks[own], f"fused_{own}_block"), f"fused_{own}_norm")
        pooled.append(
            (x * masks[own][..., None]).sum(axis=1)
            / np.maximum(masks[own].sum(axis=1, keepdims=True), 1)
        )
    return np.concatenate(pooled, axis=1)


FORMULAS = dict(
    zip(
        small_fusions.FUSIONS,
        [
            concatenation,
            total,
            mean,
            product,
            weighted_sum,
            attention,
            gated,
            bilinear,
            low_rank_tensor,
            self_attention,
            bottleneck,
            cross_modal,
        ],
    )
)


@pytest.mark.parametrize("kind", FORMULAS)
def test_agrees_with_its_formula(kind):
    fused = Fused(kind)
    expected = FORMULAS[kind](fused)
    assert fused.fused.shape == expected.shape
    np.testing.assert_allclose(fused.fused, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "kind",
    ["sum", "mean", "product", "attention", "weighted sum", "self-attention", "low-rank tensor"],
)
def test_symmetric_ones_do_not_know_the_order(kind):
    """With the same projection for all inputs, any order of three gives the same vector."""
    inputs = {name: keras.Input((5,), name=name) for name in "abc"}
    flags = {name: keras.Input((), name=f"{name}_present") for name in inputs}
    encodings = {name: Encoding(None, None, x) for name, x in inputs.items()}
    model = keras.Model(
        [*inputs.values(), *flags.values()],
        fuse(small_fusions.FUSIONS[kind], encodings, flags).vector,
    )
    own = [
        weight
        for weight in model.weights
        if any(part in weight.path for part in ("_projected/", "tensor/kernel", "tensor/constant"))
    ]
    for weight in own:
        weight.assign(next(one for one in own if one.shape == weight.shape))
    random = np.random.default_rng(0)
    vectors, present = (
        random.normal(size=(3, 7, 5)).astype("float32"),
        random.integers(0, 2, (3, 7)).astype("float32"),
    )
    vectors *= present[..., None]
    expected = model([*vectors, *present])
    for order in itertools.permutations(range(3)):
        np.testing.assert_allclose(
            model([*vectors[list(order)], *present[list(order)]]), expected, rtol=1e-4, atol=1e-5
        )


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-50, 50, width=32, allow_subnormal=False), st.booleans()),
        min_size=1,
        max_size=6,
    ),
    st.randoms(),
)
def test_layers_ignore_missing_inputs_whatever_they_hold(column, random):
    values, present = (np.array(side) for side in zip(*column))
    left = values[present]
    harmed = np.where(present, values, np.nan).astype("float32")[None, :, None]
    flags = present.astype("float32")[None]
    share = PresentSoftmax()(harmed[..., 0], flags).numpy()[0]
    np.testing.assert_allclose(
        share[present], softmax(left) if present.any() else left, rtol=1e-4, atol=1e-6
    )
    assert not share[~present].any()
    np.testing.assert_allclose(
        PresentMean()(harmed, flags)[0, 0],
        left.mean() if present.any() else 0,
        rtol=1e-4,
        atol=1e-4,
    )
    np.testing.assert_allclose(
        PresentProduct()(harmed, flags)[0, 0], left.astype("float32").prod(), rtol=1e-4
    )
    order = random.sample(range(len(values)), len(values))
    np.testing.assert_allclose(
        VectorSum()(np.where(present, values, 0)[None, order, None]),
        [[left.sum()]],
        rtol=1e-4,
        atol=1e-4,
    )


def test_a_bilinear_form_needs_two():
    from multimodal_tf.models.fusion.tensors import PairwiseBilinear

    with pytest.raises(ValueError, match="PairwiseBilinear needs two inputs or more, received 1"):
        PairwiseBilinear(3)(np.ones((2, 1, 4), "float32"))


def test_concatenation_is_vectors_then_flags():
    from multimodal_tf.config import ConcatenationFusion

    config = small_fusions.configuration(ConcatenationFusion(dropout=0))
    rows, flags = small_fusions.with_gaps(config)
    vectors = embeddings(build_model(config, contract.schema_of(config)))(rows)
    assert not np.any(vectors["colour"][1])
    np.testing.assert_array_equal(
        vectors["fused"], np.concatenate([vectors["price"], vectors["colour"], flags], axis=1)
    )


def test_dense_layers_after_it_are_their_formula():
    config = small_fusions.configuration(
        small_fusions.FUSIONS["mean"].model_copy(update={"hidden": [8, 6]})
    )
    model = contract.perturbed(build_model(config, contract.schema_of(config)))
    rows = contract.rows_of(config, 3)
    x = keras.Model(model.input, model.get_layer("fused_mean").output)(rows).numpy()
    for layer in ("fused_dense_1", "fused"):
        kernel, bias = model.get_layer(layer).get_weights()
        x = np.maximum(x @ kernel + bias, 0)
    np.testing.assert_allclose(embeddings(model)(rows)["fused"], x, rtol=1e-5, atol=1e-6)
