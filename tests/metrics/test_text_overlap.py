"""Overlap of predicted texts and their targets, by hand."""

import numpy as np
import pytest

from multimodal_tf.metrics.text import text
from multimodal_tf.metrics.text_overlap import overlap, rouge_l


@pytest.mark.parametrize(
    ("target", "predicted", "expected"),
    [
        # the example of Lin 2004, section 3.1: three of four words, and two of four
        ("police killed the gunman", "police kill the gunman", 3 / 4),
        ("police killed the gunman", "the gunman kill police", 2 / 4),
        # the words need not follow each other, nor be as often there
        ("a b a", "a c a c a", 2 * 2 / 8),
        ("Red", "red", 1),
        ("red", "", 0),
        ("日本語 の テキスト", "日本語 テキスト", 2 * 2 / 5),
    ],
)
def test_rouge_l(target, predicted, expected):
    assert rouge_l(target, predicted) == pytest.approx(expected)
    assert rouge_l(predicted, target) == pytest.approx(expected)


def test_it_is_the_mean_of_the_rows_that_are_drawn():
    found = overlap(["a b", "c d", "e f"], ["a b", "c x", "y z"])["rouge_l"]
    assert found(np.arange(3)) == pytest.approx((1 + 0.5 + 0) / 3)
    assert found(np.array([0, 0, 1])) == pytest.approx((1 + 1 + 0.5) / 3)


def test_texts_that_are_chosen_have_an_accuracy():
    scores, texts = [[0.5, -1.0, 2, 2], [1.5, -3.0, 0, 2]], (["a", "b"], ["a", "c"])
    found = text(scores, texts, resamples=0, is_choice=True).metrics
    assert found["accuracy"].value == 0.5
    assert "exact_match" not in found
    assert "accuracy" not in text(scores, texts, resamples=0).metrics
