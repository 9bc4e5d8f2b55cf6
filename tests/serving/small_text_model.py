"""A model of a text and a number that is exported fast: its configuration and its schema."""

from multimodal_tf.config import (
    BagTower,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    NumberInput,
    TextInput,
)
from multimodal_tf.schema import Classes, Moments, Schema, Vocabulary


def small_text(heads=None):
    """`(config, schema)`; the fused vector is 4 wide. `heads` are more than the class `label`."""
    tower, heads = BagTower(embedding_dim=2), heads or {}
    config = Config(
        inputs={"title": TextInput(max_tokens=3, tower=tower), "price": NumberInput()},
        heads={"label": ClassificationHead()} | heads,
        fusion=ConcatenationFusion(hidden=[4]),
    )
    stats = {"title": Vocabulary(words=["red", "blue"]), "price": Moments(mean=5.0, std=2.0)}
    numbers = {name: Moments(mean=0.0, std=1.0) for name in heads}
    return config, Schema(
        rows=2,
        inputs=stats,
        heads={"label": Classes(names=["x", "y"], counts=[1, 1])} | numbers,
    )
