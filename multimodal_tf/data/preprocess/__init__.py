"""Bytes and strings to tensors: the one preprocessing, in core TensorFlow ops, for training and for the served graph."""

from multimodal_tf.data.preprocess.check import problem
from multimodal_tf.data.preprocess.rows import Preprocessor

__all__ = ["Preprocessor", "problem"]
