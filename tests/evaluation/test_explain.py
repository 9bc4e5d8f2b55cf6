"""Explanations of a row whose prediction depends on one patch, word or band: they find it."""

import numpy as np
import pytest
from explained_rows import CONFIG, bright, found, power, predicted, row
from media import spotted_image, tones

from multimodal_tf.evaluation.explanations import (
    Row,
    contributions,
    deletion,
    explain,
    parts_of,
    relevance,
)

# --- maps


def test_the_relevant_patch_is_found():
    one, parts, saliency = found("photo", spotted_image(), bright)
    assert parts.shape == saliency.shape == (5, 8)
    rows, columns = np.nonzero(saliency > 0.25 * saliency.max())
    assert (parts.edges[0][rows.min()], parts.edges[0][rows.max() + 1]) == (6, 13)
    assert (parts.edges[1][columns.min()], parts.edges[1][columns.max() + 1]) == (36, 42)
    assert saliency.sum() == pytest.approx(one.scores([{}])[0])


@pytest.mark.parametrize(
    ("text", "word", "index"),
    [
        ("a small red shoe", "red", 2),
        ("一只红色的鞋", "红", 2),
        ("red", "red", 0),
        ("  red \t hat ", "red", 0),
        ("hat, red.", "red", 1),
    ],
)
def test_the_relevant_word_is_found(text, word, index):
    _, _, saliency = found("title", text.encode(), lambda cell: word.encode() in cell)
    assert saliency.tolist() == [float(number == index) for number in range(len(saliency))]


@pytest.mark.parametrize("channels", [1, 2])
def test_the_relevant_band_and_time_are_found(channels):
    """Quarters of a second at 500 Hz, 2 kHz and so on; the score is the power of the second."""
    cell = tones(500, 2000, 500, 3000, channels=channels)
    _, parts, saliency = found("sound", cell, power(2000, 0.25, 0.5))
    hertz, seconds = parts.edges
    band, time = np.unravel_index(saliency.argmax(), saliency.shape)
    assert hertz[band] <= 2000 <= hertz[band + 1]
    assert 0.25 <= seconds[time] < seconds[time + 1] <= 0.5
    outside = saliency[:, (seconds[:-1] < 0.2) | (seconds[:-1] > 0.55)]
    assert np.abs(outside).max() < 0.05 * saliency.max()


def test_the_relevant_frame_is_found():
    frames = [
        spotted_image(spot=(slice(0), slice(0))),
        spotted_image(),
        spotted_image(spot=(slice(0), slice(0))),
    ]
    _, parts, saliency = found("clip", frames, lambda cells: max(map(bright, cells)) > 0)
    assert parts.shape == (3,)
    assert saliency.tolist() == [0, 1, 0]


def test_relevance_is_negative_for_parts_that_lower_the_score():
    _, _, saliency = found("title", b"not a shoe", lambda cell: b"not" not in cell)
    assert saliency.tolist() == [-1, 0, 0]


def test_many_variants_are_one_call_of_the_model_and_large_ones_several(monkeypatch):
    predict = predicted(photo=bright)
    one = row(predict, photo=spotted_image())
    expected = relevance(one, "photo", parts_of(CONFIG.inputs["photo"], one.cell("photo")))
    assert predict.calls == 1
    monkeypatch.setattr(
        "multimodal_tf.evaluation.explanations.row._BYTES", 5 * len(spotted_image())
    )
    np.testing.assert_array_equal(
        relevance(one, "photo", parts_of(CONFIG.inputs["photo"], one.cell("photo"))), expected
    )
    assert predict.calls > 5


# --- deletion


@pytest.mark.parametrize(
    ("name", "cell", "measure"),
    [
        ("photo", spotted_image(), lambda cell: 64 * bright(cell)),
        ("title", b"one two three red five six seven eight", lambda cell: b"red" in cell),
        ("sound", tones(500, 2000, 500, 3000), lambda cell: power(2000, 0.25, 0.5)(cell) / 0.15),
        (
            "clip",
            [spotted_image(spot=(slice(0), slice(0)))] * 5 + [spotted_image()],
            lambda cells: max(map(bright, cells)) > 0,
        ),
    ],
    ids=["photo", "title", "sound", "clip"],
)
def test_deleting_the_top_of_the_map_hurts_more_than_random(name, cell, measure):
    one, parts, saliency = found(name, cell, measure)
    curves = deletion(one, name, parts, saliency)
    assert curves.area > 0.15
    assert (curves.by_map <= curves.at_random.mean(axis=0) + 1e-6).all()
    assert curves.by_map[0] == pytest.approx(1, abs=0.1)
    for at_random in curves.at_random:
        assert at_random[[0, -1]] == pytest.approx(curves.by_map[[0, -1]])


def test_a_map_that_marks_the_wrong_parts_is_worse_than_random():
    one, parts, saliency = found(
        "title", b"one two three red five six seven eight", lambda cell: b"red" in cell
    )
    assert deletion(one, "title", parts, -saliency, orders=20).area < -0.2


def test_the_curves_by_hand():
    """One of two words matters: by the map it is deleted first, at random in half of the runs."""
    one, parts, saliency = found("title", b"red shoe", lambda cell: b"red" in cell)
    curves = deletion(one, "title", parts, saliency, orders=200, seed=1)
    assert curves.deleted.tolist() == pytest.approx(np.linspace(0, 1, 11).tolist())
    assert curves.by_map.tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    half = curves.at_random[:, 5].mean()
    assert half == pytest.approx(0.5, abs=0.1)
    assert curves.area == pytest.approx(half * 0.5)


def test_a_map_of_another_shape_is_refused():
    one, parts, _ = found("title", b"red shoe", lambda cell: b"red" in cell)
    with pytest.raises(
        ValueError,
        match=r"a map must have the shape \(2,\), and orders be 1 or more, received \(3,\) and 4",
    ):
        deletion(one, "title", parts, np.zeros(3))
    with pytest.raises(ValueError, match="received \\(2,\\) and 0"):
        deletion(one, "title", parts, np.zeros(2), orders=0)


def test_the_same_seed_gives_the_same_and_another_another():
    predict = predicted(title=lambda cell: len(cell.split()) / 8 + (b"red" in cell))
    one = row(predict, title=b"one two three red five six seven eight")
    first, again, other = (
        explain(one, CONFIG, seed=seed).maps["title"].deletion.at_random
        for seed in ((3, 1), (3, 1), (3, 2))
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


# --- contributions


def test_contributions_are_the_terms_of_a_sum():
    predict = predicted(
        title=lambda cell: 0.25 * (b"red" in cell),
        price=lambda cell: 0.125 * np.nan_to_num(cell),
        colour=lambda cell: 0,
    )
    given = contributions(row(predict, title=b"red", price=2.0, colour=b"blue"))
    assert given.shapley == pytest.approx(
        {"photo": 0, "title": 0.25, "sound": 0, "clip": 0, "price": 0.25, "colour": 0}
    )
    assert given.drop == pytest.approx(given.shapley)
    assert (given.no_inputs, given.all_inputs) == (0, 0.5)
    assert predict.calls == 1


def test_an_effect_of_two_inputs_together_is_shared():
    def predict(raw):
        both = [
            bool(title) and not np.isnan(price) for title, price in zip(raw["title"], raw["price"])
        ]
        return {"label": np.array(both, float)[:, None]}

    given = contributions(row(predict, title=b"red", price=2.0))
    assert (given.shapley["title"], given.shapley["price"]) == (0.5, 0.5)
    assert (given.drop["title"], given.drop["price"]) == (1, 1)


@pytest.mark.parametrize("count", [1, 3, 6, 9])
def test_contributions_add_up_to_what_all_inputs_add(count):
    """Also above six inputs, with sampled orders."""
    names = [f"column_{number}" for number in range(count)]
    weights = np.random.default_rng(0).normal(size=(count, count))

    def predict(raw):
        present = np.stack([~np.isnan(raw[name]) for name in names], axis=1).astype(float)
        return {"label": np.einsum("ri,ij,rj->r", present, weights, present)[:, None] + 3}

    cells = {name: np.array([1.0]) for name in names}
    given = contributions(Row(cells, predict, lambda predictions: predictions["label"][:, 0]))
    assert given.no_inputs == 3
    assert sum(given.shapley.values()) == pytest.approx(given.all_inputs - given.no_inputs)
    assert given.all_inputs == pytest.approx(3 + weights.sum())


def test_a_row_without_any_input():
    explanation = explain(row(predicted(title=lambda cell: b"red" in cell)), CONFIG)
    assert explanation.contributions.no_inputs == explanation.contributions.all_inputs == 0
    assert set(explanation.contributions.shapley.values()) == {0}
    assert explanation.maps == explanation.broken == {}


def test_missing_inputs_have_no_map_and_broken_ones_a_reason():
    cells = {
        "photo": b"no picture",
        "title": b" \t",
        "sound": b"RIFF",
        "price": 3.0,
        "colour": b"red",
    }
    explanation = explain(
        row(predicted(price=lambda cell: 0.1 * np.nan_to_num(cell)), **cells), CONFIG
    )
    assert not explanation.maps
    assert set(explanation.broken) == {"photo", "sound"}
    assert "an image must be one that can be decoded" in explanation.broken["photo"]
    assert explanation.contributions.shapley == pytest.approx(
        {"photo": 0, "title": 0, "sound": 0, "clip": 0, "price": 0.3, "colour": 0}, abs=1e-12
    )


def test_a_score_that_is_nan_is_refused():
    one = row(predicted(title=lambda cell: np.nan), title=b"red")
    with pytest.raises(
        ValueError,
        match="the score must be a finite number for each of the 1 variants, received array",
    ):
        one.scores([{}])
    one = Row(one.cells, one.predict, lambda predictions: predictions["label"])
    with pytest.raises(ValueError, match="for each of the 2 variants"):
        one.scores([{}, {}])
