"""Heads begin as logistic or ridge regression over what nothing trains, before `model.fit`."""

from multimodal_tf.training.linear_start.start import start_linear_heads

__all__ = ["start_linear_heads"]
