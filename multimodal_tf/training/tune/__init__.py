"""Search: which configuration of a space does best, by Keras Tuner's own tuners.

`SearchModel` is the space as a `keras_tuner.HyperModel`, for any tuner; `tune` is what everyone
writes around one by hand.
"""

from multimodal_tf.config.search_space import Choice, Float, Int, Space
from multimodal_tf.training.tune.model import SearchModel
from multimodal_tf.training.tune.search import Search, tune

__all__ = ["Choice", "Float", "Int", "Search", "SearchModel", "Space", "tune"]
