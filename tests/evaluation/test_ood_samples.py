"""Out-of-distribution cells of every kind of input, as the preprocessing reads them."""

import numpy as np
import pytest
import small_model
import tensorflow as tf
from media import random_audio, random_image

from multimodal_tf.config import (
    BooleanInput,
    ClassificationHead,
    Config,
    DateInput,
    VectorInput,
    VideoInput,
)
from multimodal_tf.config.inputs import INPUTS
from multimodal_tf.corruptions import corrupted
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.evaluation import ood_samples
from multimodal_tf.schema import Moments, VectorMoments


def every_type():
    """`(config, schema, raw)`: an input of every type, three rows, the last one all missing."""
    more = {
        "clip": VideoInput(frames=2, height=8, width=8),
        "sold": BooleanInput(),
        "day": DateInput(),
        "shape": VectorInput(dim=8),
    }
    config = Config(inputs=small_model.CONFIG.inputs | more, heads={"label": ClassificationHead()})
    assert {part.type for part in config.inputs.values()} == set(INPUTS)
    schema = small_model.SCHEMA.model_copy(
        update={
            "inputs": small_model.SCHEMA.inputs
            | {
                "day": Moments(mean=19000.0, std=300.0),
                "shape": VectorMoments(mean=[0.0] * 8, std=[1.0] * 8, rows=9),
            }
        }
    )
    raw = small_model.raw_rows(3) | {
        "clip": np.array(
            [[random_image(1), random_image(2)], [random_image(3), b""], [b"", b""]],
            object,
        ),
        "sold": np.array([1.0, 0.0, np.nan], np.float32),
        "day": np.array([b"2024-02-29", b"2020-01-01T10:00:00", b""], object),
        "shape": np.stack([np.arange(8.0), np.ones(8), np.full(8, np.nan)]).astype(np.float32),
    }
    for name, good in (
        ("photo", random_image()),
        ("title", b"a bird"),
        ("sound", random_audio()),
        ("colour", b"red"),
    ):
        raw[name] = np.array([good, good, b""], object)
    raw["price"] = np.array([1.0, 2.0, np.nan], np.float32)
    return config, schema, raw


@pytest.mark.slow
def test_ood_cells_are_decoded_and_broken_ones_are_not():
    """By the preprocessing that training and serving have: three rows of each kind."""
    config, schema, raw = every_type()
    given = {}
    for name, part in config.inputs.items():
        stats = schema.inputs.get(name)
        kinds = (
            ood_samples.any_corruption(part, stats),
            ood_samples.other_data(part, stats),
            ood_samples.broken(part),
        )
        changed = [corrupted(raw[name], name, kind, 5, 0, np.arange(3)) for kind in kinds]
        if part.type != "boolean":
            assert not any(np.array_equal(cells[:2], raw[name][:2]) for cells in changed)
        given[name] = tf.constant(
            np.concatenate(changed).tolist(), tf.string if raw[name].dtype == object else tf.float32
        )
    features, errors = Preprocessor(config, schema).features(given)
    predictions = [error.decode() for error in errors.numpy()]
    there = np.stack([features[f"{name}_present"].numpy() > 0 for name in config.inputs], axis=1)
    assert predictions[:6] == [""] * 6
    assert there[[0, 1, 3, 4]].all()
    # the third row of each has no cell; broken ones count as absent
    assert not there[[2, 5, 6, 7, 8]].any()
    assert all(f"{name}: " in error for error in predictions[6:8] for name in config.inputs)
