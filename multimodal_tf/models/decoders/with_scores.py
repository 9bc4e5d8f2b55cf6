"""Layers that predict with the weights of the layer that scores targets in training."""

from typing import Any, Generic, TypeVar

from keras import layers

Scores = TypeVar("Scores", bound=layers.Layer)


class WithScores(layers.Layer, Generic[Scores]):
    """A layer without weights of its own.

    Args:
        scores: the layer whose weights and settings are used.
    """

    def __init__(self, scores: Scores, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scores = scores

    def build(self, *shapes: Any, **shapes_by_name: Any) -> None:
        self.built = True
