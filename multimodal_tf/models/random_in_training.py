"""Base class of layers that change their input at random, in training only."""

from typing import Any

import keras

from multimodal_tf.models.layer import Layer


class RandomInTraining(Layer):
    """In training it returns what its `change` makes of the input, otherwise the input itself.

    The shape stays the same.

    Args:
        seed: of the random numbers; None: drawn by Keras.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x: Any, training: bool | None = False) -> Any:
        return self.change(x) if training else x

    def change(self, x: Any) -> Any:
        """The changed input. Random numbers come from `seed_generator`."""
        raise NotImplementedError

    def compute_output_spec(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return self.spec_like(x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}
