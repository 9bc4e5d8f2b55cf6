"""Scores of strangeness: by hand, by scikit-learn and SciPy, and the promise of the limit."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial import distance
from sklearn import metrics as sk
from sklearn.covariance import LedoitWolf

from multimodal_tf.evaluation.ood import (
    Mahalanobis,
    NearestNeighbour,
    energy,
    limit,
    maximum_softmax,
    separation,
)


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
    assert Mahalanobis.fit(embeddings, labels)(new) == pytest.approx(expected)


def test_mahalanobis_of_one_class_is_scikit_learns():
    random = np.random.default_rng(1)
    embeddings, _ = _classes(random)
    assert Mahalanobis.fit(embeddings)(embeddings) == pytest.approx(
        LedoitWolf().fit(embeddings).mahalanobis(embeddings)
    )


def test_classes_can_be_words_and_the_order_of_rows_changes_nothing():
    random = np.random.default_rng(2)
    embeddings, labels = _classes(random)
    names, order = np.array(["hat", "shoe", "bag"])[labels], random.permutation(200)
    first, second = (
        Mahalanobis.fit(embeddings, labels),
        Mahalanobis.fit(embeddings[order], names[order]),
    )
    assert first(embeddings) == pytest.approx(second(embeddings))


def test_a_direction_without_spread_does_no_harm():
    """A dead unit is 0 in training; a row where it is not is very strange, and no number overflows,
    in float32 neither.
    """
    embeddings = np.pad(np.random.default_rng(3).normal(size=(5000, 3)), ((0, 0), (0, 2)))
    fitted = Mahalanobis.fit(embeddings)
    usual, strange = fitted([[1.0, 1, 1, 0, 0]]), fitted([[1.0, 1, 1, 0, 1]])
    assert np.isfinite(fitted.whitening.astype("float32")).all()
    assert usual < 10
    assert strange > 100


def test_two_rows_are_enough_and_give_finite_arrays():
    """Nothing is shrunk there, and the covariance has no inverse."""
    fitted = Mahalanobis.fit([[0.0, 0.0], [2.0, 0.0]])
    assert fitted([[1.0, 0.0], [3.0, 0.0]]) == pytest.approx([0.0, 4.0])
    assert np.isfinite(fitted.whitening.astype("float32") ** 2).all()


def test_more_directions_than_rows_are_shrunk():
    random = np.random.default_rng(4)
    fitted = Mahalanobis.fit(random.normal(size=(20, 64)))
    assert fitted(random.normal(size=(5, 64)) * 4).min() > fitted(random.normal(size=(5, 64))).max()


def test_blocks_change_nothing(monkeypatch):
    random = np.random.default_rng(5)
    embeddings, labels = _classes(random)
    fitted = Mahalanobis.fit(embeddings, labels)
    whole = fitted(embeddings)
    monkeypatch.setattr("multimodal_tf.evaluation.ood.BLOCK", 7)
    assert fitted(embeddings) == pytest.approx(whole)
    assert fitted(np.empty((0, 5))).shape == (0,)


# --- nearest neighbours


def test_nearest_neighbour_by_brute_force():
    random = np.random.default_rng(6)
    bank, new = random.normal(size=(50, 4)), random.normal(size=(9, 4))
    unit = [of / np.linalg.norm(of, axis=1, keepdims=True) for of in (bank, new)]
    expected = np.sort(distance.cdist(unit[1], unit[0]), axis=1)[:, 4]
    assert NearestNeighbour.fit(bank, k=5)(new) == pytest.approx(expected)


def test_the_bank_is_limited_and_drawn_by_the_seed():
    embeddings = np.random.default_rng(7).normal(size=(100, 3))
    first, again, other = (
        NearestNeighbour.fit(embeddings, k=3, bank=20, seed=seed) for seed in (0, 0, 1)
    )
    assert first.bank.shape == (20, 3)
    assert (first.bank == again.bank).all()
    assert (first.bank != other.bank).any()


def test_an_embedding_of_zeros_is_at_distance_one():
    fitted = NearestNeighbour.fit([[1.0, 0.0], [0.0, 1.0]], k=1)
    assert fitted([[0.0, 0.0]]) == pytest.approx([1.0])
    assert fitted(np.empty((0, 2))).shape == (0,)


@pytest.mark.parametrize("kind", [Mahalanobis, NearestNeighbour])
def test_what_is_fitted_is_frozen_and_a_few_arrays(kind):
    embeddings, _ = _classes(np.random.default_rng(8))
    fitted = kind.fit(embeddings)
    again = kind(
        **{field.name: getattr(fitted, field.name) for field in dataclasses.fields(fitted)}
    )
    assert (again(embeddings) == fitted(embeddings)).all()
    with pytest.raises(dataclasses.FrozenInstanceError):
        fitted.bank = fitted.centres = 0


@pytest.mark.parametrize("kind", [Mahalanobis, NearestNeighbour])
def test_other_data_score_higher(kind):
    random = np.random.default_rng(9)
    embeddings, labels = _classes(random, 400)
    fitted = (
        kind.fit(embeddings[:200], labels[:200])
        if kind is Mahalanobis
        else kind.fit(embeddings[:200])
    )
    other = random.normal(size=(200, 5)) * 12 - 6
    assert (
        separation(fitted(embeddings[200:]), fitted(other), resamples=0).figures["auroc"].value
        > 0.8
    )


# --- from answers


def test_energy_and_maximum_softmax_by_hand():
    assert energy([[np.log(1.0), np.log(3.0)]]) == pytest.approx([-np.log(4.0)])
    assert maximum_softmax([[0.2, 0.7, 0.1]]) == pytest.approx([0.3])


def test_energy_of_probabilities_is_refused():
    with pytest.raises(ValueError, match="energy needs logits"):
        energy(np.log([[0.2, 0.8], [0.5, 0.5]]))


# --- separation


def test_separation_is_scikit_learns():
    random = np.random.default_rng(10)
    clean, other = random.normal(size=150).round(1), random.normal(size=90).round(1) + 1
    found = separation(clean, other, resamples=0)
    passes = np.repeat([1, 0], [150, 90])
    false, true, _ = sk.roc_curve(passes, -np.concatenate([clean, other]), drop_intermediate=False)
    assert found.figures["auroc"].value == pytest.approx(
        sk.roc_auc_score(passes, -np.concatenate([clean, other]))
    )
    assert found.figures["fpr_at_95_tpr"].value == pytest.approx(false[true >= 0.95].min())
    assert (found.n, found.n_other) == (150, 90)


def test_separation_by_hand():
    """Of twenty clean scores, 0 to 19, nineteen must pass: the limit is 18, and of 17, 18, 18.5 and
    30 two pass.
    """
    found = separation(range(20), [17, 18, 18.5, 30], resamples=0)
    assert found.figures["fpr_at_95_tpr"].value == 0.5
    assert found.figures["auroc"].value == pytest.approx((17.5 + 18.5 + 19 + 20) / 80)


def test_intervals_of_pairs_are_narrower_where_pairs_go_together():
    random = np.random.default_rng(11)
    clean = random.normal(size=200) * 3
    other = clean + 1
    free, paired = (
        separation(clean, other, resamples=300),
        separation(clean, other, paired=True, resamples=300),
    )
    for found in (free, paired):
        for figure in found.figures.values():
            assert figure.low <= figure.value <= figure.high
    assert np.ptp([paired.figures["auroc"].low, paired.figures["auroc"].high]) < 0.7 * np.ptp(
        [free.figures["auroc"].low, free.figures["auroc"].high]
    )


# --- limit


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_a_limit_keeps_its_false_alarm_rate(rate):
    """Over many draws of the held-out rows the rate is at most what was chosen, and not much less."""
    random = np.random.default_rng(12)
    rates = [
        (random.normal(size=200) > limit(random.normal(size=50), rate)).mean() for _ in range(2000)
    ]
    assert rate - 1 / 51 - 0.003 < np.mean(rates) < rate + 0.003


def test_too_few_rows_for_so_rare_alarms_are_refused():
    assert limit(range(99), 0.01) == 98
    with pytest.raises(
        ValueError, match="a false-alarm rate of 0.01 needs 99 rows or more, received 98"
    ):
        limit(range(98), 0.01)


# --- bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Mahalanobis.fit([[1.0, 2.0]]), "at least 2 rows"),
        (lambda: Mahalanobis.fit([1.0, 2.0]), r"received \(2,\)"),
        (
            lambda: Mahalanobis.fit([[1.0], [np.nan]]),
            "finite numbers, received NaN or infinity in 1 of 2",
        ),
        (
            lambda: Mahalanobis.fit([[1.0], [2.0]], ["a", "b"]),
            "more rows than classes, received 2 rows of 2 classes",
        ),
        (lambda: Mahalanobis.fit([[1.0], [2.0]], ["a"]), "labels must have the shape"),
        (lambda: Mahalanobis.fit([[1.0], [1.0], [3.0]], [0, 0, 1]), "must differ within a class"),
        (lambda: Mahalanobis.fit([[1.0], [2.0]])([[1.0, 2.0]]), r"received \(1, 2\)"),
        (
            lambda: NearestNeighbour.fit(np.eye(5), k=6),
            "k must be from 1 to the 5 rows that are kept, received 6",
        ),
        (lambda: NearestNeighbour.fit(np.eye(5), k=3, bank=2), "from 1 to the 2 rows"),
        (lambda: NearestNeighbour.fit(np.eye(5), k=1)([[np.nan] * 5]), "finite"),
        (lambda: maximum_softmax([[0.5, 0.6]]), "sum to 1"),
        (lambda: energy([[np.nan, 0.0]]), "finite"),
        (lambda: separation([], [1.0]), "clean must be the scores of one or more rows"),
        (lambda: separation([1.0], [np.nan]), "other must be finite"),
        (lambda: separation([1.0, 2.0], [1.0], paired=True), "equally many, received 2 and 1"),
        (lambda: separation([[1.0, 2.0]], [1.0]), r"received \(1, 2\)"),
        (lambda: limit([1.0, 2.0], 0.0), "above 0 and below 1, received 0"),
        (lambda: limit([np.nan] * 30), "finite"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
