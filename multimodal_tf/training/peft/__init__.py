"""Fine-tuning that touches little: what of a model is trained, how fast, and what small parts are
added to it.

All functions change a functional `keras.Model` in place, before it is compiled; layers are chosen
by patterns over their paths (`models.peft.layer_paths.layers`). Saved to a `.keras` file, such a
model comes back with what was added and what of it is trained.
"""

from multimodal_tf.training.layerwise_learning_rates import (
    AdamWByDepth,
    SGDByDepth,
    discriminative,
    learning_rate_factors,
)
from multimodal_tf.training.peft.add import adapters, lora, merge
from multimodal_tf.training.peft.apply import adapt
from multimodal_tf.training.peft.file import load_peft, save_peft
from multimodal_tf.training.peft.freeze import (
    GradualUnfreezing,
    biases_only,
    freeze,
    head_only,
    nothing,
    unfreeze,
)
from multimodal_tf.training.peft.heads import replace_heads
from multimodal_tf.training.peft.report import Report, Share, report

__all__ = [
    "AdamWByDepth",
    "GradualUnfreezing",
    "Report",
    "SGDByDepth",
    "Share",
    "adapt",
    "adapters",
    "biases_only",
    "discriminative",
    "freeze",
    "head_only",
    "learning_rate_factors",
    "load_peft",
    "lora",
    "merge",
    "nothing",
    "replace_heads",
    "report",
    "save_peft",
    "unfreeze",
]
