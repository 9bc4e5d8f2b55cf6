"""Guards that are refused: those that do not fit the model, and wrong arrays and thresholds."""

import os

import numpy as np
import pytest
from small_text_model import small_text

from multimodal_tf.config import RegressionHead
from multimodal_tf.models.build import build_model
from multimodal_tf.scoring.guard import Guard
from multimodal_tf.scoring.ood import Energy, Mahalanobis, MaximumSoftmax, NearestNeighbour
from multimodal_tf.serving.export import export_model


@pytest.fixture(scope="module")
def exportable():
    """`(model, config, schema)` with the heads `label` and `age`."""
    config, schema = small_text(heads={"age": RegressionHead()})
    return build_model(config, schema), config, schema


def of_width(width, embedding="fused"):
    return Mahalanobis(np.eye(width), np.zeros((1, width)), embedding)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"guard": Guard(of_width(5), 1.0)}, "'fused' is 4 wide, received a score of width 5"),
        (
            {"guard": Guard(of_width(4, "fused_label"), 1.0)},
            r"one of the model's \['fused', 'price', 'title'\], received 'fused_label'",
        ),
        (
            {"guard": Guard(Energy("kind"), 1.0)},
            r"a head that chooses one class \['label'\], received 'kind'",
        ),
        (
            {"guard": Guard(MaximumSoftmax("age"), 1.0)},
            r"a head that chooses one class \['label'\], received 'age'",
        ),
        (
            {"guard": Guard(of_width(4), 1.0, agreement_threshold=0.5)},
            r"a head that compares inputs, received label \(classification\), age \(regr",
        ),
        ({"temperature": {"age": 2.0}}, r"heads that choose one class \['label'\], received 'age'"),
        (
            {"temperature": {"label": 0.0}},
            "temperature.label must be a number above 0, received 0.0",
        ),
        ({"temperature": {"label": float("nan")}}, "must be a number above 0, received nan"),
    ],
)
def test_a_guard_that_does_not_fit_is_refused_before_anything_is_written(
    exportable, tmp_path, given, message
):
    with pytest.raises(ValueError, match=message):
        export_model(*exportable, tmp_path / "1", **given)
    assert os.listdir(tmp_path) == []


def test_a_head_of_the_same_name_is_refused(tmp_path):
    config, schema = small_text(heads={"review": RegressionHead()})
    with pytest.raises(ValueError, match="no head's key can have such a name, received 'review'"):
        export_model(
            build_model(config, schema),
            config,
            schema,
            tmp_path / "1",
            guard=Guard(of_width(4), 1.0),
        )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Guard(of_width(2), np.nan),
            "guard.threshold must be a finite number, received nan",
        ),
        (
            lambda: Guard(of_width(2), 1.0, np.inf),
            "guard.agreement_threshold must be a finite number, received inf",
        ),
        (
            lambda: Mahalanobis(np.eye(3), np.zeros((1, 2))),
            r"of the shape \(1, 3\), received float64 \(1, 2\)",
        ),
        (
            lambda: Mahalanobis(np.eye(3)[:2], np.zeros((1, 2))),
            r"whitening must be numbers of the shape \(2, 2\)",
        ),
        (
            lambda: Mahalanobis(np.full((2, 2), np.nan), np.zeros((1, 2))),
            "whitening must be finite numbers",
        ),
        (
            lambda: NearestNeighbour(np.eye(3), 4),
            "k must be from 1 to the 3 rows of the bank, received 4",
        ),
        (
            lambda: NearestNeighbour(2 * np.eye(3), 1),
            "rows of length 1 or 0, received lengths up to 2",
        ),
    ],
)
def test_arrays_and_thresholds_are_checked_when_a_guard_is_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()
