"""What the answer to one row hangs on: its inputs, and the patches, words, stretches of sound and
frames within them.

All that is needed of a model is a function of raw cells, so an exported one is explained as it is
served: something is left out, and what the answer loses is what it was worth. `explain` does all of
it for a row.
"""

from multimodal_tf.evaluation.explanations.contributions import Contributions, contributions
from multimodal_tf.evaluation.explanations.deletion import Deletion, deletion
from multimodal_tf.evaluation.explanations.explanation import Explanation, Map, explain
from multimodal_tf.evaluation.explanations.media import parts_of
from multimodal_tf.evaluation.explanations.parts import Parts
from multimodal_tf.evaluation.explanations.relevance import relevance
from multimodal_tf.evaluation.explanations.row import Row
from multimodal_tf.evaluation.explanations.saliency_images import (
    over_picture,
    over_spectrogram,
    over_words,
)

__all__ = [
    "Contributions",
    "Deletion",
    "Explanation",
    "Map",
    "Parts",
    "Row",
    "contributions",
    "deletion",
    "explain",
    "over_picture",
    "over_spectrogram",
    "over_words",
    "parts_of",
    "relevance",
]
