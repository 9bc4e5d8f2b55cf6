"""Fine-tuning that touches little: what of a model is trained, how fast, and what small parts are added to it.

All functions change a functional `keras.Model` in place, before it is compiled; layers are chosen by patterns over their paths
(`models.paths.layers`). Saved to a `.keras` file, such a model comes back with what was added and what of it is trained.
"""

from multimodal_tf.training.adapt.add import adapters, lora, merge
from multimodal_tf.training.adapt.apply import adapt
from multimodal_tf.training.adapt.file import load_adaptation, save_adaptation
from multimodal_tf.training.adapt.freeze import GradualUnfreezing, biases_only, freeze, head_only, nothing, unfreeze
from multimodal_tf.training.adapt.heads import replace_heads
from multimodal_tf.training.adapt.report import Report, Share, report
from multimodal_tf.training.rates import AdamWByDepth, SGDByDepth, discriminative, learning_rate_factors

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
    "load_adaptation",
    "lora",
    "merge",
    "nothing",
    "replace_heads",
    "report",
    "save_adaptation",
    "unfreeze",
]
