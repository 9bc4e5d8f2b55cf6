"""The configuration that tests of searches vary."""

from small_table import with_parts

from multimodal_tf.config import Training
from multimodal_tf.training.tune import Choice, Space

CONFIG = with_parts(
    ["price"],
    ["label"],
    training=Training(epochs=1, batch_size=20, learning_rate=0.01, optimizer="sgd"),
    seed=5,
)
FUSIONS = Choice([{"type": "concatenation"}, {"type": "gated", "dim": Choice([4, 8])}])


def over(fields):
    return Space.from_config(CONFIG, fields)
