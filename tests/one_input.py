"""Models whose input `probe` is of interest, next to a number that is always present."""

import contract
import pytest

from multimodal_tf.config import ImageInput
from multimodal_tf.models import build_model, embeddings


def image(tower, size=8, channels=1):
    return ImageInput(height=size, width=size, channels=channels, tower=tower)


def built(input_config, stats=None, build=build_model):
    """The model; `stats` are what the schema holds of the input."""
    config = contract.with_input(input_config)
    schema = contract.schema_of(config)
    if stats is not None:
        schema = schema.model_copy(update={"inputs": schema.inputs | {"probe": stats}})
    return build(config, schema)


def rows_of(input_config, rows=3):
    return contract.rows_of(contract.with_input(input_config), rows)


def vector(input_config, rows):
    return embeddings(built(input_config))(rows)["probe"].numpy()


def refused(input_config, error=ValueError):
    """The error message of `build_model`, which must be one line."""
    with pytest.raises(error) as caught:
        built(input_config)
    assert "\n" not in str(caught.value)
    return str(caught.value)
