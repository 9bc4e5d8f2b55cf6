"""Booleans and dates: their features, broken cells, and what is learned of dates."""

import pytest
import tensorflow as tf
from shards import write_shards

from multimodal_tf.config import BooleanInput, ClassificationHead, Config, DateInput, NumberInput
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.models import build_model
from multimodal_tf.schema import Classes, Moments, Schema

SMALL = Config(
    inputs={"sold": BooleanInput(), "day": DateInput()}, heads={"label": ClassificationHead()}
)
SCHEMA = Schema(
    rows=3,
    inputs={"day": Moments(mean=19_000.6, std=2.0)},
    heads={"label": Classes(names=["a", "b"], counts=[1, 2])},
)


def test_features_of_booleans_and_dates():
    raw = {"sold": [1.0, 0.0, float("nan"), 0.5], "day": ["1970-01-02T00:01", "", " ", "soon"]}
    features, errors = Preprocessor(SMALL, SCHEMA).features(raw)
    assert features["sold"].numpy().tolist() == [1, 0, 0, 0]
    assert features["sold_present"].numpy().tolist() == [1, 1, 0, 0]
    # A missing value becomes the training mean.
    assert features["day"].numpy().tolist() == [[1, 60], [19_001, 0], [19_001, 0], [19_001, 0]]
    assert features["day"].dtype == tf.int32
    assert features["day_present"].numpy().tolist() == [1, 0, 0, 0]
    assert errors.numpy().tolist() == [
        b"",
        b"",
        b"",
        b"sold: neither 0 nor 1; day: not a date in ISO 8601",
    ]
    assert [kind_of(BooleanInput()).problem(value) for value in (1.0, float("nan"), 2.0)] == [
        "",
        "",
        "neither 0 nor 1",
    ]


def test_the_schema_must_hold_the_dates():
    with pytest.raises(ValueError, match=r"inputs\.day: the schema must hold moments"):
        Preprocessor(SMALL, SCHEMA.model_copy(update={"inputs": {}}))
    with pytest.raises(
        ValueError, match=r"inputs\.day: the schema must hold moments for a date, received nothing"
    ):
        build_model(SMALL, SCHEMA.model_copy(update={"inputs": {}}))


@pytest.mark.parametrize(
    ("days", "mean", "std"),
    [
        (["2024-05-17", "", "2024-05-18T12:00:00Z"], 19_860.75, 0.75),
        (["2024-05-17"] * 3, 19_860, 1),
        ([""] * 3, 0, 1),
    ],
)
def test_moments_of_dates(tmp_path, days, mean, std):
    config = Config(
        inputs={"day": DateInput(), "price": NumberInput()}, heads={"label": ClassificationHead()}
    )
    rows = [({"day": day.encode()}, {"label": label}) for day, label in zip(days, "aba")]
    assert fit_schema(config, write_shards(tmp_path, train=rows)).inputs["day"] == Moments(
        mean=mean, std=std, rows=sum(map(bool, days))
    )
