"""In which precision the layers of a configuration's model compute."""

import contextlib
from collections.abc import Iterator

import keras

from multimodal_tf.config import Config


@contextlib.contextmanager
def precision(config: Config) -> Iterator[None]:
    """Layers that are made in the block compute as `training.precision` says, of this thread alone.

    Weights stay float32, and so do spectrograms, losses, metrics and the outputs of heads. Where
    the configuration says float32, Keras' own policy counts, which a notebook may have set.

    Example:
        >>> from multimodal_tf.config import EmbeddingHead, NumberInput, Training
        >>> config = Config(inputs={"age": NumberInput()}, heads={"vector": EmbeddingHead()},
        ...                 training=Training(precision="mixed_bfloat16"))
        >>> with precision(config):
        ...     keras.layers.Dense(1).compute_dtype
        'bfloat16'
        >>> keras.layers.Dense(1).compute_dtype
        'float32'
    """
    wanted, before = config.training.precision, keras.config.dtype_policy()
    if wanted == "float32":
        yield
        return
    keras.config.set_dtype_policy(wanted)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
