"""Explains the prediction of one row: contributions of inputs, and saliency maps within them.

An input is split into parts: patches, words, time-frequency bands or frames. A part is left out,
and the drop of the score is its relevance. This needs only a function of raw cells, so an exported
model is explained as it is served. `explain` computes all of it for a row.
"""

from multimodal_tf.evaluation.explanations.contributions import Contributions, contributions
from multimodal_tf.evaluation.explanations.deletion import Deletion, deletion
from multimodal_tf.evaluation.explanations.explanation import Explanation, SaliencyMap, explain
from multimodal_tf.evaluation.explanations.media import parts_of
from multimodal_tf.evaluation.explanations.parts import Parts
from multimodal_tf.evaluation.explanations.relevance import relevance
from multimodal_tf.evaluation.explanations.row import Row
from multimodal_tf.evaluation.explanations.saliency_images import (
    over_image,
    over_spectrogram,
    over_words,
    signed,
)

__all__ = [
    "Contributions",
    "Deletion",
    "Explanation",
    "Parts",
    "Row",
    "SaliencyMap",
    "contributions",
    "deletion",
    "explain",
    "over_image",
    "over_spectrogram",
    "over_words",
    "parts_of",
    "relevance",
    "signed",
]
