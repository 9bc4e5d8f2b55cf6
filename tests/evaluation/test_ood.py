"""Out-of-distribution scores and thresholds: by hand, by scikit-learn and SciPy."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial import distance
from sklearn import metrics as sk
from sklearn.covariance import LedoitWolf

from multimodal_tf.config import FUSED
from multimodal_tf.evaluation.ood import (
    fit_mahalanobis,
    fit_nearest_neighbour,
    separation,
    threshold,
)
from multimodal_tf.scoring.ood import Energy, MaximumSoftmax


def _classes(random, rows=200, dim=5):
    labels = random.integers(3, size=rows)
    return random.normal(size=(rows, dim)) @ random.normal(size=(dim, dim)) + 6 * np.eye(3, dim)[
        labels
    ], labels


# --- Mahalanobis


def test_mahalanobis_is_scipys_distance_to_the_nearest_class():
    random = np.random.default_rng(0)
    embeddings, labels = _classes(random)
    means = np.stack([embeddings[labels == c].mean(axis=0) for c in range(3)])
    covariance = LedoitWolf(assume_centered=True).fit(embeddings - means[labels]).covariance_
    new = random.normal(size=(20, 5)) * 5
    expected = (
        distance.cdist(new, means, "mahalanobis", VI=np.linalg.inv(covariance)).min(axis=1) ** 2
    )
    assert fit_mahalanobis(embeddings, labels)(new) == pytest.approx(expected)


def test_mahalanobis_of_one_class_is_scikit_learns():
    random = np.random.default_rng(1)
    embeddings, _ = _classes(random)
    assert fit_mahalanobis(embeddings)(embeddings) == pytest.approx(
        LedoitWolf().fit(embeddings).mahalanobis(embeddings)
    )


def test_classes_can_be_words_and_the_order_of_rows_changes_nothing():
    random = np.random.default_rng(2)
    embeddings, labels = _classes(random)
    names, order = np.array(["hat", "shoe", "bag"])[labels], random.permutation(200)
    first, second = (
        fit_mahalanobis(embeddings, labels),
        fit_mahalanobis(embeddings[order], names[order]),
    )
    assert first(embeddings) == pytest.approx(second(embeddings))


def test_a_direction_without_spread_does_no_harm():
    """A dead unit is 0 in training: a row where it is not scores high, without overflow."""
    embeddings = np.pad(np.random.default_rng(3).normal(size=(5000, 3)), ((0, 0), (0, 2)))
    fitted = fit_mahalanobis(embeddings)
    usual, unusual = fitted([[1.0, 1, 1, 0, 0]]), fitted([[1.0, 1, 1, 0, 1]])
    assert np.isfinite(fitted.whitening.astype("float32")).all()
    assert usual < 10
    assert unusual > 100


def test_two_rows_are_enough_and_give_finite_arrays():
    """Nothing is shrunk, and the covariance has no inverse."""
    fitted = fit_mahalanobis([[0.0, 0.0], [2.0, 0.0]])
    assert fitted([[1.0, 0.0], [3.0, 0.0]]) == pytest.approx([0.0, 4.0])
    assert np.isfinite(fitted.whitening.astype("float32") ** 2).all()


def test_more_directions_than_rows_are_shrunk():
    random = np.random.default_rng(4)
    fitted = fit_mahalanobis(random.normal(size=(20, 64)))
    assert fitted(random.normal(size=(5, 64)) * 4).min() > fitted(random.normal(size=(5, 64))).max()


def test_blocks_change_nothing(monkeypatch):
    random = np.random.default_rng(5)
    embeddings, labels = _classes(random)
    fitted = fit_mahalanobis(embeddings, labels)
    whole = fitted(embeddings)
    monkeypatch.setattr("multimodal_tf.scoring.ood.BLOCK", 7)
    assert fitted(embeddings) == pytest.approx(whole)
    assert fitted(np.empty((0, 5))).shape == (0,)


# --- nearest neighbours


def test_nearest_neighbour_by_brute_force():
    random = np.random.default_rng(6)
    bank, new = random.normal(size=(50, 4)), random.normal(size=(9, 4))
    unit = [of / np.linalg.norm(of, axis=1, keepdims=True) for of in (bank, new)]
    expected = np.sort(distance.cdist(unit[1], unit[0]), axis=1)[:, 4]
    assert fit_nearest_neighbour(bank, k=5)(new) == pytest.approx(expected)


def test_the_bank_is_limited_and_drawn_by_the_seed():
    embeddings = np.random.default_rng(7).normal(size=(100, 3))
    first, again, other = (
        fit_nearest_neighbour(embeddings, k=3, bank=20, seed=seed) for seed in (0, 0, 1)
    )
    assert first.bank.shape == (20, 3)
    assert (first.bank == again.bank).all()
    assert (first.bank != other.bank).any()


def test_an_embedding_of_zeros_is_at_distance_one():
    fitted = fit_nearest_neighbour([[1.0, 0.0], [0.0, 1.0]], k=1)
    assert fitted([[0.0, 0.0]]) == pytest.approx([1.0])
    assert fitted(np.empty((0, 2))).shape == (0,)


@pytest.mark.parametrize("fit", [fit_mahalanobis, fit_nearest_neighbour])
def test_what_is_fitted_is_frozen_and_a_few_arrays(fit):
    embeddings, _ = _classes(np.random.default_rng(8))
    fitted = fit(embeddings)
    again = type(fitted)(
        **{field.name: getattr(fitted, field.name) for field in dataclasses.fields(fitted)}
    )
    assert (again(embeddings) == fitted(embeddings)).all()
    with pytest.raises(dataclasses.FrozenInstanceError):
        fitted.bank = fitted.centres = 0


@pytest.mark.parametrize("fit", [fit_mahalanobis, fit_nearest_neighbour])
def test_other_data_score_higher(fit):
    random = np.random.default_rng(9)
    embeddings, labels = _classes(random, 400)
    fitted = (
        fit(embeddings[:200], labels[:200]) if fit is fit_mahalanobis else fit(embeddings[:200])
    )
    other = random.normal(size=(200, 5)) * 12 - 6
    assert (
        separation(fitted(embeddings[200:]), fitted(other), resamples=0).metrics["auroc"].value
        > 0.8
    )


# --- from probabilities


def test_energy_and_maximum_softmax_by_hand():
    """Logits of mean 0: -log(3) / 2 and log(3) / 2, with the energy -log(1 / sqrt(3) + sqrt(3))."""
    assert Energy("label")([[0.25, 0.75]]) == pytest.approx([-np.log(3**-0.5 + 3**0.5)])
    assert MaximumSoftmax("label")([[0.2, 0.7, 0.1]]) == pytest.approx([0.3])


def test_a_distance_is_of_the_fused_embedding_unless_another_is_named():
    embeddings, _ = _classes(np.random.default_rng(8))
    for fit in (fit_mahalanobis, fit_nearest_neighbour):
        assert fit(embeddings).embedding == type(fit(embeddings)).embedding == FUSED
        assert fit(embeddings, embedding="photo").embedding == "photo"


# --- separation


def test_separation_is_scikit_learns():
    random = np.random.default_rng(10)
    clean, other = random.normal(size=150).round(1), random.normal(size=90).round(1) + 1
    found = separation(clean, other, resamples=0)
    passes = np.repeat([1, 0], [150, 90])
    false, true, _ = sk.roc_curve(passes, -np.concatenate([clean, other]), drop_intermediate=False)
    assert found.metrics["auroc"].value == pytest.approx(
        sk.roc_auc_score(passes, -np.concatenate([clean, other]))
    )
    assert found.metrics["fpr_at_95_tpr"].value == pytest.approx(false[true >= 0.95].min())
    assert (found.n, found.n_other) == (150, 90)


def test_separation_by_hand():
    """Of scores 0 to 19, nineteen must pass: of 17, 18, 18.5 and 30 two pass at 18."""
    found = separation(range(20), [17, 18, 18.5, 30], resamples=0)
    assert found.metrics["fpr_at_95_tpr"].value == 0.5
    assert found.metrics["auroc"].value == pytest.approx((17.5 + 18.5 + 19 + 20) / 80)


def test_intervals_of_pairs_are_narrower_where_pairs_go_together():
    random = np.random.default_rng(11)
    clean = random.normal(size=200) * 3
    other = clean + 1
    free, paired = (
        separation(clean, other, resamples=300),
        separation(clean, other, paired=True, resamples=300),
    )
    for found in (free, paired):
        for metric in found.metrics.values():
            assert metric.low <= metric.value <= metric.high
    assert np.ptp([paired.metrics["auroc"].low, paired.metrics["auroc"].high]) < 0.7 * np.ptp(
        [free.metrics["auroc"].low, free.metrics["auroc"].high]
    )


# --- threshold


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_a_threshold_keeps_its_false_positive_rate(rate):
    """Over many draws of held-out rows the rate is at most the chosen one, and close."""
    random = np.random.default_rng(12)
    rates = [
        (random.normal(size=200) > threshold(random.normal(size=50), rate)).mean()
        for _ in range(2000)
    ]
    assert rate - 1 / 51 - 0.003 < np.mean(rates) < rate + 0.003


def test_too_few_rows_for_a_low_rate_are_refused():
    assert threshold(range(99), 0.01) == 98
    with pytest.raises(
        ValueError, match="a false positive rate of 0.01 needs 99 rows or more, received 98"
    ):
        threshold(range(98), 0.01)


# --- bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_mahalanobis([[1.0, 2.0]]), "at least 2 rows"),
        (lambda: fit_mahalanobis([1.0, 2.0]), r"received \(2,\)"),
        (
            lambda: fit_mahalanobis([[1.0], [np.nan]]),
            "finite numbers, received NaN or infinity in 1 of 2",
        ),
        (
            lambda: fit_mahalanobis([[1.0], [2.0]], ["a", "b"]),
            "more rows than classes, received 2 rows of 2 classes",
        ),
        (lambda: fit_mahalanobis([[1.0], [2.0]], ["a"]), "labels must have the shape"),
        (lambda: fit_mahalanobis([[1.0], [1.0], [3.0]], [0, 0, 1]), "must differ within a class"),
        (lambda: fit_mahalanobis([[1.0], [2.0]])([[1.0, 2.0]]), r"received \(1, 2\)"),
        (
            lambda: fit_nearest_neighbour(np.eye(5), k=6),
            "k must be from 1 to the 5 rows that are kept, received 6",
        ),
        (lambda: fit_nearest_neighbour(np.eye(5), k=3, bank=2), "from 1 to the 2 rows"),
        (lambda: fit_nearest_neighbour(np.eye(5), k=1)([[np.nan] * 5]), "finite"),
        (lambda: MaximumSoftmax("label")([[0.5, 0.6]]), "sum to 1"),
        (lambda: Energy("label")([[np.nan, 0.0]]), "finite"),
        (lambda: separation([], [1.0]), "clean must be the scores of one or more rows"),
        (lambda: separation([1.0], [np.nan]), "other must be finite"),
        (lambda: separation([1.0, 2.0], [1.0], paired=True), "equally many, received 2 and 1"),
        (lambda: separation([[1.0, 2.0]], [1.0]), r"received \(1, 2\)"),
        (lambda: threshold([1.0, 2.0], 0.0), "above 0 and below 1, received 0"),
        (lambda: threshold([np.nan] * 30), "finite"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
