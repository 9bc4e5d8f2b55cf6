"""Hyperparameter search over a space of configurations, by Keras Tuner's own tuners.

`SearchModel` is the space as a `keras_tuner.HyperModel`, for any tuner. `tune` runs a whole search:
trials, folds, several processes, tables and plots.
"""

from multimodal_tf.config.search_space import Choice, Float, Int, Space
from multimodal_tf.training.tune.model import SearchModel
from multimodal_tf.training.tune.search import Search, tune

__all__ = ["Choice", "Float", "Int", "Search", "SearchModel", "Space", "tune"]
