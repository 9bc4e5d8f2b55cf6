"""Numbers whose mean is far from 0, such as Unix seconds: centred before they are float32."""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from multimodal_tf.schema import Schema

T = TypeVar("T")


def centre_of(stats: Any) -> float:
    """What a model takes off a number; 0 for most, and for what is no number."""
    return float(getattr(stats, "centre", 0.0))


def in_units(outputs: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """A model's outputs by head, those of centred labels in the label's own unit, float64.

    Example:
        >>> from multimodal_tf.schema import Moments
        >>> seconds = Moments(mean=1.7e9, std=9.0, centre=1.7e9)
        >>> far = Schema(rows=1, inputs={}, heads={"at": seconds})
        >>> in_units({"at": np.float32([[1.5]])}, far)["at"].tolist()
        [[1700000001.5]]
    """
    centres = {name: centre_of(schema.heads.get(name)) for name in outputs}
    return {
        name: np.asarray(output, np.float64) + centres[name] if centres[name] else output
        for name, output in outputs.items()
    }
