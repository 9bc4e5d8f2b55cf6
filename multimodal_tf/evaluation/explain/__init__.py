"""What the answer to one row hangs on: its inputs, and the patches, words, stretches of sound and frames within them.

All that is needed of a model is a function of raw cells, so an exported one is explained as it is served: something is left out, and what
the answer loses is what it was worth. `explain` does all of it for a row.
"""

from multimodal_tf.evaluation.explain.contributions import Contributions, contributions
from multimodal_tf.evaluation.explain.deletion import Deletion, deletion
from multimodal_tf.evaluation.explain.explanation import Explanation, Map, explain
from multimodal_tf.evaluation.explain.media import parts_of
from multimodal_tf.evaluation.explain.parts import Parts
from multimodal_tf.evaluation.explain.pictures import over_picture, over_spectrogram, over_words
from multimodal_tf.evaluation.explain.relevance import relevance
from multimodal_tf.evaluation.explain.row import Row

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
