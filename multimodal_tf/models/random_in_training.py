"""What layers have in common that change their input at random, in training only."""

import keras
from keras import layers


class RandomInTraining(layers.Layer):
    """In training it answers what its `change` makes of the input, otherwise the input itself; the
    shape stays.

    Args:
        seed: int or None.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x, training=False):
        return self.change(x) if training else x

    def change(self, x):
        """The input, changed; `seed_generator` is what it draws from."""
        raise NotImplementedError

    def compute_output_shape(self, shape, *others):
        return shape

    def get_config(self):
        return super().get_config() | {"seed": self.seed}
